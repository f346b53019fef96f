"""The pipeline of the simulated sky for tests that are not about kinds of classes: without them it is fitted faster."""

from pathlib import Path
from typing import Any

from xcat.jobs.pipeline import Pipeline, read

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "simulated.yaml"


def without_kinds(**changes: Any) -> Pipeline:
    """The example with one table for each class, and some keys changed."""
    found = read(EXAMPLE)
    return Pipeline.model_validate(found.model_dump() | {"classes": found.class_priors} | changes)
