"""Read "Tell me more" (Ilinykh et al. 2019): rooms described in five sentences, the texts of the captioner's paper.

The file `sequences.csv` is separated by tabs; its columns `d1` to `d5` are the sentences of one description.
"""

import csv
import os
from pathlib import Path

from crosslook.data.errors import DataError

SENTENCES = ("d1", "d2", "d3", "d4", "d5")


def read(path: str | os.PathLike) -> list[str]:
    """The descriptions of a file, in its order: sentences joined by spaces, each with a full stop at its end.

    Raises:
        DataError: a column or a cell is missing, or there is no description.
    """
    name = Path(path).name
    with open(path, encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, delimiter="\t")
        if missing := [column for column in SENTENCES if column not in (lines.fieldnames or ())]:
            raise DataError(f"{name}:1", f"expected columns {', '.join(SENTENCES)}, without {', '.join(missing)}")
        texts = []
        for line in lines:
            cells = [line[column] for column in SENTENCES]
            if None in cells:
                raise DataError(f"{name}:{lines.line_num}", f"expected {len(lines.fieldnames or ())} cells, got fewer")
            texts.append(" ".join(_sentence(cell) for cell in cells if cell.strip()))
    if not texts:
        raise DataError(name, "expected at least one description, got none")
    return texts


def _sentence(cell: str) -> str:
    text = " ".join(cell.split())
    return text if text[-1] in ".!?" else f"{text}."
