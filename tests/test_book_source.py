"""What the book is made of: every page is on the map, notebooks are clean, and nothing is fetched from elsewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import yaml

from crosslook.book import EXECUTED, PAGE, notebooks
from crosslook.paths import ROOT

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
NOTEBOOKS = [ROOT / name for name in notebooks()]
HTML = PAGE.parent


def named(path: Path) -> str:
    return path.name


def images(notebook) -> list:
    """The cells of an executed notebook that show a picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [c for c in cells if any(kind.startswith("image/") for out in c.outputs for kind in out.get("data", {}))]


def test_the_map_names_files_that_exist_and_all_of_them():
    for page in PAGES:
        assert (ROOT / f"{page}.md").is_file() != (ROOT / f"{page}.ipynb").is_file(), page
    there = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for folder in ("book", "notebooks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".md", ".ipynb") and not {"static", ".ipynb_checkpoints"} & set(path.parts)
    }
    assert there == set(PAGES)
    assert len(PAGES) == len(set(PAGES))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_notebook_is_committed_without_what_running_it_leaves(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert "execution" not in cell.metadata
        assert "papermill" not in cell.metadata
    assert not {"widgets", "papermill"} & set(notebook.metadata)
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_notebook_begins_with_a_title_and_its_parameters(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == code[:1]
    for line in tagged[0].source.splitlines():
        assert re.fullmatch(r"\w+: [\w\[\] |,.]+ = .+  # .+", line), f"name: type = literal  # what it is; got {line!r}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_every_figure_has_a_caption_and_says_what_it_shows(path):
    notebook = nbformat.read(path, as_version=4)
    shown = {cell.id for cell in notebook.cells if cell.cell_type == "code" and "plt.show()" in cell.source}
    executed = EXECUTED / path.relative_to(ROOT)
    if executed.is_file():  # cells that changed since are left to the next build
        same = {(cell.id, cell.source) for cell in notebook.cells}
        shown |= {c.id for c in images(nbformat.read(executed, as_version=4)) if (c.id, c.source) in same}
    for cell in notebook.cells:
        if cell.id in shown:
            settings = cell.metadata.get("mystnb", {})
            alt = settings.get("image", {}).get("alt", "")
            assert len(alt.split()) > 4, f"{cell.id}: expected a sentence as mystnb.image.alt, got {alt!r}"
            assert settings.get("figure", {}).get("caption"), f"{cell.id}: expected mystnb.figure.caption"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_a_widget_also_works_without_a_kernel(path):
    """A page cannot draw `application/vnd.jupyter.widget-view+json`; without text/html the cell would stay blank."""
    executed = EXECUTED / path.relative_to(ROOT)
    if not executed.is_file():
        pytest.skip("not executed yet: make book")
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", ()):
            kinds = set(output.get("data", {}))
            assert "application/vnd.jupyter.widget-view+json" not in kinds or "text/html" in kinds, cell.id


def test_every_picture_of_a_page_says_what_it_shows():
    for page in (ROOT / "book").glob("*.md"):
        text = page.read_text()
        for body in re.findall(r"```\{(?:figure|image)\}[^\n]*\n(.*?)```", text, re.DOTALL):
            assert re.search(r"^:alt: \S.{20}", body, re.MULTILINE), page
        assert "![](" not in text, page


def test_settings_point_at_files_of_the_book():
    sphinx = CONFIG["sphinx"]["config"]
    (static,) = sphinx["html_static_path"]
    wanted = [CONFIG["logo"], CONFIG["html"]["favicon"], *CONFIG["bibtex_bibfiles"]]
    wanted += [f"{static}/{name}" for name in [sphinx["mathjax_path"], *sphinx["html_css_files"]]]
    css = (ROOT / static / "crosslook.css").read_text()
    wanted += [f"{static}/{name}" for name in re.findall(r'url\("(.*?)"\)', css)]
    assert [name for name in wanted if not (ROOT / name).is_file()] == []
    assert "//" not in static
    assert "http" not in css
    assert '"3.2.2"' in (ROOT / static / sphinx["mathjax_path"]).read_text(), "the release that the README names"


def test_pages_are_not_executed_by_sphinx_and_load_no_script_from_elsewhere():
    assert CONFIG["execute"]["execute_notebooks"] == "off"
    sphinx = CONFIG["sphinx"]["config"]
    assert "sphinx_thebe" not in sphinx["extensions"]
    assert sphinx["nb_ipywidgets_js"] == {}
    assert sphinx["nb_mime_priority_overrides"][0] == ["*", "text/html", 1]


class Resources(HTMLParser):
    """What a browser fetches for a page, where a reader can go from it, and pictures without a description."""

    def __init__(self, text: str):
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.undescribed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag == "link" and given.get("rel") not in ("next", "prev", "canonical", "search", "index", "author"):
            self.fetched.append(given["href"])
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and given.get("src"):
            self.fetched.append(given["src"])
        alt = given.get("alt", "")
        if tag == "img" and (not alt or re.search(r"\.(png|svg|jpe?g)$", alt)):
            self.undescribed.append(given.get("src", ""))


@pytest.fixture(scope="module")
def built() -> list[Path]:
    if not PAGE.is_file():
        pytest.skip("the book is not built: make book")
    return sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts)


def test_built_pages_fetch_only_files_of_the_book(built):
    assert Resources('<script src="https://cdn.net/a.js"></script>').fetched == ["https://cdn.net/a.js"]
    for page in built:
        for url in Resources(page.read_text()).fetched:
            if not url.startswith("data:"):
                assert not re.match(r"(https?:)?//", url), f"{page}: {url}"
                assert (page.parent / url.split("?")[0].split("#")[0]).is_file(), f"{page}: {url}"
    for style in HTML.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text()), style


def test_built_pictures_say_what_they_show(built):
    icons = ("_static/images/", "_static/logo")
    for page in built:
        bare = [url for url in Resources(page.read_text()).undescribed if not any(icon in url for icon in icons)]
        assert bare == [], page


def test_launch_buttons_open_committed_files(built):
    for name in notebooks():
        links = Resources((HTML / name).with_suffix(".html").read_text()).links
        (binder,) = [url for url in links if url.startswith("https://mybinder.org/")]
        (colab,) = [url for url in links if url.startswith("https://colab.research.google.com/")]
        assert binder.endswith(f"/main?urlpath=lab/tree/{name}")
        assert colab.endswith(f"/blob/main/{name}")
        assert (ROOT / name).is_file()


def test_staged_notebooks_hold_no_path_of_this_machine(built):
    for name in notebooks():
        text = json.dumps(nbformat.read(PAGE.parents[2] / "src" / name, as_version=4))
        assert f"{ROOT}/" not in text, name
