"""Labelled sources in a table of one's own: classes, answers, groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from labelled_sky import CLASSES, PROPERTIES, sky

from xcat.errors import ConfigError, InputError
from xcat.own.labelled_table import neighbours, of_table, sky_cells

MAP = {"QSO": "AGN", "Seyfert": "AGN", "M dwarf": "Star", "LMXB": "XRB"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with properties by name, a label, published classes and probabilities."""
    data = sky()
    native = np.array(["QSO", "M dwarf", "LMXB"])[data.label]
    native[::7] = np.where(native[::7] == "QSO", "Seyfert", native[::7])
    native[5], native[6] = "nova", ""
    frame = pd.DataFrame(
        {
            "ra": np.linspace(0, 350, 360),
            "dec": np.linspace(-80, 80, 360),
            "type": native,
            "guess": np.where(np.arange(360) % 4 == 0, "LMXB", native),
            "P_QSO": 0.3,
            "P_Seyfert": 0.3,
            "P_LMXB": 0.4,
            **{p.name: np.where(np.isinf(c), np.nan, c) for p, c in zip(PROPERTIES, data.sample.values.T, strict=True)},
        }
    )
    path = tmp_path / "mine.csv"
    frame.to_csv(path, index=False)
    return path


def test_classes_are_mapped_and_others_left_out_and_told(table):
    data, lines = of_table(table, "type", class_map=MAP, properties=["hr1", "gamma", "log_fx_fw1"])
    assert data.classes == CLASSES
    kept = np.setdiff1d(np.arange(360), [5, 6])
    assert np.array_equal(data.source_id, kept + 1)
    assert np.array_equal(data.label, sky().label[kept])
    assert [p.name for p in data.sample.properties] == ["hr1", "gamma", "log_fx_fw1"]
    given = sky().sample.values[kept][:, 1]
    assert data.sample.values[:, 0] == pytest.approx(given, nan_ok=True)
    assert f"{table}: left out: 1 rows with type 'nova'" in lines
    assert f"{table}: left out: 1 rows with type ''" in lines
    assert data.priors == pytest.approx(np.array([0.66, 0.25, 0.07]) / 0.98), "those of the poster, for its classes"
    assert set(data.n_counterparts) == {0, 1}


def test_classes_and_priors_of_its_own(table):
    data, _ = of_table(table, "type", properties=["hr1"])
    assert set(data.classes) == {"LMXB", "M dwarf", "QSO", "Seyfert", "nova"}
    assert data.priors == pytest.approx(data.mix, abs=0.01), "the mix of the sample, for other classes"
    given = {"AGN": 2, "Star": 1, "XRB": 1}
    data, _ = of_table(table, "type", class_map=MAP, properties=["hr1"], priors=given)
    assert data.priors == pytest.approx([0.5, 0.25, 0.25])
    with pytest.raises(ConfigError, match="--priors takes a positive number for each of the classes: AGN, Star, XRB"):
        of_table(table, "type", class_map=MAP, properties=["hr1"], priors={"AGN": 1})


def test_published_classes_and_probabilities(table):
    data, _ = of_table(table, "type", class_map=MAP, properties=["hr1"], answers=["guess", "P_*"])
    row = data.source_id - 1
    assert np.array_equal(data.answers["guess"], np.where(row % 4 == 0, 2, data.label))
    assert np.all(data.answers["P_*"] == 0), "0.3 + 0.3 of two AGN is more than 0.4"


def test_what_is_not_there_is_named(table):
    with pytest.raises(InputError, match=r"no column 'kind'. There are: ra, dec, type"):
        of_table(table, "kind")
    with pytest.raises(InputError, match=r"no columns Q_QSO"):
        of_table(table, "type", class_map=MAP, answers=["Q_*"])
    with pytest.raises(InputError, match="no row's 'type' is one of pulsar"):
        of_table(table, "type", class_map={"pulsar": "NS"})
    with pytest.raises(InputError, match="none of the properties pm_mas_yr"):
        of_table(table, "type", properties=["pm_mas_yr"])


def test_positions_are_grouped_by_object_and_by_cell():
    ra = np.array([10.0, 10.0 + 0.5 / 3600, 10.0 + 2.5 / 3600, 359.9, 0.0, np.nan, np.nan, 10.9])
    dec = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    same = neighbours(ra, dec)
    assert same[0] == same[1] and np.unique(same).size == 7
    assert (
        neighbours(np.array([359.99999, 0.00001]), np.zeros(2))[0]
        == neighbours(np.array([359.99999, 0.00001]), np.zeros(2))[1]
    )
    cell = sky_cells(ra, dec)
    assert cell[0] == cell[1] == cell[2]
    assert cell[5] != cell[6], "without a position each has its own"
    rng = np.random.default_rng(0)
    a, d = 360 * rng.random(200_000), np.degrees(np.arcsin(2 * rng.random(200_000) - 1))
    count = np.unique(sky_cells(a, d), return_counts=True)[1]
    area = 41252.96 / count.size
    assert area == pytest.approx(1.4**2, rel=0.02)
    assert sky_cells(np.array([5.0, 300.0]), np.array([89.99, 90.0])).size == 2
