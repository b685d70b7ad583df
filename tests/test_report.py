"""A recorded result must be complete, and must come back from the notebook it was recorded in."""

import nbformat
import pytest

from crosslook import report

GOOD = {"value": 0.5, "n": 10, "interval": (0.4, 0.6), "control": {"chance": 0.1}}


def test_prints_everything_a_reader_needs(capsys):
    report.record(
        "accuracy", 0.8125, n=1234, interval=(0.75, 0.875), control={"chance": 0.125, "twin": 0.25}, unit="bits"
    )
    assert capsys.readouterr().out == "accuracy: 0.812 bits [0.75, 0.875], n = 1,234; chance 0.125, twin 0.25\n"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"control": {}}, "control of 'accuracy': expected at least one comparison"),
        ({"n": 0}, "n of 'accuracy': expected at least 1, got 0"),
        ({"interval": (0.6, 0.4)}, "expected lower end first"),
        ({"value": float("nan")}, "value of 'accuracy': expected a finite number, got nan"),
        ({"interval": (0.4, float("inf"))}, "interval of 'accuracy': expected a finite number, got inf"),
        ({"control": {"chance": float("nan")}}, "chance of 'accuracy': expected a finite number"),
    ],
)
def test_refuses_what_cannot_be_believed(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        report.record("accuracy", **{**GOOD, **change})


def test_refuses_a_result_without_a_name():
    with pytest.raises(ValueError, match="name: expected what was measured"):
        report.record("", **GOOD)


def test_a_name_may_hold_what_a_model_is_called():
    made = report.Result("loss (volta:a: b)", 1.0, 3, (0.5, 1.5), {"chance": 2.0})._repr_mimebundle_()
    assert "<strong>loss (volta:a: b)</strong>: 1 [0.5, 1.5], n = 3; chance 2<" in made["text/html"]


def _cell(*results):
    data = [{report.MEDIA_TYPE: result, "text/plain": ""} for result in results]
    outputs = [nbformat.v4.new_output("display_data", each) for each in data]
    return nbformat.v4.new_code_cell("", outputs=outputs)


def test_results_come_back_in_order_and_once():
    notebook = nbformat.v4.new_notebook(cells=[_cell({"name": "b"}, {"name": "a"}), nbformat.v4.new_markdown_cell("x")])
    assert [each["name"] for each in report.results(notebook)] == ["b", "a"]
    notebook.cells.append(_cell({"name": "a"}))
    with pytest.raises(ValueError, match="got twice: a"):
        report.results(notebook)


def test_html_is_escaped():
    result = report.Result("a<b", 0.5, 10, (0.4, 0.6), {"<i>": 0.1})
    assert "<i>" not in result._repr_mimebundle_()["text/html"]
    assert "a&lt;b" in result._repr_mimebundle_()["text/html"]
