"""The properties stage (statements in sql/jobs/properties.sql, definitions in registry.yaml)."""

from __future__ import annotations

from functools import cache

from xcat import progress
from xcat.classifier.properties import Property
from xcat.database import partitions
from xcat.database.registry import property_entries
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.errors import ConfigError
from xcat.match import pairs
from xcat.match.stage import Loaded

# Hypotheses below this probability say too little about a source to be worth a row.
MIN_P_HYPOTHESIS = 0.01
# A source counts as in the field of a galaxy out to this many D25 radii (Tranin et al. 2022).
MAX_RADII = 1.26
_BANDS = ("b", "r", "w1", "w2")


@cache
def all_properties() -> tuple[Property, ...]:
    """The properties as the classifier knows them, in the order of the registry."""
    return tuple(
        Property(
            name=entry["name"],
            category=entry["category"],
            scale=entry["scale"],
            low=float(entry["range"][0]),
            high=float(entry["range"][1]),
            bounded_low=entry["bounded"][0],
            bounded_high=entry["bounded"][1],
        )
        for entry in property_entries()
    )


def select(names: list[str] | None) -> tuple[Property, ...]:
    """Properties by name; without names all but the optional ones, which repeat what others say.

    Raises
    ------
    ConfigError
        A name is not in the registry.
    """
    known = {p.name: p for p in all_properties()}
    if names is None:
        return tuple(known[entry["name"]] for entry in property_entries() if not entry.get("optional"))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"unknown property {', '.join(unknown)}. There are: {', '.join(known)}")
    return tuple(known[name] for name in names)


def properties_stage(
    run: Run,
    source_run_id: int,
    link_run_id: int,
    match_run_id: int,
    counterparts: list[Loaded],
    galaxies: list[Loaded],
) -> None:
    """Compute the properties of every source of a merge run.

    Those that need a counterpart are computed twice: with the accepted ones, for the source; and for every hypothesis
    that has a probability of 0.01 at least.

    Parameters
    ----------
    run : Run
    source_run_id, link_run_id, match_run_id : int
    counterparts : list of Loaded
        In the order of priority: the first that has a magnitude or a proper motion gives it.
    galaxies : list of Loaded
    """
    conn = run.conn
    pairs.make_tables(conn)
    conn.execute(job("properties.make_work").compose())
    with run.step("counterparts"), progress.bar("properties: counterparts", len(counterparts)) as advance:
        terms: list[tuple[int, str, int, str, float]] = []
        for priority, other in enumerate(counterparts):
            conn.execute(
                job("properties.accept").compose(),
                {
                    "match_run_id": match_run_id,
                    "catalogue_id": other.catalogue_id,
                    "is_optical": other.definition.kind == "optical",
                    "priority": priority,
                    "min_p": MIN_P_HYPOTHESIS,
                },
            )
            for band in _BANDS:
                for rank, (column, offset) in enumerate(other.definition.colour_terms(band)):
                    terms.append((other.catalogue_id, band, 100 * priority + rank, column, offset))
            advance(1)
        with conn.cursor() as cursor:
            cursor.executemany(job("properties.add_colour_term").compose(), terms)
        conn.execute("ANALYZE pg_temp.member")
        conn.execute("ANALYZE pg_temp.colour_term")
        conn.execute(job("properties.look_up").compose())
        conn.execute("ANALYZE pg_temp.seen")
    for nearby in galaxies:
        with run.step(nearby.definition.name):
            find = job("properties.galaxy_needles").compose(galaxy=nearby.table)
            pairs.needles(conn, find, {"max_radii": MAX_RADII})
            sources = partitions.qualified("source", source_run_id)
            pairs.search(conn, sources, f"{nearby.definition.name} x sources", haystack_id="source_id")
            conn.execute(
                job("properties.in_galaxy").compose(galaxy=nearby.table),
                {"source_run_id": source_run_id, "max_radii": MAX_RADII},
            )
    values = {
        "run_id": run.run_id, "source_run_id": source_run_id, "link_run_id": link_run_id, "match_run_id": match_run_id,
        "min_p": MIN_P_HYPOTHESIS,
    }  # fmt: skip
    target = partitions.create(conn, "property", run.run_id)
    hypotheses = partitions.create(conn, "hypothesis_property", run.run_id)
    with run.step("store"), progress.bar("properties: store"):
        conn.execute(job("properties.store").compose(property=target), values)
        conn.execute(job("properties.store_hypotheses").compose(hypothesis_property=hypotheses), values)
        partitions.attach(conn, "property", run.run_id)
        partitions.attach(conn, "hypothesis_property", run.run_id)
    run.summary |= dicts(conn.execute(job("properties.count").compose(property=target)))[0]
    names = {p.name for p in all_properties()}
    present = dict(conn.execute(job("properties.presence").compose(property=target)).fetchall())
    run.summary["present"] = {name: present.get(name, 0) for name in sorted(names)}
