"""Run a notebook with typed parameters and keep what came out of it.

>>> from crosslook.run import run
>>> run("notebooks/quickstart.ipynb", {"tier": "tiny"})  # doctest: +SKIP
"""

import ast
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosslook.paths import ROOT

KERNEL = "python3"


class ParameterError(ValueError):
    """A parameter the notebook does not have, or a value of another type than it declares."""


class NotebookError(RuntimeError):
    """A cell failed. `path` is the kept copy, which shows the traceback where it happened."""

    def __init__(self, message: str, path: Path):
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's `parameters` cell. `types` are the Python types its value may have."""

    name: str
    types: tuple[type, ...]
    default: Any
    help: str

    def accept(self, value: Any) -> Any:
        """`value` as this parameter takes it (an int becomes a float where one is declared), or `ParameterError`."""
        if type(value) is int and float in self.types and int not in self.types:
            value = float(value)
        if type(value) not in self.types:
            expected = " or ".join(kind.__name__ for kind in self.types)
            raise ParameterError(f"parameter {self.name}: expected {expected}, got {value!r} ({type(value).__name__})")
        return value

    def parse(self, text: str) -> Any:
        """The value that `text`, as typed on a command line, stands for: the text itself where text is declared."""
        if self.types == (str,):
            return text
        try:
            value = ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text.lower(), text))
        except (ValueError, SyntaxError):
            value = text
        return self.accept(value)


@dataclass(frozen=True)
class Run:
    """What a run left behind."""

    notebook: Path
    results_path: Path
    results: list[dict[str, Any]]
    seconds: float


_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict, "tuple": tuple}


def parameters(notebook: str | Path) -> dict[str, Parameter]:
    """The parameters a notebook declares in its cell tagged `parameters`, with types and defaults.

    A line reads `n_examples: int = 200  # how many examples`; without an annotation the type is the default's.
    (papermill's own reader works line by line and misses annotations such as `int | None`.)

    Raises:
        FileNotFoundError: if there is no such notebook.
        ParameterError: if a default is not a plain literal.
    """
    import nbformat

    path = Path(notebook)
    if not path.is_file():
        raise FileNotFoundError(f"notebook: expected a file, got {path}")
    cells = nbformat.read(path, as_version=4).cells
    sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    found = {}
    for source in sources[:1]:
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                name = ast.unparse(target)
                try:
                    default = ast.literal_eval(node.value)
                except (ValueError, SyntaxError, TypeError):
                    raise ParameterError(f"{path}: parameter {name}: expected a plain literal as default") from None
                annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
                comment = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode().partition("#")[2].strip()
                found[name] = Parameter(name, _types(annotation, default), default, comment)
    return found


def _types(annotation: str, default: Any) -> tuple[type, ...]:
    names = [part.strip().split("[")[0] for part in annotation.split("|")]
    kinds = [{**_TYPES, "None": type(None)}[name] for name in names if name in (*_TYPES, "None")]
    return tuple(kinds) or (type(default),)


def check(notebook: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with every name known and every value of its declared type, or `ParameterError`."""
    known = _known(notebook, given)
    return {name: known[name].accept(value) for name, value in given.items()}


def parse(notebook: str | Path, given: Mapping[str, str]) -> dict[str, Any]:
    """The same for values as typed on a command line."""
    known = _known(notebook, given)
    return {name: known[name].parse(text) for name, text in given.items()}


def _known(notebook: str | Path, given: Mapping[str, Any]) -> dict[str, Parameter]:
    known = parameters(notebook)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ParameterError(
            f"{notebook}: expected parameters among {', '.join(known) or '(none)'}; got {', '.join(unknown)}"
        )
    return known


def run(
    notebook: str | Path,
    given: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    *,
    progress: bool = True,
) -> Run:
    """Execute a notebook with papermill; keep the executed copy and, beside it, `NAME.results.json`.

    Args:
        notebook: the notebook to run; it is not changed.
        given: parameters by name; what is not given keeps its default.
        out: path of the executed copy; default `build/runs/NAME.ipynb` in the repository. An earlier copy is replaced
            only by a complete run.
        progress: show a bar that counts cells.

    Raises:
        ParameterError: for an unknown name or a wrong type, before anything is executed.
        NotebookError: if a cell fails, or two results have one name; the copy, with the traceback, is
            `NAME.failed.ipynb` beside `out`.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from crosslook.report import results

    source = Path(notebook)
    values = check(source, given or {})
    target = Path(out) if out else ROOT / "build" / "runs" / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    failed = target.with_suffix(".failed.ipynb")
    running = target.with_suffix(".running.ipynb")
    start = time.monotonic()
    try:
        papermill.execute_notebook(
            str(source), str(running), values, kernel_name=KERNEL, progress_bar=progress, log_output=False
        )
    except PapermillExecutionError as error:
        os.replace(running, failed)
        raise NotebookError(
            f"{source}: cell {error.cell_index + 1} failed with {error.ename}: {error.evalue}\n"
            f"The copy with its traceback: {failed}",
            failed,
        ) from None
    seconds = time.monotonic() - start
    try:
        found = results(nbformat.read(running, as_version=4))
    except ValueError as error:
        os.replace(running, failed)
        raise NotebookError(f"{source}: {error}\nThe copy: {failed}", failed) from None
    os.replace(running, target)
    failed.unlink(missing_ok=True)
    results_path = target.with_suffix(".results.json")
    summary = {
        "notebook": source.name,
        "parameters": {name: values.get(name, known.default) for name, known in parameters(source).items()},
        "seconds": round(seconds, 1),
        "versions": _versions(),
        "results": found,
    }
    results_path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return Run(target, results_path, found, seconds)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = ("crosslook", "torch", "numpy", "spacy", "stanza", "sentence-transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
