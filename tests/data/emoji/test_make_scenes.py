"""The committed splits are what the generator makes, and stay small."""

from itertools import islice

import pytest

from crosslook.data.emoji import records
from crosslook.data.emoji.make_scenes import make
from crosslook.data.emoji.scene import from_record
from crosslook.data.emoji.world import FOLDER


@pytest.mark.parametrize("split", records.SPLITS)
def test_committed_scenes_are_what_the_generator_makes(split):
    """The first few of each split, byte for byte, with their language."""
    committed = list(islice(records.iterate(records.path(split)), 12))
    assert committed == list(islice(make(split), 12)), "run python -m crosslook.data.emoji.make_scenes"


def test_splits_are_complete_and_apart():
    ids, seeds = [], []
    for split, number in records.SPLITS.items():
        rows = records.read(split)
        assert [row["id"] for row in rows] == [f"{split}-{i:05d}" for i in range(number)]
        ids += [row["id"] for row in rows]
        seeds += [row["seed"] for row in rows]
        for row in rows:
            assert len(row["captions"]) == 5
            assert row["paragraph"]
        assert from_record(rows[0]).id == rows[0]["id"]
    assert len(set(ids)) == len(ids) == 9000
    assert len(set(seeds)) == len(seeds)


def test_scenes_and_sprites_take_five_megabytes_at_most():
    files = [file for folder in ("scenes", "sprites") for file in (FOLDER / folder).iterdir()]
    assert sum(file.stat().st_size for file in files) <= 5_000_000
