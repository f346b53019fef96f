"""The sentence of reason never shows as searched, or as absent, what was not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from xcat.classifier.sample import NOT_OBSERVED, Sample
from xcat.columns.properties import select
from xcat.own.reasons import _phrases
from xcat.report.explain import wording

NAN = np.nan


@pytest.mark.parametrize(
    ("values", "limit", "log_fx", "wanted"),
    [
        ([NAN, NAN], 1.0, -12.5, "no counterpart down to R 20.3"),
        ([NAN, 0.3], 1.0, -12.5, "not seen down to R 20.3"),  # an infrared counterpart is there
        ([NAN, NAN], NAN, -12.5, "no counterpart"),
        ([NAN, 0.3], NAN, -12.5, "no X-ray to red flux ratio"),
        ([NAN, NAN], NAN, NAN, "no X-ray to red flux ratio"),  # no X-ray flux: nothing is said of counterparts
        ([NAN, NOT_OBSERVED], 1.0, -12.5, "no counterpart down to R 20.3"),
        ([1.25, NAN], 1.0, -12.5, "X-ray to red flux ratio 1.25"),
    ],
)
def test_what_is_missing_in_words(values: list[float], limit: float, log_fx: float, wanted: str) -> None:
    properties = tuple(select(["log_fx_fr", "w1_w2"]))
    sample = Sample(properties, np.array([values]), limits=np.array([[limit, NAN]]))
    model = cast(Any, SimpleNamespace(properties=properties, pairs=()))
    assert _phrases(model, sample, np.array([log_fx]), 0, np.array([0])).tolist() == [wanted]


def test_catalogues_that_did_not_look_are_told() -> None:
    row = {"catalogue": "gaia", "native_id": "7", "sep_arcsec": 0.2, "p_i": 0.9, "p_any": 0.8, "n_candidates": 1,
           "accepted": True, "magnitudes": None, "covered": 1.0}  # fmt: skip
    outside = row | {"catalogue": "wise", "native_id": None, "sep_arcsec": None, "p_any": 0.0, "covered": 0.0}
    none = {"rank": 0, "p_hypothesis": 1.0, "members": []}

    def explained(*counterparts: dict[str, Any]) -> Any:
        return SimpleNamespace(counterparts=counterparts, hypotheses=(none,), master=None, is_summed=False, best="AGN",
                               second="XRB", n_hypotheses=0, p_kept=1.0, rest=None)  # fmt: skip

    both = "\n".join(wording._counterparts(explained(row, outside)))
    assert "not searched: off its area" in both and "gaia" in both
    assert wording.surroundings(explained(row, outside)).startswith("no counterpart, P = 1")
    nowhere = explained(outside)
    assert wording._counterparts(nowhere) == ["Counterparts: none searched; the source is outside the area of wise"]
    assert wording.surroundings(nowhere) == "no counterparts searched"
    assert wording._hypotheses(nowhere) == []
