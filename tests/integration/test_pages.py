"""The pages: what they show, their twins in JSON, and what they do with nonsense."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import small_sky
from served import serving

from xcat.config import Settings


@pytest.fixture(scope="module")
def client(module_settings: Settings) -> Iterator[httpx.Client]:
    small_sky.make(module_settings)
    with serving(module_settings) as address, httpx.Client(base_url=address, timeout=60) as made:
        yield made


def test_every_page_binds_the_browser_to_this_host(client: httpx.Client) -> None:
    for path in ("/", "/static/xcat.css", "/nothing"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy


def test_errors_are_pages_for_people_and_json_for_programs(client: httpx.Client) -> None:
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text
    assert "error" in client.get("/nothing", params={"format": "json"}).json()
    assert "VOTABLE" in client.get("/tap/nothing").text
