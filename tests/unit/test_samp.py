"""Tables sent by SAMP, with a hub on this machine only."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from astropy.io.votable import parse
from astropy.table import Table
from output_tables import BIG, odd_table
from pyvo.samp import SAMPHubServer, SAMPIntegratedClient

from xcat.errors import XcatError
from xcat.output import samp


@pytest.fixture
def lockfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "samp"
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{path.as_uri()}")
    return path


@pytest.fixture
def hub(lockfile: Path) -> Iterator[SAMPHubServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server = SAMPHubServer(web_profile=False, addr="127.0.0.1", lockfile=str(lockfile))
        server.start()
        yield server
        server.stop()


class Viewer:
    """A program that takes tables, as TOPCAT does."""

    def __init__(self, answer: dict[str, Any] | None = None) -> None:
        self.tables: list[tuple[str, Table]] = []
        self.answer = answer or {"samp.status": "samp.ok", "samp.result": {}}
        self.client = SAMPIntegratedClient(name="viewer", addr="127.0.0.1")
        self.client.connect()
        self.client.bind_receive_call("table.load.votable", self.receive)

    def receive(self, key: str, sender: str, message_id: str, mtype: str, params: Any, extra: Any) -> None:
        path = Path(unquote(urlparse(params["url"]).path))
        self.tables.append((params["name"], parse(path).get_first_table().to_table(use_names_over_ids=True)))
        self.client.reply(message_id, self.answer)


def test_without_a_hub_or_a_program_it_is_said_before_the_work(lockfile: Path, hub: SAMPHubServer) -> None:
    with pytest.raises(XcatError, match=r"no program there takes tables\. Start TOPCAT"):
        samp.check()
    hub.stop()
    with pytest.raises(XcatError, match=r"no SAMP hub runs\. Start TOPCAT or Aladin"):
        samp.check()
    hub.start()


def test_every_program_gets_the_rows(hub: SAMPHubServer) -> None:
    error = {"samp.status": "samp.error", "samp.error": {"samp.errortxt": "no room"}}
    one, two = Viewer(), Viewer(error)
    table = odd_table()[["id", "RA", "DE", "umlaut", "u64"]]
    samp.check()
    told = samp.send(table, "XRB candidates")
    assert sorted(told) == ["3 rows sent to viewer", "viewer could not load the table: no room"]
    (name, got), _ = one.tables[0], two.tables[0]
    assert name == "XRB candidates" and got["id"].tolist() == [BIG, -BIG, 7]
    assert got["RA"].unit == "deg" and got["umlaut"].tolist() == ["naïve", "Ωλ", "日本"]
    for viewer in (one, two):
        viewer.client.disconnect()
