"""The committed scenes: one JSON object a line, gzip-compressed, byte for byte the same whenever they are written."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from crosslook.data.emoji.world import FOLDER

SPLITS = {"train": 8000, "val": 500, "test": 500}
"""The splits and their numbers of images."""


def path(split: str, folder: Path = FOLDER) -> Path:
    """Where a split's scenes lie. Raises ValueError for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"split: expected one of {tuple(SPLITS)}, got {split!r}")
    return folder / "scenes" / f"{split}.jsonl.gz"


def iterate(file: Path) -> Iterator[dict]:
    """The records of one file, one at a time. Raises ValueError naming file and line where a line is no record."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{file}:{number}: expected a JSON object, got {line[:40]!r} ({error})") from error
            if not isinstance(record, dict) or "id" not in record:
                raise ValueError(f"{file}:{number}: expected a JSON object with an id, got {line[:40]!r}")
            yield record


def read(split: str, folder: Path = FOLDER) -> list[dict]:
    """All records of a split: `id`, `seed`, `setting`, `things`, `relations`, `captions`, `paragraph`."""
    return list(iterate(path(split, folder)))


def write(file: Path, records: Iterable[dict]) -> None:
    """Write records to `file`, replacing it only when all are written. The same records give the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".part")
    # No name and no time in the header: both would make the bytes depend on when and where they were written.
    with open(unfinished, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as out:
        for record in records:
            line = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
            out.write(line.encode() + b"\n")
    os.replace(unfinished, file)
