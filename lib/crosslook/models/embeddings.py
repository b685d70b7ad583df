"""How each architecture turns words and regions into the first states of its two streams.

Everywhere a word is its embedding, that of its position and that of its segment, added up and normalised. What differs
is how a region's feature and box come together.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from crosslook.models.architectures import Config

EPS = 1e-12
"""What layer norms add to the variance, as in BERT."""

Streams = tuple[Float[Tensor, "batch text dim"], Float[Tensor, "batch image dim"] | None]


class Standard(nn.Module):
    """Region features with mean 0 and standard deviation 1 in every dimension, by the mean and deviation of a data set.

    Features that come out of a rectifier share a large mean, next to which regions look alike to a layer norm. A row of
    zeros is a region that is hidden, and stays one.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("sd", torch.ones(features))

    def forward(self, features: Float[Tensor, "batch region dim"]) -> Float[Tensor, "batch region dim"]:
        hidden = (features == 0).all(-1, keepdim=True)
        return ((features - self.mean) / self.sd).masked_fill(hidden, 0)


class Words(nn.Module):
    """BERT's: `word + position + segment`, before its layer norm."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab, config.width, padding_idx=0)
        self.position = nn.Embedding(config.positions, config.width)
        self.segment = nn.Embedding(config.types, config.width)

    def forward(
        self, ids: Int[Tensor, "batch text"], segments: Int[Tensor, "batch text"]
    ) -> Float[Tensor, "batch text dim"]:
        if ids.shape[1] > self.position.num_embeddings:
            raise ValueError(f"ids: expected at most {self.position.num_embeddings} tokens, got {ids.shape[1]}")
        return self.word(ids) + self.position(torch.arange(ids.shape[1], device=ids.device)) + self.segment(segments)


class Text(nn.Module):
    """No image at all: the text-only control."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.words = Words(config)
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, ids: Tensor, segments: Tensor, features: Tensor | None, boxes: Tensor | None) -> Streams:
        return self.dropout(self.norm(self.words(ids, segments))), None


class Uniter(Text):
    """Feature and box each through a layer norm of its own, and segment 1; then a layer norm that is not the words'."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.feature = nn.Linear(config.features, config.width)
        self.box = nn.Linear(config.locations, config.width)
        self.feature_norm = nn.LayerNorm(config.width, eps=EPS)
        self.box_norm = nn.LayerNorm(config.width, eps=EPS)
        self.image_norm = nn.LayerNorm(config.width, eps=EPS)

    def forward(self, ids: Tensor, segments: Tensor, features: Tensor, boxes: Tensor) -> Streams:
        text, _ = super().forward(ids, segments, None, None)
        image = self.feature_norm(self.feature(features)) + self.box_norm(self.box(boxes))
        return text, self.dropout(self.image_norm(image + self.words.segment.weight[1]))


class VisualBert(Text):
    """The feature with a segment and a position of its own; boxes are not used; the words' layer norm for both."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.feature = nn.Linear(config.features, config.width)
        self.image_segment = nn.Embedding(config.types, config.width)
        self.image_position = nn.Embedding(config.positions, config.width)

    def forward(self, ids: Tensor, segments: Tensor, features: Tensor, boxes: Tensor) -> Streams:
        text, _ = super().forward(ids, segments, None, None)
        image = self.feature(features) + self.image_position.weight[0] + self.image_segment.weight[1]
        return text, self.dropout(self.norm(image))


class Faint(nn.LayerNorm):
    """A layer norm whose scale begins at 0: what it normalises is let in by and by."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.zeros_(self.weight)


class VlBert(Text):
    """The feature joined with sines of the box; words carry the whole image's as well, and regions a word of their own.

    A row of zeros (a region that is masked) gets a learnt feature. The row whose feature words carry, and which counts
    as the end of the sequence, is that of the whole image, the first. In the published code it is the last, whatever
    that is, and the words of *every* caption of a batch that stand behind the end of the shortest move on, so that an
    example depends on its batch; `config.shortest_ends` does so too, to equal it.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.coordinates, self.shortest_ends = config.coordinates, config.shortest_ends
        self.shrink = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(2 * config.features, config.width), nn.ReLU())
        self.region_word = nn.Embedding(1, config.width)
        self.masked_feature = nn.Embedding(1, config.features)
        self.end = nn.Embedding(1, config.width)
        # As in the published code; words would else begin as noise under the feature that all of them carry.
        self.text_visual_norm = Faint(config.width, eps=EPS)
        self.region_visual_norm = Faint(config.width, eps=EPS)

    def forward(self, ids: Tensor, segments: Tensor, features: Tensor, boxes: Tensor) -> Streams:
        n_text, n_regions = ids.shape[1], features.shape[1]
        masked = (features == 0).all(-1, keepdim=True)
        features = torch.where(masked, self.masked_feature.weight[0], features)
        seen = self.shrink(torch.cat([sines(boxes, self.coordinates), features], -1))
        # Regions stand between the caption and its padding, all in one place but for one, which is the end.
        ends = (ids != 0).sum(1, keepdim=True)
        after = torch.arange(n_text, device=ids.device) >= (ends.min() if self.shortest_ends else ends)
        text_places = torch.arange(n_text, device=ids.device) + n_regions * after
        whole = n_regions - 1 if self.shortest_ends else 0
        last = torch.arange(n_regions, device=ids.device) == whole
        position = self.words.position
        words = torch.arange(n_text, device=ids.device) < ends
        highest = max(int(text_places.where(words, 0).max()), int(ends.max()) + 1)
        if highest >= position.num_embeddings:
            raise ValueError(
                f"ids: expected words and regions to fit {position.num_embeddings} positions together, "
                f"got {int(ends.max())} and {n_regions}, up to position {highest} (from 0)"
            )
        # Nothing looks at padding, wherever it stands: a short caption may have a long one beside it.
        text_places = text_places.clamp(max=position.num_embeddings - 1)
        text = self.words.word(ids) + self.words.segment(segments) + position(text_places)
        text = text + self.text_visual_norm(seen[:, whole, None])
        image = torch.where(last[:, None], self.end.weight[0], self.region_word.weight[0])
        image = image + self.region_visual_norm(seen) + position(ends + last.long()) + self.words.segment.weight[2]
        return self.dropout(self.norm(text)), self.dropout(self.norm(image))


class Vilbert(Text):
    """Feature and box added up under one layer norm."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.feature = nn.Linear(config.features, config.width)
        self.box = nn.Linear(config.locations, config.width)
        self.image_norm = nn.LayerNorm(config.width, eps=EPS)

    def forward(self, ids: Tensor, segments: Tensor, features: Tensor, boxes: Tensor) -> Streams:
        text, _ = super().forward(ids, segments, None, None)
        return text, self.dropout(self.image_norm(self.feature(features) + self.box(boxes)))


class Lxmert(Text):
    """The mean of feature and box, each under a layer norm of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.feature = nn.Linear(config.features, config.width)
        self.box = nn.Linear(config.locations, config.width)
        self.feature_norm = nn.LayerNorm(config.width, eps=EPS)
        self.box_norm = nn.LayerNorm(config.width, eps=EPS)

    def forward(self, ids: Tensor, segments: Tensor, features: Tensor, boxes: Tensor) -> Streams:
        text, _ = super().forward(ids, segments, None, None)
        image = (self.feature_norm(self.feature(features)) + self.box_norm(self.box(boxes))) / 2
        return text, self.dropout(image)


def sines(boxes: Float[Tensor, "batch image locations"], n: int) -> Float[Tensor, "batch image code"]:
    """VL-BERT's codes of boxes: n sines and n cosines of centre, width and height, `8 n` numbers.

    `boxes` begin with their corners as shares of the image.
    """
    low, high = boxes[..., :2], boxes[..., 2:4]
    position = 100 * torch.cat([(low + high) / 2, high - low], -1)
    angles = position[..., None] / 1000 ** (torch.arange(n, device=boxes.device) / n)
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


KINDS: dict[str, type[Text]] = {
    "text": Text,
    "uniter": Uniter,
    "visualbert": VisualBert,
    "vl-bert": VlBert,
    "vilbert": Vilbert,
    "lxmert": Lxmert,
}
