"""Tables as Markdown."""

import pytest

from crosslook.view.table import sure, table


def test_a_table():
    found = table(["name", "paper"], [["a|b", 0.5], ["c", "–"]], note="Of 5 images.")  # noqa: RUF001
    assert found.data == "| name | paper |\n| --- | ---: |\n| a\\|b | 0.5 |\n| c | – |\n\nOf 5 images."  # noqa: RUF001
    assert table(["one"], []).data == "| one |\n| --- |"
    with pytest.raises(ValueError, match=r"rows\[1\]: expected 2 cells, got 1"):
        table(["a", "b"], [[1, 2], [3]])


def test_a_number_with_its_interval():
    assert sure(0.3134, (0.29, 0.3401)) == "0.313 [0.290, 0.340]"
    assert sure(12.34, (11, 14), 1) == "12.3 [11.0, 14.0]"
