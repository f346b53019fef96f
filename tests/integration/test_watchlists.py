"""Watchlists: what a publication changes is told on the page, in the feed and to webhooks; readers see no error."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
import xml.etree.ElementTree as Tree
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from forms import person, post, registered
from in_process import commands
from served import serving
from small_sky import classify_again, make

from xcat.config import Settings
from xcat.database.connection import connect
from xcat.errors import InputError
from xcat.jobs.publishing import publish
from xcat.service import hooks
from xcat.service.volunteers import watchlists

_ATOM = "{http://www.w3.org/2005/Atom}"
_N_READERS = 12


class Listener(ThreadingHTTPServer):
    """A host that webhooks call: it keeps what it is told, sends some on elsewhere, and is slow for others."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.told: list[tuple[str, dict[str, object]]] = []
        self.host = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.path, json.loads(body)))
        if self.path == "/slow":
            time.sleep(2)
        self.send_response(302 if self.path == "/on" else 200)
        if self.path == "/on":
            self.send_header("Location", f"http://{self.server.elsewhere}/caught")  # type: ignore[attr-defined]
        self.end_headers()
        if self.path == "/endless":
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as allowed, Listener() as foreign:
        allowed.elsewhere, allowed.foreign = foreign.host, foreign  # type: ignore[attr-defined]
        yield allowed
        allowed.shutdown()
        foreign.shutdown()


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> dict[str, int]:
    return make(module_settings)


@pytest.fixture(scope="module")
def sky(module_settings: Settings, made: dict[str, int], listener: Listener) -> Settings:
    return dataclasses.replace(module_settings, webhook_hosts=(listener.host,))


@pytest.fixture(scope="module")
def url(sky: Settings) -> Iterator[str]:
    with serving(sky) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with person(url) as made:
        yield made


def watch(client: httpx.Client, title: str, **fields: object) -> httpx.Response:
    return post(client, "/watch", "/watch", title=title, **fields)


def test_a_publication_is_told_on_the_page_in_the_feed_and_to_a_webhook(
    client: httpx.Client, sky: Settings, made: dict[str, int], listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real second publication, with other weights; and two more while people read: nobody sees an error."""
    registered(client, "Gil")
    with connect(sky) as conn:
        before = dict(conn.execute("SELECT source_id, class FROM pub.classified"))
        ((ra, dec),) = conn.execute("SELECT ra, dec FROM pub.classified ORDER BY source_id LIMIT 1")
    hook = f"http://{listener.host}"
    all_of = "SELECT source_id FROM pub.classified"
    assert watch(client, "Mine <b>", adql=all_of, hook=f"{hook}/told").status_code == 200
    # sources that are called XRB now: who is called otherwise later has left the query, and is told all the same
    assert watch(client, "Binaries", adql=f"{all_of} WHERE class = 'XRB'").status_code == 200
    assert watch(client, "A place", places=f"{ra} {dec}", radius=1).status_code == 200
    assert watch(client, "On", adql=all_of, hook=f"{hook}/on").status_code == 200
    page = client.get("/watch")
    assert "Mine &lt;b&gt;" in page.text and page.text.count("Nothing has changed") == 4
    stop, wrong = threading.Event(), list[str]()
    second = classify_again(sky, made)

    def read(number: int) -> int:
        paths = ("/", "/candidates?class=XRB", f"/source/{number + 1}", "/watch", "/model", "/status")
        with httpx.Client(base_url=client.base_url, timeout=120) as reader:
            for n in range(10**6):
                answer = reader.get(paths[(number + n) % len(paths)])
                if answer.status_code != 200:
                    wrong.append(f"{answer.url}: {answer.status_code}")
                if stop.is_set():
                    return n
        return 0

    with ThreadPoolExecutor(_N_READERS) as readers:
        reading = [readers.submit(read, number) for number in range(_N_READERS)]
        publish(sky, made["classify"])
        publish(sky, second)
        stop.set()
        assert sum(each.result() for each in reading) > 0 and not wrong
    with connect(sky) as conn:
        after = dict(conn.execute("SELECT source_id, class FROM pub.classified"))
    changed = {i for i in before if before[i] != after[i]}
    left = {i for i in changed if before[i] == "XRB"}
    assert changed and left, "the other weights change something"

    monkeypatch.setenv("XCAT_WEBHOOK_HOSTS", listener.host)
    xcat = commands(sky, monkeypatch)
    n = json.loads(xcat("volunteers", "notify", "--json"))["notices"]
    joined = {i for i in changed if after[i] == "XRB"}
    assert n >= 2 * len(changed) + len(left)
    assert json.loads(xcat("volunteers", "notify", "--json")) == {"notices": 0}, "told once"
    lists = {each["title"]: each for each in client.get("/watch", params={"format": "json"}).json()["lists"]}
    of_class = {
        title: {notice["source_id"] for notice in each["notices"] if notice["changed"] == "class"}
        for title, each in lists.items()
    }
    assert of_class["Mine <b>"] == changed and of_class["Binaries"] == left | joined
    page = client.get("/watch")
    assert f" was {before[min(changed)]} and is {after[min(changed)]} now" in page.text

    with httpx.Client(base_url=client.base_url) as reader:
        feed = reader.get(f"/watch/feed/{lists['Binaries']['feed_key']}")
        assert feed.headers["content-type"].startswith("application/atom+xml")
        root = Tree.fromstring(feed.text)
        assert len(root.findall(f"{_ATOM}entry")) == len(lists["Binaries"]["notices"])
        link = root.find(f"{_ATOM}entry/{_ATOM}link")
        assert link is not None and reader.get(link.get("href", "")).status_code == 200
        assert reader.get("/watch/feed/nothing").status_code == 404

    told = dict(listener.told)
    assert set(told) == {"/told", "/on"} and told["/told"]["run"] == second
    assert {c["source_id"] for c in told["/told"]["changes"] if c["changed"] == "class"} == changed  # type: ignore[attr-defined]
    assert not listener.foreign.told, "a redirect to another host is not followed"  # type: ignore[attr-defined]

    with httpx.Client(base_url=client.base_url, follow_redirects=True) as other:
        registered(other, "Hal")
        list_id = lists["On"]["watchlist_id"]
        assert post(other, "/watch", f"/watch/{list_id}/delete").status_code == 404, "not hers"
        theirs = post(other, "/watch", f"/watch/{list_id}", title="Mine now", adql=all_of)
        assert theirs.status_code == 404, "not hers to change"
    assert post(client, "/watch", f"/watch/{list_id}/delete").status_code == 200
    mine = client.get("/volunteers/account/export").json()
    assert sum(len(each["notices"]) for each in mine["watchlists"]) >= len(changed)


def test_a_run_that_is_dropped_makes_no_flood(client: httpx.Client, sky: Settings, made: dict[str, int]) -> None:
    """The earlier run of a list is gone: nothing can be compared, and not everything is new."""
    registered(client, "Ida")
    assert watch(client, "Old", adql="SELECT source_id FROM pub.classified").status_code == 200
    with connect(sky) as conn:
        conn.execute("UPDATE people.watchlist SET watched_run_id = 999998 WHERE title = 'Old'")
    said: list[str] = []
    assert watchlists.tell(sky, said.append) == 0 and "run 999998, which it knows, is dropped" in said[0]
    assert watchlists.tell(sky, said.append) == 0 and len(said) == 1
    assert "Nothing has changed" in client.get("/watch").text


def test_a_list_is_changed_and_a_form_that_is_refused_is_not_lost(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Lea")
    query = "SELECT source_id FROM pub.classified"
    refused = watch(client, "Far", adql=query, hook="https://evil.example/x")
    assert refused.status_code == 400 and "Nothing was saved: webhooks go only to hosts" in refused.text
    assert 'value="Far"' in refused.text and f">{query}</textarea>" in refused.text and "evil.example/x" in refused.text
    assert watch(client, "Far", adql=query).status_code == 200
    (kept,) = client.get("/watch", params={"format": "json"}).json()["lists"]
    to = f"/watch/{kept['watchlist_id']}"
    bad = post(client, "/watch", to, title="Near", adql="SELECT name FROM pub.classified")
    assert bad.status_code == 400 and "a column source_id" in bad.text and 'value="Near"' in bad.text
    assert post(client, "/watch", to, title="Near", adql=f"{query} WHERE class = 'AGN'").status_code == 200
    (changed,) = client.get("/watch", params={"format": "json"}).json()["lists"]
    assert (changed["title"], changed["feed_key"]) == ("Near", kept["feed_key"])
    assert 0 < changed["n_sources"] < kept["n_sources"]
    assert post(client, "/watch", "/watch/nothing", title="Near", adql=query).status_code == 404


def test_queries_that_cannot_be_watched(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Joe")
    for adql, words in {
        "SELECT name FROM pub.classified": "a column source_id",
        "SELECT name AS source_id FROM pub.classified": "a column source_id",
        "SELECT p_class AS source_id FROM pub.classified": "a column source_id",
        "SELECT source_id FROM pub.classified WHERE 1 / (n_detections - n_detections) > 0": "division by zero",
        "DELETE FROM pub.classified": "",
        "SELECT source_id FROM people.vote": "people.vote",
        "": "1 to 50 positions",
    }.items():
        refused = watch(client, "Bad", adql=adql)
        assert refused.status_code == 400 and words in refused.text, (adql, refused.text[-600:])
    many = "\n".join(f"{7 * i} {i / 2 - 20}" for i in range(watchlists.MOST_PLACES))
    assert watch(client, "Many", places=many, radius=5).status_code == 200, "as many positions as are promised"
    assert watch(client, "More", places=f"{many}\n1 1").status_code == 400


def test_a_list_that_fails_does_not_keep_others_from_being_told(
    client: httpx.Client, sky: Settings, made: dict[str, int]
) -> None:
    registered(client, "Kai")
    assert watch(client, "Fails", adql="SELECT source_id FROM pub.classified").status_code == 200
    assert watch(client, "Works", adql="SELECT source_id FROM pub.classified").status_code == 200
    with connect(sky) as conn:
        conn.execute("UPDATE people.watchlist SET adql = 'SELECT nothing FROM pub.nowhere' WHERE title = 'Fails'")
    publish(sky, made["classify"])
    said: list[str] = []
    assert watchlists.tell(sky, said.append) > 0 and sum("nowhere" in line for line in said) == 1
    with connect(sky) as conn:
        watched = dict(
            conn.execute("SELECT title, watched_run_id FROM people.watchlist WHERE title IN ('Fails', 'Works')")
        )
    assert watched["Works"] == made["classify"] != watched["Fails"], "the other is tried again"


# --- webhooks -------------------------------------------------------------------------------------------------------


def test_webhooks_go_only_where_the_operator_allows(listener: Listener) -> None:
    allowed = ("hooks.example.org", "other.example:8443")
    assert watchlists.checked_hook("https://hooks.example.org/x", allowed) == "https://hooks.example.org/x"
    assert watchlists.checked_hook("https://other.example:8443/x", allowed)
    assert watchlists.checked_hook("", ()) is None
    for hook in ("https://evil.example/", "http://127.0.0.1/", "https://hooks.example.org:22/", "file:///etc/passwd",
                 "https://hooks.example.org@evil.example/", "https://u:p@hooks.example.org/", "rm -rf /",
                 "https://hooks.example.org\\@evil.example/", "http://[::1",
                 "https://hooks.example.org.evil.example/"):  # fmt: skip
        with pytest.raises(InputError, match="hosts that the operator allows"):
            watchlists.checked_hook(hook, allowed)
    with pytest.raises(InputError, match="at most 2,000 characters"):
        watchlists.checked_hook(f"https://hooks.example.org/{'x' * 2000}", allowed)
    # a host that is no longer allowed when the time has come
    n = len(listener.told)
    assert "hosts that the operator allows" in str(watchlists._call(f"http://{listener.host}/late", allowed, {}))
    assert len(listener.told) == n


def test_a_host_that_sends_on_is_slow_or_never_ends(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "TIMEOUT_S", 0.5)
    call: Callable[[str], str | None] = lambda path: watchlists._call(  # noqa: E731
        f"http://{listener.host}{path}", (listener.host,), {"event": "watchlist"}
    )
    assert call("/told") is None
    assert re.search(r"/\*\*\*: the server answered 302", str(call("/on")))
    assert not listener.foreign.told  # type: ignore[attr-defined]
    started = time.monotonic()
    assert "ReadTimeout" in str(call("/slow"))
    assert call("/endless") is None, "what it answers is not read"
    assert time.monotonic() - started < 2


def test_changes_of_class_counterpart_and_flux(sky: Settings) -> None:
    """A second run with three sources changed, written beside the published one."""
    with connect(sky) as conn:
        ((run_id,),) = conn.execute("SELECT pub.published_run()")
        ids = [row[0] for row in conn.execute(
            "SELECT source_id FROM pub.classified WHERE optical_native_id <> '' ORDER BY 1 LIMIT 4")]  # fmt: skip
        conn.execute("CREATE TABLE pub.tried (LIKE pub.classified_runs)")
        conn.execute(
            "INSERT INTO pub.tried SELECT * FROM pub.classified_runs WHERE run_id = %s AND source_id = ANY (%s)",
            [run_id, ids[:3]],
        )
        conn.execute("UPDATE pub.tried SET run_id = 999999")
        conn.execute("UPDATE pub.tried SET class = 'TDE' WHERE source_id = %s", [ids[0]])
        conn.execute("UPDATE pub.tried SET optical_native_id = 'another' WHERE source_id = %s", [ids[1]])
        conn.execute("UPDATE pub.tried SET flux_cgs = flux_cgs * 9 WHERE source_id = %s", [ids[2]])
        conn.execute("ALTER TABLE pub.classified_runs ATTACH PARTITION pub.tried FOR VALUES FROM (999999) TO (1000000)")
        found = watchlists.changes(conn, ids, run_id, 999999)
        assert [(n["source_id"], n["changed"]) for n in found] == [
            (ids[0], "class"), (ids[1], "counterpart"), (ids[2], "flux"), (ids[3], "gone"),
        ]  # fmt: skip
        assert all(n["name"] in watchlists.sentence(n) for n in found)
        conn.rollback()
