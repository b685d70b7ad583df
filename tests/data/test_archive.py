"""The same files come out of a folder, an archive of any kind and memory; nothing leaves the archive."""

import io
import os
import re
import tarfile
import zipfile

import pytest

from crosslook.data import archive
from crosslook.data.archive import open_files
from crosslook.data.errors import DataError

FOLDERS = ("Annotations", "Sentences")
TEXTS = {"val.txt": "7\n", "Annotations/7.xml": "<a/>", "Sentences/7.txt": "Grüße\n"}


def _folder(path, texts=TEXTS):
    for name, text in texts.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path


def _zip(path, texts=TEXTS, base=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in texts.items():
            file.writestr(base + name, text)
    return path


def _tar(path, texts=TEXTS, base="", links=()):
    with tarfile.open(path, f"w:{path.suffix[1:].replace('tar', '')}") as file:
        for name, text in texts.items():
            info = tarfile.TarInfo(base + name)
            info.size = len(text.encode())
            file.addfile(info, io.BytesIO(text.encode()))
        for name, target in links:
            info = tarfile.TarInfo(base + name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            file.addfile(info)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda path: TEXTS,
        lambda path: _folder(path / "data"),
        lambda path: str(_folder(path / "data")),
        lambda path: _zip(path / "data.zip"),
        lambda path: _zip(path / "data.zip", base="Flickr30kEntities/"),
        lambda path: _zip(path / "data.zip", TEXTS | {"__MACOSX/Annotations/._7.xml": "x"}),
        lambda path: _tar(path / "data.tar"),
        lambda path: _tar(path / "data.tar", base="./"),
        lambda path: _tar(path / "data.tar.gz", base="./deep/er/"),
        lambda path: _tar(path / "data.tar.bz2"),
        lambda path: _tar(path / "data.tar.xz", TEXTS | {"other/1.txt": "x"}, base="Flickr30kEntities/"),
    ],
)
def test_every_source_gives_the_same_files(tmp_path, make):
    with open_files(make(tmp_path), FOLDERS) as files:
        assert {name: files.text(name) for name in files.names} == TEXTS


def test_a_folder_may_hold_the_archive_beside_the_split_lists(tmp_path):
    inner = {name: text for name, text in TEXTS.items() if "/" in name}
    _zip(tmp_path / "annotations.zip", inner)
    (tmp_path / "val.txt").write_text("7\n")
    with open_files(tmp_path, FOLDERS) as files:
        assert {name: files.text(name) for name in files.names if name != "annotations.zip"} == TEXTS


def test_nothing_outside_an_archive_is_read(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    links = [("Sentences/7.txt", "../secret.txt"), ("Annotations/8.xml", str(tmp_path / "secret.txt"))]
    texts = {"Annotations/7.xml": "<a/>", "../secret.txt": "x", "/etc/passwd": "x"}
    with open_files(_tar(tmp_path / "a.tar", texts, links=links), FOLDERS) as files:
        assert files.names == ("Annotations/7.xml",)
    with open_files(_zip(tmp_path / "a.zip", texts), FOLDERS) as files:
        assert files.names == ("Annotations/7.xml",)
        with pytest.raises(DataError, match="expected this file, there is none"):
            files.text("../secret.txt")


def _read(source):
    with open_files(source, FOLDERS) as files:
        return [files.text(name) for name in files.names]


def _fails(source, message):
    with pytest.raises(DataError, match=message):
        _read(source)


def test_a_source_that_is_none_is_named(tmp_path):
    _fails(tmp_path / "none", f"{re.escape(str(tmp_path / 'none'))}: expected a folder or an archive, there is nothing")
    (tmp_path / "text").write_text("no archive")
    _fails(tmp_path / "text", "text: expected a folder, a zip or a tar archive, got another kind or a damaged one")
    _fails(
        _zip(tmp_path / "two.zip", {"a/Annotations/1.xml": "", "b/Annotations/1.xml": ""}), r"two.zip: .*\['a', 'b'\]"
    )


@pytest.mark.parametrize("kind", ["zip", "tar.xz", "tar.gz", "tar.bz2", "tar"])
def test_a_damaged_archive_is_named(tmp_path, kind):
    texts = TEXTS | {f"Sentences/{i}.txt": os.urandom(3000).hex() for i in range(30)}
    path = (_zip if kind == "zip" else _tar)(tmp_path / f"data.{kind}", texts)
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[: len(whole) // 2])
    _fails(path, f"data.{kind}: (damaged archive|expected a folder)")


def test_a_zip_with_other_bytes_in_the_middle_is_named(tmp_path):
    path = _zip(tmp_path / "data.zip", TEXTS | {f"Sentences/{i}.txt": os.urandom(3000).hex() for i in range(30)})
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    path.write_bytes(whole)
    _fails(path, r"data\.zip: damaged archive \(")


def test_files_too_large_or_of_another_encoding_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LIMIT", 1000)
    _fails(
        _folder(tmp_path / "data", {"Sentences/7.txt": "a" * 1001}),
        "data/Sentences/7.txt: expected at most 1,000 bytes",
    )
    _fails(_zip(tmp_path / "data.zip", {"Sentences/7.txt": "a" * 10**7}), "7.txt: expected at most 1,000 bytes")
    (tmp_path / "data/Sentences/7.txt").write_bytes(b"ok\nGr\xfc\xdfe")
    _fails(tmp_path / "data", r"7\.txt:2: expected UTF-8, got byte 0xfc")
