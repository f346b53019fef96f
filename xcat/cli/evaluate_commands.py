"""The command that evaluates: ``xcat evaluate PIPELINE`` or ``xcat evaluate TABLE --label COLUMN``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xcat.cli.classify_commands import _band, _columns
from xcat.config import settings
from xcat.errors import ConfigError

_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)

EPILOG = (
    '--json FILE gets {"folds": {"source": {"methods": {NAME: {"seeds": {"0": FIGURES, ...}, "mean": FIGURES, '
    '"spread": FIGURES, "seconds": s}}}, "sky": ...}, "studies": {...}, "classes": [...], ...} with FIGURES = '
    '{"accuracy", "macro_f1", "log_loss", "brier", "ece", "classes": {CLASS: {"recall", "precision", '
    '"precision_prior_corrected", "f1", "n", and intervals of 95 %}}, "confusion" (rows: class given), "n_no_answer", '
    '"reliability", "at_priors": {"accuracy", "macro_f1", "log_loss", "brier", "ece", "confusion"}}; null: not defined.'
)


def evaluate(
    what: Annotated[Path, typer.Argument(metavar="PIPELINE|TABLE", help="A pipeline file, or a table with labels.")],
    data: Annotated[Path, typer.Option("--data", help="Folder that the pipeline's files are relative to.")] = Path(),
    label: Annotated[str | None, typer.Option("--label", help="Column of the true class, for a table.")] = None,
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
    band: Annotated[
        str | None, typer.Option("--band", help="Energies of the table's flux in keV, as in 0.5-7.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="PROPERTY=COLUMN of the table, where the guess needs help.")
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs",
            help="A:B,C:D: properties that have a table together, too; place, hardness, colours if not given.",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help="Of: property, category, category_f1, equal, forest, lightgbm, histogram, explainable, rules.",
        ),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=3, max=100)] = 10,
    seeds: Annotated[str, typer.Option("--seeds", help="One repetition each.")] = "0,1,2",
    by: Annotated[str, typer.Option("--by", help="What stays together in a fold: source, sky or both.")] = "source,sky",
    quick: Annotated[bool, typer.Option("--quick", help="No learning curve, ablation and shift.")] = False,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="A property that may tell the label; repeatable.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Folds at the same time.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with figures to this folder.")] = None,
) -> None:
    """Evaluate methods on labelled sources that they have not seen, on the same folds."""
    from xcat.database import runs
    from xcat.evaluate import methods as known
    from xcat.evaluate import text
    from xcat.evaluate.page import html as page
    from xcat.evaluate.protocol import FOLD_KINDS
    from xcat.jobs import evaluation as work
    from xcat.jobs.pipeline import Plan, read
    from xcat.own import labelled_table

    kinds = _names(by)
    if not kinds or set(kinds) - set(FOLD_KINDS):
        raise ConfigError(f"--by takes {' and '.join(FOLD_KINDS)}, not {by!r}")
    numbers = _seeds(seeds)
    lineage: dict[str, int] = {}
    inputs: dict[str, Any] = {}
    if what.suffix.lower() in (".yaml", ".yml"):
        wrong = [n for n, v in (("--label", label), ("--class-map", class_map), ("--priors", priors)) if v is not None]
        if wrong or band or column or properties or pairs:
            raise ConfigError(
                f"{what}: {' '.join(wrong) or 'these options'}: for a table only; a pipeline says it itself"
            )
        plan = Plan(read(what), data)
        name, together = plan.pipeline.name, plan.pipeline.pairs
        sources, lineage = work.of_pipeline(settings(), plan, answers or [])
    else:
        if label is None:
            raise ConfigError(f"{what}: say which column is the true class: --label COLUMN (a pipeline ends in .yaml)")
        name, together = what.stem, known.PAIRS if pairs is None else _together(pairs)
        sources, lines = labelled_table.of_table(
            what, label, class_map=_pairs("--class-map", class_map), priors=_numbers("--priors", priors),
            properties=_names(properties) if properties else None, answers=answers or [],
            band=None if band is None else _band(band), columns=_columns(column or []),
        )  # fmt: skip
        inputs = work.file_of(what)
        for line in lines:
            _err.print(line, markup=False)
    chosen = known.choose(sources, _names(methods) if methods else None, pairs=together)
    config = {
        **lineage, "name": name, "methods": [m.name for m in chosen], "n_folds": folds, "seeds": numbers,
        "kinds": kinds, "properties": [p.name for p in sources.sample.properties], "classes": list(sources.classes),
        "priors": sources.priors.tolist(), "pairs": together, "quick": quick, **({"file": inputs} if inputs else {}),
    }  # fmt: skip
    with runs.stage(settings(), "evaluate", name, config, inputs=inputs, catalogues=(), **lineage) as run:
        result = {"name": name} | work.evaluate_stage(
            run, sources, chosen, n_folds=folds, seeds=numbers, kinds=kinds, quick=quick, allowed=allow or [],
            n_workers=workers, on_flag=lambda line: _err.print(line, markup=False),
        )  # fmt: skip
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1, allow_nan=False), encoding="utf-8")
    _out.print(text.text(result), markup=False)
    if html is not None:
        _out.print(f"page written: {page(result, html)}")
    _err.print(f"answers of all methods are in xcat.evaluation, run {result['run_id']}", markup=False)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _together(text: str | None) -> tuple[tuple[str, str], ...]:
    found = []
    for part in _names(text or ""):
        one, colon, two = (p.strip() for p in part.partition(":"))
        if not (one and colon and two):
            raise ConfigError(f"--pairs takes PROPERTY:PROPERTY,..., not {part!r}")
        found.append((one, two))
    return tuple(found)


def _seeds(text: str) -> list[int]:
    parts = _names(text)
    if not parts or not all(p.isdecimal() for p in parts) or len(set(parts)) != len(parts):
        raise ConfigError(f"--seeds takes different whole numbers with commas, as in 0,1,2, not {text!r}")
    return [int(p) for p in parts]


def _pairs(option: str, text: str | None) -> dict[str, str] | None:
    """``A=B,C=D`` as a mapping."""
    if text is None:
        return None
    found: dict[str, str] = {}
    for part in _names(text):
        name, equals, value = (p.strip() for p in part.partition("="))
        if not (name and equals and value) or name in found:
            raise ConfigError(f"{option} takes NAME=VALUE,..., each name once, not {part!r}")
        found[name] = value
    return found


def _numbers(option: str, text: str | None) -> dict[str, float] | None:
    pairs = _pairs(option, text)
    if pairs is None:
        return None
    try:
        return {name: float(value) for name, value in pairs.items()}
    except ValueError:
        raise ConfigError(f"{option} takes numbers, not {text!r}") from None
