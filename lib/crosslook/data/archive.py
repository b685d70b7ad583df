"""The small text files of a data set, from a folder, a zip or tar archive, or memory, without unpacking anything."""

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from crosslook.data.errors import DataError

LIMIT = 2**24
"""The most bytes one file may hold: an annotation has thousands, so a larger one is a mistake or an attack."""


@dataclass(frozen=True)
class Files:
    """Files by name. `names` is in the order in which reading is fast; `where(name)` is what an error calls a file."""

    place: str
    names: tuple[str, ...]
    read: Callable[[str], bytes]

    def where(self, name: str) -> str:
        return f"{self.place}/{name}" if self.place else name

    def text(self, name: str) -> str:
        """The file as text. Raises DataError when there is none, or it is too large, unreadable, or no UTF-8."""
        try:
            raw = self.read(name)
        except (KeyError, FileNotFoundError):
            raise DataError(self.where(name), "expected this file, there is none") from None
        if len(raw) > LIMIT:
            raise DataError(self.where(name), f"expected at most {LIMIT:,} bytes, got more")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise DataError(
                f"{self.where(name)}:{line}", f"expected UTF-8, got byte 0x{raw[error.start]:02x}"
            ) from None


@contextmanager
def open_files(source: str | os.PathLike | Mapping[str, str], folders: tuple[str, ...]) -> Iterator[Files]:
    """The files of `source` at its top and directly inside `folders`.

    Args:
        source: a folder, a .zip, a .tar (plain, .gz, .bz2, .xz), or a mapping from name to text. Inside an archive the
            data set may lie deeper; names are relative to where `folders[0]` is. A folder may hold `annotations.zip`
            in the place of `folders`, as the official repository of Flickr30k Entities does.
        folders: names of sub-folders, e.g. `("Annotations", "Sentences")`.

    Raises:
        DataError: the source does not exist, is none of these, or is damaged.
    """
    if isinstance(source, Mapping):
        yield Files("", tuple(source), lambda name: source[name].encode())
        return
    path = Path(source)
    with ExitStack() as opened:
        if path.is_dir():
            files = _folder(path, folders)
            inner = path / "annotations.zip"
            if not (path / folders[0]).is_dir() and inner.is_file():
                files = _beside(files, _archive(inner, folders, opened))
            yield files
        elif path.exists():
            yield _archive(path, folders, opened)
        else:
            raise DataError(str(path), "expected a folder or an archive, there is nothing")


def _folder(path: Path, folders: tuple[str, ...]) -> Files:
    names = [entry.name for entry in sorted(path.iterdir()) if entry.is_file()]
    for folder in folders:
        if (path / folder).is_dir():
            names += [f"{folder}/{name}" for name in sorted(os.listdir(path / folder))]

    def read(name: str) -> bytes:
        try:
            return _bounded(open(path / name, "rb"))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DataError(str(path / name), f"cannot be read ({error.strerror})") from error

    return Files(str(path), tuple(names), read)


def _archive(path: Path, folders: tuple[str, ...], opened: ExitStack) -> Files:
    with _damage(path):
        if zipfile.is_zipfile(path):
            archive = opened.enter_context(zipfile.ZipFile(path))
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            open_member = archive.open
        elif tarfile.is_tarfile(path):
            archive = opened.enter_context(tarfile.open(path))  # noqa: SIM115
            # Only plain files: a link inside an archive may point anywhere.
            members = {member.name.removeprefix("./"): member for member in archive if member.isreg()}
            open_member = archive.extractfile
        else:
            raise DataError(str(path), "expected a folder, a zip or a tar archive, got another kind or a damaged one")
    kept = _inside(path, members, folders)

    def read(name: str) -> bytes:
        with _damage(path):
            return _bounded(open_member(kept[name]))

    return Files(str(path), tuple(kept), read)


def _inside(path: Path, members: dict[str, Any], folders: tuple[str, ...]) -> dict[str, Any]:
    """The members beside and in `folders`, in the order in which they lie in the archive, by their short names."""
    split = {tuple(name.split("/")): member for name, member in members.items() if not name.startswith("__MACOSX/")}
    bases = {parts[: parts.index(folders[0])] for parts in split if folders[0] in parts[:-1]}
    if len(bases) > 1:
        shown = sorted("/".join(base) or "." for base in bases)
        raise DataError(str(path), f"expected one folder {folders[0]}, got one in each of {shown}")
    base = bases.pop() if bases else ()
    near = {parts[len(base) :]: member for parts, member in split.items() if parts[: len(base)] == base}
    return {
        "/".join(parts): member
        for parts, member in near.items()
        if len(parts) == 1 or (len(parts) == 2 and parts[0] in folders)
    }


def _beside(files: Files, inner: Files) -> Files:
    """A folder's own files together with those of an archive in it."""
    own = set(files.names)
    return Files(
        files.place,
        files.names + tuple(name for name in inner.names if name not in own),
        lambda name: files.read(name) if name in own else inner.read(name),
    )


def _bounded(file: BufferedIOBase) -> bytes:
    with file:
        return file.read(LIMIT + 1)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """What an archive's library raises when the archive is damaged, as a DataError that names the archive."""
    try:
        yield
    except DataError:
        raise
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise DataError(str(path), f"damaged archive ({error})") from error
    except (NotImplementedError, RuntimeError) as error:  # how zipfile refuses encryption and unknown compression
        raise DataError(str(path), f"the archive cannot be read ({error})") from error
