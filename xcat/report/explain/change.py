"""What would change the class: other values of a property, or leaving it out."""

from __future__ import annotations

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import Table
from xcat.classifier.model import Model
from xcat.classifier.posterior import posterior
from xcat.classifier.sample import NOT_OBSERVED, Sample
from xcat.classifier.scales import column_to_scale
from xcat.columns.properties import Property
from xcat.report.explain.explanation import ClassThreshold, WithoutProperty


def from_scale(x: FloatArray, prop: Property) -> FloatArray:
    """Bring values of one property back from its scale."""
    if prop.scale == "log10":
        return np.asarray(10.0**x)
    return np.asarray(np.sinh(x) if prop.scale == "asinh" else x)


def probabilities(model: Model, p: FloatArray) -> dict[str, float]:
    """Class to probability."""
    return dict(zip(model.answers, p.tolist(), strict=True))


def what_if(model: Model, sample: Sample) -> tuple[tuple[ClassThreshold, ...], tuple[WithoutProperty, ...], FloatArray]:
    """Classify the one source of a sample with every property moved to the nodes of its table, and without it.

    Returns
    -------
    changes : tuple of ClassThreshold
        The closest first.
    without : tuple of WithoutProperty
        One for each property that was observed.
    without_category : (T, K) float64
        Posterior of the source as it is, without each category.

    Notes
    -----
    A value is moved in all counterpart hypotheses by as much as with the accepted counterpart; errors and all other
    properties stay, even where physics ties them to it. The threshold is where the log ratio of the two probabilities,
    interpolated linearly between two nodes, is zero.
    """
    scaled = [column_to_scale(sample.values[:, j], p)[0] for j, p in enumerate(sample.properties)]
    movable = [j for j, x in enumerate(scaled) if np.isfinite(x)]
    observed = [j for j, x in enumerate(scaled) if x != NOT_OBSERVED]
    at_nodes = [_movable_nodes(model, j) for j in movable]
    n_nodes = [x.size for x in at_nodes]
    # rows: the source as it is, without each property, and at each node of each property
    column = np.concatenate([[-1], observed, np.repeat(movable, n_nodes)]).astype(np.int64)
    first = 1 + len(observed)
    shift = np.full(column.size, NOT_OBSERVED)
    shift[first:] = np.concatenate([*at_nodes, []]) - np.repeat([scaled[j] for j in movable], n_nodes)
    p, p_without = posterior(model, _moved(sample, column, shift))
    best = int(p[0].argmax())
    changes = []
    parts = np.split(p[first:], np.cumsum(n_nodes)[:-1]) if movable else []
    for j, x, of_node in zip(movable, at_nodes, parts, strict=True):
        nearest = _nearest(scaled[j], x, of_node, p[0], best)
        if nearest is not None:
            at, to = nearest
            prop = sample.properties[j]
            direction = "above" if at > scaled[j] else "below"
            threshold = float(from_scale(np.array(at), prop))
            spreads = abs(at - scaled[j]) / _spread(model, j, best)
            value = float(sample.values[0, j])
            changes.append(ClassThreshold(prop.name, value, direction, threshold, model.answers[to], spreads))
    without = tuple(
        WithoutProperty(sample.properties[j].name, model.answers[int(q.argmax())], probabilities(model, q))
        for j, q in zip(observed, p[1:first], strict=True)
    )
    return tuple(sorted(changes, key=lambda c: c.spreads)), without, p_without[:, 0]


def nodes(table: Table) -> FloatArray:
    """The nodes of a table, (G,)."""
    return np.linspace(table.low, table.high, table.log_density.shape[0])


def _movable_nodes(model: Model, j: int) -> FloatArray:
    """Nodes of a table; those on walls a little inside, since values on the wall itself are a point mass."""
    prop = model.properties[j]
    little = 1e-6 * prop.width
    low, high = prop.low + little * prop.bounded_low, prop.high - little * prop.bounded_high
    return np.clip(nodes(model.tables[j]), low, high)


def _moved(sample: Sample, column: IntArray, shift: FloatArray) -> Sample:
    """Copies of one source, each with one column moved on its scale, or not observed; column -1: none."""
    many = sample.take(np.zeros(column.size, dtype=np.int64))
    values = many.values
    hypotheses = many.hypotheses
    for j, prop in enumerate(sample.properties):
        rows = np.flatnonzero(column == j)
        values[rows, j] = _shifted(values[rows, j], shift[rows], prop)
        if hypotheses is not None and j in hypotheses.columns:
            of = hypotheses.source
            inside = np.flatnonzero(column[of] == j)
            c = int(np.flatnonzero(hypotheses.columns == j)[0])
            hypotheses.values[inside, c] = _shifted(hypotheses.values[inside, c], shift[of[inside]], prop)
    return many


def _shifted(values: FloatArray, shift: FloatArray, prop: Property) -> FloatArray:
    gone = shift == NOT_OBSERVED
    moved = from_scale(column_to_scale(values, prop) + np.where(gone, 0.0, shift), prop)
    return np.where(gone, NOT_OBSERVED, moved)


def _nearest(start: float, x: FloatArray, p: FloatArray, p_start: FloatArray, best: int) -> tuple[float, int] | None:
    """The nearest point on the scale where another class leads, and that class; None if it leads nowhere."""
    leading = p.argmax(axis=1)
    distance = np.where(leading == best, np.inf, np.abs(x - start))
    far = int(distance.argmin())
    if not np.isfinite(distance[far]):
        return None
    to = int(leading[far])
    near = far - 1 if x[far] > start else far + 1
    between = 0 <= near < x.size and (x[near] - start) * (x[far] - start) > 0
    x_near, q_near = (x[near], p[near]) if between else (start, p_start)
    lead_near, lead_far = (float(np.log(q[to]) - np.log(q[best])) for q in (q_near, p[far]))
    part = lead_near / (lead_near - lead_far) if lead_near < 0.0 < lead_far else 1.0
    return float(x_near + part * (x[far] - x_near)), to


def _spread(model: Model, j: int, k: int) -> float:
    """Standard deviation of a property in a class, on its scale, from the table."""
    x = nodes(model.tables[j])
    weight = np.exp(model.tables[j].log_density)[:, model.answer_index == k] @ model.priors[model.answer_index == k]
    mean = np.average(x, weights=weight)
    return float(np.sqrt(np.average((x - mean) ** 2, weights=weight)))
