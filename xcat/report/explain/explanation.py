"""What an explanation holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray
from xcat.output.reading import Row


@dataclass(frozen=True)
class Term:
    """What one property says, or two say together.

    Attributes
    ----------
    property : str
        Name of the property; of a pair "a*b".
    category, unit, about : str
    axes : tuple of str
        The two properties of a pair; empty otherwise.
    state : str
        Of a property: "value"; "limit" where there is a lower limit only; "missing", which is evidence, too; "not
        observed" where nobody has looked, which says nothing. Of a pair: "value" where both are there, else "missing",
        which says nothing.
    value : float or None
    error : float or None
        One sigma, on the property's scale.
    is_blurred : bool
        The error is so large that the value was looked up in a blurred table.
    limit : float or None
        Lower limit, where it was used.
    beyond : str
        "below" or "above" where the value lies outside the table: all classes lose alike there, and
        `log_likelihood` is taken at the end of the table.
    log_likelihood : dict
        Term of each class, in nats.
    nats : float
        What the term gives to the best class more than to the runner-up, weights included.
    odds : float
        exp(nats), the factor on the odds between the two.
    said : dict
        What the term adds to the log score of each class, in nats, weights included; mean over the classes taken away.
    """

    property: str
    category: str
    unit: str
    about: str
    axes: tuple[str, ...]
    state: str
    value: float | None
    error: float | None
    is_blurred: bool
    limit: float | None
    beyond: str
    log_likelihood: dict[str, float]
    nats: float
    odds: float
    said: dict[str, float]


@dataclass(frozen=True)
class CategoryTotal:
    """What one category says.

    Attributes
    ----------
    category : str
    exponent : float or None
        sharpness * alpha / sum of alpha; None where weights were fitted property by property.
    log_likelihood : dict
    nats, odds : float
    class_without : str
        Most probable class if nothing of the category is added.
    posterior_without : dict
        The probabilities then.
    """

    category: str
    exponent: float | None
    log_likelihood: dict[str, float]
    nats: float
    odds: float
    class_without: str
    posterior_without: dict[str, float]


@dataclass(frozen=True)
class Change:
    """The nearest value of a property at which another class becomes the most probable one.

    Attributes
    ----------
    property : str
    value : float
        What it is.
    direction : str
        "below" or "above".
    threshold : float
        The other class leads beyond this value.
    to : str
        The other class.
    spreads : float
        How far that is, in standard deviations of the present class.
    """

    property: str
    value: float
    direction: str
    threshold: float
    to: str
    spreads: float


@dataclass(frozen=True)
class Without:
    """The answer if nobody had looked for a property: class and probabilities."""

    property: str
    to: str
    posterior: dict[str, float]


@dataclass(frozen=True)
class Alike:
    """A labelled source of the fit.

    Attributes
    ----------
    source_id : int
    name, catalogue, known_class : str
    out_of_fold : float
        Probability of its own class from tables that never saw it.
    distance_nats : float
        Distance of the contributions of all terms to all classes.
    values : dict
        Its properties, None where there is none.
    differs_in : tuple of str
        Terms that make most of the distance, largest first.
    """

    source_id: int
    name: str
    catalogue: str
    known_class: str
    out_of_fold: float
    distance_nats: float
    values: dict[str, float | None]
    differs_in: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """The evidence of one source in one classify run.

    Attributes
    ----------
    run_id, model_run_id : int
    source : dict
        Its row: name, catalogue, position, flux and so on; units are those of the column registry.
    classes : tuple of str
    prior, posterior : dict
        Probability of each class. The posterior of a labelled source is out of fold, and so are `best`, `second`,
        `margin`, `outlier`, `p_tail` and `is_outlier`: from tables that were fitted without it.
    is_out_of_fold : bool
        Whether the source is labelled, so that this is so. All else, from the prior and the terms to the hypotheses, is
        of the model that was fitted on all labelled sources.
    fold, n_folds : int or None
        Fold in which the source was held out, from 1, and how many there are.
    posterior_in_sample : dict or None
        Probability of each class by the model that has seen the label; None for a source that is not labelled.
    log_prior : dict
        Where the log score of each class starts: log of the prior, and the model's offset.
    posterior_accepted : dict
        The probabilities if the accepted counterpart, or none, is taken for certain: what the terms add up to.
    is_summed : bool
        Whether the posterior is the mean over counterpart hypotheses.
    best, second : str
        The most probable class and the runner-up.
    margin : float
    outlier : float
        Decades by which it is less likely than the most typical member of its class.
    p_tail : float
        Share of the members of its class that are as far out, or farther.
    is_outlier : bool
    n_missing : int
    weighting : str
        How the evidence is weighted, in words.
    prior_nats : float
        Advantage of `best` over `second` in `log_prior`.
    terms : tuple of Term
        The properties, and after them the pairs; with the accepted counterpart.
    categories : tuple of CategoryTotal
    changes : tuple of Change
        The closest first.
    without : tuple of Without
        One for each property that was looked for.
    alike : tuple of Alike
        Labelled sources of the fit, the most similar first.
    counterparts : tuple of dict
        Best candidate of every catalogue.
    hypotheses : tuple of dict
        What the source may be in all catalogues together: "none" (rank 0), then the most probable ones, five at most,
        each with its `members`, and with `weight` and `posterior`: the probabilities of the classes if it is true, and
        its share in their mean. Weight 0 and no posterior: too improbable to be taken. Empty for a run that knows none.
    rest : dict or None
        `weight` and `posterior` of all other hypotheses together.
    n_hypotheses : int
        Hypotheses that are kept, "none" not counted.
    p_kept : float
        Sum of the probabilities of these and "none"; what was too improbable to keep is not in it.
    master : dict or None
        The master source, with the `others`: its sources in other missions, or what an ambiguous one might be one with.
    labels : tuple of dict
        What reference catalogues say; a status other than "used" did not become a label.
    """

    run_id: int
    model_run_id: int
    source: Row
    classes: tuple[str, ...]
    prior: dict[str, float]
    log_prior: dict[str, float]
    posterior: dict[str, float]
    is_out_of_fold: bool
    fold: int | None
    n_folds: int | None
    posterior_in_sample: dict[str, float] | None
    posterior_accepted: dict[str, float]
    is_summed: bool
    best: str
    second: str
    margin: float
    outlier: float
    p_tail: float
    is_outlier: bool
    n_missing: int
    weighting: str
    prior_nats: float
    terms: tuple[Term, ...]
    categories: tuple[CategoryTotal, ...]
    changes: tuple[Change, ...]
    without: tuple[Without, ...]
    alike: tuple[Alike, ...]
    counterparts: tuple[Row, ...]
    hypotheses: tuple[Row, ...]
    rest: Row | None
    n_hypotheses: int
    p_kept: float
    master: Row | None
    labels: tuple[Row, ...]

    @property
    def known_class(self) -> str | None:
        """Class in the literature, if there is an undisputed one."""
        return next((label["class"] for label in self.labels if label["status"] == "used"), None)

    @property
    def posterior_by_model(self) -> dict[str, float]:
        """Probability of each class by the whole model, whose terms, hypotheses and changes are listed."""
        return self.posterior if self.posterior_in_sample is None else self.posterior_in_sample

    @property
    def best_by_model(self) -> str:
        """The most probable class by the whole model; `best`, but for some labelled sources."""
        return max(self.classes, key=lambda c: self.posterior_by_model[c])

    @property
    def counterpart_matters(self) -> bool:
        """Whether the mean over the hypotheses differs visibly from the posterior with the accepted counterpart."""
        return any(abs(self.posterior_by_model[c] - self.posterior_accepted[c]) >= 0.005 for c in self.classes)

    def track(self, terms: tuple[Term, ...] | None = None) -> FloatArray:
        """Probabilities after the prior and after each of the terms in turn, (terms + 1, K).

        After all terms, the default, they are `posterior_accepted`.
        """
        score = np.array([self.log_prior[c] for c in self.classes])
        steps = [score]
        for term in self.terms if terms is None else terms:
            score = score + np.array([term.said[c] for c in self.classes])
            steps.append(score)
        stacked = np.array(steps)
        p = np.exp(stacked - stacked.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)
