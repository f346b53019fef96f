"""Hostile requests to the TAP service, made at random: ``python tests/integration/tap_hostile.py URL NUMBER [SEED]``.

No answer may be an error of the server (5xx), and none may take longer than the limit of a query.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

_QUERIES = [
    "SELECT TOP 5 name, ra, dec FROM pub.classified",
    "SELECT COUNT(*) AS n FROM pub.classified WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(10, 10, 1))",
    "SELECT * FROM tap_schema.columns",
    "SELECT t.* FROM TAP_UPLOAD.t AS t JOIN pub.classified AS c ON DISTANCE(c.ra, c.dec, t.ra, t.dec) < 1",
    "SELECT a.name FROM pub.classified AS a, pub.classified AS b, pub.classified AS c",
    "WITH x AS (SELECT ra FROM pub.classified) SELECT * FROM x UNION SELECT dec FROM pub.classified",
    "SELECT 1; DROP TABLE pub.classified; --",
    "SELECT set_config('role', 'xcat', false)",
    "COPY pub.classified TO PROGRAM 'id'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM xcat.run; COMMIT; CREATE TABLE pub.x (a int)",
    "SELECT " + "(" * 500 + "1" + ")" * 500,
    "SELECT " + "1 + " * 3000 + "1 AS x FROM pub.runs",
    "SELECT 'it''s' AS \"x\"\"y\" FROM pub.runs",
    "SELECT POWER(10, 1e308) AS x, 1/0 AS y FROM pub.runs",
    "SELECT name FROM pub.classified WHERE name LIKE '" + "%a" * 300 + "'",
]
_WORDS = [
    "%00",
    "\0",
    "\ud7ff",
    "'",
    '"',
    "--",
    "/*",
    "*/",
    ";",
    "$$",
    "{}",
    "%s",
    "%(a)s",
    "\\",
    "NaN",
    "1e999",
    "-1",
    "ı",
    "￿",
]
_WORDS += [
    "<script>",
    "&lt;",
    "../../etc/passwd",
    "file:///etc/passwd",
    "9" * 30,
    "SELECT",
    "FROM",
    "\r\n",
    "🙂",
    "\x07",
]
_NAMES = [
    "QUERY",
    "LANG",
    "FORMAT",
    "RESPONSEFORMAT",
    "MAXREC",
    "UPLOAD",
    "REQUEST",
    "RUNID",
    "VERSION",
    "PHASE",
    "ACTION",
]
_NAMES += [
    "DESTRUCTION",
    "EXECUTIONDURATION",
    "WAIT",
    "LAST",
    "AFTER",
    "RA",
    "DEC",
    "SR",
    "VERB",
    "DETAIL",
    "FILE",
    "BASE",
    "é",
]
_PATHS = (
    ["/tap/sync"] * 8
    + ["/tap/async"] * 3
    + ["/scs"] * 3
    + ["/tap/tables", "/tap/tables/pub.classified", "/tap/examples"]
)
_PATHS += [
    "/tap",
    "/tap/capabilities",
    "/tap/availability",
    "/tap/async/{job}",
    "/tap/async/{job}/phase",
    "/tap/record",
]
_PATHS += [
    "/tap/async/{job}/results/result",
    "/tap/async/{job}/error",
    "/tap/async/{job}/destruction",
    "/tap/tables/{word}",
]
_PATHS += [
    "/tap/async/{job}/parameters",
    "/tap/async/{word}",
    "/{word}",
    "/tap/async/{job}/executionduration",
    "/openapi.json",
]
_FORMATS = [
    "votable",
    "votable/td",
    "csv",
    "tsv",
    "fits",
    "parquet",
    "text/xml",
    "docx",
    "",
    "application/x-votable+xml",
]
_HEAD = b'<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" version="1.4"><RESOURCE><TABLE>'
_TABLE = _HEAD + (
    b'<FIELD name="ra" datatype="double" ucd="pos.eq.ra;meta.main" unit="deg"/><FIELD name="dec" datatype="double" '
    b'ucd="pos.eq.dec;meta.main" unit="deg"/><FIELD name="id" datatype="long"/><FIELD name="s" datatype="char" '
    b'arraysize="*"/><DATA><TABLEDATA><TR><TD>10</TD><TD>20</TD><TD>9007199254740993</TD><TD>x</TD></TR><TR><TD>NaN</TD>'
    b"<TD/><TD/>"
    b"<TD>&#x41;</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
)
_PARTS = [
    b"datatype",
    b"double",
    b"<TR>",
    b"</TD>",
    b"arraysize",
    b'"*"',
    b"<FIELD",
    b"9007199254740993",
    b"VOTABLE",
    b"10",
]
_INSERTS = [
    b"\0",
    b"\xff\xfe",
    b"&e;",
    b"<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
    b"1e400",
    b"-999",
    b'"',
    b"]]>",
]
_INSERTS += [
    b"<BINARY2><STREAM encoding='base64'>AAAA</STREAM></BINARY2>",
    b"bit",
    b"floatComplex",
    b"3x4x*",
    b"unsignedByte",
    b"",
]


@dataclass
class Told:
    """What came of the requests."""

    codes: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


def _mutated(rng: random.Random, text: str) -> str:
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice(_WORDS) + text[place + rng.choice([0, 0, 1, 5]) :]
    return text


def _document(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.choice([0, 1, 50, 5000]))
    document = _TABLE
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        if rng.random() < 0.6:
            document = document.replace(rng.choice(_PARTS), rng.choice(_INSERTS + _PARTS), rng.choice([1, -1]))
        else:
            place = rng.randrange(len(document) + 1)
            document = document[:place] + rng.choice(_INSERTS) + document[place + rng.choice([0, 1, 40]) :]
    return document


def _value(rng: random.Random, name: str) -> str:
    usual = {
        "QUERY": lambda: _mutated(rng, rng.choice(_QUERIES)),
        "LANG": lambda: rng.choice(["ADQL"] * 6 + ["ADQL-2.1", "adql-2.0", "SQL", "PQL"]),
        "FORMAT": lambda: rng.choice(_FORMATS),
        "RESPONSEFORMAT": lambda: rng.choice(_FORMATS),
        "MAXREC": lambda: rng.choice(["0", "1", "100", "-1", "1e3", "99999999999999999999"]),
        "UPLOAD": lambda: _mutated(
            rng, rng.choice(["t,param:f", "t,param:f;u,param:f", "t,http://example.org/", "t,file:///etc/hosts"])
        ),
        "PHASE": lambda: rng.choice(["RUN", "ABORT", "PENDING", "x"]),
        "WAIT": lambda: rng.choice(["0", "1", "x"]),
        "RA": lambda: str(rng.uniform(-10, 370)),
        "DEC": lambda: str(rng.uniform(-95, 95)),
        "SR": lambda: rng.choice(["0", "1", "20", "1e-3", "nan", "-1", "inf", "180"]),
    }
    make = usual.get(name)
    return make() if make is not None and rng.random() < 0.85 else _mutated(rng, rng.choice(["", "1", "x" * 2000]))


def _request(rng: random.Random, jobs: list[str]) -> dict[str, Any]:
    job = rng.choice(jobs) if jobs and rng.random() < 0.8 else "0" * 24
    word = (
        _mutated(rng, "x").encode("utf-8", "replace").hex()
        if rng.random() < 0.3
        else "%2e%2e%2f" + "a" * rng.choice([1, 300])
    )
    path = rng.choice(_PATHS).format(job=job, word=word)
    names = (
        ["QUERY", "LANG"] if "sync" in path and rng.random() < 0.9 else ["RA", "DEC", "SR"] if path == "/scs" else []
    )
    names += rng.choices(_NAMES, k=rng.choice([0, 1, 2, 4]))
    if rng.random() < 0.3:
        names.append("UPLOAD")
    pairs = [(rng.choice([name, name.lower()]), _value(rng, name)) for name in names]
    method = rng.choice(["GET"] * 5 + ["POST"] * 8 + ["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
    request: dict[str, Any] = {"method": method, "url": path, "headers": {}}
    if rng.random() < 0.1:
        request["headers"]["Accept"] = "application/json"
    if method == "POST" and rng.random() < 0.9:
        if "UPLOAD" in names:
            request["files"] = [("f", ("t.vot", _document(rng)))]
            request["data"] = dict(pairs)
        elif rng.random() < 0.1:
            request["content"] = rng.randbytes(200)
            request["headers"]["Content-Type"] = rng.choice(
                [
                    "multipart/form-data",
                    "multipart/form-data; boundary=x",
                    "application/x-www-form-urlencoded",
                    "a/b",
                    "text/xml",
                ]
            )
        else:
            request["data"] = dict(pairs)
    else:
        request["params"] = [(name, value[:2000]) for name, value in pairs]
    return request


def attack(url: str, number: int, seed: int, limit_s: float, threads: int = 4) -> Told:
    """Send so many requests; what came of them."""
    told, jobs = Told(), list[str]()

    def some(start: int) -> None:
        with httpx.Client(base_url=url, timeout=limit_s + 20) as http:
            for i in range(start, number, threads):
                request = _request(random.Random(f"{seed} {i}"), jobs)
                begins = time.monotonic()
                try:
                    answer = http.request(**request)
                except httpx.HTTPError as error:
                    told.wrong.append(f"{i}: {error!r}")
                    continue
                took = time.monotonic() - begins
                told.slowest_s = max(told.slowest_s, took)
                told.codes[answer.status_code] += 1
                if answer.status_code >= 500 or took > limit_s:
                    told.wrong.append(f"{i}: {answer.status_code} after {took:.1f} s: {answer.text[:300]}")
                if answer.status_code == 303 and len(jobs) < 50 and request["url"] == "/tap/async":
                    jobs.append(answer.headers["location"].rpartition("/")[2])

    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(some, range(threads)))
    return told


if __name__ == "__main__":
    found = attack(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1, limit_s=65.0)
    print(dict(sorted(found.codes.items())), f"slowest {found.slowest_s:.1f} s", *found.wrong, sep="\n")
    sys.exit(bool(found.wrong))
