"""The command that evaluates: ``xcat evaluate PIPELINE`` or ``xcat evaluate TABLE --label COLUMN``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xcat.cli import values
from xcat.cli.common import (
    AsJson,
    Band,
    Columns,
    Data,
    Overwrite,
    UsageError,
    check_new,
    examples,
    note,
    out,
    print_json,
)
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.evaluate.protocol import Labelled

commands = typer.Typer()

_EPILOG = (
    examples(
        "xcat evaluate examples/chandra.yaml --data DATA --answers muwclass_answers --html evaluation",
        "xcat evaluate mine.csv --label Class --class-map QSO=AGN,STAR=Star --band 0.5-7 -o figures.json",
    )
    + "\n\n"
    'The JSON is {"folds": {"source": {"methods": {NAME: {"seeds": {"0": FIGURES, ...}, "mean": FIGURES, '
    '"spread": FIGURES, "seconds": s}}}, "sky": ...}, "studies": {...}, "classes": [...], ...} with FIGURES = '
    '{"accuracy", "macro_f1", "log_loss", "brier", "ece", "classes": {CLASS: {"recall", "precision", '
    '"precision_prior_corrected", "f1", "n", and intervals of 95 %}}, "confusion" (rows: class given), "n_no_answer", '
    '"reliability", "at_priors": {"accuracy", "macro_f1", "log_loss", "brier", "ece", "confusion"}}; null: not defined.'
)


@commands.command(epilog=_EPILOG)
def evaluate(
    what: Annotated[Path, typer.Argument(metavar="PIPELINE|TABLE", help="A pipeline file, or a table with labels.")],
    data: Data = Path(),
    label: Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="The true class, for a table.")] = None,
    answers: Annotated[
        list[str] | None,
        typer.Option(
            "--answers",
            help="Published classes: a column (PREFIX*: probabilities by class), or a reference catalogue; repeatable.",
        ),
    ] = None,
    class_map: Annotated[
        str | None, typer.Option("--class-map", help="CLASS=OURS,...: classes of the table; others are left out.")
    ] = None,
    priors: Annotated[str | None, typer.Option("--priors", help="CLASS=PRIOR,...: mix of the survey.")] = None,
    properties: Annotated[
        str | None, typer.Option("--properties", help="Names with commas; all that a table gives.")
    ] = None,
    band: Band = None,
    column: Columns = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs", help="A:B,C:D: properties that share a table; place, hardness and colours if not given."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help="Of: property, category, category_f1, equal, forest, lightgbm, histogram, explainable, rules.",
        ),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=3, max=100, help="Parts, each predicted by the others.")] = 10,
    seeds: Annotated[str, typer.Option("--seeds", help="One repetition each.")] = "0,1,2",
    by: Annotated[str, typer.Option("--by", help="What stays together in a fold: source, sky or both.")] = "source,sky",
    quick: Annotated[bool, typer.Option("--quick", help="No learning curve, ablation and shift.")] = False,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="A property that may reveal the label; repeatable.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Folds at the same time.")] = 2,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write all figures to this .json.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FOLDER", help="Write a page with figures to this folder.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate methods on labelled sources that they have not seen, on the same folds."""
    check_new(output, (".json",), overwrite)
    from xcat.database import runs
    from xcat.evaluate import methods as known
    from xcat.evaluate import text
    from xcat.evaluate.page import html as page
    from xcat.evaluate.protocol import FOLD_KINDS
    from xcat.jobs import evaluation as work

    kinds = values.names(by)
    if not kinds or set(kinds) - set(FOLD_KINDS):
        raise UsageError(f"--by takes {' and '.join(FOLD_KINDS)}, got {by!r}")
    numbers = values.seeds(seeds)
    inputs: dict[str, Any] = {}
    if what.suffix.lower() in (".yaml", ".yml"):
        of_table = {"--label": label, "--class-map": class_map, "--priors": priors, "--band": band,
                    "--column": column, "--properties": properties, "--pairs": pairs}  # fmt: skip
        wrong = [option for option, given in of_table.items() if given is not None]
        if wrong:
            raise UsageError(f"{what}: {' '.join(wrong)}: for a table only; the file of a pipeline says it")
        name, together, sources, lineage = _of_pipeline(what, data, answers or [])
    else:
        if label is None:
            raise UsageError(f"{what}: say which column is the true class: --label COLUMN (a pipeline ends in .yaml)")
        name, together, lineage = what.stem, known.PAIRS if pairs is None else values.pairs(pairs), {}
        from xcat.own import labelled_table

        sources, lines = labelled_table.of_table(
            what, label, class_map=values.mapping("--class-map", class_map),
            priors=values.numbers("--priors", priors), properties=values.names(properties) if properties else None,
            answers=answers or [], band=values.band(band), columns=values.columns(column),
        )  # fmt: skip
        inputs = work.file_of(what)
        for line in lines:
            note(line)
    chosen = known.choose(sources, values.names(methods) if methods else None, pairs=together)
    config = {
        **lineage, "name": name, "methods": [m.name for m in chosen], "n_folds": folds, "seeds": numbers,
        "kinds": kinds, "properties": [p.name for p in sources.sample.properties], "classes": list(sources.classes),
        "priors": sources.priors.tolist(), "pairs": together, "quick": quick, **({"file": inputs} if inputs else {}),
    }  # fmt: skip
    with runs.stage(settings(), "evaluate", name, config, inputs=inputs, catalogues=(), **lineage) as run:
        result = {"name": name} | work.evaluate_stage(
            run, sources, chosen, n_folds=folds, seeds=numbers, kinds=kinds, quick=quick, allowed=allow or [],
            n_workers=workers, told=note,
        )  # fmt: skip
    if output is not None:
        output.write_text(json.dumps(result, indent=1, allow_nan=False), encoding="utf-8")
        note(f"figures written to {output}")
    if html is not None:
        note(f"page written: {page(result, html)}")
    print_json(result) if as_json else out.print(text.text(result))
    note(f"answers of all methods are in xcat.evaluation, run {result['run_id']}")


def _of_pipeline(
    path: Path, data: Path, answers: list[str]
) -> tuple[str, tuple[tuple[str, str], ...], Labelled, dict[str, int]]:
    """Name, pairs, labelled sources and lineage of a pipeline that has run."""
    from xcat.jobs.evaluation import of_pipeline
    from xcat.jobs.pipeline import Plan, read

    plan = Plan(read(path), data)
    return plan.pipeline.name, plan.pipeline.pairs, *of_pipeline(settings(), plan, answers)
