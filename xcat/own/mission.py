"""A user's rows as a mission that nobody else sees: the statements of the stages, on temporary tables.

The rows become detections, sources, hypotheses and properties by the SQL of the merge, match and properties stages,
with what the published run has learned. Nothing is learned from them, so the answer of a row does not depend on the
others. All tables are temporary, and the transaction is rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.classifier.sample import Sample
from xcat.database import copy, partitions, schema
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.match.engine import match
from xcat.match.stage import HYPOTHESES_KEPT, hypotheses_query, store_candidates_query
from xcat.match.targets import Targets
from xcat.merge.sources import GROUP_SIGMA, source_values, sources_query
from xcat.models.published_run import PublishedRun
from xcat.models.samples import Layout
from xcat.output.reading import Row, rows
from xcat.properties import compute
from xcat.sky import joins

#: Number of the user's mission and of its runs: none in the database has it.
NUMBER = 0
_TABLES = (
    *("detection", "source_identity", "source", "master", "master_source"),
    *("match", "match_candidate", "hypothesis", "property", "hypothesis_property"),
)
#: Qualified names of the temporary tables of a mission.
RELATIONS = {name: f"pg_temp.own_{name}" for name in _TABLES}
_REAL, _DOUBLE = "real", "double precision"


@dataclass
class Mission:
    """Rows of a user's table in the temporary tables of a transaction.

    Parameters
    ----------
    conn : Connection
        In a transaction without temporary tables, which the caller rolls back.
    definition : Definition
        What the columns of the rows mean.
    group : int
        Mission of the published run that the rows are taken for, by its number; -1 for none.
    """

    conn: Connection
    published: PublishedRun
    definition: Definition
    group: int = -1

    def __post_init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def load(self, columns: Mapping[str, np.ndarray], row_number: np.ndarray) -> None:
        """Take rows through all stages up to the properties.

        Parameters
        ----------
        columns : mapping
            Standard columns as `xcat.ingest.convert.convert` makes them, each of shape (n,).
        row_number : ndarray of int64, shape (n,)
            Row of the table, the number of the source.
        """
        for name, relation in RELATIONS.items():
            self.conn.execute(job("own.make_like").compose(table=relation, parent=f"xcat.{name}"))
        with self._step("sources"):
            self._sources(columns, row_number)
        with self._step("match"):
            self._match()
        with self._step("properties"):
            self._properties()

    def _step(self, name: str) -> AbstractContextManager[None]:
        return progress.timed(self.seconds, name)

    def _fill(self, table: str, query: sql.Composed, values: Mapping[str, object]) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, _columns(table)))
        self.conn.execute(job("rows.fill").compose(table=RELATIONS[table], columns=names, query=query), values)

    def _sources(self, columns: Mapping[str, np.ndarray], row_number: np.ndarray) -> None:
        conn, n = self.conn, len(row_number)
        numbers = {"catalogue_id": np.full(n, NUMBER), "object_id": row_number, "file_id": np.full(n, NUMBER)}
        known = set(_columns("detection"))
        given = {name: values for name, values in columns.items() if name in known and name != "native_id"}
        block = {**numbers, "native_id": row_number.astype("S"), **given}
        copy.copy_in(conn, RELATIONS["detection"], [block])
        conn.execute(job("merge.make_work").compose())
        conn.execute(job("merge.members_by_name").compose(detection=RELATIONS["detection"]))
        values = source_values(NUMBER, NUMBER, self.definition, False)
        conn.execute(job("own.identify").compose(detection=RELATIONS["detection"]), values)
        conn.execute("ANALYZE pg_temp.member, pg_temp.own_source_identity, pg_temp.own_detection")
        self._fill("source", sources_query(RELATIONS["detection"], RELATIONS["source_identity"]), values)
        conn.execute(job("own.drop_merge").compose())  # other stages have tables of these names
        conn.execute(job("own.index_sources").compose())
        conn.execute("ANALYZE pg_temp.own_source")

    def _match(self) -> None:
        conn, published = self.conn, self.published
        types = dict.fromkeys(("ra", "dec"), _DOUBLE)
        types |= dict.fromkeys(("err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg"), _REAL)
        types = {"id": "bigint", **types, "epoch_yr": _DOUBLE}
        found = copy.fetch_columns(conn, job("own.targets").compose(), list(types.items()))
        targets = Targets.of({name: found[name] for name in types} | {"group": np.full(len(found), self.group)})
        if not published.haystacks:
            return
        is_loaded = {k: np.isin(found["id"], ids) for k, ids in self._in_cut_outs().items()}
        outcome = match(
            conn, targets, published.haystacks, published.options, learned=published.learned, is_loaded=is_loaded
        )
        ids = [haystack.catalogue_id for haystack in published.haystacks]
        for k, catalogue_id in enumerate(ids, 1):
            values = {"run_id": NUMBER, "catalogue_id": catalogue_id, "k": k}
            result = outcome.results[k - 1]
            constants = {name: np.full(len(result["source_id"]), values[name]) for name in ("run_id", "catalogue_id")}
            copy.copy_in(conn, RELATIONS["match"], [result | constants])
            self._fill("match_candidate", store_candidates_query(len(ids)), values)
        kept = {"run_id": NUMBER, "catalogue_ids": ids, "min_p": HYPOTHESES_KEPT}
        self._fill("hypothesis", hypotheses_query(), kept)
        conn.execute(job("own.index_match").compose())
        conn.execute("ANALYZE pg_temp.own_match, pg_temp.own_match_candidate, pg_temp.own_hypothesis")
        conn.execute(job("match.forget").compose())

    def _properties(self) -> None:
        numbers = dict.fromkeys(("source_run_id", "link_run_id", "match_run_id"), NUMBER)
        definition = self.definition.as_dict()
        if self.group > 0:  # hardness ratios that the table gives are in the bands of its mission
            of_mission = self.published.missions[self.group - 1].definition.as_dict()
            definition = {key: of_mission[key] for key in ("bands_kev",) if key in of_mission} | definition
        queries = compute.prepare(
            self.conn,
            NUMBER,
            numbers,
            RELATIONS,
            RELATIONS["source"],
            {NUMBER: definition},
            list(self.published.counterparts),
            list(self.published.galaxies),
            self._step,
            few_sources=True,
            depths=self.published.depths,
        )
        for table, (query, values) in queries.items():
            self._fill(table, query, values)

    def _in_cut_outs(self) -> dict[int, np.ndarray]:
        """Rows around which a catalogue whose area is not known is complete, by its number in the match.

        Of cut-outs those whose whole search circle lies in one. Of a catalogue of which only a density is known nobody
        knows what is loaded, but that it was searched around the sources of the published run.
        """
        conn, inside = self.conn, dict[int, np.ndarray]()
        sources = partitions.qualified("source", self.published.run["source_run_id"])
        search_arcsec = self.published.options.radius_arcsec
        joins.make_tables(conn)
        for k, haystack in enumerate(self.published.haystacks, 1):
            if haystack.footprint.is_known:
                continue
            around_arcsec = haystack.around_arcsec
            radius_arcsec = search_arcsec if around_arcsec is None else max(around_arcsec - search_arcsec, 0.01)
            joins.needles(conn, job("own.cut_out_needles").compose(), {"radius_arcsec": radius_arcsec})
            joins.search(conn, sources, f"{haystack.name}: cut-outs", haystack_id="source_id")
            ids = copy.fetch_columns(conn, job("own.paired").compose(), [("id", "bigint")])["id"]
            inside[k] = ids
        return inside

    # --- what the rows have become ---

    def sample(self, layout: Layout) -> tuple[np.ndarray, Sample]:
        """Rows (with source_id and is_classifiable) and sample of the properties of a layout, by source_id."""
        query = job("classify.property_rows").compose(values=layout.values, property=RELATIONS["property"])
        types = [("source_id", "bigint"), ("is_classifiable", "boolean"), *layout.columns]
        found = copy.fetch_columns(self.conn, query, types)
        hypotheses = None
        if layout.dependent:
            relation = RELATIONS["hypothesis_property"]
            query = job("classify.hypothesis_rows").compose(values=layout.hypothesis_values, property=relation)
            types = [("source_id", "bigint"), ("p_hypothesis", "real"), *layout.hypothesis_columns]
            hypotheses = copy.fetch_columns(self.conn, query, types)
        return found, layout.sample(found, hypotheses)

    def source(self, label: str) -> Row:
        """The only source, as `report.source` has one; `label` stands for its catalogue."""
        (row,) = rows(self.conn, "own.explained_source", {"label": label})
        return row

    def brightness(self) -> np.ndarray:
        """Flux in 0.2-12 keV, its log, galactic and equatorial position: a structured array, by source_id."""
        names = ("flux_std_cgs", "log_fx", "abs_b", "glon", "ra", "dec")
        types = [("source_id", "bigint"), *((name, _DOUBLE) for name in names)]
        return copy.fetch_columns(self.conn, job("own.brightness").compose(), types)

    def chances(self) -> np.ndarray:
        """p_any of all catalogues together: a structured array of source_id and p_any, by source_id."""
        types = [("source_id", "bigint"), ("p_any", "double precision")]
        return copy.fetch_columns(self.conn, job("own.chances").compose(), types)

    def counterparts(self, k: int) -> list[Row]:
        """The accepted counterparts in catalogue number k of the published run, by source_id."""
        loaded = self.published.counterparts[k]
        values = {"catalogue_id": loaded.catalogue_id}
        names = [c for c in loaded.definition.columns if c == "mag" or c.startswith("mag_")]
        listed = sql.SQL("").join(job("own.counterpart_magnitude").compose(name=name) for name in names)
        return rows(self.conn, "own.counterparts", values, counterpart=loaded.table, magnitudes=listed)

    def published_sources(self) -> list[Row]:
        """Sources of the published run at the positions, the nearest of each mission in units of the errors."""
        run = self.published.run["run_id"]
        classified = partitions.qualified("classified_runs", run)
        if not self.published.run["is_in_pub"]:
            return []
        values = {"n_sigma": GROUP_SIGMA}
        joins.needles(self.conn, job("own.needles").compose(haystack=classified), values | {"tolerance_arcsec": 0.0})
        joins.search(self.conn, classified, "published sources", haystack_id="source_id")
        return rows(self.conn, "own.published_sources", values, classified=classified)

    def known_objects(self) -> list[Row]:
        """Objects of known class at the positions: of every row the first by the order of the reference catalogues."""
        self.conn.execute(job("own.make_known").compose())
        for place, loaded in enumerate(self.published.references):
            tolerance = loaded.definition.label_tolerance_arcsec
            values = {"n_sigma": 3.0, "tolerance_arcsec": tolerance, "place": place, "origin": loaded.definition.name}
            joins.needles(self.conn, job("own.needles").compose(haystack=loaded.table), values)
            joins.search(self.conn, loaded.table, loaded.definition.name)
            self.conn.execute(job("own.find_known").compose(reference=loaded.table), values)
        return rows(self.conn, "own.known_objects")

    def labels(self) -> list[Row]:
        """All known objects at the position of the only source."""
        self.known_objects()
        return rows(self.conn, "own.labels")


def _columns(table: str) -> list[str]:
    return [column.name for column in schema.metadata.tables[f"xcat.{table}"].columns]
