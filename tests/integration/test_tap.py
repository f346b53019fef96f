"""The TAP service as its clients see it: queries, jobs, uploads, cones, and what it says of itself."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

import astropy.units as u
import children
import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import schemas
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import MaskedColumn, Table
from served import serving
from small_sky import make

from xcat.columns.registry import columns
from xcat.config import Settings
from xcat.database.connection import connect
from xcat.progress import peak_memory_mb

# VOUnit would rather have cm2 g / s2 for the erg, the unit of X-ray astronomy
pytestmark = pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")

VOTABLE = "{http://www.ivoa.net/xml/VOTable/v1.3}"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
BIG = 2**53 + 1


@pytest.fixture(scope="module")
def limited(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with small limits, and a data folder of their own."""
    make(module_settings)
    with connect(module_settings) as conn:
        conn.execute("CREATE TABLE pub.big AS SELECT 9007199254740993::bigint AS id, 'Ω & <b>'::text AS name")
        conn.execute("CREATE VIEW pub.slow AS SELECT pg_sleep(30)::text AS nothing")
        conn.execute(
            "CREATE VIEW pub.late AS SELECT n, CASE WHEN n > 4000 THEN pg_sleep(30)::text END AS nothing"
            " FROM generate_series(1, 5000) AS n"
        )
    small: dict[str, Any] = {"tap_rows": 500, "tap_timeout_s": 2.0, "tap_upload_mb": 1.0, "tap_client_queries": 3}
    return dataclasses.replace(module_settings, home=tmp_path_factory.mktemp("home"), **small)


@pytest.fixture(scope="module")
def url(limited: Settings) -> Iterator[str]:
    with serving(limited) as address:
        yield address


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def ask(http: httpx.Client, query: str, form: str = "csv", **more: Any) -> httpx.Response:
    given = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": form} | more
    return http.post("/tap/sync", data=given)


def rows(http: httpx.Client, query: str, **more: Any) -> list[dict[str, str]]:
    answer = ask(http, query, **more)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def status(text: str) -> list[tuple[str, str]]:
    infos = ElementTree.fromstring(text).iter(f"{VOTABLE}INFO")
    return [(i.get("value", ""), i.text or "") for i in infos if i.get("name") == "QUERY_STATUS"]


def votable(table: Table, form: str = "tabledata") -> bytes:
    buffer = io.BytesIO()
    table.write(buffer, format="votable", tabledata_format=form)
    return buffer.getvalue()


# --- queries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["votable", "votable/td", "text/xml", "csv", "tsv", "fits", "parquet"])
def test_every_format_has_the_same_values(http: httpx.Client, limited: Settings, form: str) -> None:
    names = "source_id, name, ra, dec, class, p_class, is_outlier, hr1"
    query = f"SELECT TOP 50 {names} FROM pub.classified ORDER BY source_id"
    answer = ask(http, query, form)
    assert answer.status_code == 200, answer.text
    content = io.BytesIO(answer.content)
    if form == "parquet":
        table = Table(pq.read_table(content).to_pydict())
    elif form in ("csv", "tsv"):
        table = Table.read(content, format={"csv": "ascii.csv", "tsv": "ascii.tab"}[form])
    elif form == "fits":
        table = Table.read(content, format="fits")
    else:
        table = parse_single_table(content).to_table()
        assert str(table["ra"].unit) == "deg" and table["ra"].meta["ucd"] == columns()["ra"].ucd
        assert table["hr1"].description == columns()["hr1"].about
    with connect(limited) as conn:
        wanted = conn.execute(query.replace("TOP 50", "") + " LIMIT 50").fetchall()  # type: ignore[arg-type]
    assert len(table) == len(wanted) == 50
    for got, row in zip(table, wanted, strict=True):
        assert (int(got["source_id"]), str(got["name"]), float(got["ra"])) == (row[0], row[1], row[2])
        assert (str(got["class"]), np.float32(got["p_class"])) == (row[4], np.float32(row[5]))
        assert str(got["is_outlier"])[0].lower() == str(row[6])[0].lower()
        hardness = got["hr1"]
        is_missing = hardness is None or hardness is np.ma.masked or np.isnan(float(hardness))
        assert is_missing == (row[7] is None)


@pytest.mark.parametrize("form", ["votable", "votable/td", "csv", "tsv", "fits", "parquet"])
def test_long_ids_and_awkward_texts_are_exact(http: httpx.Client, form: str) -> None:
    content = ask(http, "SELECT id, name FROM pub.big", form).content
    if form in ("votable", "votable/td"):
        (got,) = parse_single_table(io.BytesIO(content)).to_table()
        assert got["name"] == "Ω & <b>"
    elif form == "fits":
        (got,) = Table.read(io.BytesIO(content), format="fits")
    elif form == "parquet":
        (got,) = pq.read_table(io.BytesIO(content)).to_pylist()
    else:
        (got,) = csv.DictReader(io.StringIO(content.decode()), delimiter="," if form == "csv" else "\t")
        assert got["name"] == "Ω & <b>"
    assert int(got["id"]) == BIG


@pytest.mark.parametrize(
    ("query", "maxrec", "n_rows", "is_cut"),
    [
        ("SELECT TOP 5 name FROM pub.classified", 3, 3, True),
        ("SELECT TOP 3 name FROM pub.classified", 3, 3, False),
        ("SELECT TOP 2 name FROM pub.classified", 3, 2, False),
        ("SELECT name FROM pub.classified", None, 500, True),
        ("SELECT name FROM pub.classified", 0, 0, False),
        (
            "SELECT table_name FROM tap_schema.tables",
            2,
            2,
            True,
        ),
    ],
)
def test_maxrec_cuts_and_says_so(http: httpx.Client, query: str, maxrec: int | None, n_rows: int, is_cut: bool) -> None:
    answer = ask(http, query, "votable/td", **({} if maxrec is None else {"MAXREC": maxrec}))
    document = ElementTree.fromstring(answer.text)
    assert len(list(document.iter(f"{VOTABLE}TR"))) == n_rows
    assert [value for value, _ in status(answer.text)] == ["OK", "OVERFLOW"][: 1 + is_cut]
    assert len(list(document.iter(f"{VOTABLE}FIELD"))) == 1


def test_a_table_that_is_cut_says_so_in_fits(http: httpx.Client) -> None:
    content = ask(http, "SELECT name FROM pub.classified", "fits", MAXREC=7).content
    header = fits.getheader(io.BytesIO(content), 1)
    assert header["NAXIS2"] == 7 and "cut at 7 rows" in "".join(header["HISTORY"])


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"QUERY": "SELECT nme FROM pub.classified"}, 400, "line 1, column 8"),
        ({"QUERY": "SELECT 1;\nDROP TABLE pub.classified"}, 400, ""),
        ({"QUERY": "COMMIT"}, 400, ""),
        ({"QUERY": "SELECT pg_sleep(1) FROM pub.runs"}, 400, "PG_SLEEP"),
        ({"QUERY": "SELECT * FROM xcat.run"}, 400, "xcat.run"),
        ({}, 400, "QUERY is missing"),
        ({"QUERY": "SELECT 1", "LANG": "SQL"}, 400, "LANG=SQL"),
        ({"QUERY": "SELECT 1", "REQUEST": "getCapabilities"}, 400, "doQuery"),
        ({"QUERY": "SELECT 1", "MAXREC": "-1"}, 400, "MAXREC=-1"),
        ({"QUERY": "SELECT 1", "FORMAT": "docx"}, 400, "there is no RESPONSEFORMAT"),
        ({"QUERY": "SELECT 1", "UPLOAD": "mine,http://example.org/t.vot"}, 400, "fetches nothing from elsewhere"),
        ({"QUERY": "SELECT 1", "UPLOAD": "mine,param:t"}, 400, "no file in the field 't'"),
        ({"QUERY": "SELECT 1", "UPLOAD": "mine"}, 400, "NAME,param:FIELD"),
        ({"QUERY": "SELECT 1\0"}, 400, "NUL"),
        ({"QUERY": "SELECT 1/0 AS x FROM pub.runs"}, 400, "division"),
        ({"QUERY": "SELECT * FROM pub.slow"}, 400, "longer than 2 s, the limit"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(http: httpx.Client, given: dict[str, str], code: int, words: str) -> None:
    begins = time.monotonic()
    answer = http.post("/tap/sync", data={"LANG": "ADQL"} | given)
    assert answer.status_code == code and time.monotonic() - begins < 5
    ((value, message),) = status(answer.text)
    assert value == "ERROR" and words in message
    told = http.post("/tap/sync", data={"LANG": "ADQL"} | given, headers={"Accept": "application/json"}).json()
    assert words in told["error"] and (not words.startswith("line") or (told["line"], told["column"]) == (1, 8))


def test_an_error_after_the_first_rows_is_told_at_the_end(http: httpx.Client) -> None:
    answer = ask(http, "SELECT n, nothing FROM pub.late", "votable/td", MAXREC=5000)
    assert answer.status_code == 200
    assert [value for value, _ in status(answer.text)] == ["OK", "ERROR"] and "longer than 2 s" in answer.text


def test_halves_of_characters_are_refused(http: httpx.Client) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="RUNID"\r\n\r\n\\ud800\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    for path in ("/tap/sync", "/tap/async"):
        assert http.post(path, content=body, headers=kind).status_code == 400


def test_long_texts_are_taken_one_at_a_time(limited: Settings) -> None:
    """Each row has 3 MB; 100 of them at once would show in the memory of this process, which serves."""
    doubled = ["a0 AS (SELECT TOP 100 name || name AS x FROM pub.classified)"]
    doubled += [f"a{i + 1} AS (SELECT x || x AS x FROM a{i})" for i in range(16)]
    given = {"LANG": "ADQL", "QUERY": f"WITH {', '.join(doubled)} SELECT x FROM a16", "RESPONSEFORMAT": "csv"}
    n_bytes = 0
    # on a busy machine, too, some rows must come in time
    with (
        serving(dataclasses.replace(limited, tap_timeout_s=20.0)) as slow,
        httpx.Client(base_url=slow, timeout=60) as http,
    ):
        before = peak_memory_mb()
        with http.stream("POST", "/tap/sync", data=given) as answer, suppress(httpx.RemoteProtocolError):
            for piece in answer.iter_raw():
                n_bytes += len(piece)
    assert n_bytes > 20e6, "some rows came before the limit of time"
    assert peak_memory_mb() - before < 100


def test_a_value_that_is_too_long_is_refused(http: httpx.Client) -> None:
    answer = http.post(
        "/tap/sync",
        data={"LANG": "ADQL", "QUERY": "SELECT s FROM TAP_UPLOAD.t", "UPLOAD": "t,param:f"},
        files={"f": votable(Table({"s": ["a" * 10_001]}))},
    )
    assert answer.status_code == 400 and "column 's' is longer than 10,000" in answer.text


def test_a_row_that_no_table_can_hold_is_told(http: httpx.Client) -> None:
    table = Table({f"c{i}": ["a" * 30] for i in range(600)})
    answer = http.post(
        "/tap/sync",
        data={"LANG": "ADQL", "QUERY": "SELECT c1 FROM TAP_UPLOAD.t", "UPLOAD": "t,param:f"},
        files={"f": votable(table)},
    )
    assert answer.status_code == 400 and "the database cannot take it: row is too big" in answer.text


def test_codes_of_http(http: httpx.Client) -> None:
    assert http.get("/tap/nowhere").status_code == 404
    assert http.put("/tap/sync").status_code == 405
    assert http.get("/tap/async/" + "0" * 24).status_code == 404
    large = http.post("/tap/sync", files={"t": b"x" * 1_100_000}, data={"LANG": "ADQL", "QUERY": "SELECT 1"})
    assert large.status_code == 413 and "1 MB" in large.text
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    pieces = http.post("/tap/sync", content=(b"QUERY=" + b"x" * 200_000 for _ in range(9)), headers=kind)
    assert pieces.status_code == 413


def test_a_client_has_so_many_queries_at_once(http: httpx.Client, url: str) -> None:
    slow = {"LANG": "ADQL", "QUERY": "SELECT * FROM pub.slow"}
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(5) as threads:
        codes = sorted(
            threads.map(lambda _: httpx.post(f"{url}/tap/sync", data=slow, timeout=60).status_code, range(5))
        )
    assert codes == [400, 400, 400, 429, 429]
    assert rows(http, "SELECT TOP 1 name FROM pub.classified")


def test_who_goes_away_ends_the_statement(http: httpx.Client, url: str, limited: Settings) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/tap/sync", data={"LANG": "ADQL", "QUERY": "SELECT * FROM pub.slow"}, timeout=0.5)
    begins = time.monotonic()
    with connect(limited, autocommit=True) as conn:
        at_work = (
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%' AND pid <> pg_backend_pid()"
        )
        children.until(lambda: not conn.execute(at_work).fetchall())  # type: ignore[arg-type]
    assert time.monotonic() - begins < 1.2, "well before the limit of 2 s"


def test_statements_run_as_the_reader(http: httpx.Client, limited: Settings) -> None:
    with connect(limited) as conn:
        conn.execute(
            "CREATE OR REPLACE VIEW pub.who AS SELECT current_user::text AS role_name,"
            " current_setting('transaction_read_only') AS is_read_only"
        )
    time.sleep(0)
    with serving(dataclasses.replace(limited, tap_timeout_s=5.0)) as fresh:
        answer = httpx.post(
            f"{fresh}/tap/sync", data={"LANG": "ADQL", "QUERY": "SELECT * FROM pub.who", "FORMAT": "csv"}
        )
    assert answer.text == "role_name,is_read_only\nxcat_reader,on\n"


# --- uploads ----------------------------------------------------------------------------------------------


def mine(has_null: bool = True) -> Table:
    table = Table()
    table["ID"] = MaskedColumn(np.array([BIG, 2, 3]), mask=[False, False, has_null])
    table["RA"] = MaskedColumn([1.5, 2.5, 3.5], unit="deg", description="Right ascension")
    table["RA"].meta["ucd"] = "pos.eq.ra;meta.main"
    table["DEC"] = MaskedColumn([-1.0, 0.0, 1.0], unit="deg", mask=[False, False, True])
    table["DEC"].meta["ucd"] = "pos.eq.dec;meta.main"
    table["flux"] = MaskedColumn(np.array([1, np.inf, np.nan], "f4"), unit="erg / (s cm2)")
    table["label"] = ["Ω", "", "a\tb"]
    table["good"] = [True, False, True]
    table["spectrum"] = np.arange(6.0).reshape(3, 2)
    table["image"] = np.arange(18).reshape(3, 2, 3)
    return table


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_an_upload_comes_back_as_it_was(http: httpx.Client, form: str) -> None:
    sent, content = {"UPLOAD": "mine,param:field"}, votable(mine(form != "binary"), form)
    answer = http.post(
        "/tap/sync",
        data={"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.mine AS m ORDER BY m.RA", "FORMAT": "votable"} | sent,
        files={"field": ("t.vot", content)},
    )
    assert answer.status_code == 200, answer.text
    result = parse_single_table(io.BytesIO(answer.content))
    given = parse_single_table(io.BytesIO(content))
    for before, after in zip(given.fields, result.fields, strict=True):
        for fact in ("name", "datatype", "unit", "ucd", "xtype", "description"):
            told = getattr(before, fact)
            assert getattr(after, fact) == ("boolean" if told == "bit" else told), (before.name, fact)
    got = result.to_table()
    assert got["ID"][0] == BIG and np.ma.getmaskarray(got["ID"]).tolist() == [False, False, form != "binary"]
    assert got["flux"][0] == 1 and np.isposinf(got["flux"][1])
    assert got["label"].tolist() == ["Ω", "", "a\tb"] and got["good"].tolist() == [True, False, True]
    np.testing.assert_array_equal(np.array(got["spectrum"].tolist()), np.arange(6.0).reshape(3, 2))
    before = given.to_table()  # astropy itself turns the axes round when it writes
    np.testing.assert_array_equal(np.array(got["image"].tolist()), np.array(before["image"].tolist()))


def test_a_list_is_matched_by_position(http: httpx.Client, limited: Settings) -> None:
    with connect(limited) as conn:
        wanted = conn.execute("SELECT source_id, ra, dec FROM pub.classified ORDER BY source_id LIMIT 40").fetchall()
    ids, ra, dec = (np.array(values) for values in zip(*wanted, strict=True))
    table = Table({"number": ids, "ra": ra + 0.2 / 3600, "dec": dec})
    query = (
        "SELECT m.number, c.source_id FROM TAP_UPLOAD.mine AS m JOIN pub.classified AS c"
        " ON 1 = CONTAINS(POINT(c.ra, c.dec), CIRCLE(m.ra, m.dec, 1.0 / 3600))"
    )
    answer = http.post(
        "/tap/sync",
        data={"LANG": "ADQL", "QUERY": query, "FORMAT": "csv", "UPLOAD": "mine,param:t"},
        files={"t": votable(table)},
    )
    pairs = {(int(r["number"]), int(r["source_id"])) for r in csv.DictReader(io.StringIO(answer.text))}
    assert {(i, i) for i in ids} <= pairs
    assert all(
        SkyCoord(ra[ids == a], dec[ids == a], unit="deg").separation(SkyCoord(ra[ids == b], dec[ids == b], unit="deg"))
        < 1.3 * u.arcsec
        for a, b in pairs
        if b in ids
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no XML", "not well-formed"),
        (b"<VOTABLE/>", "not a VOTable that can be read"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><VOTABLE>&e;</VOTABLE>', "declares an entity"),
        (b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="int"/><DATA><BINARY><STREAM href="file:///etc/passwd"/>'
         b"</BINARY></DATA></TABLE></RESOURCE></VOTABLE>", "its rows are elsewhere"),
        (b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="int"/><DATA><BINARY><STREAM encoding="gzip">eJw='
         b"</STREAM></BINARY></DATA></TABLE></RESOURCE></VOTABLE>", "packed"),
        (b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="floatComplex"/></TABLE></RESOURCE></VOTABLE>',
         "column 'a' is floatComplex"),
        (b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="int"/><FIELD name="a" datatype="int"/><DATA><TABLEDATA/>'
         b"</DATA></TABLE></RESOURCE></VOTABLE>", "two columns have the name 'a'"),
        (b'<VOTABLE><RESOURCE><TABLE nrows="999999999999"><FIELD name="a" datatype="int"/><DATA><BINARY2><STREAM>AAA='
         b"</STREAM></BINARY2></DATA></TABLE></RESOURCE></VOTABLE>", "more than 2,000 MB"),
        (b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="char" arraysize="999999999"/><DATA><TABLEDATA><TR><TD>a'
         b"</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>", "more than 2,000 MB"),
        (b"<VOTABLE><RESOURCE><TABLE>" + b'<FIELD name="a" datatype="int"/>' * 1001 + b"</TABLE></RESOURCE></VOTABLE>",
         "more than 1,000 columns"),
    ],
)  # fmt: skip
def test_an_upload_that_cannot_be_taken_is_refused(http: httpx.Client, content: bytes, words: str) -> None:
    answer = http.post(
        "/tap/sync",
        data={"LANG": "ADQL", "QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:f"},
        files={"f": content},
    )
    assert answer.status_code == 400 and words in status(answer.text)[0][1]


# --- jobs -------------------------------------------------------------------------------------------------


def submit(http: httpx.Client, query: str, files: Any = None, **more: Any) -> str:
    given = {"LANG": "ADQL", "QUERY": query, "FORMAT": "csv"} | more
    answer = http.post("/tap/async", data=given, files=files)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def until_it_ends(http: httpx.Client, job: str) -> ElementTree.Element:
    def ended() -> ElementTree.Element | None:
        found = ElementTree.fromstring(http.get(f"{job}?WAIT=10").text)
        return None if found.findtext(f"{UWS}phase") in ("PENDING", "QUEUED", "EXECUTING") else found

    return children.until(ended)


def test_a_job_from_beginning_to_end(http: httpx.Client) -> None:
    job = submit(
        http,
        "SELECT TOP 3 name FROM TAP_UPLOAD.t, pub.classified",
        {"f": votable(mine())},
        UPLOAD="t,param:f",
        RUNID="me",
    )
    assert http.get(f"{job}/phase").text == "PENDING"
    assert http.get(f"{job}/owner").text == "" and http.get(f"{job}/quote").text == ""
    assert http.get(f"{job}/executionduration").text == "3600"
    http.post(job, data={"EXECUTIONDURATION": 30, "DESTRUCTION": "2099-01-01T00:00:00Z"})
    assert http.get(f"{job}/executionduration").text == "30"
    assert not http.get(f"{job}/destruction").text.startswith("2099"), "no longer than the service keeps jobs"
    http.post(f"{job}/parameters", data={"QUERY": "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t"})
    assert "COUNT(*)" in http.get(f"{job}/parameters").text and "TOP 3" not in http.get(f"{job}/parameters").text
    assert http.get(f"{job}/results/result").status_code == 404
    begins = time.monotonic()
    assert "PENDING" in http.get(f"{job}?WAIT=1").text and time.monotonic() - begins > 0.9
    assert http.post(f"{job}/phase", data={"PHASE": "RUN"}).status_code == 303
    done = until_it_ends(http, job)
    assert done.findtext(f"{UWS}phase") == "COMPLETED" and done.findtext(f"{UWS}runId") == "me"
    (result,) = done.iter(f"{UWS}result")
    assert http.get(result.get("{http://www.w3.org/1999/xlink}href", "")).text == "n\n3\n"
    assert http.post(f"{job}/parameters", data={"QUERY": "SELECT 1"}).status_code == 403
    assert http.get(f"{job}/error").status_code == 404
    assert job.rpartition("/")[2] in http.get("/tap/async?PHASE=COMPLETED&LAST=5").text
    assert job.rpartition("/")[2] not in http.get("/tap/async?PHASE=ERROR").text
    assert job.rpartition("/")[2] not in http.get("/tap/async?AFTER=2099-01-01").text
    assert http.delete(job).status_code == 303
    assert http.get(job).status_code == 404


def test_a_job_can_take_the_result_of_another(http: httpx.Client) -> None:
    first = submit(http, "SELECT TOP 4 source_id, ra, dec FROM pub.classified", PHASE="RUN", FORMAT="votable")
    until_it_ends(http, first)
    given = {"UPLOAD": f"t,{first}/results/result"}
    assert rows(http, "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t", **given) == [{"n": "4"}]
    second = submit(http, "SELECT COUNT(*) AS n FROM TAP_UPLOAD.t", PHASE="RUN", **given)
    until_it_ends(http, second)
    assert http.get(f"{second}/results/result").text == "n\n4\n"


def test_a_job_that_fails_or_is_aborted(http: httpx.Client) -> None:
    wrong = submit(http, "SELECT nme FROM pub.classified", PHASE="RUN")
    slow = submit(http, "SELECT * FROM pub.slow", PHASE="RUN")
    short = submit(http, "SELECT * FROM pub.slow", PHASE="RUN", EXECUTIONDURATION=1)
    failed = until_it_ends(http, wrong)
    assert failed.findtext(f"{UWS}phase") == "ERROR"
    assert "line 1, column 8" in (failed.findtext(f"{UWS}errorSummary/{UWS}message") or "")
    assert "line 1, column 8" in status(http.get(f"{wrong}/error").text)[0][1]
    children.until(lambda: http.get(f"{slow}/phase").text == "EXECUTING")
    http.post(f"{slow}/phase", data={"PHASE": "ABORT"})
    assert http.get(f"{slow}/phase").text == "ABORTED"
    assert until_it_ends(http, short).findtext(f"{UWS}phase") == "ERROR"
    assert "longer than 1 s" in http.get(f"{short}/error").text
    assert http.post(slow, data={"ACTION": "DELETE"}).status_code == 303
    assert http.get(slow).status_code == 404


def test_a_job_goes_when_its_time_has_come(http: httpx.Client, limited: Settings) -> None:
    job = submit(http, "SELECT TOP 1 name FROM pub.classified", PHASE="RUN")
    until_it_ends(http, job)
    folder = limited.home / "tap" / job.rpartition("/")[2]
    assert (folder / "result").exists()
    http.post(f"{job}/destruction", data={"DESTRUCTION": "2020-01-01T00:00:00Z"})
    children.until(lambda: http.get(job).status_code == 404)
    children.until(lambda: not folder.exists())


def test_a_job_that_fell_out_of_the_queue_is_put_back(http: httpx.Client, limited: Settings) -> None:
    job = submit(http, "SELECT TOP 1 name FROM pub.classified")
    with connect(limited) as conn:
        conn.execute(
            "UPDATE xcat.tap_job SET phase = 'QUEUED', created_at = now() - interval '1 hour' WHERE job_id = %s",
            [job.rpartition("/")[2]],
        )
    assert until_it_ends(http, job).findtext(f"{UWS}phase") == "COMPLETED"


def test_jobs_survive_the_end_of_the_service(limited: Settings) -> None:
    """What was at work waits again, and the next service runs it."""
    with serving(limited) as first, httpx.Client(base_url=first) as http:
        done = submit(http, "SELECT TOP 1 class FROM pub.classified", PHASE="RUN")
        until_it_ends(http, done)
        result = http.get(f"{done}/results/result").text
        slow = submit(http, "SELECT * FROM pub.slow", PHASE="RUN", EXECUTIONDURATION=3)
        children.until(lambda: http.get(f"{slow}/phase").text == "EXECUTING")
    with serving(limited) as second, httpx.Client(base_url=second) as http:
        there = {name: f"/tap/async/{job.rpartition('/')[2]}" for name, job in (("done", done), ("slow", slow))}
        assert http.get(f"{there['done']}/results/result").text == result
        assert http.get(f"{there['slow']}/phase").text in ("QUEUED", "EXECUTING")
        assert until_it_ends(http, there["slow"]).findtext(f"{UWS}phase") == "ERROR", "it is run, and takes too long"


# --- the cone search --------------------------------------------------------------------------------------


def test_a_cone_gives_the_nearest_first(http: httpx.Client, limited: Settings) -> None:
    with connect(limited) as conn:
        ((ra, dec),) = conn.execute("SELECT ra, dec FROM pub.classified ORDER BY source_id LIMIT 1").fetchall()
        everything = conn.execute("SELECT source_id, ra, dec FROM pub.classified").fetchall()
    table = parse_single_table(io.BytesIO(http.get(f"/scs?RA={ra}&DEC={dec}&SR=5&VERB=1").content)).to_table()
    ids, all_ra, all_dec = (np.array(values) for values in zip(*everything, strict=True))
    wanted = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(all_ra, all_dec, unit="deg")).arcsec
    inside = wanted <= 5 * 3600
    assert set(table["source_id"].tolist()) == set(ids[inside].tolist())
    assert np.all(np.diff(table["sep_arcsec"]) >= 0)
    np.testing.assert_allclose(table["sep_arcsec"], np.sort(wanted[inside]), atol=1e-6)


@pytest.mark.parametrize(
    ("query", "words"),
    [("RA=0&DEC=0", "SR is missing"), ("RA=a&DEC=0&SR=1", "RA=a"), ("RA=0&DEC=91&SR=1", "DEC=91"),
     ("RA=0&DEC=0&SR=21", "SR=21"), ("RA=0&DEC=0&SR=1&VERB=4", "VERB=4")],
)  # fmt: skip
def test_errors_of_a_cone_are_as_its_standard_has_them(http: httpx.Client, query: str, words: str) -> None:
    answer = http.get(f"/scs?{query}")
    (info,) = ElementTree.fromstring(answer.text).iter(f"{VOTABLE}INFO")
    assert answer.status_code == 200 and info.get("name") == "Error" and words in info.get("value", "")


def test_a_cone_without_radius_gives_the_columns(http: httpx.Client) -> None:
    counts = []
    for verb in (1, 2, 3):
        document = ElementTree.fromstring(http.get(f"/scs?RA=0&DEC=0&SR=0&VERB={verb}").text)
        assert not list(document.iter(f"{VOTABLE}TR"))
        counts.append(len(list(document.iter(f"{VOTABLE}FIELD"))))
    assert counts[0] < counts[1] < counts[2]


# --- what the service says of itself ----------------------------------------------------------------------


def test_tap_schema_is_what_the_registry_says(http: httpx.Client) -> None:
    found = rows(http, "SELECT * FROM tap_schema.columns WHERE table_name = 'pub.classified'", MAXREC=2000)
    known = columns()
    for row in found:
        meaning = known[row["column_name"].strip('"')]
        assert row["description"] == meaning.about and row["ucd"] == meaning.ucd
        assert (u.Unit(row["unit"], format="vounit") if row["unit"] else u.Unit("")) == u.Unit(meaning.unit)
    indexed = {row["column_name"] for row in found if row["indexed"] == "1"}
    assert {"ra", "dec", "source_id", "name", "class", "p_class"} <= indexed and "hr1" not in indexed
    keys = rows(http, "SELECT target_table FROM tap_schema.keys WHERE from_table = 'pub.counterparts'")
    assert {row["target_table"] for row in keys} == {"pub.classified", "pub.runs"}


def test_capabilities_show_every_limit(http: httpx.Client) -> None:
    text = http.get("/tap/capabilities").text
    root = ElementTree.fromstring(text)
    limits = {
        (e.tag.rpartition("}")[2]): [c.text for c in e] for e in root.iter() if e.tag.endswith(("Limit", "Duration"))
    }
    assert limits == {
        "outputLimit": ["500", "10000000"],
        "uploadLimit": ["1000000"] * 2,
        "executionDuration": ["3600"] * 2,
    }
    assert "3 queries of one client" in text and "may take 2 s" in text


def test_one_table_and_the_record(http: httpx.Client) -> None:
    document = ElementTree.fromstring(http.get("/tap/tables/pub.counterparts").text)
    names = [e.text for e in document.iter("name")]
    assert "native_id" in names and [e.text for e in document.iter("targetTable")]
    assert "<column>" not in http.get("/tap/tables?detail=min").text
    record = ElementTree.fromstring(http.get("/tap/record").text)
    assert len(list(record.iter("capability"))) == 6
    assert "true" in http.get("/tap/availability").text


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/tap/availability",
            "/tap/capabilities",
            "/tap/tables",
            "/tap/tables?detail=min",
            "/tap/tables/pub.classified",
        ),
        *("/tap/record", "/tap/async", "/scs?RA=1&DEC=2&SR=3", "/scs?RA=x", "/tap/sync?LANG=ADQL&QUERY=SELECT"),
        "/tap/sync?LANG=ADQL&FORMAT=votable/td&MAXREC=5&QUERY=SELECT+*+FROM+pub.classified",
        "/tap/sync?LANG=ADQL&MAXREC=5&QUERY=SELECT+*,POINT(ra,dec)+FROM+pub.classified",
        "/tap/sync?LANG=ADQL&QUERY=SELECT+*+FROM+tap_schema.columns",
    ],
)
def test_documents_keep_to_their_schemas(http: httpx.Client, path: str) -> None:
    assert schemas.errors(http.get(path).content) == []


@pytest.mark.parametrize("query", ["SELECT TOP 3 name FROM pub.classified", "SELECT nothing FROM pub.classified"])
def test_the_document_of_a_job_keeps_to_its_schema(http: httpx.Client, query: str) -> None:
    given = {"LANG": "ADQL", "QUERY": query}
    job = http.post("/tap/async", data=given).headers["location"]
    assert schemas.errors(http.get(job).content) == []
    http.post(f"{job}/phase", data={"PHASE": "RUN"})
    children.until(lambda: http.get(f"{job}/phase").text in ("COMPLETED", "ERROR"))
    assert schemas.errors(http.get(job).content) == []
    assert schemas.errors(http.get(f"{job}/parameters").content) == []
    assert schemas.errors(http.get(f"{job}/results").content) == []


def test_positions_and_dates_say_their_systems(http: httpx.Client) -> None:
    """Ours do; what is computed, and an upload's own, does not."""
    query = "SELECT TOP 1 ra, dec, mjd_first, ra + 1 AS ra2, p_class FROM pub.classified"
    for form in ("votable", "votable/td"):
        root = ElementTree.fromstring(
            http.get("/tap/sync", params={"LANG": "ADQL", "QUERY": query, "FORMAT": form}).text
        )
        ids = {e.get("ID"): e.tag.rpartition("}")[2] for e in root.iter() if e.tag.endswith(("COOSYS", "TIMESYS"))}
        assert [ids.get(f.get("ref")) for f in root.iter() if f.tag.endswith("FIELD")] == [
            "COOSYS", "COOSYS", "TIMESYS", None, None,
        ]  # fmt: skip


def test_a_wrong_document_does_not_keep_to_its_schema(http: httpx.Client) -> None:
    record = http.get("/tap/record").text
    assert "title" in schemas.errors(record.replace("<title>", "<name>").replace("</title>", "</name>"))[0]
    cut = http.get("/tap/capabilities").text.replace("outputFormat", "outputForm")
    assert "outputForm" in schemas.errors(cut)[0]


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed")
def test_taplint_finds_no_error(url: str) -> None:
    stages = "TMV TME TMS TMC CPV CAP AVV QGE QAS UWS UPL"  # others by hand: docs/howto/serve.md
    done = children.run(["stilts", "taplint", f"tapurl={url}/tap", f"stages={stages}", "report=EWF"])
    found = [line for line in done.stdout.splitlines() if re.match("[EWF]-", line)]
    assert found == [], done.stdout
