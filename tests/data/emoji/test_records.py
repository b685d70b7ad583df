"""Reading and writing scenes: the same bytes every time, errors with their line."""

import gzip

import pytest

from crosslook.data.emoji import records


def test_round_trip_and_same_bytes(tmp_path):
    rows = [{"id": f"val-{i:05d}", "text": "über", "boxes": [[1, 2, 3, 4]]} for i in range(20)]
    first, second = tmp_path / "a" / "val.jsonl.gz", tmp_path / "b" / "other.jsonl.gz"
    records.write(first, rows)
    records.write(second, iter(rows))
    assert first.read_bytes() == second.read_bytes()
    assert list(records.iterate(first)) == rows
    assert [p.name for p in first.parent.iterdir()] == ["val.jsonl.gz"]


def test_header_has_no_time_and_no_name(tmp_path):
    records.write(tmp_path / "x.gz", [{"id": "a"}])
    header = (tmp_path / "x.gz").read_bytes()[:10]
    assert header[3] == 0
    assert header[4:8] == b"\0\0\0\0"


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "x.jsonl.gz"
    records.write(file, [{"id": "a"}])

    def broken():
        yield {"id": "b"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records.write(file, broken())
    assert list(records.iterate(file)) == [{"id": "a"}]


def test_unknown_split():
    with pytest.raises(ValueError, match=r"split: expected one of \('train', 'val', 'test'\), got 'dev'"):
        records.path("dev")


@pytest.mark.parametrize("line", ["{", "[]", '{"seed": 3}'])
def test_a_bad_line_is_named(tmp_path, line):
    file = tmp_path / "x.jsonl.gz"
    file.write_bytes(gzip.compress(f'{{"id": "a"}}\n{line}\n'.encode()))
    with pytest.raises(ValueError, match=r"x\.jsonl\.gz:2: expected a JSON object"):
        list(records.iterate(file))
