"""The built pages in a real browser: nothing from elsewhere, no error, formulas drawn, readable in every setting."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from crosslook.book import PAGE

pytestmark = pytest.mark.browser

HTML = PAGE.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGES = sorted(
    path.relative_to(HTML).as_posix() for folder in ("book", "notebooks") for path in HTML.glob(f"{folder}/*.html")
)

# For a sample of the visible texts: the lowest contrast (WCAG 2) between ink and ground, and where it is.
CONTRAST = """
() => {
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  let worst = {ratio: 21, what: ""};
  for (const e of document.querySelectorAll(
      ".bd-article :is(h1, h2, p, li, td, th, figcaption, dt, a, code, pre span, summary), .bd-sidebar-primary a")) {
    if (!e.checkVisibility() || !e.textContent.trim()) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst.ratio) worst = {ratio, what: e.tagName + "." + e.className + ": " + e.textContent.slice(0, 60)};
  }
  return worst;
}
"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN = "() => [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
FORMULAS = "() => document.querySelectorAll('.bd-article .math').length"
DRAWN = "() => document.querySelectorAll('.bd-article .math mjx-container > svg').length"


@dataclass
class Watched:
    """A page of a browser, and everything that it complained about or fetched from elsewhere."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def watch(self, base: str) -> None:
        """Begin to note down; whatever does not begin with `base` is from elsewhere."""

        def note(what: str, wrong: bool = True) -> None:
            if wrong:
                self.complaints.append(what)

        own, on = (base, "data:", "blob:"), self.page.on
        on("pageerror", lambda error: note(f"error: {error}"))
        on("console", lambda said: note(said.text, said.type in ("error", "warning")))
        on("request", lambda asked: note(f"fetched {asked.url}", not asked.url.startswith(own)))
        on("requestfailed", lambda asked: note(f"failed {asked.url}"))
        on("response", lambda got: note(f"{got.status} {got.url}", got.status >= 400))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    if not PAGE.is_file():
        pytest.skip("the book is not built: make book")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Quiet(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, directory=str(HTML), **kwargs)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The built book on a free port of this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def tab(chromium) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield Watched(context.new_page())
    context.close()


def wait_for_formulas(page: Any) -> None:
    formulas = page.evaluate(FORMULAS)
    if formulas:
        page.wait_for_function(f"({DRAWN})() === {formulas}", timeout=20_000)


@pytest.mark.parametrize("name", PAGES)
def test_page(name, tab, served):
    page = tab.page
    tab.watch(served)
    page.goto(served + name, wait_until="load")
    wait_for_formulas(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        page.wait_for_timeout(300)  # colours change over a moment
        worst = page.evaluate(CONTRAST)
        assert worst["ratio"] >= 4.5, f"{scheme}: {worst}"
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate(OVERFLOW) <= 0, f"wider than a window of {width} pixels"
    for image in page.locator(".bd-article img").all():
        image.scroll_into_view_if_needed()
    assert page.evaluate(BROKEN) == []
    assert tab.complaints == []


def test_first_page_leads_into_the_book(tab, served):
    tab.page.goto(served)
    tab.page.wait_for_url("**/book/intro.html")
    tab.page.get_by_role("link", name="Concepts").first.click()
    tab.page.wait_for_url("**/book/concepts.html")


def test_formulas_are_drawn(tab, served):
    """The check above would pass on a page without formulas; this one has many."""
    tab.page.goto(served + "book/concepts.html")
    assert tab.page.evaluate(FORMULAS) > 20
    wait_for_formulas(tab.page)


def test_search_finds_a_word_without_a_network(tab, served):
    tab.watch(served)
    tab.page.goto(served + "search.html?q=rollout")
    tab.page.wait_for_selector("#search-results li a[href*='book/concepts.html']")
    assert tab.complaints == []


def test_a_page_works_straight_from_a_disk(tab):
    tab.watch("file:///")
    tab.page.goto((HTML / "book" / "concepts.html").as_uri())
    wait_for_formulas(tab.page)
    assert tab.complaints == []


@pytest.mark.parametrize("name", ["grounding", "structure"])
def test_a_click_on_a_head_shows_where_it_looks(name, tab, served):
    """The explorer of a chapter, without a kernel: another head, another phrase, another caption."""
    page = tab.page
    tab.watch(served)
    page.goto(f"{served}notebooks/{name}.html", wait_until="load")
    piece = page.locator(".crosslook-explorer").first
    piece.scroll_into_view_if_needed()
    said = piece.locator(".said")
    cells = piece.locator("table.heads tbody button")
    assert cells.count() >= 16

    def changed_by(click):
        before = said.inner_text(), piece.locator("svg").first.inner_html()
        click()
        page.wait_for_timeout(100)
        assert (said.inner_text(), piece.locator("svg").first.inner_html()) != before

    pressed = piece.locator("table.heads tbody button[aria-pressed=true]")
    chosen = [cell.get_attribute("aria-pressed") for cell in cells.all()].index("true")
    changed_by(cells.nth((chosen + 1) % cells.count()).click)
    assert pressed.count() == 1
    phrases = piece.locator(".sentence button")
    if phrases.count() > 1:
        changed_by(phrases.nth(1).click)
    place = piece.locator(".place").inner_text()
    changed_by(piece.get_by_role("button", name="next caption").click)
    assert piece.locator(".place").inner_text() != place
    assert tab.complaints == []
