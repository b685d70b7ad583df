"""What models answer, whatever their architecture: notebooks are written against this and run on all of them.

A model is an `nn.Module` with (of a planted one only the third and the fourth)

- `tokenize(caption)`: ids and character spans, for `crosslook.data.sample.collate`;
- `model(batch) -> Encoded`;
- `attention_positions(batch) -> crosslook.capture.Positions`, which labels what `capture` records;
- `places(batch) -> Places`, which says where the words and regions of a batch stand in the sequences of its attention;
- `image_input`: `"regions"` (features of boxes), `"pixels"`, or `"none"`;

and of these heads those that it has: `word_logits(encoded) (batch, text, vocab)`, `region_logits(encoded) (batch,
region, class)`, `match_logits(encoded) (batch, 2)`, where index 1 says that text and image belong together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from crosslook.data.sample import Batch

HEADS = {"word_logits": "masked or next words", "region_logits": "masked regions", "match_logits": "matching"}


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model made of a batch.

    `text_states` holds the states of the text positions, first the embeddings and then those after each layer; none for
    a model that reads no text. `image_states` is the same for image positions: regions (perhaps after a row for the
    whole image) or patches. Masks say which positions are present. `pooled` is one vector for both, where there is one.
    """

    text_states: tuple[Float[Tensor, "batch text dim"], ...]
    image_states: tuple[Float[Tensor, "batch image dim_image"], ...]
    text_mask: Bool[Tensor, "batch text"] | None
    image_mask: Bool[Tensor, "batch image"] | None
    pooled: Float[Tensor, "batch pooled"] | None = None


@dataclass(frozen=True, eq=False)
class Places:
    """Where the words and regions of a batch stand in the sequences that attention sees.

    `text` gives for each token of the batch its position in the text sequence, `regions` the image positions that show
    each region. `joint_text` and `joint_image` give the positions of tokens, and of image positions, in the sequence of
    both; None for a model without one.
    """

    text: Int[Tensor, "batch text"]
    regions: Bool[Tensor, "batch region image"]
    joint_text: Int[Tensor, "batch text"] | None = None
    joint_image: Int[Tensor, "batch image"] | None = None


def tokens(
    batch: Batch, vocab: int | None = None, longest: int | None = None
) -> tuple[Int[Tensor, "batch text"], Bool[Tensor, "batch text"]]:
    """The ids and mask of a batch.

    Raises:
        ValueError: for a batch without tokens, with more than `longest` in a caption, or with ids from `vocab` on.
    """
    if batch.ids is None or batch.text_mask is None:
        raise ValueError("batch: expected tokens, got none; give collate the model's tokenize")
    if longest is not None and batch.ids.shape[1] > longest:
        worst = batch.captions[int(batch.text_mask.sum(1).argmax())]
        raise ValueError(f"batch: expected at most {longest} tokens a caption, got {batch.ids.shape[1]} for {worst!r}")
    if vocab is not None and batch.ids.numel() and int(batch.ids.max()) >= vocab:
        raise ValueError(
            f"batch: expected token ids below {vocab}, got {int(batch.ids.max())}; give collate the model's tokenize"
        )
    return batch.ids, batch.text_mask


def on_text(
    places: Places, kind: str, tokens: Bool[Tensor, "batch group text"], length: int
) -> Bool[Tensor, "batch group position"]:
    """Sets of tokens as sets of positions in a sequence of an attention call.

    Args:
        places: of the batch.
        kind: the call's (`Site.kind`); in a joint sequence tokens stand elsewhere than in one of text alone.
        tokens: for example `batch.phrase_tokens`.
        length: of the sequence, with padding.

    Raises:
        ValueError: for a call about images alone, or a joint one of a model that has none.
    """
    if "text" not in kind and kind != "joint":
        raise ValueError(f"kind: expected a call with text in it, got {kind!r}")
    index = _joint(places.joint_text, kind) if kind == "joint" else places.text
    return _scatter(tokens, index, length)


def on_image(
    places: Places, kind: str, regions: Bool[Tensor, "batch group region"], length: int
) -> Bool[Tensor, "batch group position"]:
    """Sets of regions as sets of positions in a sequence of an attention call: like `on_text`.

    Raises:
        ValueError: for a call about text alone, a joint one of a model that has none, or one about images of a model
            with joint sequences, whose image positions those are (a vision tower has others of its own).
    """
    if "image" not in kind and kind != "joint":
        raise ValueError(f"kind: expected a call with an image in it, got {kind!r}")
    if kind != "joint" and places.joint_image is not None:
        raise ValueError(f"kind: expected a joint call of this model, got {kind!r}")
    shown = torch.einsum("bgr,bri->bgi", regions.float(), places.regions.float()) > 0
    if kind != "joint":
        return torch.nn.functional.pad(shown, (0, length - shown.shape[-1]))
    return _scatter(shown, _joint(places.joint_image, kind), length)


def _joint(index: Tensor | None, kind: str) -> Tensor:
    if index is None:
        raise ValueError(f"kind: expected a call of this model, which has no sequence of text and image, got {kind!r}")
    return index


def _scatter(members: Tensor, index: Tensor, length: int) -> Tensor:
    there = members.new_zeros(*members.shape[:2], length, dtype=torch.long)
    return there.scatter_add_(2, index[:, None].expand_as(members), members.long()) > 0


def head(model: nn.Module, name: str) -> Callable[..., Any]:
    """A model's head of that name (a key of `HEADS`).

    Raises:
        ValueError: when the model has none, naming both.
    """
    found = getattr(model, name, None)
    if found is None:
        has = [other for other in HEADS if getattr(model, other, None) is not None]
        raise ValueError(
            f"model: expected one with a head for {HEADS[name]} ({name}), got {type(model).__name__} with "
            f"{', '.join(has) or 'no head'}"
        )
    return found
