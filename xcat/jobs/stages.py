"""The stages of the classification: label, fit and classify (statements in the files of sql/jobs with these names)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.arrays import FloatArray, IntArray
from xcat.catalogues import number_counts
from xcat.classifier import CrossValidation, Model, Sample, classify, evidence, fit, summarise, with_priors
from xcat.classifier.kinds import Kinds
from xcat.classifier.model import HOW_FITTED
from xcat.classifier.posterior import best_levels, familiarity, posterior, tail_probability
from xcat.classifier.priors import estimate, expected_shares, sky_prior
from xcat.database import copy, partitions, schema
from xcat.database.connection import Connection, connect
from xcat.database.loaded import Loaded
from xcat.database.runs import Run, get
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import StageError
from xcat.jobs import sum_rule
from xcat.jobs.classes import Classes, rules
from xcat.jobs.pipeline import Pipeline
from xcat.models import answers, samples, store
from xcat.sky import joins
from xcat.sky.galactic_column import log_hydrogen_at

_CHUNK_ROWS = 50_000
_MAX_LABEL_RADIUS_ARCSEC = 60.0


def label_stage(
    run: Run,
    source_run_id: int,
    references: list[Loaded],
    classes: Classes,
    property_run_id: int | None = None,
    galaxies: Sequence[Loaded] = (),
) -> None:
    """Label sources by position with the reference catalogues.

    A source takes the first class whose rule fits the known object and the source's place.

    Parameters
    ----------
    classes : mapping
        Class to its rule, in the order in which they are tried.
    property_run_id : int, optional
        Properties of the sources, needed by classes of sources in galaxies.
    galaxies : sequence of Loaded
        Needed by the same classes; their centres are the nuclei.

    Raises
    ------
    StageError
        A class depends on the place in a galaxy, and there are no galaxies.
    """
    conn = run.conn
    of_place = [name for name, rule in classes.items() if rule.is_of_place]
    if of_place and (property_run_id is None or not galaxies):
        raise StageError(
            f"{of_place[0]}: a class with 'where: {classes[of_place[0]].where}' needs a catalogue of galaxies. "
            "Name one under 'galaxies' in the pipeline."
        )
    joins.make_tables(conn)
    conn.execute(job("label.make_work").compose())
    insert(conn, "pg_temp.class_rule", rules(classes))
    of_run = {"run_id": run.run_id, "source_run_id": source_run_id, "property_run_id": property_run_id}
    source = partitions.qualified("source", source_run_id)
    for number, reference in enumerate(references):
        values = of_run | {
            "tolerance_arcsec": reference.definition.label_tolerance_arcsec,
            "max_radius_arcsec": _MAX_LABEL_RADIUS_ARCSEC,
            "catalogue_id": reference.catalogue_id,
            "origin": reference.definition.name,
            "place": number,
        }
        with run.step(reference.definition.name):
            conn.execute(job("label.hits").compose(**_search(conn, reference, source, values)), values)
    nuclei = [rule.nucleus_arcsec for rule in classes.values() if rule.where == "off_nuclear"]
    for nearby in galaxies if nuclei else ():
        with run.step(nearby.definition.name):
            values = of_run | {"nucleus_arcsec": max(nuclei)}
            joins.needles(conn, job("label.nucleus_needles").compose(), values)
            joins.search(conn, nearby.table, f"{nearby.definition.name} x labelled sources")
            conn.execute(job("label.nuclei").compose(galaxy=nearby.table))
    target = partitions.create(conn, "label", run.run_id)
    conn.execute(job("label.places").compose(), of_run)
    partitions.fill(conn, "label", run.run_id, job("label.store").compose(), of_run)
    partitions.attach(conn, "label", run.run_id)
    run.summary["labels"] = dicts(conn.execute(job("label.count").compose(label=target)))


def _search(conn: Connection, reference: Loaded, source: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Find the pairs of sources and objects of a reference catalogue, from the side of which there are fewer.

    Gives the names of the tables, and which number of a pair is whose.
    """
    places, what = {"haystack": reference.table, "source": source}, f"{reference.definition.name} x sources"
    if _has_fewer_objects(conn, **places):
        joins.needles(conn, job("label.object_needles").compose(**places), values)
        joins.search(conn, source, what, haystack_id="source_id")
        return places | {"of_object": "id", "of_source": "object_id"}
    joins.needles(conn, job("label.needles").compose(haystack=reference.table), values)
    joins.search(conn, reference.table, what)
    return places | {"of_object": "object_id", "of_source": "id"}


def _has_fewer_objects(conn: Connection, haystack: str, source: str) -> bool:
    ((fewer,),) = conn.execute(job("label.fewer_objects").compose(haystack=haystack, source=source))
    return bool(fewer)


def fit_stage(run: Run, pipeline: Pipeline, runs: Mapping[str, int]) -> None:
    """Fit the likelihood tables on the labelled sources and cross-validate them.

    `runs` has the number of the run of "merge", "label" and "properties".

    Raises
    ------
    StageError
        A class has fewer labelled sources than folds.
    """
    conn, classes = run.conn, pipeline.class_names
    source_id, sample, label, cell, is_classifiable, kind = samples.labelled(
        conn, pipeline.layout, classes, runs, pipeline.kind_names
    )
    counts = np.bincount(label, minlength=len(classes))
    few = [f"{name} ({n})" for name, n in zip(classes, counts, strict=True) if n < pipeline.folds]
    if few:
        raise StageError(
            f"too few labelled sources for {pipeline.folds} folds: {', '.join(few)}. "
            "Add reference catalogues, or leave the class out of the pipeline."
        )
    given = np.array(list(pipeline.class_priors.values()))
    given = given / given.sum()
    with run.step("fit"), progress.bar(f"fit: {len(label)} labelled sources, {pipeline.folds} folds"):
        kinds = Kinds.of(label, kind, classes)
        options = replace(pipeline.fit_options, part_of=None if kinds.are_classes else kinds.part_of)
        priors = kinds.priors(classes, given)
        model, validation = fit(sample, kinds.label, cell, kinds.names, priors, options, pipeline.folds)
    if pipeline.priors != "given":
        with run.step("priors"):
            model, validation = _with_priors(run, pipeline, model, validation, sample, runs)
    model = replace(model, best_levels=best_levels(validation.p))  # the priors may have changed
    store.store(conn, run.run_id, model)
    # levels of the folds' models come from the sources that they were fitted on, which are less extreme; the model's
    # own come from held-out sources, so that 1 in 100 of these has a tail probability below 0.01
    p_tail = tail_probability(model, validation.outlier, validation.kind_index)
    rows = {
        "run_id": np.full(len(label), run.run_id, np.int32),
        "source_id": source_id,
        "known_class": np.array([c.encode() for c in classes])[label],
        "fold": (validation.fold + 1).astype(np.int16),
        **answers.columns(
            model,
            replace(validation, p_tail=p_tail, familiarity=familiarity(p_tail, validation.p, model.best_levels)),
            is_classifiable,
        ),
    }
    partitions.write(conn, "out_of_fold", run.run_id, [rows])
    for name in HOW_FITTED:
        run.summary[name] = getattr(model, name)
        run.summary[f"{name}_per_fold"] = [getattr(m, name) for m in validation.models]
    run.summary |= {
        "n_reference": dict(zip(classes, counts.tolist(), strict=True)),
        "weights": dict(zip(model.categories, model.weights.tolist(), strict=True)),
        "priors": dict(zip(classes, model.answer_priors.tolist(), strict=True)),
        "priors_given": dict(zip(classes, given.tolist(), strict=True)),
        "out_of_fold": summarise(validation.p, label, classes, model.answer_priors),
    }
    if model.part_of is not None:
        run.summary["kinds"] = {
            name: [kind for kind, of_class in zip(kinds.names, kinds.part_of, strict=True) if of_class == name]
            for name in classes
        }


def classify_stage(
    run: Run,
    property_run_id: int,
    label_run_id: int,
    model_run_id: int,
    best_match: bool = False,
    frozen_run_id: int | None = None,
) -> None:
    """Classify every source of a properties run, in one pass of bounded memory.

    With `best_match` only the accepted counterpart is used; else the posterior is the mean over the hypotheses. With an
    earlier classify run of the same model (`frozen_run_id`), labelled sources of which nothing has changed since keep
    their out-of-fold answers; the others have the answer of the whole model, as sources that were not labelled then.
    """
    model = store.load(run.conn, model_run_id)
    ((n_sources,),) = run.conn.execute(job("classify.count").compose(), {"property_run_id": property_run_id})
    layout = samples.Layout.of_model(model, best_match)
    with (
        run.step("classify"),
        # COPY out and COPY in at the same time need separate sessions; the properties are committed
        connect(run.settings) as reader,
        connect(run.settings) as second,
        progress.bar(f"classify: {n_sources} sources", n_sources) as advance,
    ):

        def answered(piece: tuple[np.ndarray, Sample]) -> dict[str, np.ndarray]:
            rows, sample = piece
            return {
                "run_id": np.full(len(rows), run.run_id, np.int32),
                "source_id": rows["source_id"],
                **answers.columns(model, classify(model, sample), rows["is_classifiable"]),
            }

        def classified() -> Generator[dict[str, np.ndarray], None, None]:
            every = samples.every_source(reader, second, layout, property_run_id, _CHUNK_ROWS)
            with copy.ahead(every, reader, second) as pieces:
                yield from copy.each_in_threads(answered, pieces)

        def counted(blocks: Iterator[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
            for block in blocks:
                yield block
                advance(len(block["source_id"]))

        # one piece is read while two are classified and one is written
        with copy.ahead(classified(), reader, second) as blocks:
            partitions.write(run.conn, "classification", run.run_id, counted(blocks))
    held_out = model_run_id
    if frozen_run_id is not None:
        held_out = run.run_id
        values = {"run_id": run.run_id, "model_run_id": model_run_id, "frozen_run_id": frozen_run_id}
        target = partitions.create(run.conn, "out_of_fold", run.run_id)
        names = [c.name for c in schema.RUN_TABLES["out_of_fold"].columns if c.name != "run_id"]
        columns = sql.SQL(", ").join(sql.Identifier("o", name) for name in names)
        query = job("classify.held_out").compose(columns=columns)
        partitions.fill(run.conn, "out_of_fold", run.run_id, query, values)
        partitions.attach(run.conn, "out_of_fold", run.run_id)
        run.summary["labelled_sources"] = dicts(
            run.conn.execute(job("classify.count_held_out").compose(held_out=target), values)
        )[0]
    values = {"run_id": run.run_id, "held_out_run_id": held_out, "label_run_id": label_run_id}
    values["link_run_id"] = get(run.conn, run.run_id)["link_run_id"]
    totals = dicts(run.conn.execute(job("classify.totals").compose(), values))
    run.summary |= {"n_sources": n_sources, "totals": totals}
    with run.step("sum rule"):
        of_run = get(run.conn, run.run_id)
        run.summary["sum_rule"] = sum_rule.of_run(run.conn, of_run, model.answers, model.answer_priors)


def _with_priors(
    run: Run, pipeline: Pipeline, model: Model, validation: CrossValidation, sample: Sample, runs: Mapping[str, int]
) -> tuple[Model, CrossValidation]:
    """Estimate the priors from all sources of the catalogue, and update the out-of-fold answers of the sample."""
    layout = samples.Layout.of_model(model, pipeline.best_match)
    axes = [[q.name for q in model.properties].index(name) for name in pipeline.sky_axes]
    by_kind = replace(model, part_of=None)  # kinds of classes have priors of their own
    with connect(run.settings) as reader, connect(run.settings) as second:
        every = samples.every_source(reader, second, layout, runs["properties"], _CHUNK_ROWS)

        def answered(piece: tuple[np.ndarray, Sample]) -> tuple[IntArray, FloatArray, np.ndarray]:
            rows, some = piece
            return rows["source_id"].astype(np.int64), posterior(by_kind, some)[0], some.values[:, axes]

        with copy.ahead(every, reader, second) as read:
            pieces = list(copy.each_in_threads(answered, read))
    ids, p, sky = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    # sums over the sources must not depend on their numbers
    order = samples.places(run.conn, runs["merge"], ids)
    if pipeline.priors == "estimate":
        priors = estimate(p[order], model.priors)
        ratio = np.broadcast_to(priors / model.priors, (len(sample), len(priors)))
        return replace(model, priors=priors), with_priors(validation, sample, ratio)
    expected = None
    if pipeline.priors == "counts":
        expected = _expected(run, model, ids, sky, runs["merge"])[order]
    changed = sky_prior(model, p[order], sky[order], pipeline.sky_axes, expected)
    if changed is model:  # no source has both properties: the priors stay as they are
        return model, validation
    # the pair of the prior is the last term; the models of the folds do not have it
    term = evidence(changed, sample)[:, -1:]
    category = changed.categories.index(changed.pairs[-1].category)
    # with counts the overall priors change, too
    folds = replace(validation, models=tuple(replace(each, priors=changed.priors) for each in validation.models))
    held_out = with_priors(folds, sample, np.exp(term[:, 0].astype(np.float64)), category)
    return changed, replace(held_out, evidence=np.concatenate([held_out.evidence, term], axis=1))


def _expected(run: Run, model: Model, ids: IntArray, sky: FloatArray, source_run_id: int) -> FloatArray:
    """Shares of the classes at every source by published number counts, (N, K); `sky` has |b| and log flux."""
    columns = [("source_id", "bigint"), *((name, "double precision") for name in ("ra", "dec", "glon"))]
    rows = copy.fetch_columns(run.conn, job("fit.places").compose(), columns, {"source_run_id": source_run_id})
    rows = rows[np.searchsorted(rows["source_id"], ids)]
    log_nh = log_hydrogen_at(rows["ra"], rows["dec"])
    # a source without flux has no counts; it does not take part in the estimate
    flux = 10.0 ** np.where(np.isfinite(sky[:, 1]), sky[:, 1], -14.0)
    classes = number_counts.counted_as(model.classes, model.part_of or model.classes)
    density = number_counts.per_deg2_and_dex(classes, model.priors, flux, sky[:, 0], rows["glon"], log_nh)
    named = list(dict.fromkeys(classes))
    has_counts = number_counts.counted(named)
    run.summary["counts"] = {
        "populations": number_counts.citations(named),
        "classes_without_counts": [c for c, has in zip(named, has_counts, strict=True) if not has],
    }
    return expected_shares(density, model.priors)
