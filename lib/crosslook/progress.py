"""Progress bars that can be switched off, so that none ends up on a page of the book."""

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], *, desc: str, total: int | None = None) -> Iterator[T]:
    """`items`, with a progress bar named `desc`; silent where the environment says `CROSSLOOK_PROGRESS=0`."""
    from tqdm.auto import tqdm

    return iter(tqdm(items, desc=desc, total=total, disable=os.environ.get("CROSSLOOK_PROGRESS") == "0"))
