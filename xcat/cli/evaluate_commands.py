"""The command that evaluates: ``xcat evaluate PIPELINE`` or ``xcat evaluate TABLE --label COLUMN``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from xcat.cli import common, values
from xcat.cli.common import option
from xcat.config import settings

commands = typer.Typer()

_EPILOG = (
    common.examples(
        "xcat evaluate examples/chandra.yaml --data DATA --answers muwclass_answers --html evaluation",
        "xcat evaluate mine.csv --label Class --class-map QSO=AGN,STAR=Star --band 0.5-7 -o figures.json",
        "xcat evaluate mine.csv --label Class --test newer.csv --test-label Class --by origin",
    )
    + "\n\n"
    'The JSON is {"folds": {"source": {"methods": {NAME: {"seeds": {"0": FIGURES, ...}, "mean": FIGURES, '
    '"spread": FIGURES, "seconds": s}}, "paired": {"reference": NAME, "log_loss": {NAME: {"difference", "interval"}}, '
    '"at_priors": ...}}, "sky": ..., "origin": ..., "second_origin": ...}, "studies": {...}, "classes": [...], ...} '
    'with FIGURES = {"accuracy", "macro_f1", "log_loss", "brier", "ece", "classes": {CLASS: {"recall", "precision", '
    '"precision_prior_corrected", "f1", "f1_list", "list_from", "n", and intervals of 95 %}}, '
    '"confusion" (rows: class given), "n_no_answer", "reliability", '
    '"at_priors": {"accuracy", "macro_f1", "log_loss", "brier", "ece", "confusion"}}; null: not defined.'
)
_ANSWERS = "Published classes: a column (PREFIX*: probabilities by class), or a reference catalogue; repeatable."
_CLASS_MAP = "Others are left out; those of one class are its kinds."
_PAIRS = "Properties that share a table; place, hardness and colours if not given."
_METHODS = "Of: property, category, category_f1, equal, forest, lightgbm, histogram, explainable, rules."
_WHAT = typer.Argument(metavar="PIPELINE|TABLE", help="A pipeline file, or a table with labels.")
_BY = "What stays together in a fold: origin (reference of the label), source, sky. Default: all that there are."
_FOLDS = typer.Option("--folds", min=3, max=100, help="Parts, each answered by what the others teach.")
_WORKERS = typer.Option("--workers", min=1, max=64, help="Folds at the same time.")
_OUTPUT = typer.Option("-o", "--output", metavar="FILE", help="Write all figures to this .json.")


@commands.command(epilog=_EPILOG)
def evaluate(
    what: Annotated[Path, _WHAT],
    data: common.Data = Path(),
    label: Annotated[str | None, option("--label", "COLUMN", "The true class, for a table.")] = None,
    answers: Annotated[list[str] | None, option("--answers", "ANSWERS", _ANSWERS)] = None,
    class_map: Annotated[str | None, option("--class-map", "CLASS=OURS,...", _CLASS_MAP)] = None,
    priors: Annotated[str | None, option("--priors", "CLASS=PRIOR,...", "Prior of each class in the survey.")] = None,
    properties: Annotated[str | None, option("--properties", "A,B,...", "Default: all that it gives.")] = None,
    band: common.Band = None,
    column: common.Columns = None,
    pairs: Annotated[str | None, option("--pairs", "A:B,C:D", _PAIRS)] = None,
    methods: Annotated[str | None, option("--methods", "A,B,...", _METHODS)] = None,
    folds: Annotated[int, _FOLDS] = 10,
    seeds: Annotated[str, option("--seeds", "N,N,...", "One repetition each.")] = "0,1,2",
    by: Annotated[str | None, option("--by", "KIND,...", _BY)] = None,
    origin: Annotated[str | None, option("--origin", "COLUMN", "Reference of a label; guessed if not given.")] = None,
    test: Annotated[
        Path | None, option("--test", "TABLE", "A second origin: fit to all of the first, test here.")
    ] = None,
    test_label: Annotated[str | None, option("--test-label", "COLUMN", "The true class there.")] = None,
    test_class_map: Annotated[str | None, option("--test-class-map", "CLASS=OURS,...", "As --class-map.")] = None,
    test_band: Annotated[str | None, option("--test-band", "LOW-HIGH", "As --band.")] = None,
    test_column: Annotated[list[str] | None, option("--test-column", "NAME=COLUMN", "As --column.")] = None,
    quick: Annotated[bool, common.option("--quick", None, "No learning curve, ablation and shift.")] = False,
    allow: Annotated[list[str] | None, option("--allow", "NAME", "A property that may reveal the label.")] = None,
    workers: Annotated[int, _WORKERS] = 2,
    output: Annotated[Path | None, _OUTPUT] = None,
    html: common.Html = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Evaluate methods on labelled sources that they have not seen, on the same folds."""
    common.check_new(output, (".json",), overwrite)
    from xcat.database import runs
    from xcat.evaluate import methods as known
    from xcat.evaluate import text
    from xcat.evaluate.grouping import LEAST_ORIGINS
    from xcat.evaluate.page import html as page
    from xcat.evaluate.protocol import FOLD_KINDS, ORIGIN, SECOND
    from xcat.jobs import evaluation as work
    from xcat.jobs.pipeline import Plan, read
    from xcat.own import labelled_table

    wanted = None if by is None else values.names(by)
    if wanted is not None and (not wanted or set(wanted) - {ORIGIN, *FOLD_KINDS} or len(set(wanted)) < len(wanted)):
        raise common.UsageError(f"--by takes {' and '.join(FOLD_KINDS)}, and {ORIGIN}, each once, got {by!r}")
    of_test = {"--test-label": test_label, "--test-class-map": test_class_map, "--test-band": test_band,
               "--test-column": test_column}  # fmt: skip
    if test is None and any(given is not None for given in of_test.values()):
        named = " ".join(name for name, given in of_test.items() if given is not None)
        raise common.UsageError(f"{named}: which table? --test TABLE")
    if test is not None and test_label is None:
        raise common.UsageError(f"{test}: which column is the true class? --test-label COLUMN")
    numbers = values.seeds(seeds)
    lineage: dict[str, int] = {}
    inputs: dict[str, Any] = {}
    if what.suffix.lower() in (".yaml", ".yml"):
        for_tables = {"--label": label, "--class-map": class_map, "--priors": priors, "--properties": properties,
                      "--band": band, "--column": column, "--pairs": pairs, "--origin": origin}  # fmt: skip
        wrong = [name for name, given in for_tables.items() if given is not None]
        if wrong:
            raise common.UsageError(f"{what}: {' '.join(wrong)}: for a table only; the file of a pipeline says it")
        plan = Plan(read(what), data)
        name, together = plan.pipeline.name, plan.pipeline.pairs
        sources, lineage = work.of_pipeline(settings(), plan, answers or [])
        common.note(*sources.notes)
    else:
        if label is None:
            raise common.UsageError(
                f"{what}: which column is the true class? --label COLUMN (a pipeline ends in .yaml)"
            )
        name, together = what.stem, known.PAIRS if pairs is None else values.pairs(pairs)
        mapped = None if class_map is None else values.mapping("--class-map", "CLASS=OURS,...", values.names(class_map))
        sources, lines = labelled_table.of_table(
            what, label, class_map=mapped, priors=None if priors is None else values.priors(priors),
            properties=values.names(properties) if properties else None, answers=answers or [],
            band=values.band(band), columns=values.columns(column), origin=origin,
        )  # fmt: skip
        inputs = work.file_of(what)
        common.note(*lines)
    if wanted is not None and ORIGIN in wanted and ORIGIN not in sources.groups:
        raise common.UsageError(
            f"{what}: --by {ORIGIN} needs a class with labels of {LEAST_ORIGINS} literature sources or more. Name "
            "their column with --origin, in the definition of a catalogue as label_ref"
        )
    kinds = wanted or [kind for kind in (ORIGIN, *FOLD_KINDS) if kind in sources.groups]
    second = None
    if test is not None and test_label is not None:
        given = class_map if test_class_map is None else test_class_map
        of_class = None if given is None else values.mapping("--test-class-map", "CLASS=OURS,...", values.names(given))
        second, lines = labelled_table.second_table(
            sources, test, test_label, class_map=of_class, band=values.band(test_band, "--test-band"),
            columns=values.columns(test_column, "--test-column"),
        )  # fmt: skip
        common.note(*lines)
        inputs = inputs | {SECOND: work.file_of(test)}
    chosen = known.choose(sources, values.names(methods) if methods else None, pairs=together)
    config = {
        **lineage, "name": name, "methods": [m.name for m in chosen], "n_folds": folds, "seeds": numbers,
        "kinds": kinds, "properties": [p.name for p in sources.sample.properties], "classes": list(sources.classes),
        "priors": sources.priors.tolist(), "pairs": together, "quick": quick, **({"file": inputs} if inputs else {}),
    }  # fmt: skip
    with runs.stage(settings(), "evaluate", name, config, inputs=inputs, catalogues=(), **lineage) as run:
        result = {"name": name} | work.evaluate_stage(
            run, sources, chosen, n_folds=folds, seeds=numbers, kinds=kinds, second=second, quick=quick,
            allowed=allow or [], n_workers=workers, on_flag=common.note,
        )  # fmt: skip
    if output is not None:
        output.write_text(json.dumps(result, indent=1, allow_nan=False), encoding="utf-8")
        common.note(f"figures written to {output}")
    if html is not None:
        common.note(f"page written: {page(result, html)}")
    common.print_json(result) if as_json else print(text.text(result))
    common.note(f"answers of all methods are in xcat.evaluation, run {result['run_id']}")
