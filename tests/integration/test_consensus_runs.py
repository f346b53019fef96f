"""Consensus of votes as a run: the same to the bit when it is made again, its gates, its labels, every command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from in_process import commands
from small_sky import CLASSES, _pipeline, classify_again, make

from xcat.catalogues.definition import load
from xcat.columns.answers import ANSWERS
from xcat.config import Settings
from xcat.database import partitions
from xcat.database.connection import Connection, connect, open_volunteers
from xcat.database.loaded import Loaded
from xcat.database.runs import stage
from xcat.database.sqlfiles import job
from xcat.errors import Refusal, XcatError
from xcat.ingest.load import ingest
from xcat.jobs import stages
from xcat.jobs.votes import labels
from xcat.models import samples
from xcat.service.volunteers import accounts, voting

N_KNOWN, N_UNKNOWN = 40, 60
_ROWS = (
    "SELECT source_id, answer, p, n_votes, n_effective, is_retired FROM xcat.consensus"
    " WHERE run_id = %s AND n_votes > 0 ORDER BY 1"
)
_SKILLS = "SELECT volunteer_id, confusion, worth, n_votes FROM xcat.volunteer_skill WHERE run_id = %s ORDER BY 1"


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> dict[str, int]:
    """A published sky on which eight volunteers have voted who are right in four of five."""
    runs = make(module_settings)
    with connect(module_settings) as conn:
        cast(conn, 8, 0.8, 0.8, seed=1)
    return runs


@pytest.fixture
def xcat(module_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    return commands(module_settings, monkeypatch)


def cast(conn: Connection, n: int, right_of_known: float, right: float, seed: int, simulated: bool = False) -> None:
    """Votes of new volunteers; an unknown source is taken for the class of its number, wrong ones for the next.

    Two of the known ones deceive everybody.
    """
    rng = np.random.default_rng(seed)
    known = conn.execute(
        "SELECT source_id, known_class FROM pub.classified WHERE known_class IS NOT NULL AND is_best_of_master"
        " ORDER BY source_id LIMIT %s", [N_KNOWN],
    ).fetchall()  # fmt: skip
    unknown = conn.execute(
        "SELECT source_id FROM pub.classified WHERE known_class IS NULL AND is_best_of_master ORDER BY 1 LIMIT %s",
        [N_UNKNOWN],
    ).fetchall()
    items = [(i, CLASSES.index(c), c, right_of_known if number > 1 else 0.0) for number, (i, c) in enumerate(known)]
    items += [(i, i % 4, None, right) for (i,) in unknown]
    for _ in range(n):
        ((number,),) = conn.execute(job("volunteers.add_volunteer").compose(), {"simulated": simulated})
        for source_id, true, known_class, share in items:
            said = true if rng.random() < share else (true + 1) % 4
            values = {"volunteer_id": number, "source_id": source_id, "answer": ANSWERS[said]}
            values |= {"asked_as": "gold" if known_class else "unknown", "known_class": known_class}
            conn.execute(job("volunteers.vote").compose(), values)


def rows(settings: Settings, query: str, *params: object) -> list[tuple[Any, ...]]:
    with connect(settings) as conn:
        return conn.execute(query, params).fetchall()  # type: ignore[arg-type]


def test_it_comes_out_again_to_the_bit(
    xcat: Callable[..., str], made: dict[str, int], module_settings: Settings
) -> None:
    """After more votes, and after another publication, whose sources could be asked about beside those with votes."""
    first = json.loads(xcat("volunteers", "consensus", "--json"))
    assert first["votes"] == 8 * (N_KNOWN + N_UNKNOWN) and first["converged"] and first["accuracy_on_known"] > 0.9
    assert first["settled"] <= first["retired"] and first["could_be_asked"] > N_UNKNOWN - first["settled"]
    ((last,),) = rows(module_settings, "SELECT max(vote_id) FROM people.vote")
    with connect(module_settings) as conn:
        cast(conn, 1, 0.3, 0.3, seed=2)
        cast(conn, 2, 1.0, 1.0, seed=3, simulated=True)
    classify_again(module_settings, made)
    again = json.loads(xcat("volunteers", "consensus", "--last-vote", last, "--json"))
    assert again["run_id"] > first["run_id"] and again["votes"] == first["votes"]
    assert again["could_be_asked"] != 0 and again["turned"] == 0
    for query in (_ROWS, _SKILLS):
        assert rows(module_settings, query, again["run_id"]) == rows(module_settings, query, first["run_id"])
    more = json.loads(xcat("volunteers", "consensus", "--json"))
    assert more["votes"] == first["votes"] + N_KNOWN + N_UNKNOWN, "those of simulated volunteers do not count"
    simulated = json.loads(xcat("volunteers", "consensus", "--simulated", "--json"))
    assert simulated["volunteers"] == 2 and simulated["run_id"] > more["run_id"]
    with open_volunteers(module_settings) as conn:
        person = accounts.Person(0, 10**6, "Ada", None)
        asked, how = voting.next_of(conn, person, {"is_trained": True, "n_votes": 5}) or (0, "")
    ((best,),) = rows(
        module_settings,
        "SELECT source_id FROM xcat.consensus WHERE run_id = %s AND NOT is_retired AND known_class IS NULL"
        " ORDER BY vote_value DESC, source_id LIMIT 1", more["run_id"],
    )  # fmt: skip
    assert how in ("gold", "unknown") and (how == "gold" or asked == best), "asked by the newest of real volunteers"


def test_votes_under_way_are_waited_for(module_settings: Settings, made: dict[str, int]) -> None:
    """A vote that is being written has a smaller number than later ones: it is read before them or with them."""
    with connect(module_settings) as writer, connect(module_settings) as reader:
        writer.execute("INSERT INTO people.volunteer (is_simulated) VALUES (true)")
        writer.execute(
            "INSERT INTO people.vote (volunteer_id, source_id, answer, asked_as)"
            " SELECT max(volunteer_id), 1, 'AGN', 'unknown' FROM people.volunteer"
        )
        reader.execute("SET lock_timeout = '100ms'")
        with pytest.raises(Exception, match="lock timeout"):
            reader.execute(job("volunteers.no_vote_now").compose())
        reader.rollback()
        writer.rollback()
        reader.execute(job("volunteers.no_vote_now").compose())


def test_its_gates(xcat: Callable[..., str], made: dict[str, int], module_settings: Settings) -> None:
    kept = json.loads(xcat("volunteers", "consensus", "--json"))["run_id"]
    with pytest.raises(Refusal, match=r"the one before stays: of 40 known objects 9\d\.\d% are right, at least 100"):
        xcat("volunteers", "consensus", "--min-accuracy", 1)
    with connect(module_settings) as conn:  # twelve who know what is known, and call all else the next class
        cast(conn, 12, 1.0, 0.0, seed=4)
    with pytest.raises(Refusal, match=r"\d+\.\d% of \d+ settled sources change class, at most 2\.0%"):
        xcat("volunteers", "consensus")
    ((newest,),) = rows(
        module_settings,
        "SELECT max(run_id) FROM xcat.run WHERE kind = 'consensus' AND status = 'done'"
        " AND NOT (config ->> 'simulated')::boolean",
    )
    assert newest == kept
    told = xcat("volunteers", "consensus", "--most-turned", 1)
    assert f"{20 + 1} volunteers" in told and "of 40 known objects right" in told


def test_labels_are_what_is_settled_and_enter_where_a_pipeline_says_so(
    xcat: Callable[..., str], made: dict[str, int], module_settings: Settings, tmp_path: Path
) -> None:
    with connect(module_settings) as conn:  # who differ: with so many votes a source is asked about no more
        cast(conn, 8, 0.8, 0.5, seed=5)
    run_id = json.loads(xcat("volunteers", "consensus", "--most-turned", 1, "--json"))["run_id"]
    path = tmp_path / "citizen.csv"
    assert json.loads(xcat("volunteers", "labels", "-o", path, "--json"))["output"] == str(path)
    with path.open() as file:
        written = {row["name"]: row for row in csv.DictReader(file)}
    kept = rows(
        module_settings,
        "SELECT s.name, c.p, c.n_effective, c.is_retired, c.known_class, c.answer FROM xcat.consensus AS c"
        " JOIN pub.classified AS s USING (source_id) WHERE c.run_id = %s AND c.n_votes > 0", run_id,
    )  # fmt: skip
    settled = {
        name: answer for name, p, n, is_retired, known, answer in kept
        if is_retired and known is None and max(p) >= 0.97 and n >= 0.9 and answer in CLASSES
    }  # fmt: skip
    assert {name: row["class"] for name, row in written.items()} == settled and len(settled) > 10
    with connect(module_settings) as conn:  # retired after many votes, without being settled
        one = next(iter(written))
        conn.execute(
            "UPDATE xcat.consensus AS c SET p = '{0.5,0.3,0.2,0,0,0}' FROM pub.classified AS s"
            " WHERE c.run_id = %s AND s.source_id = c.source_id AND s.name = %s AND c.is_retired", [run_id, one],
        )  # fmt: skip
        assert {row["name"] for row in labels(conn, run_id)} == set(written) - {one}
        conn.rollback()
    with pytest.raises(XcatError, match="exists"):
        xcat("volunteers", "labels", "-o", path)
    for run, message in ((made["fit"], "is no consensus of real"), (10**6, "is no consensus of real")):
        with pytest.raises(XcatError, match=message):
            xcat("volunteers", "labels", "-o", path, "--run", run, "--overwrite")
    with pytest.raises(XcatError, match="is no consensus of simulated"):
        xcat("volunteers", "labels", "-o", path, "--run", run_id, "--simulated", "--overwrite")

    definition = load("citizen", [])
    ingest(module_settings, definition, [path])
    of = {name: number for number, name in rows(module_settings, "SELECT catalogue_id, name FROM xcat.catalogue")}
    citizen = Loaded(of["citizen"], definition)
    known = Loaded(of["milliquas"], definition.model_copy(update={"name": "milliquas"}))
    pipeline, learned = _pipeline(), {}
    for name, references in (("without", [known]), ("with", [known, citizen])):
        with stage(module_settings, "label", name, {}, source_run_id=made["merge"]) as run:
            stages.label_stage(run, made["merge"], references, pipeline.classes)
        with connect(module_settings) as conn:
            runs = {"merge": made["merge"], "properties": made["properties"], "label": run.run_id}
            source_id, _, label, *_ = samples.labelled(conn, pipeline.layout, pipeline.class_names, runs)
            learned[name] = dict(zip(source_id.tolist(), label.tolist(), strict=True))
            ((n,),) = conn.execute(
                "SELECT count(*) FROM xcat.label WHERE run_id = %s AND origin = 'citizen' AND status = 'used'",
                [run.run_id],
            )
        assert n >= len(written) if name == "with" else n == 0
    new = set(learned["with"]) - set(learned["without"])
    names = dict(rows(module_settings, "SELECT source_id, name FROM pub.classified"))
    # but for those at the very place of a known object, which another mission has seen
    now = {names[i]: CLASSES[learned["with"][i]] for i in new if names[i] in settled}
    assert now.items() <= settled.items() and len(now) > 0.8 * len(settled)


def test_what_is_known_from_votes_only_measures_nobody(module_settings: Settings, made: dict[str, int]) -> None:
    """A published label of origin citizen is not shown as a known object: votes would confirm themselves."""
    with connect(module_settings) as conn:
        table = f"pub.classified_r{rows(module_settings, 'SELECT pub.published_run()')[0][0]}"
        values = {"volunteer_id": 10**6, "classes": list(CLASSES)}
        ((source_id, _),) = conn.execute(job("volunteers.next_known").compose(), values)
        conn.execute(f"UPDATE {table} SET origin = 'citizen' WHERE source_id = %s", [source_id])
        ((other, _),) = conn.execute(job("volunteers.next_known").compose(), values)
        assert other != source_id
        conn.execute(f"UPDATE {table} SET origin = 'citizen' WHERE origin IS NOT NULL")
        assert conn.execute(job("volunteers.next_known").compose(), values).fetchone() is None
        conn.rollback()


def test_the_other_commands(
    xcat: Callable[..., str], made: dict[str, int], module_settings: Settings, tmp_path: Path
) -> None:
    with connect(module_settings) as conn:
        accounts.register(conn, "Ada  Byron", "", "seven green owls at night")
    (listed,) = json.loads(xcat("volunteers", "list", "--json"))
    assert listed["name"] == "Ada Byron" and listed["n_votes"] == 0 and "password_hash" not in listed
    assert "Ada Byron" in xcat("volunteers", "list")
    path = tmp_path / "votes.csv"
    told = json.loads(xcat("volunteers", "export", "-o", path, "--json"))
    with path.open() as file:
        votes = list(csv.DictReader(file))
    ((n,),) = rows(
        module_settings,
        "SELECT count(*) FROM people.vote JOIN people.volunteer USING (volunteer_id) WHERE NOT is_simulated",
    )
    assert len(votes) == n and told, told
    assert set(votes[0]) == {"volunteer_id", "source_id", "name", "answer", "asked_as", "known_class", "voted_at"}
    assert json.loads(xcat("volunteers", "notify", "--json")) == {"notices": 0}
    with pytest.raises(XcatError, match=r"no such file\. Give the folder of a simulated sky"):
        xcat("volunteers", "simulate", "--data", tmp_path)
    assert json.loads(xcat("volunteers", "delete", "ada  byron", "--json")) == {"deleted": "ada  byron"}
    with pytest.raises(XcatError, match="there is no account 'Ada Byron'"):
        xcat("volunteers", "delete", "Ada Byron")
    assert json.loads(xcat("volunteers", "list", "--json")) == []


def test_volunteers_who_are_simulated(
    xcat: Callable[..., str], made: dict[str, int], module_settings: Settings, tmp_path: Path
) -> None:
    """They vote on a sky whose truth is known: here, the published class, or what is known."""
    with connect(module_settings) as conn:
        conn.execute("UPDATE xcat.catalogue SET name = 'sim_' || name WHERE name IN ('xmm', 'swift')")
        of = {name: number for number, name in conn.execute("SELECT catalogue_id, name FROM xcat.catalogue")}
        sources = conn.execute(
            "SELECT s.source_id, s.catalogue_id, s.ra, s.dec, coalesce(p.known_class, p.class) FROM xcat.source AS s"
            " JOIN pub.classified AS p USING (source_id) WHERE s.run_id = %s ORDER BY 1", [made["merge"]],
        ).fetchall()  # fmt: skip
        number, catalogue, ra, dec, true = (np.array(column) for column in zip(*sources, strict=True))
        native = number.astype(np.bytes_)
        for catalogue_id in (of["sim_xmm"], of["sim_swift"]):
            its = catalogue == catalogue_id
            ((file_id,),) = conn.execute(
                "SELECT file_id FROM xcat.catalogue_content WHERE catalogue_id = %s", [catalogue_id]
            )
            block = {"catalogue_id": catalogue[its].astype(np.int16), "object_id": number[its], "ra": ra[its]}
            block |= {"file_id": np.full(its.sum(), file_id, np.int32), "native_id": native[its], "dec": dec[its]}
            block["err_arcsec"] = np.ones(its.sum(), np.float32)
            partitions.write(conn, "detection", catalogue_id, [block])
        block = {"run_id": np.full(number.size, made["merge"], np.int32), "source_id": number, "object_id": number}
        partitions.write(
            conn, "source_detection", made["merge"], [block | {"catalogue_id": catalogue.astype(np.int16)}]
        )
    truth = {"mission": np.where(catalogue == of["sim_xmm"], "xmm", "swift"), "native_id": number.astype(str)}
    (tmp_path / "truth").mkdir()
    table = pa.table(truth | {"class": true, "is_spurious": np.zeros(number.size, bool)})
    pq.write_table(table, tmp_path / "truth" / "xray.parquet")
    ask = ("volunteers", "simulate", "--data", tmp_path, "--votes", 1500, "--sources", 100, "--hostile", 5)
    figures = json.loads(xcat(*ask, "--json"))
    assert figures["sources"] == 100 and figures["hostile"] == 5 and figures["votes"] <= 1500
    assert figures["accuracy"] >= figures["accuracy_plurality"] and figures["accuracy"] > 0.9
    ((n,),) = rows(
        module_settings,
        "SELECT count(*) FROM people.vote JOIN people.volunteer USING (volunteer_id) WHERE is_simulated"
        " AND volunteer_id > (SELECT max(volunteer_id) - 46 FROM people.volunteer)",
    )
    assert n == figures["votes"], "kept as those of people are, marked"
    assert "right" in xcat("volunteers", "consensus", "--simulated", "--most-turned", 1, "--min-accuracy", 0.5)
