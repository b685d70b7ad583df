"""The files that describe the project agree with one another."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
).stdout.split("\n")


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement).group()).lower()


def test_constraints_pin_every_dependency():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "one exact release a line, no local builds"
    pinned = {_name(line) for line in lines}
    wanted = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    assert {_name(each) for each in wanted} <= pinned


def test_what_is_installed_is_what_constraints_say():
    """A dependency that came in without a pin would be another one on another day."""
    freeze = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable"], capture_output=True, text=True
    )
    installed = {_name(line): line.split("==")[1].split("+")[0] for line in freeze.stdout.split() if "==" in line}
    # What torch brings for a GPU, which its version pins; a build for the CPU brings none.
    installed = {name: version for name, version in installed.items() if not name.startswith(("nvidia-", "cuda-"))}
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    pinned = {_name(name): version for name, version in pins.items()}
    if sys.platform != "linux" or sys.version_info[:2] != (3, 11):
        pytest.skip("pins are complete for Linux and Python 3.11; elsewhere other markers apply")
    assert {name: installed[name] for name in installed if name not in ("pip", "setuptools")} == {
        name: version for name, version in pinned.items() if name in installed
    }


def test_conda_environment_installs_from_the_same_files():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [each for each in environment["dependencies"] if isinstance(each, str)]
    (pip,) = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]
    extras = ",".join(sorted(PROJECT["optional-dependencies"]))
    assert pip == ["--constraint constraints.txt", f"--editable .[{extras}]"]
    (python,) = [each for each in conda if each.startswith("python=")]
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.removeprefix("python=").split("."))) >= tuple(map(int, lowest.split(".")))


def test_the_packages_the_book_is_fixed_to_are_there():
    wanted = "jupyter-book torch numpy spacy stanza sentence-transformers matplotlib ipywidgets papermill"
    named = {_name(each) for each in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["book"]]}
    assert set(wanted.split()) <= named


def test_versions_agree():
    import crosslook

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == crosslook.__version__ == citation["version"]


@pytest.mark.parametrize("heavy", ["torch", "spacy", "matplotlib", "numpy", "papermill", "sentence_transformers"])
def test_importing_the_package_loads_nothing_heavy(heavy):
    modules = "crosslook, crosslook.run, crosslook.report, crosslook.book, crosslook.paths"
    code = f"import {modules}, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_file_is_huge_and_all_together_stay_small():
    sizes = {name: (ROOT / name).stat().st_size for name in TRACKED if name and (ROOT / name).is_file()}
    assert max(sizes.values()) < 10e6
    assert sum(sizes.values()) < 60e6


def test_nothing_is_unpickled():
    for path in (ROOT / "lib").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"\bimport pickle\b|pickle\.load|allow_pickle=True|weights_only=False", text), path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, f"{path}: {call}"
