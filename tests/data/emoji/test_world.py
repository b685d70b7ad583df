"""The world's tables: what is in them, and that errors in them are named."""

import json

import pytest

from crosslook.data.emoji import world
from crosslook.data.emoji.sprites import index


def test_names_and_counts():
    everything = world.categories()
    assert 150 <= len(everything) <= 200
    assert {c.type for c in everything.values()} == set(world.TYPES)
    assert len(world.PREDICATES) == len(set(world.PREDICATES)) == 31
    assert world.SETTINGS == ("room", "street", "park", "beach", "stage")


def test_every_category_can_be_met():
    """Each has a setting, and takes part in at least one relation; each predicate has subjects and objects."""
    everything = world.categories().values()
    for category in everything:
        assert category.settings, category.key
        assert category.subject or category.object, category.key
    for predicate in world.PREDICATES:
        assert any(predicate in c.subject or predicate == "has" for c in everything), predicate
        assert any(predicate in c.object for c in everything), predicate


def test_every_category_has_a_sprite_of_its_size():
    people, things = index()["people"], index()["things"]
    for key, category in world.categories().items():
        names = [entry["name"] for entry in people[key]] if key in people else [key]
        if category.type == "bodyparts":
            assert key not in things
            continue
        for name in names:
            assert (world.FOLDER / "sprites" / f"{name}.png").is_file(), name
        assert (key in people) == (category.type == "people")
        assert bool(category.colours) == ("dye" in things.get(key, {})), key


def test_a_guitar_is_mostly_brown():
    colours = world.categories()["guitar"].colours
    assert 2 * colours["brown"] > sum(colours.values())


def test_licence_lies_beside_the_sprites():
    text = (world.FOLDER / "NOTO-LICENSE").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1 - 26 February 2007" in text
    assert "PERMISSION & CONDITIONS" in text
    assert "DISCLAIMER" in text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("type", "person", "type: expected one of"),
        ("colours", {"mauve": 3}, "mauve=3"),
        ("settings", {"park": 0}, "park=0"),
        ("subject", {"eating": 1}, "eating=1"),
        ("object", {"on": "3"}, "on='3'"),
    ],
)
def test_errors_name_file_and_category(tmp_path, field, value, message):
    row = {"emoji": "🐕", "type": "animals", "frequency": 1, "size": 50, "colours": {}, "settings": {"park": 1}}
    row |= {"subject": {}, "object": {}, "roles": [], "faces": None, field: value}
    file = tmp_path / "categories.json"
    file.write_text(json.dumps({"dog": row}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"categories\.json: dog: ") as error:
        world.categories(file)
    assert message in str(error.value)
