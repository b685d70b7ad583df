"""Models by a short name; every one takes a `crosslook.data.sample.Batch`.

| name | what it is |
|---|---|
| `planted/grounding`, `planted/all`, `planted/null` | heads built to do a known thing, see `crosslook.models.planted` |
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

SPECS = ("planted/grounding", "planted/all", "planted/null")


def load(spec: str, **options: Any) -> "nn.Module":
    """The model of that name, in evaluation mode.

    Args:
        spec: one of `list()`.
        options: for `planted/...`, those of `crosslook.models.planted.load` (`seed`).

    Raises:
        ValueError: no such model; the error lists those that there are.
    """
    if spec not in SPECS:
        raise ValueError(f"spec: expected one of {', '.join(SPECS)}, got {spec!r}")
    _family, name = spec.split("/")
    from crosslook.models import planted

    return planted.load(name, **options)


def list() -> tuple[str, ...]:
    """The names that `load` knows."""
    return SPECS
