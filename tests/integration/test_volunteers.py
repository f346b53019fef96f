"""Volunteers: votes that stay, what is hidden before one has voted, sessions, limits, passwords, races."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest
from forms import PASSWORD, asked, person, post, registered, vote
from served import serving
from small_sky import make
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from xcat.columns.answers import ANSWERS
from xcat.config import Settings
from xcat.database.connection import connect, open_volunteers
from xcat.database.sqlfiles import job
from xcat.errors import InputError
from xcat.service.tap.errors import HttpError
from xcat.service.tap.pool import Pool
from xcat.service.volunteers import accounts, voting
from xcat.service.volunteers.guard import Guard


@pytest.fixture(scope="module")
def sky(module_settings: Settings) -> Settings:
    make(module_settings)
    return module_settings


@pytest.fixture(scope="module")
def url(sky: Settings) -> Iterator[str]:
    with serving(sky) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with person(url) as made:
        yield made


def truth(sky: Settings, source_id: object) -> str:
    with connect(sky) as conn:
        ((known,),) = conn.execute("SELECT known_class FROM pub.classified WHERE source_id = %s", [source_id])
    return str(known)


# --- votes ----------------------------------------------------------------------------------------------------------


def test_tutorial_then_unknown_ones_and_nothing_leaks_before_the_vote(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Ada")
    classes = {"class", "p_class", "known_class", "posterior", "others", "ours", "name_of_source"}
    page = client.get("/volunteers/vote")
    for number in range(20):
        question = asked(client)
        page = client.get("/volunteers/vote") if number % 8 == 0 else page
        assert set(question) == {
            "person",
            "form_token",
            "answers",
            "hints",
            "source_id",
            "question",
            "is_tutorial",
            "observations",
            "fluxes",
            "progress",
            "source",
        }
        assert not classes & set(question["source"]) and "/source/" not in page.text  # type: ignore[call-overload]
        assert not any(column.startswith("p_") and column != "p_variable" for column in question["source"])  # type: ignore[attr-defined]
        assert question["is_tutorial"] is (number < voting.TUTORIAL) and bool(question["hints"]) is (
            number < voting.TUTORIAL
        )
        assert "<figure>" in page.text, "the charts of its page are there"
        early = client.get(f"/volunteers/voted/{question['source_id']}", params={"format": "json"})
        assert early.status_code == 400 and set(early.json()) == {"error"}
        known = truth(sky, question["source_id"])
        answer = vote(client, known if known in ANSWERS else "dont_know", question)
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
    fields = {"source_id": question["source_id"], "question": question["question"]}
    again = post(client, "/volunteers/vote", "/volunteers/vote", **fields, answer="CV", remark="no, a CV")
    assert again.status_code == 400 and "votes are never changed" in again.text
    twice = post(client, "/volunteers/vote", "/volunteers/vote", **fields, answer="XRB", remark="sent twice")
    assert twice.status_code == 200 and "What xcat says" in twice.text and "sent twice" not in twice.text
    other = asked(client)
    for change in ({"source_id": other["source_id"]}, {"question": ""}, {"source_id": 10**17}):
        refused = post(client, "/volunteers/vote", "/volunteers/vote", **fields | change, answer="CV")
        assert refused.status_code == 400 and "not the source" in refused.text
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
    question = asked(client)
    fields = {"source_id": question["source_id"], "question": question["question"], "answer": "AGN"}
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
    for wrong in ("short", "x" * 129):
        with pytest.raises(InputError, match="12 to 128 characters"):
            accounts.checked_password(wrong, "Eva Byron")
    breached = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= 12]
    assert len(breached) > 200
    guessed = ("passwordpassword", "aaaaaaaaaaaaaaa", "123456789012", "Password12345", "evabyron1234", "Eva Byron 12",
               "xcatxcatxcat", "qwertyuiop12", "trustno1trustno1", "abcdefghijkl", "ab" * 64)  # fmt: skip
    for wrong in (*breached[::6], *guessed):
        with pytest.raises(InputError, match="among the first that are guessed"):
            accounts.checked_password(wrong, "Eva Byron")
    for right in ("correct horse battery", "ünïcödé pässwörd ☃", "x y z a b c d e f", "owl, green: " + "abcdefg" * 16):
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
    names = ("Una Dora", "una  dora", "UNA   DORA", "Una\u00a0Dora")
    assert len({accounts.plain_name(name).lower() for name in names}) == 1, "however the name is written"
    limiter = accounts.Limiter(2, 60)
    limiter.check("a"), limiter.check("a"), limiter.check("b")
    with pytest.raises(HttpError, match="too many"):
        limiter.check("a")


def test_what_is_kept_can_be_taken_and_deleted(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Finn")
    question = asked(client)
    sent = post(
        client, "/volunteers/vote", "/volunteers/vote",
        source_id=question["source_id"], question=question["question"],
        answer="Star", remark="<script>alert(1)</script>",
    )  # fmt: skip
    assert "&lt;script&gt;" in sent.text and "<script>alert" not in sent.text
    mine = client.get("/volunteers/account/export").json()
    assert mine["account"]["name"] == "Finn" and len(mine["votes"]) == len(mine["remarks"]) == 1
    assert "password_hash" not in str(mine) and len(mine["sessions"]) == 1
    number = mine["account"]["volunteer_id"]
    gone = post(client, "/volunteers/account", "/volunteers/account/delete", password="wrong wrong wrong")
    assert gone.status_code == 403
    gone = post(client, "/volunteers/account", "/volunteers/account/delete", password=PASSWORD)
    assert gone.status_code == 200 and "Register" in gone.text
    with connect(sky) as conn:
        assert conn.execute("SELECT count(*) FROM people.account WHERE name = 'Finn'").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM people.vote WHERE volunteer_id = %s", [number]).fetchone() == (1,)
        assert conn.execute("SELECT count(*) FROM people.remark WHERE body LIKE '<script%'").fetchone() == (0,)


def test_a_form_sent_twice_at_once_is_one_vote(client: httpx.Client, sky: Settings) -> None:
    registered(client, "Ivo")
    question = asked(client)
    fields = {name: question[name] for name in ("source_id", "question", "form_token")}
    together = threading.Barrier(6)

    def send(_: int) -> int:
        with httpx.Client(base_url=client.base_url, cookies=dict(client.cookies), timeout=60) as one:
            together.wait()
            return one.post("/volunteers/vote", data=fields | {"answer": "Star", "remark": "once"}).status_code

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(send, range(6))) == [303] * 6
    mine = client.get("/volunteers/account/export").json()
    assert len(mine["votes"]) == len(mine["remarks"]) == 1


def test_votes_of_others_do_not_take_a_question_away(client: httpx.Client, sky: Settings) -> None:
    """While one looks at a source, others vote on it: it is then asked less, and the answer still counts."""
    registered(client, "Jan")
    with connect(sky) as conn:  # trained, and not asked for a known object next
        ((number,),) = conn.execute("SELECT volunteer_id FROM people.account WHERE name = 'Jan'")
        conn.execute(
            "INSERT INTO people.vote (volunteer_id, source_id, answer, asked_as, known_class) SELECT %s, source_id,"
            " known_class, 'tutorial', known_class FROM pub.classified WHERE known_class IS NOT NULL"
            " AND is_best_of_master ORDER BY source_id LIMIT 30", [number],
        )  # fmt: skip
        conn.commit()
        for _ in range(30):
            question = asked(client)
            with connect(sky) as look:
                known = look.execute(
                    "SELECT known_class FROM pub.classified WHERE source_id = %s", [question["source_id"]]
                ).fetchone()
            if known == (None,):
                break
            vote(client, "AGN", question)
        for _ in range(3):
            conn.execute("INSERT INTO people.volunteer (is_simulated) VALUES (false)")
            conn.execute(
                "INSERT INTO people.vote (volunteer_id, source_id, answer, asked_as) SELECT max(volunteer_id), %s,"
                " 'AGN', 'unknown' FROM people.volunteer", [question["source_id"]],
            )  # fmt: skip
    assert asked(client)["source_id"] != question["source_id"]
    fields = {name: question[name] for name in ("source_id", "question")}
    assert post(client, "/volunteers/vote", "/volunteers/vote", **fields, answer="Star").status_code == 200


def test_an_account_deleted_in_the_middle(client: httpx.Client, sky: Settings) -> None:
    """By the operator, while its owner is at work: nothing is kept, and they are told."""
    registered(client, "Kim")
    with connect(sky) as conn:
        ((account_id, number),) = conn.execute("SELECT account_id, volunteer_id FROM people.account WHERE name = 'Kim'")
    person = accounts.Person(account_id, number, "Kim", None)
    form = client.get("/volunteers/vote", params={"format": "json"}).json()
    with connect(sky) as conn:
        assert accounts.delete(conn, "KIM")
    data = {name: form[name] for name in ("source_id", "question", "form_token")} | {"answer": "AGN"}
    answer = client.post("/volunteers/vote", data=data)
    assert answer.status_code == 401 and "log in" in answer.text
    assert client.get("/volunteers/vote").status_code == 401
    guard = Guard.__new__(Guard)  # between the check of the session and the statement
    guard.pool = Pool(lambda: open_volunteers(sky))
    for late in (
        lambda conn: accounts.begin(conn, account_id),
        lambda conn: conn.execute(
            job("volunteers.add_remark").compose(), {"account_id": account_id, "source_id": 1, "body": "late"}
        ),
        lambda conn: accounts.everything(conn, person),
    ):
        with pytest.raises(HttpError, match="has just been deleted"):
            guard.work(late)
    guard.close()


def test_texts_that_are_no_texts(client: httpx.Client) -> None:
    """Halves of characters, by a charset of the client's choice; zeros; names that look alike."""
    registered(client, "Lea")
    question = asked(client)
    fields = {name: question[name] for name in ("source_id", "question", "form_token")} | {"answer": "AGN"}
    parts = [(name, (None, str(value))) for name, value in fields.items()]
    half = ("remark", (None, rb"\ud800 half", "text/plain; charset=raw_unicode_escape"))
    assert client.post("/volunteers/vote", files=[*parts, half]).status_code == 200
    for name in ("L\u0065a", "\uff2cea", " Lea\u2003"):
        twice = post(client, "/volunteers/register", "/volunteers/register", name=name, password=PASSWORD)
        assert twice.status_code == 400 and "taken" in twice.text
    for name in ("<b>Lea</b>", "L\x00a", "Lea\u202e", "le", "x" * 41):
        with pytest.raises(InputError, match="the name must have"):
            accounts.checked_name(name)
