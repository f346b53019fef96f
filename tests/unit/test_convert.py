"""Conversion of a file's rows: error conventions, transforms, units, NULLs and rejects."""

from __future__ import annotations

import math
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import Angle
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xcat.catalogues import Definition
from xcat.ingest.convert import Converted, axis_sigma_factor, convert
from xcat.ingest.opened import RawChunk
from xcat.ingest.rows import parse_dates, parse_numbers, parse_sexagesimal

BASE: dict[str, Any] = {
    "name": "test",
    "title": "T",
    "kind": "xray_detections",
    "citation": "-",
    "flux_band_kev": [0.5, 7],
    "position_error": {"convention": "axis_1sigma", "columns": "e"},
    "columns": {"ra": "ra", "dec": "dec"},
}


def make(columns: dict[str, Any] | None = None, **changes: Any) -> Definition:
    return Definition.from_dict(BASE | {"columns": BASE["columns"] | (columns or {})} | changes)


def run(definition: Definition, first_row: int = 1, **columns: Any) -> Converted:
    """Convert columns; position and error are filled in where a test does not care."""
    n = len(next(iter(columns.values())))
    defaults = {"ra": [10.0] * n, "dec": [-5.0] * n, "e": [1.0] * n}
    batch = pa.record_batch({k: pa.array(v) for k, v in (defaults | columns).items()})
    return convert(RawChunk(batch, first_row), definition)


def one(transform: Any, *cells: Any, name: str = "flux_cgs", **changes: Any) -> float:
    """Transform one row of one quantity."""
    names = [f"c{i}" for i in range(len(cells))]
    spec = {"from": names, "transform": transform}
    out = run(make({name: spec}, **changes), **{n: [c] for n, c in zip(names, cells, strict=True)})
    return float(out.columns[name][0])


# --- positional errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("convention", "fraction"),
    [("radius_68", 0.68), ("radius_90", 0.90), ("radius_95", 0.95), ("ellipse_95", 0.95)],
)
def test_radii_follow_the_rayleigh_distribution(convention: str, fraction: float) -> None:
    assert 1 / axis_sigma_factor(convention) == pytest.approx(stats.rayleigh.ppf(fraction), rel=1e-12)


def test_a_radius_of_errors_drawn_from_its_sigma_holds_its_fraction() -> None:
    rng = np.random.default_rng(1)
    radius = {"radius_68": 0.68, "radius_90": 0.90, "radius_95": 0.95, "radial_1sigma": 1 - math.exp(-1)}
    for convention, fraction in radius.items():
        sigma = axis_sigma_factor(convention)  # of a stated error of 1
        inside = np.hypot(*rng.normal(0, sigma, (2, 200_000))) < 1
        assert inside.mean() == pytest.approx(fraction, abs=4 * math.sqrt(fraction * (1 - fraction) / 200_000))


def test_an_ellipse_of_95_percent_holds_95_percent() -> None:
    rng = np.random.default_rng(2)
    major, minor = np.array([3.0, 1.0]) * axis_sigma_factor("ellipse_95")
    x, y = rng.normal(0, major, 200_000), rng.normal(0, minor, 200_000)
    assert ((x / 3) ** 2 + y**2 < 1).mean() == pytest.approx(0.95, abs=0.002)


def errors(convention: str, e: list[Any], *more: list[Any], **options: Any) -> Converted:
    names = ["e", "f"][: 1 + len(more)]
    error = {"convention": convention, "columns": names} | options
    return run(make(position_error=error), **dict(zip(names, [e, *more], strict=True)))


def test_conventions_of_one_and_two_columns() -> None:
    assert errors("radial_1sigma", [2.0]).columns["err_arcsec"][0] == pytest.approx(math.sqrt(2))
    assert errors("radius_90", [5.6]).columns["err_arcsec"][0] == pytest.approx(5.6 / 2.145966, rel=1e-6)
    two = errors("axis_1sigma", [0.4], [0.9], unit="mas").columns
    assert two["err_arcsec"][0] == pytest.approx(0.6e-3)
    assert "err_maj_arcsec" not in two


def test_an_ellipse_keeps_its_axes_and_angle() -> None:
    out = errors("ellipse_95", [3.0, 1.0], [1.0, 3.0], pa="f").columns
    scale = 2.447747
    assert out["err_maj_arcsec"] == pytest.approx([3 / scale] * 2, rel=1e-6)
    assert out["err_min_arcsec"] == pytest.approx([1 / scale] * 2, rel=1e-6)
    assert out["err_arcsec"] == pytest.approx([math.sqrt(3) / scale] * 2, rel=1e-6)
    assert out["err_pa_deg"].tolist() == [1.0, 93.0]  # axes in the wrong order turn the angle


def test_systematic_error_and_floor() -> None:
    assert errors("axis_1sigma", [3.0], systematic_arcsec=4.0).columns["err_arcsec"][0] == pytest.approx(5)
    out = errors("axis_1sigma", [0.01, 0.0, -1.0, None, 0.3], floor_arcsec=0.1)
    assert out.columns["err_arcsec"].tolist() == [0.1, 0.1, 0.1, 0.1, 0.3]
    assert len(out.rejects) == 0


def test_rows_without_a_usable_error_are_rejected() -> None:
    out = errors("axis_1sigma", [1.0, 0.0, -1.0, None, math.nan, 4000.0], systematic_arcsec=0.5)
    assert out.row_number.tolist() == [1]
    assert out.rejects.row_number.tolist() == [2, 3, 4, 5, 6]
    assert out.rejects.reason == [
        "positional error not above 0",
        "positional error not above 0",
        "no positional error",
        "no positional error",
        "positional error of a degree or more",
    ]


@given(
    st.sampled_from(["axis_1sigma", "radial_1sigma", "radius_68", "radius_90", "radius_95"]),
    st.floats(1e-3, 100),
    st.floats(0, 10),
    st.floats(0.01, 1),
)
def test_errors_scale_and_never_sink_below_their_parts(
    convention: str, error: float, systematic: float, floor: float
) -> None:
    spec = {"convention": convention, "columns": "e", "systematic_arcsec": systematic, "floor_arcsec": floor}
    got = run(make(position_error=spec), e=[error]).columns["err_arcsec"][0]
    assert got >= max(systematic, floor) * (1 - 1e-12)
    assert got == pytest.approx(max(floor, math.hypot(error * axis_sigma_factor(convention), systematic)))


# --- positions ---------------------------------------------------------------------------------------------


def test_positions_that_are_none() -> None:
    ra = [0.0, 360.0, 360.1, -0.1, math.nan, None, math.inf, 10.0, 10.0, 10.0]
    dec = [90.0, -90.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0, None, -math.inf]
    out = run(make(), ra=ra, dec=dec, first_row=101)
    assert out.row_number.tolist() == [101, 102]
    assert out.columns["ra"].tolist() == [0.0, 0.0]
    assert out.rejects.row_number.tolist() == list(range(103, 111))
    assert out.rejects.reason == [
        *["right ascension outside 0 to 360 degrees"] * 2,
        *["no position"] * 3,
        "declination outside -90 to 90 degrees",
        *["no position"] * 2,
    ]
    assert out.rejects.value[5] == "100.0"
    assert out.rejects.column_name[:6] == ["ra"] * 5 + ["dec"]


SEXAGESIMAL = [
    ("12 34 56.7", "+12 34 56.7"),
    ("00:00:00", "-00:30:00"),
    ("23h59m59.99s", "-89d59m59s"),
    (" 1 2 3 ", "−1 2 3"),
    ("5 30", "-0 30"),
    ("7", "- 07 08 09"),
]


def test_sexagesimal_positions() -> None:
    columns = {"ra": {"from": "ra", "transform": "hms"}, "dec": {"from": "dec", "transform": "dms"}}
    out = run(make(columns), ra=[r for r, _ in SEXAGESIMAL], dec=[d for _, d in SEXAGESIMAL])
    for i, (ra, dec) in enumerate(SEXAGESIMAL):
        assert out.columns["ra"][i] == pytest.approx(Angle(ra, u.hourangle).deg, abs=1e-10)
        tidy = dec.replace("−", "-").replace("- 07", "-07")
        assert out.columns["dec"][i] == pytest.approx(Angle(tidy, u.deg).deg, abs=1e-10)
    assert out.columns["dec"][1] == -0.5


@given(st.integers(0, 89), st.integers(0, 59), st.integers(0, 5999), st.booleans(), st.sampled_from(": "))
def test_sexagesimal_text_goes_there_and_back(d: int, m: int, cs: int, negative: bool, sep: str) -> None:
    text = f"{'-' if negative else '+'}{d:02d}{sep}{m:02d}{sep}{cs / 100:05.2f}"
    found, bad = parse_sexagesimal(pa.array([text]))
    expected = d + m / 60 + cs / 360_000
    assert not bad[0]
    assert found[0] == pytest.approx(-expected if negative else expected, abs=1e-11)


@pytest.mark.parametrize("text", ["12.5", "12 60 00", "12 00 61", "abc", "1 2 3 4", "1,2,3", "12 34 56.7,1"])
def test_what_is_no_sexagesimal_angle_is_rejected_with_its_text(text: str) -> None:
    out = run(make({"dec": {"from": "dec", "transform": "dms"}}), dec=[text])
    assert out.rejects.reason == ["not a sexagesimal angle"]
    assert (out.rejects.column_name, out.rejects.value) == (["dec"], [text])


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("10 00 04.8", "-00 30 00"),
        ("10:00:04.8", "-00:30:00"),
        ("10h00m04.8s", "-00d30m00s"),
        ("150d01m12s", "-0°30′00″"),
    ],
)
@pytest.mark.parametrize("transform", [False, True])
def test_sexagesimal_text_is_read_whatever_the_definition_says(ra: str, dec: str, transform: bool) -> None:
    spec = {"ra": {"from": "ra", "transform": "hms"}, "dec": {"from": "dec", "transform": "dms"}}
    definition = make(spec if transform else {})
    out = run(definition, ra=[ra, "10:00:00"], dec=[dec, "1:0:0"])
    assert out.columns["ra"] == pytest.approx([150.02, 150.0], abs=1e-12)
    assert out.columns["dec"] == pytest.approx([-0.5, 1.0], abs=1e-12)
    assert len(out.rejects) == 0


def test_sexagesimal_text_in_a_column_of_another_unit() -> None:
    definition = make({"ra": {"from": "ra", "unit": "arcmin"}, "dec": {"from": "dec", "unit": "rad"}})
    out = run(definition, ra=["60", "10:00:00", "150d00m00s"], dec=["0.5", "-1:30:00", "1d30m"])
    assert out.columns["ra"] == pytest.approx([1, 150, 150])
    assert out.columns["dec"] == pytest.approx([np.degrees(0.5), -1.5, 1.5])


def test_a_declination_in_hours_is_rejected() -> None:
    out = run(make({"dec": {"from": "dec", "transform": "dms"}}), dec=["10h00m00s", "10d00m00s"])
    assert (out.row_number.tolist(), out.rejects.reason) == ([2], ["not a sexagesimal angle"])


def test_missing_marks_do_not_eat_the_parts_of_an_angle() -> None:
    """A sign, and zero minutes, are no missing marks, even where the definition has the same text for one."""
    parts = {
        "ra": {"from": ["h", "m", "s"], "transform": "hms"},
        "dec": {"from": ["sg", "d", "m", "s"], "transform": "dms"},
    }
    columns = {
        "h": ["10", "10", "10", "--"],
        "m": ["0", "0", "0", "0"],
        "s": ["0", "0", "0", "0"],
        "d": ["0", "5", "5", "5"],
    }
    out = run(make(parts, nulls=["-", "--", 0, -99]), **columns, sg=["-", "+", "−", "-"])
    assert out.columns["ra"].tolist() == [150.0] * 3
    assert out.columns["dec"].tolist() == [0.0, 5.0, -5.0]
    assert np.signbit(out.columns["dec"]).tolist() == [True, False, True]
    assert out.rejects.reason == ["no position"]


def test_sexagesimal_columns_of_their_own() -> None:
    columns = {
        "ra": {"from": ["RAh", "RAm", "RAs"], "transform": "hms"},
        "dec": {"from": ["DE-", "DEd", "DEm", "DEs"], "transform": "dms"},
    }
    parts: dict[str, list[Any]] = {
        "RAh": [1, 2, None],
        "RAm": [30, 0, None],
        "RAs": [0.0, None, None],
        "DE-": ["-", None, "+"],
        "DEd": [0, 5, 1],
        "DEm": [30, 15, 1],
        "DEs": [36.0, 0.0, 1.0],
    }
    out = run(make(columns), **parts)
    assert out.columns["ra"].tolist() == pytest.approx([22.5, 30.0])
    assert out.columns["dec"].tolist() == pytest.approx([-0.51, 5.25])
    assert out.rejects.reason == ["no position"]


# --- transforms and units ----------------------------------------------------------------------------------


def test_steps() -> None:
    assert one("one_minus", 0.2, name="p_variable") == pytest.approx(0.8)
    assert one({"scale": 4.3e-11}, 2.0) == pytest.approx(8.6e-11)
    assert one({"shift": -2400000.5}, 2450000.0, name="mjd") == pytest.approx(49999.5)
    assert one({"half_range": 1.645}, 1.0, 4.29) == pytest.approx(1.0)
    assert one([{"half_range": 1}, {"scale": 2}], -1.0, 3.0) == pytest.approx(4.0)
    assert one("sum", 1.0, 2.0, 3.0) == 6.0
    assert math.isnan(one("sum", 1.0, None))
    assert one("hypot", 3.0, 4.0) == 5.0
    assert one("first", None, 4.0) == 4.0
    assert one("first_positive", 0.0, 4.0) == 4.0
    assert one("measured", 15.5, 0.1) == 15.5
    assert math.isnan(one("measured", 15.5, None))
    assert one("flags", True, False, True, name="quality_flag") == 5
    assert one("flags", "FALSE", "T", None, name="quality_flag") == 2
    assert one("iso_time", "2009-08-15T19:27:22", name="mjd") == pytest.approx(Time("2009-08-15T19:27:22").mjd)


FLAWS: list[tuple[Any, list[Any], list[bool]]] = [
    ("f", [True, False, None, True], [True, False, False, True]),
    ("f", ["TRUE", "f", "", "2"], [True, False, False, True]),
    ({"column": "f", "bits": [8, 256]}, [7.0, 12.0, None, 256.0], [False, True, False, True]),
    ({"column": "f", "bits": 4}, [-1, 3, 4, 2**40 + 4], [True, False, True, True]),
    ({"column": "f", "above": 0.1}, [0.1, 0.2, None, -5.0], [False, True, False, False]),
    ({"column": "f", "values": [2, 3]}, [2, 1, 3, None], [True, False, True, False]),
    ({"column": "f", "values": ["bad"]}, ["bad", "good", " bad ", None], [True, False, True, False]),
]


@pytest.mark.parametrize(("flaw", "values", "expected"), FLAWS)
def test_a_flaw_is_where_its_condition_holds(flaw: Any, values: list[Any], expected: list[bool]) -> None:
    out = run(make(quality={"spoilt": flaw}), f=values)
    assert (out.columns["flaws"] == b"spoilt").tolist() == expected
    assert not (out.columns["flaws"][~np.array(expected)] != b"").any()


def test_flaws_are_listed_and_values_of_the_source_are_in_standard_units() -> None:
    quality = {"saturated": "sat", "chip_edge": {"column": "edge", "bits": 4}, "other": "missing"}
    of_source = {"flux_cgs": {"from": "sf", "unit": "W / m2"}, "hr1": "sh", "hr2": "not_there"}
    definition = make({"source_native_id": "s"}, quality=quality, of_source=of_source)
    assert definition.optional_file_columns == ("sf", "sh", "not_there", "sat", "edge", "missing")
    out = run(definition, s=["a"] * 4, sat=[1, 1, 0, 0], edge=[0, 7, 7, 3], sf=[1e-17, None, 2.0, 0.0], sh=[0.5] * 4)
    assert out.columns["flaws"].tolist() == [b"saturated", b"saturated chip_edge", b"chip_edge", b""]
    assert out.columns["source_flux_cgs"][[0, 2, 3]].tolist() == pytest.approx([1e-14, 2e3, 0.0], abs=0)
    assert np.isnan(out.columns["source_flux_cgs"][1])
    assert out.columns["source_hr1"].tolist() == [0.5] * 4
    assert "source_hr2" not in out.columns


def test_dates() -> None:
    texts = ["1999-12-31", "2001-01-01 12:00:00.25", "2009-08-15T19:27Z", None, "2001-02-30", "yesterday"]
    found, bad = parse_dates(pa.array(texts))
    assert found[:3] == pytest.approx([51543.0, 51910.5 + 0.25 / 86400, 55058 + (19 * 60 + 27) / 1440])
    assert bad.tolist() == [False, False, False, False, True, True]


def test_units_and_logarithms() -> None:
    galaxy = make(
        {
            "d25_arcmin": {"from": "logd", "transform": "pow10", "unit": "0.1 arcmin"},
            "axis_ratio": {"from": "logr", "transform": "inverse_pow10"},
            "distance_mpc": {"from": "d", "unit": "kpc"},
        },
        kind="galaxy",
        position_error=None,
        flux_band_kev=None,
    )
    out = run(galaxy, logd=[1.42, None], logr=[0.18, 0.0], d=[48500.0, 1.0]).columns
    assert out["d25_arcmin"][0] == pytest.approx(2.6303, rel=1e-4)
    assert np.isnan(out["d25_arcmin"][1])
    assert out["axis_ratio"].tolist() == pytest.approx([0.66069, 1.0], rel=1e-4)
    assert out["distance_mpc"][0] == pytest.approx(48.5)
    assert "err_arcsec" not in out


def test_fluxes_to_magnitudes_and_proper_motions() -> None:
    star = make(
        {
            "mag_w1": {"from": "F", "transform": {"flux_to_mag": 22.5}},
            "pmra_mas_yr": {"from": "pm", "unit": "arcsec / yr"},
        },
        kind="infrared",
        sky={"area_deg2": 1},
        completeness=0.5,
        flux_band_kev=None,
        proper_motion={"ra_includes_cosdec": False},
    )
    out = run(star, F=[100.0, 0.0, -3.0], pm=[0.1, 0.1, 0.1], dec=[60.0, 0.0, 90.0]).columns
    assert out["mag_w1"][0] == pytest.approx(17.5)
    assert np.isnan(out["mag_w1"][1:]).all()
    assert out["pmra_mas_yr"].tolist() == pytest.approx([50.0, 100.0, 0.0], abs=1e-9)


# --- NULLs, numbers, texts ---------------------------------------------------------------------------------


def test_every_way_to_say_nothing_is_null() -> None:
    definition = make({"flux_cgs": "f"}, nulls=[-99, 99.9, "N/A"])
    text = ["", "  ", "nan", "-99", "-99.0", "N/A", " N/A ", "1e301", "-1.797e308", None, "1.5", "99.90"]
    out = run(definition, f=text).columns["flux_cgs"]
    assert np.isnan(np.delete(out, 10)).all()
    assert out[10] == 1.5
    single = pa.array(np.array([99.9, -99, 1.5], np.float32))
    assert np.isnan(run(definition, f=single).columns["flux_cgs"]).tolist() == [True, True, False]
    whole = run(definition, f=pa.array([-99, None, 7])).columns["flux_cgs"]
    assert np.isnan(whole[:2]).all()
    assert whole[2] == 7


def test_numbers_are_parsed_exactly() -> None:
    texts = ["+1.5", "-.5", "3.", "1e5", "2.5E-3", "  7 ", "0.1", "123.456789012345678", "bad"]
    found, bad = parse_numbers(pa.array([t.strip() for t in texts]))
    assert found[:-1].tolist() == [float(t) for t in texts[:-1]]
    assert bad.tolist() == [False] * 8 + [True]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_any_float_survives_its_text(numbers: list[float]) -> None:
    found, bad = parse_numbers(pa.array([repr(x) for x in numbers]))
    assert found.tolist() == numbers
    assert not bad.any()


_NOT_NUMBERS = [
    "1.2.3",
    "1 2",
    "0x10",
    "1_000",
    "12abc",
    "e5",
    "1,234",
    "1,234.5",
    "1.234.567,8",
    "*****",
    "see notes",
    "3D05",
    "1.5-114",
]


@pytest.mark.parametrize("text", _NOT_NUMBERS)
def test_a_value_that_is_not_a_number_is_left_empty_and_kept_with_its_row(text: str) -> None:
    out = run(make({"flux_cgs": "F_X"}), F_X=["1.0", text, "2.0"], first_row=11)
    assert out.row_number.tolist() == [11, 12, 13]
    assert out.columns["flux_cgs"] == pytest.approx([1.0, np.nan, 2.0], nan_ok=True)
    assert len(out.rejects) == 0
    assert out.emptied.row_number.tolist() == [12]
    assert (out.emptied.column_name, out.emptied.value) == (["F_X"], [text])
    assert out.emptied.reason == ["not a number; value left empty"]
    assert out.emptied.columns()["value"].tolist() == [text.encode()]


@pytest.mark.parametrize("text", _NOT_NUMBERS)
@pytest.mark.parametrize("column", ["ra", "e"])
def test_a_position_or_error_that_is_not_a_number_rejects_the_row(text: str, column: str) -> None:
    out = run(make({}), **{column: ["1.0", text, "2.0"]}, first_row=11)
    assert out.row_number.tolist() == [11, 13]
    assert (out.rejects.row_number.tolist(), out.rejects.value) == ([12], [text])
    assert out.rejects.reason == ["not a number"]
    assert len(out.emptied) == 0


def test_fortran_commas_and_missing_marks_are_values() -> None:
    marks = ["null", "NULL", "NaN", "--", "---", "...", "n/a", "N/A", "#N/A", "None", "-", "<NA>", "INDEF", "\\N", "…"]
    texts = ["1.5D-14", "1.5d-14", "+2.D+00", "150D-114", "0,8", "-12,5e-3", "\u22121.5", *marks, "1,234"]
    out = run(make({"flux_cgs": "f"}), f=texts)
    wanted = [1.5e-14, 1.5e-14, 2.0, 150e-114, 0.8, -0.0125, -1.5, *[np.nan] * len(marks), 1.234]
    assert out.columns["flux_cgs"].tolist() == pytest.approx(wanted, rel=1e-15, nan_ok=True)
    assert len(out.rejects) == len(out.emptied) == 0
    # what is text stays as it is
    assert run(make({"obs_id": "o"}), o=["NA", "1.5D-14", "0,8"]).columns["obs_id"].tolist() == [
        b"NA",
        b"1.5D-14",
        b"0,8",
    ]


def test_a_decimal_comma_that_was_told() -> None:
    told = make({"flux_cgs": "f"}, read={"decimal": ","})
    assert run(told, f=["1,234", "-2,5", "7"]).columns["flux_cgs"].tolist() == [1.234, -2.5, 7.0]
    out = run(make({"flux_cgs": "f"}, read={"decimal": "."}), f=["0,8", "1.5"])
    assert out.emptied.value == ["0,8"]


def test_limits_are_kept_as_limits() -> None:
    texts = ["<1.2e-15", "3e-15", "< 2D-15", ">5e-14", "≤1e-15"]
    out = run(make({"flux_cgs": "f"}), f=texts)
    assert out.row_number.tolist() == [1, 2, 3, 4, 5]
    assert out.columns["flux_cgs"].tolist() == pytest.approx([np.nan, 3e-15, *[np.nan] * 3], nan_ok=True)
    assert out.columns["flux_upper_cgs"] == pytest.approx([1.2e-15, np.nan, 2e-15, np.nan, 1e-15], nan_ok=True)
    assert out.emptied.reason == ["a limit, not a value; value left empty"] * 4
    scaled = make({"flux_cgs": {"from": "f", "transform": {"scale": 2}, "unit": "W/m2"}, "flux_upper_cgs": "u"})
    out = run(scaled, f=["<1", "<1", "1"], u=[5.0, None, None])
    assert out.columns["flux_upper_cgs"] == pytest.approx([5.0, 2000.0, np.nan], nan_ok=True)
    assert "flux_upper_cgs" not in run(make({"flux_cgs": "f"}), f=["1", "x"]).columns


def test_a_rejected_row_has_no_emptied_values() -> None:
    out = run(make({"flux_cgs": "f", "p_variable": "p"}), f=["x", "x"], p=[2.0, 2.0], ra=[10.0, math.nan])
    assert out.rejects.reason == ["no position"]
    assert (out.emptied.row_number.tolist(), sorted(out.emptied.column_name)) == ([1, 1], ["f", "p"])


def test_a_row_is_rejected_once_for_the_first_thing_wrong() -> None:
    out = run(make({"flux_cgs": "f"}), f=["x", "x"], ra=[10.0, math.nan], e=[-1.0, -1.0])
    assert out.rejects.reason == ["positional error not above 0", "no position"]
    assert len(out) == len(out.emptied) == 0


def test_bounds_of_the_database() -> None:
    out = run(make({"p_variable": "p"}), p=[0.0, 1.0, 1.5, None])
    assert out.row_number.tolist() == [1, 2, 3, 4]
    assert out.columns["p_variable"] == pytest.approx([0.0, 1.0, np.nan, np.nan], nan_ok=True)
    assert out.emptied.reason == ["p_variable outside 0 to 1; value left empty"]


def test_whole_numbers_are_masked_arrays() -> None:
    out = run(make({"quality_flag": "q"}), q=[3, None, -1])
    flags = out.columns["quality_flag"]
    assert isinstance(flags, np.ma.MaskedArray)
    assert flags.tolist() == [3, None, -1]
    wrong = run(make({"quality_flag": "q"}), q=[1.5, 3e9])
    assert wrong.emptied.reason == ["not a whole number; value left empty"] * 2
    assert wrong.columns["quality_flag"].tolist() == [None, None]


def test_texts_are_stripped_utf8_bytes() -> None:
    definition = make({"native_id": "id", "obs_id": "o"}, nulls=["N/A"])
    out = run(definition, id=["  a b ", "é", "3"], o=["N/A", "", " x"])
    assert out.columns["native_id"].tolist() == [b"a b", "é".encode(), b"3"]
    assert out.columns["obs_id"].tolist() == [b"", b"", b"x"]


def test_identifiers() -> None:
    assert run(make(), e=[1.0, 1.0], first_row=7).columns["native_id"].tolist() == [b"7", b"8"]
    big = 2**62 + 1
    assert run(make({"native_id": "i"}), i=[big]).columns["native_id"].tolist() == [str(big).encode()]
    floats = run(make({"native_id": "i"}), i=[200001101010001.0, math.nan])
    assert floats.columns["native_id"].tolist() == [b"200001101010001"]
    assert floats.rejects.reason == ["no identifier"]
    joined = make({"native_id": {"from": ["a", "b"], "transform": {"join": "_"}}})
    out = run(joined, a=[12, 13], b=["x", None])
    assert out.columns["native_id"].tolist() == [b"12_x"]
    assert out.rejects.reason == ["no identifier"]
    assert out.rejects.value == ["13"]


def test_only_some_rows() -> None:
    definition = make(read={"only": {"Band": 0, "type": ["a", "b"]}})
    out = run(definition, Band=[0, 1, 0, 0], type=["a", "a", "b", "c"], ra=[1.0, math.nan, math.nan, math.nan])
    assert out.row_number.tolist() == [1]
    assert out.n_skipped == 2
    assert out.rejects.row_number.tolist() == [3]


def test_references_get_their_class() -> None:
    definition = make(
        {"class_native": "t", "name": "n", "label_ref": "n"},
        kind="reference",
        flux_band_kev=None,
        classes={"Q*": "AGN", "QX": ""},
    )
    out = run(definition, t=["Q", "QX", "Q? ", "z", None], n=["a"] * 5).columns
    assert out["class"].tolist() == [b"AGN", b"", b"AGN", b"", b""]
    assert out["class_native"].tolist() == [b"Q", b"QX", b"Q?", b"z", b""]
    assert out["label_ref"].tolist() == [b"a"] * 5


def test_a_chunk_without_rows() -> None:
    out = run(
        make({"quality_flag": "q", "obs_id": "o"}),
        q=pa.array([], pa.int32()),
        o=pa.array([], pa.string()),
        ra=pa.array([], pa.float64()),
        dec=pa.array([], pa.float64()),
        e=pa.array([], pa.float64()),
    )
    assert len(out) == 0
    assert out.columns["obs_id"].dtype.kind == "S"


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(), st.just(360.0)), st.one_of(st.none(), st.floats(-120, 120)), st.floats()
        ),
        min_size=1,
        max_size=30,
    )
)
def test_no_row_is_lost_and_none_that_is_kept_is_wrong(rows: list[tuple[Any, Any, float]]) -> None:
    ra, dec, error = (pa.array([row[i] for row in rows], pa.float64()) for i in range(3))
    out = run(make(), ra=ra, dec=dec, e=error)
    together = np.concatenate([out.row_number, out.rejects.row_number])
    assert sorted(together.tolist()) == list(range(1, len(rows) + 1))
    kept = out.columns
    assert ((kept["ra"] >= 0) & (kept["ra"] < 360)).all()
    assert (np.abs(kept["dec"]) <= 90).all()
    assert ((kept["err_arcsec"] > 0) & (kept["err_arcsec"] < 3600)).all()
