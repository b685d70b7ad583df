"""Picking images: whole, different, repeatable, and only those that can be seen."""

from dataclasses import replace

from crosslook import data
from crosslook.data.pick import pick


def test_all_captions_of_each_image_come_together():
    photos = data.load("photos")
    chosen = pick(photos, 2, seed=1)
    assert len(chosen) == 10
    assert len({sample.image_id for sample in chosen}) == 2
    assert [sample.caption_index for sample in chosen] == [0, 1, 2, 3, 4] * 2
    assert [s.image_id for s in pick(photos, 2, seed=1)] == [s.image_id for s in chosen]
    assert len({pick(photos, 1, seed)[0].image_id for seed in range(20)}) == 3, "the seed decides"


def test_images_without_a_picture_are_passed_over():
    photos = [replace(s, picture=None) if s.image_id == "china" else s for s in data.load("photos")]
    assert {sample.image_id for sample in pick(photos, 9)} == {"flower", "grace_hopper"}
    assert pick(photos, 0) == []
