"""Notebooks run with typed parameters; what they leave behind can be trusted. Real kernels, no stand-ins."""

import json
import subprocess
import sys

import nbformat
import pytest

from crosslook.run import NotebookError, ParameterError, check, parameters, parse, run

CELLS = """n: int = 3  # how many
rate: float = 0.5
name: str = "a"
deep = True
limit: int | None = None
"""

RECORD = """from crosslook import report
report.record("n", n, n=1, interval=(n, n), control={"rate": rate})"""


def write(folder, *cells, name="nb.ipynb"):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(CELLS, metadata={"tags": ["parameters"]})]
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / name
    nbformat.write(notebook, path)
    return path


def test_parameters_are_read_with_their_types(tmp_path):
    found = parameters(write(tmp_path))
    assert {name: (p.types, p.default) for name, p in found.items()} == {
        "n": ((int,), 3),
        "rate": ((float,), 0.5),
        "name": ((str,), "a"),
        "deep": ((bool,), True),
        "limit": ((int, type(None)), None),
    }
    assert found["n"].help == "how many"


def test_values_typed_on_a_command_line(tmp_path):
    texts = {"n": "5", "rate": "2", "name": "7", "deep": "false", "limit": "None"}
    values = parse(write(tmp_path), texts)
    assert values == {"n": 5, "rate": 2.0, "name": "7", "deep": False, "limit": None}
    assert type(values["rate"]) is float


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"m": 1}, "expected parameters among n, rate, name, deep, limit; got m"),
        ({"n": "five"}, "parameter n: expected int, got 'five' \\(str\\)"),
        ({"n": 2.5}, "parameter n: expected int, got 2.5"),
        ({"n": True}, "parameter n: expected int, got True \\(bool\\)"),
        ({"deep": 1}, "parameter deep: expected bool, got 1"),
        ({"name": 1}, "parameter name: expected str"),
        ({"limit": "x"}, "parameter limit: expected int or NoneType, got .x."),
    ],
)
def test_wrong_parameters_stop_before_anything_runs(tmp_path, given, complaint):
    ran = tmp_path / "ran"
    path = write(tmp_path, f"open({str(ran)!r}, 'w').close()")
    with pytest.raises(ParameterError, match=complaint):
        run(path, given, tmp_path / "out.ipynb")
    assert not ran.exists()
    assert not (tmp_path / "out.ipynb").exists()


def test_a_default_that_is_no_literal_is_named(tmp_path):
    path = write(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "n: int = 1 + 1"
    nbformat.write(notebook, path)
    with pytest.raises(ParameterError, match="parameter n: expected a plain literal"):
        parameters(path)


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a file, got .*none\.ipynb"):
        check(tmp_path / "none.ipynb", {})


def test_run_keeps_copy_and_results_and_leaves_the_notebook_alone(tmp_path):
    path = write(tmp_path, RECORD)
    before = path.read_bytes()
    done = run(path, {"n": 4}, tmp_path / "out" / "copy.ipynb", progress=False)
    assert path.read_bytes() == before
    assert done.results[0]["value"] == 4
    kept = json.loads(done.results_path.read_text())
    assert kept["results"] == done.results
    assert kept["parameters"] == {"n": 4, "rate": 0.5, "name": "a", "deep": True, "limit": None}
    outputs = nbformat.read(done.notebook, as_version=4).cells[-1].outputs
    assert "n = 1" in outputs[0]["data"]["text/plain"]
    assert sorted(p.name for p in done.notebook.parent.iterdir()) == ["copy.ipynb", "copy.results.json"]


def test_a_failure_keeps_the_traceback_and_the_earlier_copy(tmp_path):
    path = write(tmp_path, "assert n < 10, f'n is {n}'")
    out = tmp_path / "copy.ipynb"
    run(path, {}, out, progress=False)
    good = out.read_bytes()
    with pytest.raises(
        NotebookError, match=r"cell \d+ failed with AssertionError: n is 12\n.*copy.failed.ipynb"
    ) as caught:
        run(path, {"n": 12}, out, progress=False)
    assert out.read_bytes() == good
    assert "AssertionError" in caught.value.path.read_text()
    run(path, {}, out, progress=False)
    assert not caught.value.path.exists(), "a failure that was mended leaves nothing behind"


def test_two_results_of_one_name_are_an_error_and_the_copy_is_kept(tmp_path):
    path = write(tmp_path, f"{RECORD}\n{RECORD}")
    with pytest.raises(
        NotebookError, match=r"expected every name once, got twice: .*\n.*copy\.failed\.ipynb"
    ) as caught:
        run(path, {}, tmp_path / "copy.ipynb", progress=False)
    assert caught.value.path.exists()
    assert not list(tmp_path.glob("copy.running*"))


def test_command_line_and_plain_papermill_give_the_same_results(tmp_path):
    from crosslook.report import results

    path = write(tmp_path, RECORD)
    ours = [sys.executable, "-m", "crosslook", "run", str(path), "-p", "n", "9", "-o", str(tmp_path / "ours.ipynb")]
    theirs = [sys.executable, "-m", "papermill", str(path), str(tmp_path / "theirs.ipynb"), "-p", "n", "9"]
    said = subprocess.run(ours, capture_output=True, text=True, check=True).stdout
    subprocess.run(theirs, capture_output=True, check=True)
    a, b = (results(nbformat.read(tmp_path / f"{name}.ipynb", as_version=4)) for name in ("ours", "theirs"))
    assert a == b
    assert a[0]["value"] == 9
    assert "n: 9 [9, 9], n = 1" in said


def test_command_line_says_what_is_wrong(tmp_path):
    path = write(tmp_path)
    command = [sys.executable, "-m", "crosslook", "run", str(path), "-p", "n", "many"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: parameter n: expected int, got 'many' (str)\n"
