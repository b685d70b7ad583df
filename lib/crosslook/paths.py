"""Where the repository keeps its data and where the library may keep what it makes."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository's root; `crosslook` is installed in place (`pip install -e .`)."""

DATA = Path(os.environ.get("CROSSLOOK_DATA", ROOT / "data"))
"""The committed data sets and weights; the environment variable `CROSSLOOK_DATA` names another folder."""


def cache_dir(*parts: str) -> Path:
    """A folder for things made on first use; it is created. `CROSSLOOK_CACHE` names another root.

    >>> cache_dir("regions").name
    'regions'
    """
    from platformdirs import user_cache_path

    root = os.environ.get("CROSSLOOK_CACHE")
    folder = (Path(root) if root else user_cache_path("crosslook")).joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
