"""What a person does at the pages of volunteers: forms sent with their token."""

from __future__ import annotations

import re

import httpx

PASSWORD = "seven green owls at night"


def person(url: str) -> httpx.Client:
    """A browser of somebody's own."""
    return httpx.Client(base_url=url, follow_redirects=True, timeout=60)


def post(client: httpx.Client, form: str, to: str, **fields: object) -> httpx.Response:
    """Send a form as its page gives it."""
    page = client.get(form)
    found = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert found, page.text[:500]
    return client.post(to, data={"form_token": found[1], **fields})


def registered(client: httpx.Client, name: str) -> None:
    """Make an account and log in."""
    answer = post(client, "/volunteers/register", "/volunteers/register", name=name, password=PASSWORD)
    assert answer.status_code == 200 and f"<b>{name}</b>" in answer.text, answer.text


def asked(client: httpx.Client) -> dict[str, object]:
    """What is asked now."""
    found: dict[str, object] = client.get("/volunteers/vote", params={"format": "json"}).json()
    return found


def vote(client: httpx.Client, answer: str, question: dict[str, object] | None = None) -> httpx.Response:
    """Answer a question, by default that which is asked now."""
    question = question or asked(client)
    fields = {name: question[name] for name in ("source_id", "question", "form_token")}
    return client.post("/volunteers/vote", data=fields | {"answer": answer})
