"""The pages in a real browser: journeys by keyboard, accessibility, own host only, without JavaScript, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import small_sky
from served import serving

from xcat.columns.answers import ANSWERS
from xcat.config import Settings
from xcat.database.connection import connect
from xcat.service.pages.page import vendored
from xcat.service.volunteers.voting import TUTORIAL

_CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if not _CHROMIUM.exists():
    pytest.skip("there is no /usr/bin/chromium", allow_module_level=True)
from axe_playwright_python.sync_playwright import Axe  # noqa: E402

_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
_QUIET += ("--disable-sync", "--no-first-run", "--disable-quic")
_QUIET += ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # WebGL without a graphics card
_ANY_PAGE = {"access-control-allow-origin": "*"}
_STATIC = ("/", "/candidates?class=XRB", "/list", "/sky", "/model", "/run", "/status", "/search?q=10+10", "/nothing")
_STATIC += ("/volunteers", "/volunteers/register", "/volunteers/login", "/watch")


@pytest.fixture(scope="module")
def address(module_settings: Settings) -> Iterator[str]:
    small_sky.make(module_settings)
    with serving(module_settings) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=str(_CHROMIUM), args=list(_QUIET))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def first(browser: Any, address: str) -> str:
    """The page of the first candidate."""
    page = browser.new_page()
    page.goto(f"{address}/candidates?class=XRB")
    path: str = page.locator("tbody a").first.get_attribute("href")
    page.close()
    return path


class Seen:
    """A context of the browser, with what it asked for and complained of."""

    def __init__(self, browser: Any, address: str, **look: Any) -> None:
        self.hosts, self.complaints = set[str](), list[str]()
        self.address = address
        self.context = browser.new_context(**look)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):  # those ask nobody
            self.hosts.add(urlsplit(url).netloc)

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()
        assert self.hosts == {urlsplit(self.address).netloc}
        assert not [text for text in self.complaints if "404" not in text]

    def go(self, path: str) -> Any:
        self.page.goto(self.address + path)
        return self.page


def _overflow(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_violation(browser: Any, address: str, first: str, scheme: str) -> None:
    with Seen(browser, address, color_scheme=scheme) as seen:
        for path in (*_STATIC, first) if scheme == "light" else ("/", "/candidates", first):
            _no_violation(seen.go(path))


def test_every_page_fits_a_phone_and_a_screen(browser: Any, address: str, first: str) -> None:
    for width in (390, 1280):
        with Seen(browser, address, viewport={"width": width, "height": 800}) as seen:
            for path in (*_STATIC, first):
                page = seen.go(path)
                assert _overflow(page) <= 0, (path, width)
                assert page.locator("h1").count() == 1
                assert page.locator("main").is_visible()


def test_a_source_is_found_and_read_by_keyboard_alone(browser: Any, address: str, first: str) -> None:
    with Seen(browser, address) as seen:
        page = seen.go("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "q"
        page.keyboard.press("Enter")  # an empty field is told by the browser, and sends nothing
        assert page.evaluate("document.querySelector('#find').validity.valueMissing")
        name = first.rsplit("/", 1)[1].replace("%20", " ").replace("%2B", "+")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        page.wait_for_url("**/source/**")
        assert page.locator("h1").inner_text() == name
        assert "X-ray binary" in page.locator(".lead").inner_text()
        _tab_to(page, "document.activeElement.getAttribute('href') === '#why'")
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector('#why').getBoundingClientRect().top") < 100


def _tab_to(page: Any, condition: str, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    raise AssertionError(f"no stop of the keyboard: {condition}")


def test_candidates_are_filtered_and_downloaded_by_keyboard(browser: Any, address: str) -> None:
    with Seen(browser, address) as seen:
        page = seen.go("/candidates?class=XRB")
        before = page.locator("#list").inner_text()
        _tab_to(page, "document.activeElement.id === 'p'")
        page.evaluate("window.isTheSame = true")
        page.keyboard.press("Control+a")
        page.keyboard.type("0.9")
        page.keyboard.press("Enter")
        page.wait_for_url("**p=0.9**")
        page.wait_for_function("before => document.querySelector('#list').innerText !== before", arg=before)
        assert page.locator("#p").input_value() == "0.9"
        if "htmx.min.js" in vendored():  # only the list has changed
            assert page.evaluate("window.isTheSame === true")
        _tab_to(page, "document.activeElement.textContent === 'CSV'", 150)
        with page.expect_download() as coming:
            page.keyboard.press("Enter")
        lines = Path(coming.value.path()).read_text().splitlines()
        assert lines[0].startswith("name,ra,dec") and len(lines) > 1


def test_a_list_is_sent_from_the_browser(browser: Any, address: str) -> None:
    with Seen(browser, address) as seen:
        page = seen.go("/list")
        page.locator("#positions").fill("266.4 -29.0\n10 41")
        page.get_by_role("button", name="Classify").click()
        page.wait_for_selector("h1")
        assert "Your list, classified" in page.locator("h1").inner_text()
        assert page.locator("tbody tr").count() == 2
        assert not [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]


def test_everything_can_be_read_without_javascript(browser: Any, address: str, first: str) -> None:
    with Seen(browser, address, java_script_enabled=False) as seen:
        page = seen.go("/candidates?class=XRB&p=0.9")
        assert page.locator("tbody tr").count() > 0
        page.locator("thead a", has_text="Flux").click()
        assert "sort=flux_cgs" in page.url
        page.locator("#p").fill("0.2")
        page.get_by_role("button", name="Show").click()
        assert "p=0.2" in page.url
        page = seen.go(first)
        assert page.locator("figure svg").count() > 5


@pytest.mark.skipif("aladin.js" not in vendored(), reason="Aladin Lite is not vendored: there is no npm")
def test_the_field_of_a_source_asks_other_hosts_only_if_a_reader_wants_it(
    browser: Any, address: str, module_settings: Settings
) -> None:
    with connect(module_settings) as conn:
        query = "SELECT source_id FROM pub.classified JOIN xcat.match_candidate USING (source_id) LIMIT 1"
        row = conn.execute(query).fetchone()
    assert row is not None
    with Seen(browser, address) as seen:
        page = seen.go(f"/source/{row[0]}")
        page.get_by_role("link", name="The field in Aladin Lite").click()
        page.wait_for_selector("#field[data-drawn]", timeout=60_000)
        assert int(page.locator("#field").get_attribute("data-drawn")) >= 1
        assert page.evaluate("document.querySelectorAll('#field canvas').length") >= 2
        assert not page.locator("#field button").count()  # of its own controls none is there
        assert page.locator("#objects ~ .scroll tbody tr").count() == 1 + int(
            page.locator("#field").get_attribute("data-drawn")
        )
        page.wait_for_load_state("networkidle")
        _no_violation(page)
        assert _overflow(page) <= 0
        survey = "https://alasky.cds.unistra.fr/DSS/DSSColor"
        asked: list[str] = []

        def ours(route: Any) -> None:  # the survey's host is away; our survey without images has the same form
            asked.append(route.request.url)
            path = urlsplit(route.request.url.removeprefix(survey)).path
            route.fulfill(response=seen.context.request.get(f"{address}/field/hips{path}"), headers=_ANY_PAGE)

        seen.context.route(f"{survey}/**", ours)
        page.get_by_role("link", name="Visible light, DSS2").click()
        assert "sees your address" in page.inner_text("main")
        page.wait_for_selector("#field[data-drawn]", timeout=60_000)
        page.wait_for_load_state("networkidle")
        assert any("/properties" in url for url in asked)
        assert any("/Norder" in url for url in asked)
        assert seen.hosts == {urlsplit(address).netloc, "alasky.cds.unistra.fr"}
        seen.hosts.discard("alasky.cds.unistra.fr")


def test_every_form_tells_what_it_cannot_send(browser: Any, address: str, first: str) -> None:
    """Native validation stops a form, with htmx and without; then the focus is on the field that is wrong."""
    told = 0
    with Seen(browser, address) as seen:
        for path in ("/", "/candidates?class=XRB", "/list", "/volunteers/register", "/volunteers/login", first):
            page = seen.go(path)
            sent: list[str] = []
            page.on("request", lambda request, sent=sent: "/static/" in request.url or sent.append(request.url))
            for field in page.locator("form input:is([required], [type=number])").all():
                if field.is_visible():
                    given, is_number = field.input_value(), field.get_attribute("type") == "number"
                    field.fill("-1" if is_number else "")
                    field.press("Enter")
                    assert field.evaluate("it => !it.validity.valid && it.matches(':user-invalid')"), path
                    assert page.evaluate("document.activeElement.validationMessage"), path
                    field.fill(given)
                    told += 1
            assert not sent, path
    assert told > 8


def test_print_shows_the_page_without_its_controls(browser: Any, address: str, first: str) -> None:
    with Seen(browser, address) as seen:
        page = seen.go(first)
        page.emulate_media(media="print")
        assert not page.locator("header nav").is_visible()
        assert page.locator("h1").is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_volunteer_registers_learns_and_votes_by_keyboard(
    browser: Any, address: str, module_settings: Settings
) -> None:
    """Twelve known objects, then twenty as they come; every form is sent by Enter."""
    with connect(module_settings) as conn:
        known = dict(conn.execute("SELECT source_id, known_class FROM pub.classified WHERE known_class IS NOT NULL"))
    with Seen(browser, address, viewport={"width": 390, "height": 844}) as seen:
        page = seen.go("/volunteers/register")
        page.locator("#name").focus()
        page.keyboard.type("Ada of the test")
        page.keyboard.press("Tab")
        page.keyboard.type("four words in a row")
        _sent(page)
        assert urlsplit(page.url).path == "/volunteers", page.inner_text("main")
        _no_violation(page)
        for n in range(TUTORIAL + 20):
            page = seen.go("/volunteers/vote")
            assert ("This object is known" in page.inner_text("main")) == (n < TUTORIAL)
            source_id = int(page.locator("input[name=source_id]").get_attribute("value"))
            page.keyboard.press(str(1 + ANSWERS.index(known.get(source_id, "AGN"))))
            if n in (0, TUTORIAL):
                _no_violation(page)
            _sent(page)
            assert urlsplit(page.url).path == f"/volunteers/voted/{source_id}", page.inner_text("main")
        _no_violation(page)
        page = seen.go("/watch")
        page.locator("input[name=title]").focus()
        page.keyboard.type("Bright ones")
        page.locator("textarea[name=adql]").fill("SELECT source_id FROM pub.classified WHERE p_class > 0.99")
        page.locator("input[name=title]").focus()
        _sent(page)
        assert "Bright ones" in page.inner_text("main")
        page.get_by_text("Change or delete Bright ones").click()
        _no_violation(page)
        assert _overflow(page) <= 0
        _no_violation(seen.go("/volunteers/account"))


def _sent(page: Any) -> None:
    """Send the form in which the focus is."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def _no_violation(page: Any) -> None:
    found = Axe().run(page).response["violations"]
    serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]
    assert not serious, page.url
