"""How fast scenes are drawn and data sets read: `.venv/bin/python benchmarks/data.py [PATH of Flickr30k Entities]`."""

import sys
import time

from crosslook import data
from crosslook.data.emoji import records
from crosslook.data.emoji.draw import draw
from crosslook.data.emoji.scene import from_record, sample_scene


def report(what: str, count: int, start: float) -> None:
    seconds = time.perf_counter() - start
    print(f"{what:45}{count:9,} in {seconds:6.1f} s {count / seconds:10,.0f} a second")


def main() -> None:
    scenes = [from_record(record) for record in records.read("val")]
    for scene in scenes[:50]:
        draw(scene)
    start = time.perf_counter()
    for scene in scenes[50:]:
        draw(scene)
    report("scenes drawn", len(scenes) - 50, start)

    start = time.perf_counter()
    for seed in range(300):
        sample_scene(f"bench-{seed}", seed)
    report("scenes made", 300, start)

    for spec in ("emoji:val", "emoji:train"):
        start = time.perf_counter()
        report(f"captions read, {spec}", len(data.load(spec, regions="gold")), start)

    for path in sys.argv[1:]:
        start = time.perf_counter()
        report("captions read, Flickr30k Entities", len(data.load(f"flickr30k:{path}:all")), start)


if __name__ == "__main__":
    main()
