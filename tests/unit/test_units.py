"""Units as files write them: what is understood, what is converted, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from xcat.catalogues.definition import Definition
from xcat.columns.units import as_unit, conversion
from xcat.errors import ConfigError, InputError
from xcat.ingest.readers import open_table

FLUX = "erg / (s cm2)"


@pytest.mark.parametrize(
    ("stated", "wanted", "factor"),
    [
        ("1e-14 erg/s/cm2", FLUX, 1e-14),
        ("2.5e-15 erg/s/cm2", FLUX, 2.5e-15),
        ("10**-14 erg/cm**2/s", FLUX, 1e-14),
        ("10^-14 erg/s/cm^2", FLUX, 1e-14),
        ("10-17W/m2", FLUX, 1e-14),
        ("mW/m2", FLUX, 1.0),
        ("ergs/cm^2/sec", FLUX, 1.0),
        ("ERG/CM2/S", FLUX, 1.0),
        ("(0.1nm)", "m", 1e-10),
        ("degrees", "deg", 1.0),
        ("milliarcsec/year", "mas / yr", 1.0),
        ("arcsec/yr", "mas / yr", 1000.0),
        ("mag(AB)", "mag", 1.0),
        ("Vega mag", "mag", 1.0),
        ("mmag", "mag", 1e-3),
        ("%", "", 0.01),
        ("---", "", 1.0),
    ],
)
def test_what_is_converted(stated, wanted, factor):
    assert conversion(stated, wanted) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        ("ct/s", FLUX), ("counts/s", FLUX), ("photons/cm2/s", FLUX), ("mag", FLUX), ("mag(AB)", FLUX), ("mJy", FLUX),
        ("pix", "arcsec"), ("s", "arcsec"), ("arcsec", "mas / yr"), ("mas/yr", "mas"), ("h", "deg"), ("h", "arcsec"),
        ("hourangle", "arcsec"), ("mJy", "mag"), ("mag/arcsec2", "mag"), ("keV", ""), ("[cm/s2]", "cm / s2"),
        ("Foo", FLUX),
    ],
)  # fmt: skip
def test_what_is_of_another_kind(stated, wanted):
    assert conversion(stated, wanted) is None


def test_hours_are_a_unit_of_right_ascensions_alone():
    for text in ("h", "hr", "hours", "hourangle"):
        assert conversion(text, "deg", hours=True) == pytest.approx(15.0, rel=1e-12)
    assert conversion("h", "s") == 3600, "elsewhere an hour is one of time"
    assert as_unit("h") == as_unit("hours")


def _definition(**columns: object) -> Definition:
    data = {"name": "a", "title": "a", "citation": "a", "kind": "xray_sources", "flux_band_kev": [0.5, 7]}
    error = {"convention": "axis_1sigma", "columns": ["err"], "unit": "arcsec"}
    places = {"ra": "ra", "dec": "dec"}
    return Definition.from_dict(data | {"position_error": error, "columns": places | columns})


@pytest.mark.parametrize(
    ("column", "unit"),
    [("flux", "ct/s"), ("flux", "mJy"), ("flux2", "mag"), ("err", "pix"), ("dec", "h"), ("hr", "keV")],
)
def test_a_file_with_a_unit_of_another_kind_is_refused(tmp_path: Path, column: str, unit: str) -> None:
    names = ["ra", "dec", "err", "flux", "flux2", "hr"]
    lines = [f"#  - {{name: {n}, datatype: float64{f', unit: {unit}' if n == column else ''}}}" for n in names]
    path = tmp_path / "a.ecsv"
    path.write_text("\n".join(["# %ECSV 1.0", "# ---", "# datatype:", *lines, " ".join(names), "10 2 1 1 1 0.5", ""]))
    definition = _definition(flux_cgs={"from": ["flux", "flux2"], "transform": "first"}, hr1="hr")
    with pytest.raises(
        InputError, match=rf"a\.ecsv: column '{column}' is in '{unit}', which cannot become .*'a' needs"
    ):
        open_table(path, definition)


def test_a_unit_that_is_not_understood_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.ecsv"
    names = ("ra", "dec", "err")
    lines = [f"#  - {{name: {n}, datatype: float64, unit: {'Foo' if n == 'err' else 'deg'}}}" for n in names]
    path.write_text("\n".join(["# %ECSV 1.0", "# ---", "# datatype:", *lines, "ra dec err", "10 2 1", ""]))
    with open_table(path, _definition()) as table:
        assert table.remarks == [
            f"{path}: the unit 'Foo' of column 'err' is not understood; its values are taken as arcsec"
        ]


def test_a_definition_may_write_units_as_files_do():
    scaled = {"from": "flux", "unit": "10**-14 ergs/cm**2/s"}
    _definition(ra={"from": "ra", "unit": "h"}, flux_cgs=scaled)
    with pytest.raises(ConfigError, match="'h' cannot become 'deg'"):
        _definition(dec={"from": "dec", "unit": "h"})
    with pytest.raises(ConfigError, match="'ct/s' cannot become"):
        _definition(flux_cgs={"from": "flux", "unit": "ct/s"})
