"""Counts of texts by hand, and over batches as over single texts."""

from collections import Counter
from math import isnan

import pytest

from crosslook import text_statistics
from crosslook.data import tell_me_more
from crosslook.text_statistics import OBJECTS, TextStatistics, load, save, statistics

TEXTS = [
    "A man with a guitar is on the left.",
    "There is a big lamp above the table. It is red.",
    "The lamp is in the background.",
    "",
]


def test_by_hand():
    found = statistics(TEXTS)
    assert found.texts == 4
    # A man; A man with a guitar; a guitar; the left / a big lamp, and with above the table; the table; It / two.
    assert found.phrases == Counter({0: 8, 1: 2})
    assert found.ignored == Counter({"the left": 1, "it": 1, "the background": 1})
    assert found.heads == Counter({"lamp": 2, "man": 1, "guitar": 1, "table": 1})
    assert found.relations == Counter({"direction": 2, "region": 1})
    assert found.parts.total() == 10 + (9 + 4) + 7
    assert (found.parts["NOUN"], found.parts["ADP"], found.parts["PUNCT"]) == (7, 4, 4)
    assert found.share(["NOUN", "ADP"]) == pytest.approx(11 / 30)
    assert found.share(OBJECTS) == pytest.approx(sum(found.parts[part] for part in ("DET", "ADJ", "NOUN")) / 30)


def test_batches_make_no_difference(monkeypatch):
    once = statistics(TEXTS)
    monkeypatch.setattr(text_statistics, "BATCH", 3)
    assert statistics(TEXTS) == once
    monkeypatch.setattr(text_statistics, "BATCH", 1)
    assert statistics(TEXTS) == once


def test_nothing_to_count():
    found = statistics([])
    assert found.texts == 0
    assert not found.parts
    assert isnan(found.share(OBJECTS))


def test_bad_input():
    with pytest.raises(ValueError, match="texts: expected a sequence of texts, got one text 'a dog'"):
        statistics("a dog")


def test_saved_and_read_again(tmp_path):
    found = statistics(TEXTS)
    save(found, tmp_path / "a.json")
    assert load(tmp_path / "a.json") == found
    many = TextStatistics(1, heads=Counter({f"w{n}": 500 - n for n in range(150)}))
    save(many, tmp_path / "b.json")
    assert load(tmp_path / "b.json").heads == Counter({f"w{n}": 500 - n for n in range(100)})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"texts": 1}', '{"texts": 1, "parts": 3}'])
def test_a_broken_file(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: expected counts"):
        load(tmp_path / "a.json")


def test_the_counts_of_real_rooms_are_here():
    rooms = load()
    assert rooms.texts == 5702
    assert rooms.phrases.total() == pytest.approx(20 * 5702, rel=0.1)
    assert rooms.heads.most_common(1)[0][0] in ("room", "wall", "bed", "window", "table")


@pytest.mark.realdata
def test_the_command_counts_real_rooms(shared, tmp_path, capsys):
    """On the first 150, what counting them at once gives; and a file of all has as many as it should."""
    source = shared / "data/tell_me_more/sequences.csv"
    assert len(tell_me_more.read(source)) == load().texts
    few = tmp_path / "few.csv"
    few.write_text("".join(source.read_text(encoding="utf-8").splitlines(keepends=True)[:151]), encoding="utf-8")
    text_statistics.main([str(few), "-o", str(tmp_path / "few.json")])
    assert "150 texts" in capsys.readouterr().out
    found, wanted = load(tmp_path / "few.json"), statistics(tell_me_more.read(few))
    assert found.parts == wanted.parts
    assert found.relations == wanted.relations
    # As in all 5,702, within what 150 can tell.
    assert found.share(OBJECTS) == pytest.approx(load().share(OBJECTS), abs=0.03)
