"""Which attention calls of a model are about text, image or both, and which of their positions are which.

To add a family of `transformers` models, add a line to `FAMILIES`. Models of one's own say it themselves: an attention
module may have an attribute `attention_kind` (one kind, or a tuple of those of its calls in turn), and the model a
method `attention_positions`, called with the arguments of `forward`, that returns `Positions`.

Of the families here padding is read from the masks of the attention calls: keys that no query may attend to. Special
positions ([CLS], [SEP], what marks where an image begins) belong to the sequence that they came with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

KINDS = ("joint", "text", "image", "text_to_image", "image_to_text")


@dataclass(frozen=True, eq=False)
class Positions:
    """Which positions are present, of a text sequence, an image sequence, and a joint one; None where not known."""

    text: Bool[Tensor, "batch text"] | None = None
    image: Bool[Tensor, "batch image"] | None = None
    joint_text: Bool[Tensor, "batch joint"] | None = None
    joint_image: Bool[Tensor, "batch joint"] | None = None


Split = Callable[[int], Tensor]
"""From the length of a joint sequence: which positions are image (the others are text), `(batch or 1, joint)`."""


def after_text(arguments: Mapping[str, Any], config: Any, before: Tensor | None) -> Split | None:
    """Words first, the image after them."""
    words = _words(arguments)
    return None if words is None else lambda n: (torch.arange(n, device=words.device) >= words.shape[1])[None]


def before_text(arguments: Mapping[str, Any], config: Any, before: Tensor | None) -> Split | None:
    """The image first (after a [CLS] of both, if there is one), words at the end."""
    words = _words(arguments)
    return None if words is None else lambda n: (torch.arange(n, device=words.device) < n - words.shape[1])[None]


def image_tokens(arguments: Mapping[str, Any], config: Any, before: Tensor | None) -> Split | None:
    """Among the words, a token of its own stands where the image goes (or a video, which counts as image).

    With a cache of keys, the positions of earlier passes come first.
    """
    words = arguments.get("input_ids")
    if words is None:
        return None
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    tokens = [token for name in names if isinstance(token := getattr(config, name, None), int)]
    image = torch.isin(words, torch.tensor(tokens, device=words.device))
    cache = arguments.get("past_key_values")
    seen = int(cache.get_seq_length()) if cache is not None else 0
    if seen:
        if before is None or len(before) != len(image) or before.shape[1] < seen:
            return None
        image = torch.cat([before[:, :seen], image], 1)
    return lambda n: image


def _words(arguments: Mapping[str, Any]) -> Tensor | None:
    words = arguments.get("input_ids")
    return arguments.get("inputs_embeds") if words is None else words


class Family(NamedTuple):
    """What capture knows of a family of models.

    `kinds`: pairs of a pattern and a kind; the first pattern that is found in an attention module's path gives the kind
    of its calls (or the kinds of its calls in turn, where one module serves in both directions).
    `base`, `split`: for joint sequences, the class whose forward arguments say which positions are image, and how:
    `split(arguments, config, before)`, where `before` is what it said of the positions that come from a cache of keys.
    """

    kinds: tuple[tuple[str, str | tuple[str, ...]], ...]
    base: str = ""
    split: Callable[[Mapping[str, Any], Any, Tensor | None], Split | None] | None = None


IMAGE = r"vision_tower|vision_model|visual|image_model"
DUAL = ((IMAGE, "image"), ("", "text"))
DECODER = ((IMAGE, "image"), ("", "joint"))
LXMERT = (
    ("visual_attention", ("text_to_image", "image_to_text")),
    ("r_layers|visn_self_att", "image"),
    ("", "text"),
)
BRIDGETOWER = (
    ("cross_modal_text.*crossattention", "text_to_image"),
    ("cross_modal_image.*crossattention", "image_to_text"),
    (f"{IMAGE}|cross_modal_image", "image"),
    ("", "text"),
)

FAMILIES: dict[str, Family] = {
    "lxmert": Family(LXMERT),
    "visual_bert": Family((("", "joint"),), "VisualBertModel", after_text),
    "vilt": Family((("", "joint"),), "ViltModel", after_text),
    "flava": Family((("multimodal_model", "joint"), *DUAL), "FlavaModel", before_text),
    "bridgetower": Family(BRIDGETOWER),
    "blip": Family((("crossattention", "text_to_image"), *DUAL)),
    "clip": Family(DUAL),
    "clip_text_model": Family((("", "text"),)),
    "clip_vision_model": Family((("", "image"),)),
    "siglip": Family(DUAL),
    "siglip2": Family(DUAL),
    "llava": Family(DECODER, "LlavaModel", image_tokens),
    "qwen2_vl": Family(DECODER, "Qwen2VLModel", image_tokens),
    "qwen2_5_vl": Family(DECODER, "Qwen2_5_VLModel", image_tokens),
    "qwen3_vl": Family(DECODER, "Qwen3VLModel", image_tokens),
    "paligemma": Family(DECODER, "PaliGemmaModel", image_tokens),
    "gemma3": Family(DECODER, "Gemma3Model", image_tokens),
    "internvl": Family(DECODER, "InternVLModel", image_tokens),
    "llava_next": Family(DECODER, "LlavaNextModel", image_tokens),
    "smolvlm": Family(DECODER, "SmolVLMModel", image_tokens),
    "idefics3": Family(DECODER, "Idefics3Model", image_tokens),
}


def kind_of(family: Family, name: str, call: int) -> str:
    """The kind of a module's call, by the module's path in the model of this family."""
    kind = next(kind for pattern, kind in family.kinds if re.search(pattern, name))
    return kind if isinstance(kind, str) else kind[call % len(kind)]
