"""What a classify run stands on: its catalogues, and what its match learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xcat.catalogues.definition import Definition
from xcat.database import runs
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.errors import XcatError
from xcat.match import learned
from xcat.match.haystack import Haystack
from xcat.match.stage import MatchStageOptions, haystack_of
from xcat.output.reading import Row, classify_run, rows
from xcat.properties import depth
from xcat.properties.depth import Depths


@dataclass(frozen=True)
class PublishedRun:
    """A classify run, with the catalogues that its runs read, in the order of its pipeline.

    Attributes
    ----------
    run : dict
        As of `xcat.output.reading.classify_run`.
    haystacks : tuple of Haystack
        The counterpart catalogues as its match saw them.
    learned : Learned or None
        What its match learned; None if it had no counterpart catalogues.
    depths : mapping
        How deep the counterpart catalogues are, by number.
    """

    run: Row
    missions: tuple[Loaded, ...]
    counterparts: tuple[Loaded, ...]
    galaxies: tuple[Loaded, ...]
    references: tuple[Loaded, ...]
    options: MatchStageOptions
    haystacks: tuple[Haystack, ...]
    learned: learned.Learned | None
    best_match: bool
    depths: Mapping[int, Depths] = field(default_factory=dict)


def load(conn: Connection, run_id: int | None = None) -> PublishedRun:
    """Read a classify run, or the published one.

    Raises
    ------
    XcatError
        Nothing is published, the run is not a finished classify run, or an older version of xcat made its match.
    """
    run = classify_run(conn, run_id)
    run_of = {kind: run[f"{kind}_run_id"] for kind in ("source", "match", "property", "label")}
    configs = {kind: {} if number is None else runs.get(conn, number)["config"] for kind, number in run_of.items()}
    of_match = configs["match"]
    keys = {"run_ids": [number for number in run_of.values() if number is not None], "kinds": list(_KINDS)}
    by_name = {row["name"]: row for row in rows(conn, "publish.catalogues", keys)}

    def group(kind: str, key: str) -> tuple[Loaded, ...]:
        read = [by_name[item["catalogue"]] for item in configs[kind].get(key, ())]
        return tuple(Loaded(row["catalogue_id"], Definition.from_dict(row["definition"])) for row in read)

    missions, counterparts = group("source", "xray"), group("match", "counterparts")
    haystacks = tuple(
        haystack_of(
            conn, c, of_match["completeness"].get(c.definition.name), of_match["magnitudes"].get(c.definition.name)
        )
        for c in counterparts
    )
    options = MatchStageOptions(**{name: of_match[name] for name in MatchStageOptions.model_fields if name in of_match})
    of_sky = None
    if counterparts:
        of_sky = learned.load(conn, run["match_run_id"], _ids(missions), _ids(counterparts))
    best_match = bool(runs.get(conn, run["run_id"])["config"].get("best_match", False))
    return PublishedRun(
        run,
        missions,
        counterparts,
        group("property", "galaxies"),
        group("label", "references"),
        options,
        haystacks,
        of_sky,
        best_match,
        depth.load(conn, run_of["property"]) if run_of["property"] is not None else {},
    )


_KINDS = ("xray_detections", "xray_sources", "optical", "infrared", "galaxy", "reference")


def _ids(catalogues: Sequence[Loaded]) -> list[int]:
    return [loaded.catalogue_id for loaded in catalogues]


def mission_number(published: PublishedRun, name: str) -> int:
    """Number of the mission in the match, from 1; -1 for an empty name: none of them.

    Raises
    ------
    XcatError
        The run has no such mission.
    """
    names = [loaded.definition.name for loaded in published.missions]
    if not name:
        return -1
    if name not in names:
        raise XcatError(f"--mission {name}: the published run has no mission of this name; it has: {', '.join(names)}")
    return names.index(name) + 1


def summary(published: PublishedRun) -> dict[str, Any]:
    """What the answer for a table records of the run."""
    return {
        "classify_run_id": published.run["run_id"],
        "model_run_id": published.run["model_run_id"],
        "match_run_id": published.run["match_run_id"],
        "counterpart_catalogues": [loaded.definition.name for loaded in published.counterparts],
    }
