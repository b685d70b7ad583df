"""Models by a short name; each takes a `crosslook.data.sample.Batch`.

All but the planted answer `crosslook.models.protocol`; those tell only where things stand in their attention.

| name | what it is |
|---|---|
| `emoji/uniter`, `emoji/lxmert`, ... | trained by this project on Emoji Entities; `list()` names those shipped |
| `untrained/uniter`, ... | the same architectures with initial weights |
| `planted/grounding`, `planted/all`, `planted/null` | heads built to do a known thing, see `crosslook.models.planted` |
| `volta:PATH` | a checkpoint of the controlled study of Bugliarello et al. (2021), in the folder at PATH |
| `hf:NAME` | a model of `transformers`: a folder, or a name on the hub |
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

PLANTED = ("planted/grounding", "planted/all", "planted/null")
FILES = ("volta:PATH", "hf:NAME")
OPTIONS = {"emoji/": (), "untrained/": ("seed",), "planted/": ("seed",), "volta:": ("tokenize",), "hf:": ("tokenizer",)}
"""What `load` takes beside a name that begins so."""


def load(spec: str, **options: Any) -> "nn.Module":
    """The model of that name, in evaluation mode.

    Args:
        spec: one of `list()`, or `emoji/NAME` of any recipe that was trained here. PATH may contain colons.
        options: for `planted/...` (default: 0) and `untrained/...` (default: the recipe's), `seed`; for `volta:...`,
            `tokenize`; for `hf:...`, `tokenizer`.

    Raises:
        ValueError: no such model; the error lists those that there are. Or an option that it does not take.
        FileNotFoundError: its weights are not there.
    """
    kind = next((start for start in OPTIONS if spec.startswith(start)), "")
    name = spec.removeprefix(kind)
    if not kind or not name or (kind == "planted/" and spec not in PLANTED):
        raise ValueError(f"spec: expected one of {', '.join(list())}, got {spec!r}")
    if unknown := [option for option in options if option not in OPTIONS[kind]]:
        known = ", ".join(OPTIONS[kind]) or "none"
        raise ValueError(f"options: expected {known} for {spec!r}, got {', '.join(unknown)}")
    if kind == "planted/":
        from crosslook.models import planted

        return planted.load(name, **options)
    if kind == "volta:":
        from crosslook.models import volta

        return volta.load(name, **options)
    if kind == "hf:":
        from crosslook.models import hub

        return hub.load(name, **options)
    from crosslook.models import zoo

    return zoo.load(name) if kind == "emoji/" else zoo.untrained(name, **options)


def list() -> tuple[str, ...]:
    """The names that `load` knows. In `volta:PATH` and `hf:NAME`, put a folder or a name."""
    from crosslook.models import recipes, zoo

    trained = (f"emoji/{name}" for name in zoo.shipped())
    return (*trained, *(f"untrained/{name}" for name in recipes.ARCHITECTURES), *PLANTED, *FILES)
