"""What a pipeline file may say of the fit, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_pipeline import EXAMPLE

from xcat.classifier.model import CATEGORIES
from xcat.cli import pipeline_commands
from xcat.errors import ConfigError
from xcat.jobs.pipeline import Pipeline, read

TWO = "classes: {AGN: 0.9, XRB: 0.1}"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"extends: {EXAMPLE}\nname: mine\n{text}\n")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("objective: f2", "objective is log_loss, macro_f1 or f1:CLASS"),
        ("objective: f1:ULX", "with one of the classes"),
        ("pairs: [[abs_b, j_k]]", "pairs name properties that are not used: j_k"),
        ("properties: [abs_b, hr1]", "priors: counts needs abs_b and log_fx"),
        ("properties: [abs_b, hr1]\npriors: sky", "priors: sky needs abs_b and log_fx"),
        ("weights: fit", "weights"),
        (
            "weights: category",
            "kinds of classes need 'weights: property'; with others, give Star, XRB, CV without kinds",
        ),
        ("weights: {colour: 1}", "unknown category colour"),
        ("priors: guess", "priors"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read(written(tmp_path, text))


def test_options_reach_the_classifier(tmp_path):
    given = "weights: category\nobjective: f1:XRB\npairs: [[hr1, hr2]]\nseed: 7\n"
    chosen = read(written(tmp_path, given + TWO)).fit_options
    assert (chosen.weights, chosen.objective, chosen.pairs, chosen.seed) == ("category", "f1:XRB", (("hr1", "hr2"),), 7)
    assert chosen.excluded_properties == ("abs_b", "log_fx"), (
        "the prior is a function of them, so they do not contribute themselves"
    )
    given = read(written(tmp_path, f"weights: {{spectrum: 2}}\npriors: given\n{TWO}")).fit_options
    assert given.weights == tuple(2.0 if c == "spectrum" else 0.0 for c in CATEGORIES)
    assert given.excluded_properties == ()


@pytest.mark.parametrize("best_match", [False, True])
def test_best_match_is_an_option_of_the_command(tmp_path, best_match):
    path = tmp_path / "links.yaml"
    path.write_text("name: links\nxray:\n  - catalogue: erass1\n")
    runner = pipeline_commands.make_runner(path, tmp_path, best_match=best_match)
    assert isinstance(runner.plan.pipeline, Pipeline)
    assert runner.plan.pipeline.best_match is best_match
