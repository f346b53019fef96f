"""`xcat serve` and GAVO's DaCHS on the same table: cones, an upload, a count, all rows; whole requests in turn.

The published run of XCAT_HOME is loaded into a DaCHS of its own by the descriptor of docs/howto/dachs.md. It needs
Debian's python3-gavo and postgresql-15-pgsphere (tests/integration/dachs.py). The numbers of rows must be equal.
"""

from __future__ import annotations

import argparse
import io
import re
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import httpx
from astropy.io import votable
from tap import in_turn, positions, served
from tap import votable as document_of

from xcat.config import settings
from xcat.database.connection import connect
from xcat.output import files
from xcat.report import export

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "integration")]
import dachs  # noqa: E402 - shared with the tests

COLUMNS = "source_id, name, ra, dec, err_arcsec, class, p_class, outlier, flux_cgs"
QUERIES = {
    "cone of 0.5 deg": f"SELECT {COLUMNS} FROM {{t}} WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({{ra}}, {{dec}}, 0.5))",
    "cone of 10 deg": f"SELECT {COLUMNS} FROM {{t}} WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({{ra}}, {{dec}}, 10))",
    "upload of 1,000": "SELECT m.number, c.name, c.class, c.p_class FROM TAP_UPLOAD.mine AS m JOIN {t} AS c"
    " ON 1 = CONTAINS(POINT(c.ra, c.dec), CIRCLE(m.ra, m.dec, 0.001388888888888889))",
    "count by class": "SELECT class, COUNT(*) AS n, AVG(p_class) AS p FROM {t} GROUP BY class",
    "all rows": f"SELECT {COLUMNS} FROM {{t}}",
}


def request(http: httpx.Client, query: str, document: bytes) -> Callable[[], bytes]:
    """A query as a whole request, with an upload where it names one."""
    given = {"LANG": "ADQL", "REQUEST": "doQuery", "QUERY": query, "FORMAT": "votable", "MAXREC": "1000000"}
    sent = {"f": document} if "TAP_UPLOAD" in query else None

    def ask() -> bytes:
        form = given | ({"UPLOAD": "mine,param:f"} if sent else {})
        answer = http.post("/tap/sync", data=form, files=sent)
        answer.raise_for_status()
        return answer.content

    return ask


def n_rows(content: bytes) -> int:
    """Rows of an answer."""
    return len(votable.parse(io.BytesIO(content), verify="ignore").get_first_table().array)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of units that VOUnit deprecates
    page = (ROOT / "docs" / "howto" / "dachs.md").read_text(encoding="utf-8")
    (descriptor,) = re.findall(r"^```xml\n(.*?)^```$", page, re.S | re.M)
    ra, dec = positions(1000)
    with tempfile.TemporaryDirectory() as folder:
        peer = dachs.Dachs(Path(folder))
        with peer.installed():
            with connect(settings()) as conn:
                files.write(export.run_table(conn, "classified", None), peer.add("xcat", descriptor) / "classified.vot")
            peer.run("imp", "xcat/q")
            with peer.serving() as other, served(most_rows=1_000_000) as (ours, _):
                clients = {
                    name: httpx.Client(base_url=url, timeout=600) for name, url in (("xcat", ours), ("DaCHS", other))
                }
                tables = {"xcat": "pub.classified", "DaCHS": "xcat.classified"}
                for name, query in QUERIES.items():
                    sides = {
                        side: request(http, query.format(t=tables[side], ra=ra[0], dec=dec[0]), document_of(ra, dec))
                        for side, http in clients.items()
                    }
                    rows = {side: n_rows(ask()) for side, ask in sides.items()}
                    assert rows["xcat"] == rows["DaCHS"], (name, rows)
                    times = in_turn(sides, given.runs)
                    middle = {side: 1e3 * statistics.median(each) for side, each in times.items()}
                    ratio = statistics.median(a / b for a, b in zip(times["xcat"], times["DaCHS"], strict=True))
                    print(
                        f"{name}, {rows['xcat']:,} rows: xcat {middle['xcat']:.0f} ms, DaCHS {middle['DaCHS']:.0f} ms: "
                        f"ratio {ratio:.2f}"
                    )


if __name__ == "__main__":
    main()
