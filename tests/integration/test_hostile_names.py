"""Names of files, columns, catalogues, definitions, classes and results are names, whatever they look like."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg import sql

from xcat.catalogues.definition import load
from xcat.config import Settings
from xcat.database import published
from xcat.database.connection import connect, ready
from xcat.errors import ConfigError, XcatError
from xcat.ingest.load import ingest
from xcat.jobs.pipeline import Pipeline
from xcat.jobs.publishing import _add_class_columns
from xcat.output import files, results

HOSTILE = (
    '"; DROP TABLE xcat.run; --',
    "'; DROP TABLE xcat.run; --",
    "$$; DROP TABLE xcat.run; $$",
    "\\'; DROP SCHEMA pub CASCADE; --",
    "%s %(x)s %% %",
    "{0} {x} {{",
    "two\nlines and a\ttab",
    "naïve Größe 星 \u202e\u200b",
    "x" * 200,
    "é" * 80,
    "select",
    "../../etc/passwd",
)


def _relations(settings: Settings) -> list[Any]:
    with connect(settings) as conn:
        return conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text IN ('xcat', 'pub')"
            " AND relkind IN ('r', 'p', 'v') AND NOT relispartition ORDER BY 1"
        ).fetchall()


def test_hostile_names_are_only_names(settings: Settings, tmp_path: Path) -> None:
    """Columns that a definition names, its title, the file itself, its values: all is loaded as it is."""
    before = _relations(settings)
    for i, name in enumerate(HOSTILE):
        ra, dec = f"{name}a", f"{name}d"
        path = tmp_path / f"{name.replace('/', '_')[:90]}.csv"
        with path.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([[ra, dec, name], [10 + i, 5, name]])
        definition = {
            "name": f"mine{i}",
            "title": name,
            "kind": "optical",
            "citation": name,
            "columns": {"native_id": name, "ra": ra, "dec": dec},
            "position_error": {"convention": "axis_1sigma", "constant": 0.1, "unit": "arcsec"},
            "sky": {"density_per_deg2": 1e4},
            "read": {"separator": ","},
        }
        described = tmp_path / f"mine{i}.yaml"
        described.write_text(yaml.safe_dump(definition, allow_unicode=True), encoding="utf-8")
        if "\n" in name:  # a name of a column is one line: refused, in words
            with pytest.raises(XcatError, match="there is no column"):
                ingest(settings, load(described), [path])
            continue
        ingest(settings, load(described), [path])
    with connect(settings) as conn:
        values = conn.execute("SELECT native_id FROM xcat.counterpart ORDER BY ra").fetchall()
        titles = conn.execute("SELECT definition ->> 'title' FROM xcat.catalogue ORDER BY catalogue_id").fetchall()
    wanted = [name for name in HOSTILE if "\n" not in name]
    assert [row[0] for row in titles] == wanted
    assert [row[0] for row in values] == wanted
    assert _relations(settings) == before


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_catalogues_and_pipelines_are_words(name: str, tmp_path: Path) -> None:
    """They become parts of names in the database and of commands."""
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"name": name + "!", "title": "t"}))
    with pytest.raises(ConfigError, match="name"):
        load(path)
    with pytest.raises(ValueError, match="name"):
        Pipeline.model_validate({"name": name + "!", "xray": [{"catalogue": "x"}]})


def test_hostile_classes_are_refused_or_only_names(settings: Settings) -> None:
    """A class becomes a column and a view, in small letters and digits; what it is called stays as it is."""
    before = _relations(settings)
    for name in HOSTILE:
        try:
            Pipeline.model_validate({"name": "x", "xray": [{"catalogue": "x"}], "classes": {name: {"prior": 1}}})
        except ValueError:
            continue
        _add_class_columns(settings, ["AGN", name])
        with ready(settings) as conn:
            published.make_views(conn, ["AGN", name])
            view = conn.execute("SELECT * FROM pub.classified LIMIT 0").description
            assert published.class_column(name) in [c.name for c in view or ()]
            assert conn.execute(
                sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(*published.candidates_view(name).split(".")))
            ).description
            published.make_views(conn, ["AGN", "Star", "XRB", "CV"])
    assert _relations(settings) == before


@pytest.mark.filterwarnings("ignore:It is strongly recommended")
def test_columns_of_a_result_may_be_called_anything(settings: Settings, tmp_path: Path) -> None:
    names = [name for name in HOSTILE if len(name.encode()) < 64]
    with connect(settings) as conn:
        query = sql.SQL("SELECT {}").format(
            sql.SQL(", ").join(sql.SQL("{} AS {}").format(i, sql.Identifier(n)) for i, n in enumerate(names))
        )
        table = results.query(conn, query.as_string(conn))
    assert table.colnames == names
    for ending in ("fits", "vot", "parquet", "csv", "ecsv"):
        assert files.write(table, tmp_path / f"a.{ending}").stat().st_size > 100
