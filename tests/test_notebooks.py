"""Every notebook of the book runs at tier `tiny` and records its results."""

import pytest

from crosslook.book import notebooks
from crosslook.paths import ROOT
from crosslook.run import parameters, run

NOTEBOOKS = notebooks()


def test_the_book_has_notebooks_and_names_all_there_are():
    assert "notebooks/quickstart.ipynb" in NOTEBOOKS
    folders = (ROOT / "notebooks", ROOT / "book")
    there = {str(path.relative_to(ROOT)) for folder in folders for path in folder.rglob("*.ipynb")}
    assert {name for name in there if ".ipynb_checkpoints" not in name} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_has_a_tier_and_a_seed(name):
    found = parameters(ROOT / name)
    assert found["tier"].default == "small"
    assert type(found["seed"].default) is int


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs_at_tier_tiny(name, tmp_path):
    run(ROOT / name, {"tier": "tiny"}, tmp_path / "copy.ipynb", progress=False)
