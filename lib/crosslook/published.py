"""Numbers that papers report, to stand beside ours: tables in `data/published`, described there in `README.md`."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from crosslook.paths import DATA

FOLDER = DATA / "published"
Row = dict[str, str | float | int | None]


def read(name: str, folder: Path = FOLDER) -> list[Row]:
    """The rows of a table, by column.

    `value` is a number. `n`, `seed` and `threshold`, where a table has them, are whole numbers, whole numbers and
    numbers, or None. Everything else is text.

    Raises:
        ValueError: no such table (the error lists those that there are); no column `value`; a cell that is missing or
            is not the number it should be, with file and line.
    """
    there = sorted(path.stem for path in folder.glob("*.csv"))
    if name not in there:
        raise ValueError(f"name: expected one of {', '.join(there)}, got {name!r}")
    path = folder / f"{name}.csv"
    with open(path, encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        columns = lines.fieldnames or ()
        if "value" not in columns:
            raise ValueError(f"{path}: expected a column value, got {', '.join(columns)}")
        return [_row(line, columns, f"{path}:{lines.line_num}") for line in lines]


def find(rows: Sequence[Row], **wanted: str | float | int | None) -> list[Row]:
    """The rows whose cells are these: `find(rows, model="UNITER", ablation="All")`.

    Raises:
        ValueError: for a column that the table does not have.
    """
    unknown = [column for column in wanted if rows and column not in rows[0]]
    if unknown:
        raise ValueError(f"wanted: expected columns {', '.join(rows[0])}, got {', '.join(unknown)}")
    return [row for row in rows if all(row[column] == cell for column, cell in wanted.items())]


def _row(line: dict, columns: Sequence[str], where: str) -> Row:
    if None in line or None in line.values():
        raise ValueError(f"{where}: expected {len(columns)} cells, {', '.join(columns)}, got another number")
    row: Row = dict(line)
    row["value"] = _number(line["value"], "value", float, where)
    for column, kind in (("n", int), ("seed", int), ("threshold", float)):
        if column in row:
            row[column] = _number(line[column], column, kind, where) if line[column] else None
    return row


def _number(text: str, column: str, kind: type, where: str) -> float | int:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {column}: expected a number, got {text!r}")
    return number
