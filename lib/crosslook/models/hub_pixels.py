"""Published models that read pixels: which patches show which region, and ViLT of `transformers` behind the protocol.

Pixels are those of `batch.pictures`, through the checkpoint's own image processor.
"""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from crosslook.boxes import iot
from crosslook.data.sample import Batch
from crosslook.models.hub import tokenize
from crosslook.models.protocol import Encoded, Places, tokens

if TYPE_CHECKING:
    from PIL import Image

    from crosslook.capture import Positions

COVERED = 0.5
"""A patch shows a region that covers this share of it."""
SEED = 0


def patches(
    boxes: Float[Tensor, "region 4"], size: tuple[float, float], grid: tuple[int, int]
) -> Bool[Tensor, "region patch"]:
    """Which patches of an image show each box: those that it covers by half, and the one under its centre.

    Args:
        boxes: xyxy in pixels, the last pixel included, as in a `Sample`.
        size: width and height of what the patches divide, in the same pixels.
        grid: rows and columns of patches; they count row by row.

    Returns:
        Nothing for a box that lies outside of the image. The centre is that of the part within it.

    Raises:
        ValueError: for a size or a grid without extent, or boxes that are none (see `crosslook.boxes`).
    """
    (width, height), (rows, columns) = size, grid
    if not (width > 0 and height > 0 and rows > 0 and columns > 0):
        raise ValueError(f"size, grid: expected positive numbers, got {size} and {grid}")
    boxes = boxes + boxes.new_tensor([0, 0, 1, 1])
    y, x = torch.meshgrid(
        torch.arange(rows, device=boxes.device), torch.arange(columns, device=boxes.device), indexing="ij"
    )
    corners = torch.stack([x, y, x + 1, y + 1], -1).flatten(0, 1)
    patch = corners * boxes.new_tensor([width / columns, height / rows] * 2)
    # A hair less than half, since areas are rounded.
    shown = iot(patch, boxes).T >= COVERED - 1e-5
    inside = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
    centre = (inside[:, :2] + inside[:, 2:]) / 2 / boxes.new_tensor([width / columns, height / rows])
    column, row = centre.long().minimum(torch.tensor([columns - 1, rows - 1], device=boxes.device)).unbind(-1)
    under = nn.functional.one_hot(row * columns + column, rows * columns).bool()
    seen = (inside[:, 2:] > inside[:, :2]).all(-1, keepdim=True)
    return (shown | under) & seen


def pictures(batch: Batch) -> "list[Image.Image]":
    """The images of a batch, RGB.

    Raises:
        ValueError: when one has none, naming it.
    """
    openers = batch.pictures or (None,) * len(batch)
    found = [None if opener is None else opener() for opener in openers]
    without = [name for name, image in zip(batch.image_ids, found, strict=True) if image is None]
    if without:
        raise ValueError(
            f"batch: expected pictures, which this model looks at (it takes no region features); there is none of "
            f"{', '.join(without[:5])}"
        )
    return [image.convert("RGB") for image in found]


class Last:
    """What was made of the last batch: a model, its places and its positions ask for the same pixels in turn."""

    def __init__(self) -> None:
        self._batch: Callable[[], Batch | None] = lambda: None
        self._made: Any = None

    def __call__(self, batch: Batch, make: Callable[[Batch], Any]) -> Any:
        """`make(batch)`, unless it is what was made last."""
        if self._batch() is not batch:
            self._made, self._batch = make(batch), weakref.ref(batch)
        return self._made


class Vilt(nn.Module):
    """ViLT (Kim et al. 2021): words, then a [CLS] of the image and its patches, in one sequence.

    `transformers` shuffles the patches in every pass; here they stand in reading order, which changes nothing else,
    since each carries the embedding of its place. Of a checkpoint with a largest number of patches
    (`max_image_length`), the same ones are dropped each time. The last states are those after the final layer norm.
    """

    image_input = "pixels"

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.region_logits = None
        if type(model).__name__ != "ViltForMaskedLM":
            self.word_logits = None
        if type(model).__name__ != "ViltForImageAndTextRetrieval":
            self.match_logits = None
        self._last = Last()

    def tokenize(self, caption: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and character spans, for `collate`."""
        return tokenize(self.tokenizer, caption, special=True)

    def forward(self, batch: Batch) -> Encoded:
        """Encode a batch of tokens and pictures.

        Raises:
            ValueError: for a batch without tokens or pictures.
        """
        base, config = self.model.base_model, self.model.config
        ids, text_mask = tokens(batch, config.vocab_size, config.max_position_embeddings)
        states, image_mask, _ = self._patches(*self._pixels(batch))
        found = base(
            input_ids=ids,
            attention_mask=text_mask.long(),
            image_embeds=states,
            pixel_mask=image_mask.long(),
            output_hidden_states=True,
            return_dict=True,
        )
        after, n = (*found.hidden_states[:-1], found.last_hidden_state), ids.shape[1]
        return Encoded(
            text_states=tuple(states[:, :n] for states in after),
            image_states=tuple(states[:, n:] for states in after),
            text_mask=text_mask,
            image_mask=image_mask,
            pooled=found.pooler_output,
        )

    def word_logits(self, encoded: Encoded) -> Float[Tensor, "batch text vocab"]:
        """Of masked words."""
        return self.model.mlm_score(encoded.text_states[-1])

    def match_logits(self, encoded: Encoded) -> Float[Tensor, "batch 2"]:
        """0, and the score by which the checkpoint ranks pairs: good for comparing them, no odds by itself."""
        score = self.model.rank_output(encoded.pooled)
        return torch.cat([torch.zeros_like(score), score], 1)

    def places(self, batch: Batch) -> Places:
        """Words first, then the whole image, then the patches that a region covers (see `patches`)."""
        pixels, pixel_mask = self._pixels(batch)
        with torch.no_grad():
            _, present, index = self._patches(pixels, pixel_mask)
        side = self.model.config.patch_size
        shown = []
        for b, (width, height) in enumerate(batch.sizes.tolist()):
            # Of the pixels that the model was given, those of this picture are in the upper left.
            down, across = int(pixel_mask[b, :, 0].sum()), int(pixel_mask[b, 0].sum())
            rows, columns = (
                min(-(-n // side), of // side) for n, of in zip((down, across), pixels.shape[2:], strict=True)
            )
            whole = columns * side * width / across, rows * side * height / down
            found = patches(batch.boxes[b], whole, (rows, columns)) & batch.region_mask[b, :, None]
            place = (index[b, :, 0] * columns + index[b, :, 1]).clamp(max=rows * columns - 1)
            shown.append(found[:, place] & present[b, 1:])
        regions = nn.functional.pad(torch.stack(shown), (1, 0))
        text = torch.arange(batch.ids.shape[1], device=batch.ids.device).expand(len(batch), -1)
        image = batch.ids.shape[1] + torch.arange(present.shape[1], device=batch.ids.device).expand(len(batch), -1)
        return Places(text, regions, text, image)

    def attention_positions(self, batch: Batch) -> "Positions":
        """Which positions are words and which image; each [CLS] belongs to the part that it stands before."""
        from crosslook.capture import Positions

        with torch.no_grad():
            _, image, _ = self._patches(*self._pixels(batch))
        text = batch.text_mask
        joint_text = torch.cat([text, torch.zeros_like(image)], 1)
        return Positions(text, image, joint_text, torch.cat([torch.zeros_like(text), image], 1))

    def _pixels(self, batch: Batch) -> tuple[Float[Tensor, "batch 3 y x"], Int[Tensor, "batch y x"]]:
        def read(batch: Batch) -> tuple[Tensor, Tensor]:
            found = self.image_processor(pictures(batch), return_tensors="pt")
            pixels = found["pixel_values"].to(batch.boxes.device)
            mask = found.get("pixel_mask")
            return pixels, pixels.new_ones(pixels[:, 0].shape).long() if mask is None else mask.to(pixels.device)

        return self._last(batch, read)

    def _patches(
        self, pixels: Float[Tensor, "batch 3 y x"], pixel_mask: Int[Tensor, "batch y x"]
    ) -> tuple[Float[Tensor, "batch image dim"], Bool[Tensor, "batch image"], Int[Tensor, "batch patch 2"]]:
        """First states of [CLS] and patches in reading order, which are present, and row and column of the patches."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)  # of those that are dropped, and of what fills up the rows of smaller pictures
            states, mask, (index, _) = self.model.base_model.embeddings.visual_embed(
                pixels.to(self.model.dtype), pixel_mask, max_image_length=self.model.config.max_image_length
            )
        present, columns = mask.bool(), 1 + int(index[..., 1].max())
        order = torch.argsort(index[..., 0] * columns + index[..., 1] + (~present[:, 1:]) * 10**9, dim=1, stable=True)
        index = index.gather(1, order[..., None].expand_as(index))
        order = nn.functional.pad(order + 1, (1, 0))
        return states.gather(1, order[..., None].expand_as(states)), present.gather(1, order), index
