"""The table of xcat in GAVO's DaCHS, by the descriptor of docs/howto/dachs.md: both services answer the same."""

# ruff: noqa: E501 - queries, one a line

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
import pyvo
from astropy import units as u
from astropy.table import Table
from children import ROOT
from dachs import Dachs, is_installed
from served import serving
from small_sky import make

from xcat.config import Settings
from xcat.database.connection import connect
from xcat.output import files
from xcat.report import export

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="DaCHS is not here (Debian: python3-gavo, postgresql-15-pgsphere)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # pyvo leaves connections open
    pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning"),
    pytest.mark.slow,
]
COLUMNS = "source_id, name, ra, dec, err_arcsec, class, p_class, outlier, flux_cgs"
#: Queries of both; {t} is the table.
QUERIES = (
    f"SELECT {COLUMNS} FROM {{t}} ORDER BY source_id",
    "SELECT class, COUNT(*) AS n, AVG(p_class) AS mean_p, MAX(flux_cgs) AS brightest FROM {t} GROUP BY class ORDER BY class",
    "SELECT source_id FROM {t} WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 266.417, -29.008, 30)) ORDER BY source_id",
    "SELECT source_id, DISTANCE(POINT(ra, dec), POINT(266.417, -29.008)) AS sep FROM {t} WHERE p_class > 0.9 ORDER BY source_id",
    "SELECT source_id FROM {t} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(260, -40, 275, -40, 266, -25)) ORDER BY source_id",
    "SELECT source_id FROM {t} WHERE 1 = INTERSECTS(CIRCLE(ra, dec, 3), POLYGON(260, -40, 275, -40, 266, -25)) ORDER BY source_id",
    "SELECT source_id FROM {t} WHERE 1 = INTERSECTS(CIRCLE(ra, dec, 3), CIRCLE(83, 22, 12)) ORDER BY source_id",
    "SELECT TOP 1 INTERSECTS(POLYGON(0, 0, 10, 0, 5, 8), POLYGON(5, 5, 15, 5, 10, 12)) AS a, CONTAINS(POLYGON(1, 1, 2, 1, 1.5, 2), POLYGON(0, 0, 10, 0, 5, 8)) AS b, CONTAINS(CIRCLE(5, 2, 1), POLYGON(0, 0, 10, 0, 5, 8)) AS c, CONTAINS(POLYGON(1, 1, 2, 1, 1.5, 2), CIRCLE(1, 1, 2)) AS d FROM {t}",
    "SELECT TOP 1 AREA(POLYGON(0, 0, 10, 0, 5, 8)) AS a, AREA(CIRCLE(3, 4, 5)) AS b FROM {t}",
    "SELECT source_id FROM {t} WHERE 1 = CONTAINS(POINT(ra, dec), REGION('Circle ICRS 83.6 22 25')) ORDER BY source_id",
    "SELECT a.source_id, b.source_id AS other FROM {t} AS a JOIN {t} AS b ON 1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 1)) WHERE a.source_id < b.source_id ORDER BY a.source_id, other",
    "SELECT TOP 20 name, LOG10(flux_cgs) AS x, ROUND(ra, 2) AS y, MOD(source_id, 7) AS z, UPPER(class) AS k FROM {t} WHERE flux_cgs IS NOT NULL AND name ILIKE '%j%' ORDER BY flux_cgs DESC, source_id OFFSET 5",
    "SELECT source_id FROM {t} WHERE class = 'AGN' UNION SELECT source_id FROM {t} WHERE outlier > 5 ORDER BY source_id",
    "WITH few AS (SELECT TOP 10 source_id, ra FROM {t} ORDER BY source_id) SELECT MIN(ra) AS low, COUNT(*) AS n FROM few",
)  # fmt: skip


@pytest.fixture(scope="module")
def services(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[pyvo.dal.TAPService]]:
    make(module_settings, n=3000)
    descriptor = re.findall(r"^```xml\n(.*?)^```$", (ROOT / "docs/howto/dachs.md").read_text("utf-8"), re.S | re.M)[0]
    dachs = Dachs(tmp_path_factory.mktemp("dachs"))
    with dachs.installed():
        with connect(module_settings) as conn:
            files.write(export.run_table(conn, "classified", None), dachs.add("xcat", descriptor) / "classified.vot")
        dachs.run("imp", "xcat/q")
        with dachs.serving() as peer, serving(module_settings) as ours:
            yield [pyvo.dal.TAPService(f"{url}/tap") for url in (ours, peer)]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_both_answer_the_same(services: list[pyvo.dal.TAPService], query: str) -> None:
    ours, peers = (
        service.run_sync(query.format(t=name), maxrec=100_000).to_table()
        for service, name in zip(services, ("pub.classified", "xcat.classified"), strict=True)
    )
    assert len(ours) == len(peers) > 0
    assert ours.colnames == peers.colnames
    for name in ours.colnames:
        a, b = (np.ma.asarray(table[name]) for table in (ours, peers))
        if a.dtype.kind in "OU":
            assert [str(x) for x in a.filled("")] == [str(x) for x in b.filled("")]
        else:
            assert (np.ma.getmaskarray(a) == np.ma.getmaskarray(b)).all(), name
            np.testing.assert_allclose(a.filled(0).astype(float), b.filled(0).astype(float), rtol=2e-7, atol=1e-9)


def test_both_describe_the_columns_in_the_same_way(services: list[pyvo.dal.TAPService]) -> None:
    ours, peers = (
        service.run_sync(f"SELECT TOP 1 {COLUMNS} FROM {name}").to_table()
        for service, name in zip(services, ("pub.classified", "xcat.classified"), strict=True)
    )
    for name in ours.colnames:
        assert ours[name].unit == peers[name].unit or _same_unit(ours, peers, name), name
        assert ours[name].meta.get("ucd") == peers[name].meta.get("ucd"), name
        assert ours[name].dtype.kind == peers[name].dtype.kind, name


def _same_unit(a: Table, b: Table, name: str) -> bool:
    return (
        a[name].unit is not None
        and b[name].unit is not None
        and (1 * a[name].unit).to(b[name].unit) == 1 * b[name].unit
    )


def test_both_cones_find_the_same(services: list[pyvo.dal.TAPService]) -> None:
    ours, peer = (service.baseurl.removesuffix("/tap") for service in services)
    found = [
        pyvo.dal.SCSService(url).search(pos=(266.417, -29.008), radius=15 * u.deg)
        for url in (f"{ours}/scs", f"{peer}/xcat/q/cone/scs.xml")
    ]
    ids = [sorted(int(row["source_id"]) for row in result) for result in found]
    assert ids[0] == ids[1] and len(ids[0]) > 0
