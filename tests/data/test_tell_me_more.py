"""The reader of room descriptions: a file by hand, what is wrong in one, and the real one."""

import csv

import pytest

from crosslook.data.errors import DataError
from crosslook.data.tell_me_more import read

HEAD = "\tseq_id\td1\td2\td3\td4\td5\n"


def write(tmp_path, text):
    path = tmp_path / "some.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_by_hand(tmp_path):
    path = write(tmp_path, HEAD + '0\t7\tA  room\t"A ""big"" bed."\t\tIs it?\tWalls !\n1\t8\ta\tb\tc\td\te\n')
    assert read(path) == ['A room. A "big" bed. Is it? Walls !', "a. b. c. d. e."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "some.csv:1: expected columns d1, d2, d3, d4, d5, without d1, d2, d3, d4, d5"),
        ("d1\td2\td3\td5\n", "some.csv:1: expected columns .*, without d4"),
        (HEAD, "some.csv: expected at least one description, got none"),
        (HEAD + "0\t7\ta\tb\n", "some.csv:2: expected 7 cells, got fewer"),
    ],
)
def test_bad_files(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, text))


@pytest.mark.realdata
def test_real_rooms(shared):
    path = shared / "data/tell_me_more/sequences.csv"
    texts = read(path)
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    assert len(texts) == len(rows) == 5702
    for text, row in zip(texts, rows, strict=True):
        words = " ".join(row[-5:]).replace(".", " ").split()
        assert text.replace(".", " ").split() == words
