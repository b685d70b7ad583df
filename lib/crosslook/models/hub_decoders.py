"""Published decoders that read pixels, behind the protocol: the image's tokens, then the caption, in one sequence.

What a family wants around them (`FAMILIES`) is what its processor writes for a prompt of an image and a text; roles of
a chat are left out. Every word sees the image, and only PaliGemma's image sees the words.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from crosslook.data.sample import Batch
from crosslook.models.hub import tokenize
from crosslook.models.hub_pixels import Last, patches, pictures
from crosslook.models.protocol import Encoded, Places, tokens

if TYPE_CHECKING:
    from crosslook.capture import Positions


class Layout(NamedTuple):
    """The names or ids of tokens before the image's, between them and the caption, and after it; None is left out.

    `options` are for the image processor, `first` counts tokens of the image that stand before its patches (-1: the
    first patch is missing).
    """

    before: tuple[int | str | None, ...] = ()
    between: tuple[int | str | None, ...] = ()
    after: tuple[int | str | None, ...] = ()
    options: tuple[tuple[str, bool], ...] = ()
    first: int = 0


def llava(config: Any, tokenizer: Any) -> Layout:
    """LLaVA (Liu et al. 2023), with CLIP or SigLIP to see."""
    towers = {"clip_vision_model": 1, "siglip_vision_model": 0}
    tower = config.vision_config.model_type
    if tower not in towers:
        raise ValueError(f"model: expected LLaVA with one of {', '.join(towers)}, got {tower!r}")
    first = towers[tower] - (config.vision_feature_select_strategy == "default")
    return Layout(before=(tokenizer.bos_token_id,), first=first)


def qwen(config: Any, tokenizer: Any) -> Layout:
    """Qwen2-VL (Wang et al. 2024) and its successors: as many tokens as the picture is large."""
    return Layout(before=(config.vision_start_token_id,), between=(config.vision_end_token_id,))


def paligemma(config: Any, tokenizer: Any) -> Layout:
    """PaliGemma (Beyer et al. 2024): image and caption are a prefix that sees all of itself."""
    return Layout(between=(tokenizer.bos_token_id,), after=tuple(tokenizer.encode("\n", add_special_tokens=False)))


def idefics(config: Any, tokenizer: Any) -> Layout:
    """Idefics3 (Laurençon et al. 2024) and SmolVLM (Marafioti et al. 2025); the picture is not cut into tiles here."""
    fake = "<fake_token_around_image>"
    options = (("do_image_splitting", False), ("return_row_col_info", False))
    return Layout((fake, "<global-img>"), (fake,), options=options)


FAMILIES = {
    "llava": llava,
    "qwen2_vl": qwen,
    "qwen2_5_vl": qwen,
    "qwen3_vl": qwen,
    "paligemma": paligemma,
    "smolvlm": idefics,
    "idefics3": idefics,
}


class Inputs(NamedTuple):
    """What a decoder is called with; where the caption begins in each example; rows and columns of image tokens."""

    arguments: dict[str, Tensor]
    starts: list[int]
    grids: list[tuple[int, int]]


class Decoder(nn.Module):
    """A decoder. Its places speak of the sequence of words and image, not of the calls within its image encoder.

    `word_logits` are of the word that comes next. Image states are those of the image's tokens; the last states are
    those after the final layer norm.
    """

    image_input = "pixels"

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.layout = FAMILIES[model.config.model_type](model.config, tokenizer)
        self.region_logits = self.match_logits = None
        if model.get_output_embeddings() is None:
            self.word_logits = None
        self._last = Last()

    def tokenize(self, caption: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and character spans of the caption alone, for `collate`; what else a sequence has is added later."""
        return tokenize(self.tokenizer, caption, special=False)

    def forward(self, batch: Batch) -> Encoded:
        """Encode a batch of tokens and pictures.

        Raises:
            ValueError: for a batch without tokens or pictures, or with the image's token in a caption.
        """
        inputs = self._inputs(batch)
        found = self.model.base_model(**inputs.arguments, output_hidden_states=True, return_dict=True, use_cache=False)
        after = (*found.hidden_states[:-1], found.last_hidden_state)
        text, image = self._joint(batch, inputs)
        return Encoded(
            text_states=tuple(_take(states, text) for states in after),
            image_states=tuple(_take(states, image) for states in after),
            text_mask=batch.text_mask,
            image_mask=self._image_mask(inputs, image),
        )

    def word_logits(self, encoded: Encoded) -> Float[Tensor, "batch text vocab"]:
        """Of the word that follows each word."""
        return self.model.get_output_embeddings()(encoded.text_states[-1])

    def places(self, batch: Batch) -> Places:
        """Where caption and image stand in the sequence, and which of the image's tokens show which region.

        None do where an image processor cuts the region off (LLaVA's keeps the middle of a picture).
        """
        inputs = self._inputs(batch)
        text, image = self._joint(batch, inputs)
        shown = []
        for b, grid in enumerate(inputs.grids):
            x, y, width, height = window(self.image_processor, *batch.sizes[b].tolist())
            moved = batch.boxes[b] - batch.boxes.new_tensor([x, y, x, y])
            found = patches(moved, (width, height), grid) & batch.region_mask[b, :, None]
            found = nn.functional.pad(found, (self.layout.first, 0))
            shown.append(nn.functional.pad(found, (0, image.shape[1] - found.shape[1])))
        own = torch.arange(batch.ids.shape[1], device=batch.ids.device).expand(len(batch), -1)
        return Places(own, torch.stack(shown), text, image)

    def attention_positions(self, batch: Batch) -> "Positions":
        """Which positions are image tokens; all others that are present are text, special tokens too."""
        from crosslook.capture import Positions

        arguments = self._inputs(batch).arguments
        image = arguments["input_ids"] == self._image_token
        return Positions(joint_text=arguments["attention_mask"].bool() & ~image, joint_image=image)

    @property
    def _image_token(self) -> int:
        return self.model.config.image_token_id

    def _inputs(self, batch: Batch) -> Inputs:
        return self._last(batch, self._read)

    def _read(self, batch: Batch) -> Inputs:
        config = self.model.config
        text = config.get_text_config()
        ids, text_mask = tokens(batch, text.vocab_size, text.max_position_embeddings)
        if bool((ids == self._image_token)[text_mask].any()):
            raise ValueError(f"batch: expected captions without the token of an image, got it in {batch.captions}")
        found = self.image_processor(pictures(batch), return_tensors="pt", **dict(self.layout.options))
        arguments = {
            key: value.to(ids.device, self.model.dtype) if value.is_floating_point() else value.to(ids.device)
            for key, value in found.items()
        }
        grids = _grids(config, arguments, len(batch))
        before, between, after = (self._ids(part) for part in self.layout[:3])
        rows, masks, starts = [], [], []
        for own, mask, (down, across) in zip(ids, text_mask, grids, strict=True):
            lead = before + [self._image_token] * (down * across + self.layout.first) + between
            n = int(mask.nonzero().amax()) + 1 if mask.any() else 0
            starts.append(len(lead))
            rows.append(torch.cat([ids.new_tensor(lead), own[:n], ids.new_tensor(after)]))
            masks.append(nn.functional.pad(mask[:n], (len(lead), len(after)), value=True))
        arguments["input_ids"] = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        arguments["attention_mask"] = nn.utils.rnn.pad_sequence(masks, batch_first=True).long()
        if config.model_type.startswith("qwen"):
            arguments["mm_token_type_ids"] = (arguments["input_ids"] == self._image_token).int()
        if config.model_type == "paligemma":
            arguments["token_type_ids"] = torch.zeros_like(arguments["input_ids"])
        return Inputs(arguments, starts, grids)

    def _ids(self, part: tuple[int | str | None, ...]) -> list[int]:
        known = self.tokenizer.get_vocab()
        ids = [known.get(one) if isinstance(one, str) else one for one in part]
        return [one for one in ids if one is not None]

    def _joint(self, batch: Batch, inputs: Inputs) -> tuple[Int[Tensor, "batch text"], Int[Tensor, "batch image"]]:
        """Positions of tokens and of image tokens; what is padding points at some position."""
        ids = inputs.arguments["input_ids"]
        text = torch.arange(batch.ids.shape[1], device=ids.device) + ids.new_tensor(inputs.starts)[:, None]
        n = [down * across + self.layout.first for down, across in inputs.grids]
        image = torch.arange(max(n), device=ids.device) + len(self._ids(self.layout.before))
        return text.clamp(max=ids.shape[1] - 1), image.expand(len(ids), -1)

    def _image_mask(self, inputs: Inputs, image: Int[Tensor, "batch image"]) -> Tensor:
        return (inputs.arguments["input_ids"] == self._image_token).gather(1, image)


def window(processor: Any, width: float, height: float) -> tuple[float, float, float, float]:
    """The part of a picture that an image processor hands on: left, top, width and height, in the picture's pixels.

    It begins outside of a picture that is padded to a square, and is less than all of one of which the middle is cut.
    """
    left = top = 0.0
    if getattr(processor, "pad_to_square", None) and processor.do_pad:
        side = max(width, height)
        left, top, width, height = (width - side) // 2, (height - side) // 2, side, side
    if not getattr(processor, "do_center_crop", None):
        return left, top, width, height
    scale_x = scale_y = 1.0
    if processor.do_resize:
        shortest = processor.size.get("shortest_edge")
        if shortest:
            scale_x = scale_y = shortest / min(width, height)
        else:
            scale_x, scale_y = processor.size["width"] / width, processor.size["height"] / height
    across, down = processor.crop_size["width"], processor.crop_size["height"]
    left += (int(width * scale_x) - across) // 2 / scale_x
    top += (int(height * scale_y) - down) // 2 / scale_y
    return left, top, across / scale_x, down / scale_y


def _grids(config: Any, arguments: dict[str, Tensor], n: int) -> list[tuple[int, int]]:
    """Rows and columns of each picture's tokens."""
    vision = config.vision_config
    if "image_grid_thw" in arguments:
        merged = arguments["image_grid_thw"][:, 1:] // vision.spatial_merge_size
        return [(down, across) for down, across in merged.tolist()]
    cell = vision.patch_size * getattr(config, "scale_factor", 1)
    down, across = arguments["pixel_values"].shape[-2:]
    return [(down // cell, across // cell)] * n


def _take(states: Float[Tensor, "batch joint dim"], index: Int[Tensor, "batch n"]) -> Float[Tensor, "batch n dim"]:
    return states.gather(1, index[..., None].expand(-1, -1, states.shape[-1]))
