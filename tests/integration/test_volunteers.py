"""Volunteers and watchlists: votes that stay, what is hidden before one has voted, sessions, limits, feeds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from served import serving
from small_sky import make

from xcat.columns.answers import ANSWERS
from xcat.config import Settings
from xcat.database.connection import connect, open_volunteers
from xcat.errors import InputError
from xcat.service.tap.errors import HttpError
from xcat.service.volunteers import accounts, voting, watchlists

PASSWORD = "seven green owls at night"


@pytest.fixture(scope="module")
def sky(module_settings: Settings) -> Settings:
    make(module_settings)
    return dataclasses.replace(module_settings, webhook_hosts=("hooks.example.org",))


@pytest.fixture(scope="module")
def url(sky: Settings) -> Iterator[str]:
    with serving(sky) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, follow_redirects=True, timeout=20) as made:
        yield made


def post(client: httpx.Client, form: str, to: str, **fields: object) -> httpx.Response:
    """Send a form as its page gives it."""
    page = client.get(form)
    found = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert found, page.text[:500]
    return client.post(to, data={"form_token": found[1], **fields})


def registered(client: httpx.Client, name: str) -> None:
    answer = post(client, "/volunteers/register", "/volunteers/register", name=name, password=PASSWORD)
    assert answer.status_code == 200 and f"<b>{name}</b>" in answer.text, answer.text


def asked(client: httpx.Client) -> dict[str, object]:
    found: dict[str, object] = client.get("/volunteers/vote", params={"format": "json"}).json()
    return found


def vote(client: httpx.Client, answer: str) -> httpx.Response:
    return post(client, "/volunteers/vote", "/volunteers/vote", source_id=asked(client)["source_id"], answer=answer)


def truth(sky: Settings, source_id: object) -> str:
    with connect(sky) as conn:
        ((known,),) = conn.execute("SELECT known_class FROM pub.classified WHERE source_id = %s", [source_id])
    return str(known)


# --- votes ----------------------------------------------------------------------------------------------------------


def test_tutorial_then_unknown_ones_and_nothing_leaks_before_the_vote(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Ada")
    classes = {"class", "p_class", "known_class", "posterior", "others", "ours", "name_of_source"}
    for number in range(20):
        question = asked(client)
        page = client.get("/volunteers/vote")
        assert set(question) == {
            "person",
            "form_token",
            "answers",
            "hints",
            "source_id",
            "is_tutorial",
            "progress",
            "source",
        }
        assert not classes & set(question["source"]) and "/source/" not in page.text  # type: ignore[call-overload]
        assert not any(column.startswith("p_") and column != "p_variable" for column in question["source"])  # type: ignore[attr-defined]
        assert question["is_tutorial"] is (number < voting.TUTORIAL) and bool(question["hints"]) is (
            number < voting.TUTORIAL
        )
        early = client.get(f"/volunteers/voted/{question['source_id']}", params={"format": "json"})
        assert early.status_code == 400 and set(early.json()) == {"error"}
        known = truth(sky, question["source_id"])
        answer = vote(client, known if known in ANSWERS else "dont_know")
        assert answer.status_code == 200, answer.text
        assert "What xcat says" in answer.text and ("Right" in answer.text) is (known != "None")
        seen = client.get(f"/volunteers/voted/{question['source_id']}", params={"format": "json"}).json()
        assert seen["ours"]["class"] and sum(o["n"] for o in seen["others"]) >= 1
    progress = asked(client)["progress"]
    assert progress["n_votes"] == 20 and progress["success"] == 1.0  # type: ignore[index]
    assert progress["streak"] >= 12 and progress["n_unknown"] >= 1 and progress["is_trained"]  # type: ignore[index]


def test_votes_are_never_changed_or_deleted(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Bea")
    question = asked(client)
    vote(client, "XRB")
    again = post(client, "/volunteers/vote", "/volunteers/vote", source_id=question["source_id"], answer="CV")
    assert again.status_code == 400 and "not the source" in again.text
    statements = ("UPDATE people.vote SET answer = 'CV'", "DELETE FROM people.vote", "TRUNCATE people.vote")
    with connect(sky) as owner, open_volunteers(sky) as service:
        for statement in statements:
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation), owner.transaction():
                owner.execute(statement)  # type: ignore[arg-type]
            with pytest.raises(psycopg.errors.InsufficientPrivilege), service.transaction():
                service.execute(statement)  # type: ignore[arg-type]
        for statement in ("SELECT config_key FROM xcat.run", "CREATE TABLE people.x ()", "DELETE FROM people.volunteer",
                          "INSERT INTO pub.publication DEFAULT VALUES"):  # fmt: skip
            with (
                pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)),
                service.transaction(),
            ):
                service.execute(statement)  # type: ignore[arg-type]


# --- accounts -------------------------------------------------------------------------------------------------------


def test_a_form_of_elsewhere_is_refused(client: httpx.Client) -> None:
    registered(client, "Cem")
    source_id = asked(client)["source_id"]
    fields = {"source_id": source_id, "answer": "AGN"}
    assert client.post("/volunteers/vote", data=fields).status_code == 403
    assert client.post("/volunteers/vote", data=fields | {"form_token": "0" * 64}).status_code == 403
    token = str(asked(client)["form_token"])
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/volunteers/vote", data=fields | {"form_token": token}, headers=headers).status_code == 403
    other = httpx.Client(base_url=client.base_url)
    with other:
        assert other.post("/volunteers/vote", data=fields | {"form_token": token}).status_code == 403
    assert client.post("/volunteers/vote", data=fields | {"form_token": token}).status_code == 200


def test_sessions_are_of_the_server_and_end(client: httpx.Client, sky: Settings) -> None:
    page = client.get("/volunteers/register")
    token = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert token
    data = {"form_token": token[1], "name": "Dora", "password": PASSWORD}
    answer = client.post("/volunteers/register", data=data, follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
    client.cookies.clear()
    page = client.get("/volunteers/login")
    token = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert token
    secure = client.post(
        "/volunteers/login",
        data={"form_token": token[1], "name": "dora", "password": PASSWORD},
        headers={"X-Forwarded-Proto": "https"},
        follow_redirects=False,
    )
    assert secure.status_code == 303 and "Secure" in secure.headers["set-cookie"]
    held = re.search(r"xcat_session=([^;]+)", secure.headers["set-cookie"])
    assert held and len(held[1]) >= 43
    with connect(sky) as conn:
        kept = [row[0] for row in conn.execute("SELECT token_sha256 FROM people.web_session")]
        assert accounts.sha256(held[1]) in kept and held[1] not in kept
    client.cookies.set("xcat_session", held[1])
    assert client.get("/volunteers/account").status_code == 200
    assert client.get("/volunteers/account").headers["cache-control"] == "no-store"
    post(client, "/volunteers", "/volunteers/logout")
    client.cookies.set("xcat_session", held[1])
    assert client.get("/volunteers/account").status_code == 401
    client.cookies.clear()
    assert post(client, "/volunteers/login", "/volunteers/login", name="Dora", password=PASSWORD).status_code == 200
    assert client.get("/volunteers/account").status_code == 200
    with connect(sky) as conn:
        conn.execute("UPDATE people.web_session SET expires_at = now() - interval '1 s'")
    assert client.get("/volunteers/account").status_code == 401, "it lasts 14 days, not longer"


def test_passwords_follow_the_rules(client: httpx.Client, sky: Settings) -> None:
    for wrong in ("short", "x" * 129, "passwordpassword", "aaaaaaaaaaaaaaa", "123456789012"):
        with pytest.raises(InputError, match="password"):
            accounts.checked_password(wrong, "Eva")
    for right in ("correct horse battery", "ünïcödé pässwörd ☃", "x y z a b c d e f", "y" + "abcdefg" * 18):
        assert accounts.checked_password(right, "Eva") == right
    registered(client, "Eva")
    with connect(sky) as conn:
        ((kept,),) = conn.execute("SELECT password_hash FROM people.account WHERE name = 'Eva'")
    assert kept.startswith("$argon2id$") and PASSWORD not in kept
    twice = post(client, "/volunteers/register", "/volunteers/register", name="EVA", password=PASSWORD)
    assert twice.status_code == 400 and "taken" in twice.text
    new = "another long one, with blanks "
    to = "/volunteers/account/password"
    assert post(client, "/volunteers/account", to, old="wrong wrong wrong", password=new).status_code == 403
    old_session = client.cookies["xcat_session"]
    assert post(client, "/volunteers/account", to, old=PASSWORD, password=new).status_code == 200
    with httpx.Client(base_url=client.base_url, cookies={"xcat_session": old_session}) as stolen:
        assert stolen.get("/volunteers/account").status_code == 401, "sessions of before end"
    post(client, "/volunteers", "/volunteers/logout")
    assert post(client, "/volunteers/login", "/volunteers/login", name="Eva", password=new).status_code == 200


def test_guessing_passwords_is_slowed_down(client: httpx.Client) -> None:
    wrong = [
        post(client, "/volunteers/login", "/volunteers/login", name="Nobody", password="x" * 12) for _ in range(11)
    ]
    assert [answer.status_code for answer in wrong] == [403] * 10 + [429]
    assert len({re.sub(r"\w{64}", "", a.text) for a in wrong[:10]}) == 1 and wrong[-1].headers["retry-after"]
    limiter = accounts.Limiter(2, 60)
    limiter.check("a"), limiter.check("a"), limiter.check("b")
    with pytest.raises(HttpError, match="too many"):
        limiter.check("a")


def test_what_is_kept_can_be_taken_and_deleted(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Finn")
    question = asked(client)
    sent = post(
        client, "/volunteers/vote", "/volunteers/vote",
        source_id=question["source_id"], answer="Star", remark="<script>alert(1)</script>",
    )  # fmt: skip
    assert "&lt;script&gt;" in sent.text and "<script>alert" not in sent.text
    mine = client.get("/volunteers/account/export").json()
    assert mine["account"]["name"] == "Finn" and len(mine["votes"]) == len(mine["remarks"]) == 1
    assert "password_hash" not in str(mine)
    number = mine["account"]["volunteer_id"]
    gone = post(client, "/volunteers/account", "/volunteers/account/delete", password="wrong wrong wrong")
    assert gone.status_code == 403
    gone = post(client, "/volunteers/account", "/volunteers/account/delete", password=PASSWORD)
    assert gone.status_code == 200 and "Register" in gone.text
    with connect(sky) as conn:
        assert conn.execute("SELECT count(*) FROM people.account WHERE name = 'Finn'").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM people.vote WHERE volunteer_id = %s", [number]).fetchone() == (1,)
        assert conn.execute("SELECT count(*) FROM people.remark WHERE body LIKE '<script%'").fetchone() == (0,)


# --- watchlists -----------------------------------------------------------------------------------------------------


def test_a_watchlist_is_told_what_a_publication_changes(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Gil")
    with connect(sky) as conn:
        first, second = conn.execute(
            "SELECT source_id, ra, dec, class, run_id FROM pub.classified ORDER BY source_id LIMIT 2"
        ).fetchall()
    places = f"{first[1]} {first[2]}\n{second[1]}, {second[2]}"
    saved = post(client, "/watch", "/watch", title="Mine <b>", places=places, radius=1)
    assert saved.status_code == 200 and "Mine &lt;b&gt;" in saved.text and "Nothing has changed" in saved.text
    saved = post(client, "/watch", "/watch", title="By query", adql="SELECT TOP 3 source_id FROM pub.classified")
    assert saved.status_code == 200, saved.text
    for adql, words in {
        "SELECT name FROM pub.classified": "source_id",
        "DELETE FROM pub.classified": "",
        "SELECT source_id FROM people.vote": "",
    }.items():
        refused = post(client, "/watch", "/watch", title="Bad", adql=adql)
        assert refused.status_code == 400 and words in refused.text, adql
    # the run of before said otherwise: a published run beside the present one
    with connect(sky) as conn:
        conn.execute("UPDATE people.watchlist SET watched_run_id = -1 WHERE title = 'Mine <b>'")
        conn.commit()
    n_told = watchlists.tell(sky, print)
    assert n_told >= 2, "compared with a run that has none of them, all are new"
    assert watchlists.tell(sky, print) == 0, "told once"
    page = client.get("/watch")
    assert page.text.count("is new, as") == n_told
    address = re.search(r"/watch/feed/[\w-]+", page.text)
    assert address
    with httpx.Client(base_url=client.base_url) as reader:
        feed = reader.get(address[0])
        assert feed.headers["content-type"].startswith("application/atom+xml")
        import xml.etree.ElementTree as Tree

        root = Tree.fromstring(feed.text)
        atom = "{http://www.w3.org/2005/Atom}"
        assert root.findtext(f"{atom}title") == "Mine <b>" and len(root.findall(f"{atom}entry")) == n_told
        assert reader.get("/watch/feed/nothing").status_code == 404
    with connect(sky) as conn:
        ((list_id,),) = conn.execute("SELECT watchlist_id FROM people.watchlist WHERE title = 'By query'")
    with httpx.Client(base_url=client.base_url, follow_redirects=True) as other:
        registered(other, "Hal")
        assert post(other, "/watch", f"/watch/{list_id}/delete").status_code == 404, "not hers"
    assert post(client, "/watch", f"/watch/{list_id}/delete").status_code == 200


def test_webhooks_go_only_where_the_operator_allows() -> None:
    allowed = ("hooks.example.org", "other.example:8443")
    assert watchlists.checked_hook("https://hooks.example.org/x", allowed) == "https://hooks.example.org/x"
    assert watchlists.checked_hook("https://other.example:8443/x", allowed)
    assert watchlists.checked_hook("", ()) is None
    for hook in ("https://evil.example/", "http://127.0.0.1/", "https://hooks.example.org:22/", "file:///etc/passwd",
                 "https://hooks.example.org@evil.example/", "https://u:p@hooks.example.org/", "rm -rf /"):  # fmt: skip
        with pytest.raises(InputError, match="hosts that the operator allows"):
            watchlists.checked_hook(hook, allowed)


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
