"""Small tables for pages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import Markdown


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> "Markdown":
    """A table that Jupyter and the book show alike: first column to the left, the others, numbers mostly, to the right.

    Args:
        columns: names; at least one.
        rows: cells as they are to be read.
        note: a sentence below the table: what it rests on.

    Raises:
        ValueError: for a row of another length than there are columns.
    """
    from IPython.display import Markdown

    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise ValueError(f"rows[{number}]: expected {len(columns)} cells, got {len(row)}")
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    text = "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
    return Markdown(f"{text}\n\n{note}" if note else text)


def sure(value: float, interval: Sequence[float], digits: int = 3) -> str:
    """A number with its interval: `0.313 [0.290, 0.340]`."""
    low, high = interval
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
