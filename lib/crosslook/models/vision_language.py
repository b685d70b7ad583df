"""The zoo's encoders behind the protocol: a `Batch` goes in, `Encoded` and logits come out."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from crosslook.data.sample import Batch, Tokenize
from crosslook.models import embeddings
from crosslook.models.architectures import Config, Feed
from crosslook.models.encoder import Encoder, RegionHead, WordHead, initialise
from crosslook.models.protocol import Encoded, Places, tokens

if TYPE_CHECKING:
    from crosslook.capture import Positions


class VisionLanguage(nn.Module):
    """A model of text and regions, or of text alone; `build` makes one with initial weights.

    `tokenize` turns captions into ids. A model for text alone has only `word_logits`.
    """

    def __init__(self, config: Config, tokenize: Tokenize) -> None:
        super().__init__()
        self.config = config
        self.tokenize = tokenize
        self.image_input = "none" if config.embeddings == "text" else "regions"
        self.embeddings = embeddings.KINDS[config.embeddings](config)
        self.encoder = Encoder(config)
        self.words = WordHead(config)
        if self.image_input == "none":
            self.region_logits = self.match_logits = None
            return
        self.standard = embeddings.Standard(config.features) if config.standardise else nn.Identity()
        self.regions = RegionHead(config)
        self.text_pooler = nn.Linear(config.width, config.pooled)
        self.image_pooler = nn.Linear(config.width, config.pooled)
        self.dropout = nn.Dropout(config.dropout)
        self.matching = nn.Linear(config.pooled, 2)

    def forward(self, batch: Batch) -> Encoded:
        """Encode a batch, which needs tokens and, but for a model of text alone, features.

        The row for the whole image is the mean of the features that are given: what is ablated there, is ablated here.
        An image without regions counts as not seen.

        Raises:
            ValueError: for a batch without tokens or with those of a larger vocabulary, or without features of the
                width that the model takes.
        """
        ids, text_mask = tokens(batch, self.config.vocab)
        features, boxes, image_mask = (None, None, None) if self.image_input == "none" else self.rows(batch)
        texts, images = self.encode(ids, text_mask, features, boxes, image_mask)
        pooled = None if features is None else torch.mul(*self.pool(texts[-1], images[-1]))
        return Encoded(self._layers(texts, "text"), self._layers(images, "image"), text_mask, image_mask, pooled)

    def encode(
        self,
        ids: Int[Tensor, "batch text"],
        text_mask: Bool[Tensor, "batch text"],
        features: Float[Tensor, "batch image dim"] | None,
        boxes: Float[Tensor, "batch image locations"] | None,
        image_mask: Bool[Tensor, "batch image"] | None,
        segments: Int[Tensor, "batch text"] | None = None,
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """States of both streams: the embeddings, and after every sublayer."""
        segments = torch.zeros_like(ids) if segments is None else segments
        text, image = self.embeddings(ids, segments, features, boxes)
        return self.encoder(text, image, text_mask, image_mask)

    def rows(
        self, batch: Batch
    ) -> tuple[Float[Tensor, "batch image dim"], Float[Tensor, "batch image locations"], Bool[Tensor, "batch image"]]:
        """Features, boxes (as shares of the image) and presence of the image positions."""
        config, present = self.config, batch.region_mask
        if batch.features is None or batch.features.shape[-1] != config.features:
            got = "none" if batch.features is None else f"{batch.features.shape[-1]}"
            raise ValueError(f"batch: expected region features of width {config.features}, got {got}")
        features = self.standard(batch.features * present[..., None])
        width, height = batch.sizes[:, None].unbind(-1)
        x1, y1, x2, y2 = batch.boxes.unbind(-1)
        boxes = [x1 / width, y1 / height, x2 / width, y2 / height]
        if config.locations == 5:
            boxes.append((x2 - x1) * (y2 - y1) / (width * height))
        places = torch.stack(boxes, -1)
        if config.whole_image:
            mean = features.sum(1, keepdim=True) / present.sum(1).clamp(min=1)[:, None, None]
            features = torch.cat([mean, features], 1)
            whole = places.new_tensor([0, 0, 1, 1, 1])[: config.locations]
            places = torch.cat([whole.expand(len(places), 1, -1), places], 1)
            present = torch.cat([present.any(1, keepdim=True), present], 1)
        return features, places, present

    def pool(
        self, text: Float[Tensor, "batch text dim"], image: Float[Tensor, "batch image dim"]
    ) -> tuple[Float[Tensor, "batch pooled"], Float[Tensor, "batch pooled"]]:
        """One vector for each stream, from its first position."""
        return self.text_pooler(text[:, 0]).relu(), self.image_pooler(image[:, 0]).relu()

    def word_logits(self, encoded: Encoded) -> Float[Tensor, "batch text vocab"]:
        """Of masked words."""
        return self.words(encoded.text_states[-1], self.embeddings.words.word.weight)

    def region_logits(self, encoded: Encoded) -> Float[Tensor, "batch region class"]:
        """Of masked regions, over the detector's classes."""
        return self.regions(encoded.image_states[-1][:, int(self.config.whole_image) :])

    def match_logits(self, encoded: Encoded) -> Float[Tensor, "batch 2"]:
        """Of not belonging together (0) and belonging together (1)."""
        return self.matching(self.dropout(encoded.pooled))

    def places(self, batch: Batch) -> Places:
        """Words first, then the whole image, then regions."""
        (n, n_text), n_regions = batch.ids.shape, batch.region_mask.shape[1]
        first = int(self.config.whole_image)
        text = torch.arange(n_text, device=batch.ids.device).expand(n, -1)
        regions = torch.eye(n_regions, dtype=torch.bool, device=batch.ids.device)
        regions = nn.functional.pad(regions, (first, 0)).expand(n, -1, -1)
        joint_image = n_text + torch.arange(first + n_regions, device=batch.ids.device).expand(n, -1)
        one = any(not isinstance(gates, Feed) and gates.joint for gates in self.config.sublayers)
        return Places(text, regions, text if one else None, joint_image if one else None)

    def attention_positions(self, batch: Batch) -> "Positions":
        """Which positions are words and which image; [CLS] and [SEP] count as words, the whole image as image."""
        from crosslook.capture import Positions

        text = batch.text_mask
        if self.image_input == "none":
            return Positions(text=text)
        image = batch.region_mask
        if self.config.whole_image:
            image = torch.cat([image.any(1, keepdim=True), image], 1)
        joint_text = torch.cat([text, torch.zeros_like(image)], 1)
        joint_image = torch.cat([torch.zeros_like(text), image], 1)
        return Positions(text=text, image=image, joint_text=joint_text, joint_image=joint_image)

    def _layers(self, states: list[Tensor | None], stream: str) -> tuple[Tensor, ...]:
        """Of states after every sublayer, the first and those after the feed-forward networks of a stream."""
        if states[0] is None:
            return ()
        ends = [isinstance(gates, Feed) and getattr(gates, stream) for gates in self.config.sublayers]
        return (states[0], *(state for state, end in zip(states[1:], ends, strict=True) if end))


def build(config: Config, tokenize: Tokenize, seed: int = 0) -> VisionLanguage:
    """A model with initial weights, which follow from the seed, in evaluation mode."""
    model = VisionLanguage(config, tokenize)
    initialise(model, seed)
    return model.eval()
