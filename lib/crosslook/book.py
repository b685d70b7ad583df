"""Build the book: execute what changed, stage executed copies, run Jupyter Book on the stage.

build/executed/   executed notebooks, their results and a digest of what went into them
build/src/        the stage: sources of the pages, executed copies in the notebooks' places
build/_build/html the rendered book
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crosslook.claims import read
from crosslook.claims_page import page
from crosslook.paths import ROOT
from crosslook.progress import track
from crosslook.report import MEDIA_TYPE
from crosslook.run import check, run

BUILD = ROOT / "build"
EXECUTED = BUILD / "executed"
STAGE = BUILD / "src"
PAGE = BUILD / "_build" / "html" / "index.html"
CLAIMS = ROOT / "data" / "claims.yml"
JUDGING = ("claims.yml", "claims.py", "claims_page.py")
"""What is read after the notebooks ran, so that a change of it runs none of them again."""


def notebooks() -> list[str]:
    """The notebooks of the book in the order of `_toc.yml`, as paths relative to the repository's root."""
    import yaml

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [f"{entry}.ipynb" for entry in _entries(toc) if (ROOT / f"{entry}.ipynb").is_file()]


def _entries(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _entries(child)
    elif isinstance(node, dict):
        if "file" in node:
            yield node["file"]
        for key in ("parts", "chapters", "sections"):
            yield from _entries(node.get(key, []))


def digest(notebook: str, parameters: Mapping[str, Any]) -> str:
    """A fingerprint of what an executed notebook depends on: itself, code, data, timings, parameters, versions."""
    total = hashlib.sha256()
    total.update(json.dumps(dict(parameters), sort_keys=True).encode())
    inputs = [ROOT / notebook, ROOT / "constraints.txt"]
    for folder in ("lib/crosslook", "data", "benchmarks/results"):
        inputs += sorted(p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    inputs = [path for path in inputs if path.name not in JUDGING]
    for path in inputs:
        total.update(str(path.relative_to(ROOT)).encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def execute(tier: str = "small") -> dict[str, dict[str, Any]]:
    """Run every notebook of the book whose inputs changed since its executed copy was made.

    Returns:
        For each notebook its summary: parameters, seconds, results (what `crosslook.run` keeps as JSON).

    Raises:
        crosslook.run.NotebookError: at the first notebook that fails; those before it are kept.
    """
    summaries = {}
    for name in track(notebooks(), desc="notebooks"):
        given = check(ROOT / name, {"tier": tier})
        out = EXECUTED / name
        stamp = out.with_suffix(".digest")
        now = digest(name, given)
        summary = out.with_suffix(".results.json")
        if not (out.is_file() and summary.is_file() and stamp.is_file() and stamp.read_text() == now):
            stamp.unlink(missing_ok=True)
            os.environ.setdefault("CROSSLOOK_PROGRESS", "0")
            run(ROOT / name, given, out)
            stamp.write_text(now)
        summaries[name] = json.loads(summary.read_text(encoding="utf-8"))
    return summaries


def stage(summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Lay out `build/src`: pages as committed, notebooks as executed, the tables of the status and the claims page."""
    if STAGE.exists():
        shutil.rmtree(STAGE)
    shutil.copytree(ROOT / "book", STAGE / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints", "*.ipynb"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(ROOT / name, STAGE / name)
    for name in summaries:
        target = STAGE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _publishable(EXECUTED / name, target)
    (STAGE / "book" / "status_table.txt").write_text(status_table(summaries), encoding="utf-8")
    (STAGE / "book" / "claims_table.txt").write_text(page(read(CLAIMS), summaries), encoding="utf-8")


def _publishable(executed: Path, target: Path) -> None:
    """Copy an executed notebook without what does not belong on a page: paths, stderr, injected code."""
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("data", {}).pop(MEDIA_TYPE, None)
    nbformat.write(notebook, target)


def status_table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown for the status page: every executed notebook, and every result it recorded."""
    runs = [
        f"| [](/{name}) | {summary['parameters']['tier']} | {summary['seconds']:.0f} | {len(summary['results'])} |"
        for name, summary in summaries.items()
    ]
    rows = [_result_row(name, result) for name, summary in summaries.items() for result in summary["results"]]
    versions = [summary["versions"] for summary in summaries.values()][:1]
    made = ", ".join(f"{package} {version}" for each in versions for package, version in each.items())
    return "\n".join(
        [
            "## Executed notebooks\n",
            "| Notebook | Tier | Seconds | Results |",
            "|---|---|---:|---:|",
            *runs,
            f"\nMade with {made}.\n",
            "## Recorded results\n",
            "| Result | Value | Interval | n | Compared with |",
            "|---|---:|---|---:|---|",
            *rows,
            "",
        ]
    )


def _result_row(name: str, result: Mapping[str, Any]) -> str:
    low, high = result["interval"]
    controls = ", ".join(f"{key} {value:.3g}" for key, value in result["control"].items())
    return (
        f"| [{result['name']}](/{name}) | {result['value']:.3g} {result['unit']} | {low:.3g} to {high:.3g} "
        f"| {result['n']:,} | {controls} |"
    )


def build(tier: str = "small") -> Path:
    """Execute, stage and render; gives the path of the first page.

    Raises:
        crosslook.run.NotebookError: if a notebook fails.
        RuntimeError: if Jupyter Book reports an error or a warning.
    """
    summaries = execute(tier)
    built = PAGE.with_suffix(".digest")
    now = hashlib.sha256("".join(_stage_digest(summaries)).encode()).hexdigest()
    if PAGE.is_file() and built.is_file() and built.read_text() == now:
        return PAGE
    built.unlink(missing_ok=True)
    stage(summaries)
    program = shutil.which("jupyter-book", path=str(Path(sys.executable).parent)) or "jupyter-book"
    command = [program, "build", str(STAGE), "--path-output", str(BUILD), "-W", "-n", "--keep-going", "--all"]
    done = subprocess.run(command, capture_output=True, text=True)
    log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    (BUILD / "jupyter-book.log").write_text(log, encoding="utf-8")
    if done.returncode:
        complaints = [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]
        said = "\n".join(complaints[:20]) or log[-2000:]
        raise RuntimeError(f"Jupyter Book failed; all it said is in {BUILD / 'jupyter-book.log'}\n{said}")
    built.write_text(now)
    return PAGE


def _stage_digest(summaries: Mapping[str, Any]) -> Iterator[str]:
    pages = [ROOT / "_config.yml", ROOT / "_toc.yml", *sorted(p for p in (ROOT / "book").rglob("*") if p.is_file())]
    judging = [CLAIMS, *(Path(__file__).with_name(name) for name in JUDGING[1:])]
    for path in [*pages, Path(__file__), *judging, *(EXECUTED / name for name in summaries)]:
        yield str(path) + hashlib.sha256(path.read_bytes()).hexdigest()
