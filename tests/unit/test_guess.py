"""Which column is what: by UCD, name and unit; what is guessed is said, what is ambiguous is an error."""

from pathlib import Path

import astropy.units as u
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcat.errors import InputError
from xcat.ingest.convert import convert
from xcat.ingest.opened import ColumnFacts, RawChunk
from xcat.tables.facts import TableFacts
from xcat.tables.guess import Wanted, guess

RA, DEC, ERR = 150.25, -33.5, 0.75  # deg, deg, arcsec


def table(*columns):
    """Header of a table; a column is a name, or (name, unit, ucd, text or sample)."""
    made = []
    for column in columns:
        name, unit, ucd, sample = (*((column,) if isinstance(column, str) else column), "", "", "")[:4]
        try:
            float(sample or 0)
            is_text = False
        except ValueError:
            is_text = True
        made.append(ColumnFacts(name, unit, ucd, is_text=is_text, sample=(sample,) if sample else ()))
    return TableFacts(Path("mine.csv"), "mine", tuple(made))


def row(guessed, **values):
    """Convert one row with these values."""
    batch = pa.record_batch({k: pa.array([v]) for k, v in values.items()})
    out = convert(RawChunk(batch, 1), guessed.definition)
    assert not len(out.rejects), out.rejects
    return {k: v[0] for k, v in out.columns.items()}


NAMES = st.sampled_from([
    ("ra", "dec"), ("RA", "DEC"), ("Ra", "Dec"), ("RAJ2000", "DEJ2000"), ("RA_ICRS", "DE_ICRS"), ("RAdeg", "DEdeg"),
    ("ra_deg", "dec_deg"), ("ALPHA_J2000", "DELTA_J2000"), ("XMM_RA", "XMM_DEC"), ("RA_CORR", "DEC_CORR"),
    ("R.A.", "Dec."),    ("right_ascension", "declination"), ("CSC RA", "CSC DEC"), ("_RAJ2000", "_DEJ2000"),
])  # fmt: skip
ANGLES = st.sampled_from(["", "deg", "degree", "degrees", "rad", "hourangle", "h", "arcsec"])
ERRORS = st.sampled_from(["pos_err", "POSERR", "RADEC_ERR", "err_arcsec", "ERO_POSERR", "positional_error", "error"])
ERROR_UNITS = st.sampled_from(["", "arcsec", "arcseconds", "mas", "deg", "arcmin", "rad", '"'])
OTHERS = st.lists(
    st.sampled_from(
        [
            "flux",
            "ratio",
            "rate",
            "n_ra",
            "pmra",
            "e_flux",
            "gamma",
            "snr",
            "decision",
            "redshift",
            "ra_err_x",
            "Fb",
        ]
    ),
    unique=True,
)
SPELLED = {"degrees": "deg", "h": "hourangle", "arcseconds": "arcsec", '"': "arcsec"}


def in_unit(value, standard, unit):
    return (value * u.Unit(standard)).to_value(SPELLED.get(unit, unit) or standard)


@given(NAMES, ANGLES, ERRORS, ERROR_UNITS, OTHERS, st.randoms())
def test_names_and_units_are_understood(names, angle, error, error_unit, others, random):
    columns = [(names[0], angle), (names[1], "deg"), (error, error_unit, "", "0.75"), *others]
    random.shuffle(columns)
    guessed = guess(table(*columns))
    got = row(
        guessed,
        **{
            names[0]: in_unit(RA, "deg", angle),
            names[1]: DEC,
            error: in_unit(ERR, "arcsec", error_unit),
        },
    )
    assert got["ra"] == pytest.approx(RA, abs=1e-10)
    assert got["dec"] == DEC
    assert got["err_arcsec"] == pytest.approx(ERR, rel=1e-12)
    said = "\n".join(guessed.messages)
    assert f"position from {names[0]}, {names[1]}" in said
    assert f"positional error from {error}" in said
    assert (f"{error} has no unit" in said) == (not error_unit)
    assert (f"{names[0]} has no unit, taken as deg" in said) == (not angle)


@given(st.permutations(["RA", "DEC", "RA_OPT", "DEC_OPT", "pos_err", "other_err"]))
def test_the_ucd_is_stronger_than_the_name(order):
    ucds = {
        "RA_OPT": "pos.eq.ra;meta.main",
        "DEC_OPT": "pos.eq.dec;meta.main",
        "RA": "pos.eq.ra",
        "DEC": "pos.eq.dec",
        "other_err": "stat.error;pos",
    }
    lines = "\n".join(guess(table(*[(n, "", ucds.get(n, "")) for n in order])).messages)
    assert "position from RA_OPT, DEC_OPT (UCD, main position)" in lines
    assert "positional error from other_err (UCD)" in lines


def test_old_ucds_are_known():
    lines = guess(table(("a", "deg", "POS_EQ_RA_MAIN"), ("b", "deg", "POS_EQ_DEC_MAIN"), "poserr")).messages
    assert "mine: position from a, b (UCD, main position)" in lines


def test_an_error_of_the_position_is_no_position():
    guessed = guess(table("ra", "dec", ("ra_err", "arcsec"), ("dec_err", "arcsec"), ("pm_ra", "mas/yr"), "ra_dec_corr"))
    assert "mine: position from ra, dec (name)" in guessed.messages
    assert row(guessed, ra=RA, dec=DEC, ra_err=0.4, dec_err=0.9)["err_arcsec"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["XMM_RA", "XMM_DEC", "OPT_RA", "OPT_DEC", "err"],
            r"XMM_RA, XMM_DEC, OPT_RA, OPT_DEC.*--ra COLUMN --dec COLUMN",
        ),
        (["ra", "RA", "dec", "err"], "several columns may be the position"),
        (["a", "b"], r"no column looks like a position.*--ra COLUMN --dec COLUMN; it has: a, b"),
        (["ra", "dec"], r"no column looks like a positional error.*--pos-err"),
        (["ra", "dec", "XYZ_PU"], "perhaps: XYZ_PU"),
        (["ra", "dec", "pos_err", "radec_err"], "several columns may be the positional error: pos_err, radec_err"),
        (["ra", "dec", ("pos_err", "mag")], "no column looks like a positional error"),
        ([("ra", "mas/yr"), "dec", "err"], "no column looks like a position"),
        (["ra", "dec", ("ra_err", "arcsec"), ("dec_err", "mas")], "different units"),
    ],
)
def test_what_cannot_be_told_is_an_error_with_candidates_and_option(columns, message):
    with pytest.raises(InputError, match=message) as caught:
        guess(table(*columns))
    assert "mine.csv" in str(caught.value)


def test_given_columns_are_taken():
    facts = table("XMM_RA", "XMM_DEC", "OPT_RA", "OPT_DEC", "a", "b")
    guessed = guess(facts, Wanted(ra="opt_ra", pos_err="b"))
    assert row(guessed, OPT_RA=RA, OPT_DEC=DEC, b=2.0)["ra"] == RA
    with pytest.raises(InputError, match="there is no column 'x'"):
        guess(facts, Wanted(ra="x", dec="OPT_DEC", pos_err="b"))
    with pytest.raises(InputError, match=r"which column goes with 'a'\? Also give --dec"):
        guess(facts, Wanted(ra="a", pos_err="b"))


@pytest.mark.parametrize(
    ("given_error", "values", "expected"),
    [
        ("0.5", {}, 0.5),
        ("PU@95", {"PU": 2.4477468}, 1.0),
        ("PU@90@mas", {"PU": 2145.966}, 1.0),
        ("PU@deg", {"PU": 1 / 3600}, 1.0),
        ("PU,S", {"PU": 1.0, "S": 4.0}, 2.0),
    ],
)
def test_the_error_may_be_given_in_many_ways(given_error, values, expected):
    guessed = guess(table("ra", "dec", "PU", "S"), Wanted(pos_err=given_error))
    assert row(guessed, ra=RA, dec=DEC, **values)["err_arcsec"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("PU@80", "after @ comes 68, 90 or 95"),
        ("PU@s", "or a unit, not 's'"),
        ("0", "must be between 0 and 3600 arcsec, got 0"),
        ("-1", "got -1"),
        ("3700", r"mine\.csv: --pos-err: positional error must be between 0 and 3600 arcsec, got 3700"),
        ("PU,S,PA,X", "takes a column, two"),
        ("nowhere", "there is no column 'nowhere'"),
    ],
)
def test_a_wrong_error_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        guess(table("ra", "dec", "PU", "S", "PA", "X"), Wanted(pos_err=wrong))


@pytest.mark.parametrize(
    ("name", "per_sigma"),
    [
        ("pos_err_90", 2.145966),
        ("r95", 2.4477468),
        ("err68", 1.5095921),
        ("poserr", 1.0),
        ("err_ellipse_r0", 2.4477468),
    ],
)
def test_a_name_may_say_what_the_error_holds(name, per_sigma):
    guessed = guess(table("ra", "dec", (name, "arcsec")), Wanted(pos_err=name if "ellipse" in name else None))
    assert row(guessed, ra=RA, dec=DEC, **{name: per_sigma})["err_arcsec"] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("nothing", [("nan", "NaN"), ("",), ()])
def test_columns_of_ellipses_may_be_empty(nothing):
    """A catalogue of circles may have the columns all the same; where nothing else is there, they are asked for."""
    names = ("err_maj_arcsec", "err_min_arcsec", "err_pa_deg")
    ellipse = [ColumnFacts(name, "arcsec" if "arcsec" in name else "deg", sample=nothing) for name in names]
    place = [ColumnFacts(name, sample=("1", "2", "3")) for name in ("ra", "dec")]
    circle = ColumnFacts("err_arcsec", sample=("1", "2", "3"))
    guessed = guess(TableFacts(Path("mine.csv"), "mine", (*place, *ellipse, circle)))
    assert guessed.definition.position_error.columns[0].from_ == ("err_arcsec",)
    guessed = guess(TableFacts(Path("mine.csv"), "mine", (*place, *ellipse)))
    assert guessed.definition.position_error.columns[0].from_ == ("err_maj_arcsec",)


def test_ellipses_are_known():
    guessed = guess(table("ra", "dec", ("errMaj", "arcsec"), ("errMin", "arcsec"), ("errPA", "deg")))
    got = row(guessed, ra=RA, dec=DEC, errMaj=2.0, errMin=0.5, errPA=30.0)
    assert (got["err_maj_arcsec"], got["err_min_arcsec"], got["err_pa_deg"]) == (2.0, 0.5, 30.0)


def test_degrees_taken_for_arcsec_are_suspected():
    assert any("WARNING: pos_err" in line for line in guess(table("ra", "dec", ("pos_err", "", "", "0.0002"))).messages)
    assert not any("WARNING" in line for line in guess(table("ra", "dec", ("pos_err", "", "", "0.2"))).messages)
    assert any(
        "its name says deg" in line
        for line in guess(table("ra", "dec", "pos_err_deg"), Wanted(pos_err="pos_err_deg")).messages
    )


def test_errors_of_gaia_without_unit_are_mas():
    guessed = guess(table("RA_ICRS", "DE_ICRS", "e_RA_ICRS", "e_DE_ICRS"), xray=False)
    got = row(guessed, RA_ICRS=RA, DE_ICRS=DEC, e_RA_ICRS=100.0, e_DE_ICRS=100.0)
    assert got["err_arcsec"] == pytest.approx(0.1)


def test_numbers_in_degrees_come_before_text_in_hours():
    both = table(("ra", "", "", "12:00:00"), ("dec", "", "", "-01:30:00"), "ra_deg", "dec_deg", "err")
    assert "mine: position from ra_deg, dec_deg (name; there are also ra, dec)" in guess(both).messages
    text = guess(table(("ra", "", "", "12 00 00"), ("dec", "", "", "-01 30 00"), "err"))
    got = row(text, ra="12 00 03", dec="-00 30 00", err="0.5")
    assert (got["ra"], got["dec"]) == (pytest.approx(180.0125), pytest.approx(-0.5))
    assert any("text, read as hours" in line for line in text.messages)


def test_hours_taken_for_degrees_are_suspected():
    for unit, largest, is_told in (("", "10.5", True), ("", "24.5", False), ("deg", "10.5", False)):
        guessed = guess(table(("ra", unit, "", largest), ("dec", unit), "err"))
        assert any("WARNING: ra is below 24" in line for line in guessed.messages) is is_told


def test_galactic_coordinates_are_no_position():
    with pytest.raises(InputError, match=r"Galactic coordinates \(GLON, GLAT\) are not taken: add equatorial ones"):
        guess(table("name", "GLON", "GLAT"))


def test_epoch_and_motion():
    facts = table("ra", "dec", "err", ("pmRA", "mas/yr"), ("pmDE", "arcsec/yr"), ("mjd", "d", "", "57388.5"))
    guessed = guess(facts, xray=False)
    assert guessed.moves
    got = row(guessed, ra=RA, dec=DEC, err=1.0, pmRA=5.0, pmDE=0.001, mjd=57388.5)
    assert got["epoch_yr"] == pytest.approx(2016.0, abs=0.01)
    assert (got["pmra_mas_yr"], got["pmdec_mas_yr"]) == (5.0, pytest.approx(1.0))
    still = guess(table("ra", "dec", "err", "pmRA", "pmDE"), xray=False)
    assert not still.moves
    assert any("no epoch" in line for line in still.messages)
    assert not guess(facts).moves, "X-ray positions are where they are"


@pytest.mark.parametrize("unit", ["deg", "mas", "furlong/yr"])
def test_motions_in_a_wrong_unit_are_told(unit):
    guessed = guess(table("ra", "dec", "err", "pmRA", ("pmDE", unit), ("mjd", "d", "", "57388.5")), xray=False)
    assert not guessed.moves
    (told,) = (line for line in guessed.messages if "proper motions pmRA, pmDE are not used" in line)
    assert f"WARNING: proper motions pmRA, pmDE are not used: the unit '{unit}' of pmDE is not that of" in told


def test_magnitudes_are_known_and_their_errors_are_none():
    facts = table(
        "ra", "dec", "err", "Gmag", "e_Gmag", "mag_ch1", ("x", "mag"), ("y", "", "phot.mag;em.opt.R"), "flux_m", "MAG"
    )
    assert guess(facts).magnitudes == ["Gmag", "mag_ch1", "x", "y", "MAG"]
