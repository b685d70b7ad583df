"""Building the book: what changed runs again, what did not does not, and nothing private reaches a page."""

import json

import nbformat
import pytest

from crosslook import book


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A tiny book of one notebook, built by the real code in a folder of its own."""
    for name, path in {"ROOT": "", "BUILD": "build", "EXECUTED": "build/executed", "STAGE": "build/src"}.items():
        monkeypatch.setattr(book, name, tmp_path / path)
    monkeypatch.setattr(book, "PAGE", tmp_path / "build/_build/html/index.html")
    for folder in ("lib/crosslook", "data", "book", "notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib/crosslook/code.py").write_text("x = 1\n")
    (tmp_path / "constraints.txt").write_text("")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/intro\nchapters:\n- file: notebooks/one\n")
    (tmp_path / "_config.yml").write_text('title: T\nexecute: {execute_notebooks: "off"}\n')
    (tmp_path / "book/intro.md").write_text("# Hello\n\n```{include} status_table.txt\n```\n")
    cells = [
        nbformat.v4.new_markdown_cell("# One"),
        nbformat.v4.new_code_cell('tier: str = "small"\nseed: int = 0', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "import sys\nfrom crosslook import report\n"
            'print("a trace", file=sys.stderr)\n'
            'report.record("one", 1, n=2, interval=(0, 3), control={"chance": 0.5})'
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "notebooks/one.ipynb")
    return tmp_path


def test_build_then_nothing_to_do_then_only_what_changed(project):
    page = book.build("tiny")
    assert page.is_file()
    intro_page = page.parent / "book/intro.html"
    assert "chance 0.5" in intro_page.read_text(), "the table of results is on the page"
    copy = project / "build/executed/notebooks/one.ipynb"
    times = copy.stat().st_mtime_ns, page.stat().st_mtime_ns
    book.build("tiny")
    assert (copy.stat().st_mtime_ns, page.stat().st_mtime_ns) == times

    intro = project / "book/intro.md"
    intro.write_text(intro.read_text() + "\nMore.\n")
    book.build("tiny")
    assert "More." in intro_page.read_text()
    assert copy.stat().st_mtime_ns == times[0], "a change of prose runs no notebook"

    staged = nbformat.read(project / "build/src/notebooks/one.ipynb", as_version=4)
    assert "papermill" not in staged.metadata
    assert str(project) not in json.dumps(staged), "paths of this machine stay off the page"
    assert all(output.get("name") != "stderr" for cell in staged.cells for output in cell.get("outputs", []))
    assert "a trace" in copy.read_text(), "the executed copy keeps everything"
    injected = [cell for cell in staged.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert [cell.metadata["tags"][-1] for cell in injected] == ["remove-cell"]


@pytest.mark.parametrize(
    "changed",
    [
        "lib/crosslook/code.py",
        "data/x.json",
        "benchmarks/results/x.json",
        "notebooks/one.ipynb",
        "constraints.txt",
    ],
)
def test_any_input_makes_an_executed_copy_stale(project, changed):
    before = book.digest("notebooks/one.ipynb", {"tier": "tiny"})
    assert book.digest("notebooks/one.ipynb", {"tier": "tiny"}) == before
    (project / changed).parent.mkdir(parents=True, exist_ok=True)
    with open(project / changed, "a") as file:
        file.write(" ")
    assert book.digest("notebooks/one.ipynb", {"tier": "tiny"}) != before


def test_parameters_make_an_executed_copy_stale(project):
    assert book.digest("notebooks/one.ipynb", {"tier": "tiny"}) != book.digest("notebooks/one.ipynb", {"tier": "small"})


def test_a_warning_fails_the_build_and_is_quoted(project):
    (project / "book/intro.md").write_text("# Hello\n\n{ref}`nowhere`\n")
    with pytest.raises(RuntimeError, match=r"(?s)jupyter-book\.log.*nowhere"):
        book.build("tiny")


def test_status_table_names_everything_that_was_measured():
    result = {"name": "one", "value": 1, "n": 2, "interval": [0, 3], "control": {"chance": 0.5}, "unit": "bits"}
    summary = {"parameters": {"tier": "tiny"}, "seconds": 4.2, "versions": {"torch": "2"}, "results": [result]}
    table = book.status_table({"notebooks/one.ipynb": summary})
    assert "| [](/notebooks/one.ipynb) | tiny | 4 | 1 |" in table
    assert "| [one](/notebooks/one.ipynb) | 1 bits | 0 to 3 | 2 | chance 0.5 |" in table
    assert "torch 2" in table
