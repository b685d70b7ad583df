"""The object relation transformer (Herdade et al. 2019), a captioner: regions go in, a text comes out word by word.

The encoder attends among regions; how boxes lie to each other is a number that is added to the scores. The decoder
reads the text so far and looks at the regions. As in the code of its authors, the layer norm comes before each
sublayer, and once more at the end of encoder and decoder.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from crosslook.data.sample import Batch, Tokenize
from crosslook.models import geometry
from crosslook.models.embeddings import Standard
from crosslook.models.encoder import Heads, initialise
from crosslook.models.protocol import Encoded, Places, tokens

if TYPE_CHECKING:
    from crosslook.capture import Positions

Images, Texts = Float[Tensor, "batch region dim"], Float[Tensor, "batch text dim"]
Bias = Float[Tensor, "batch #head #region region"]
LEAST = 1e-6
"""The least geometry weight of a pair (section 3.2), so that its logarithm exists."""


@dataclass(frozen=True)
class Config:
    """Sizes of the model, and what it knows of boxes.

    `features` is the width of a region's feature, `length` the longest text with its first and last token. `geometry`:
    whether boxes matter to the encoder; without it this is a plain transformer. `boxes`: their units,
    `crosslook.models.geometry.UNITS`.

    Raises:
        ValueError: when the width cannot be shared among the heads, or is odd, or for other units.
    """

    vocab: int
    features: int = 128
    width: int = 128
    heads: int = 8
    layers: int = 6
    feed_forward: int = 192
    dropout: float = 0.1
    length: int = 150
    geometry: bool = True
    boxes: str = "pixel"

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width: expected an even multiple of {self.heads} heads, got {self.width}")
        if self.boxes not in geometry.UNITS:
            raise ValueError(f"boxes: expected one of {', '.join(geometry.UNITS)}, got {self.boxes!r}")


class Feed(nn.Sequential):
    """The feed-forward network of a layer."""

    def __init__(self, config: Config) -> None:
        up, down = nn.Linear(config.width, config.feed_forward), nn.Linear(config.feed_forward, config.width)
        super().__init__(up, nn.ReLU(), nn.Dropout(config.dropout), down)


class EncoderLayer(nn.Module):
    """Attention among regions, by what they are and how their boxes lie (section 3.2)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.geometry = nn.Linear(geometry.DIM, config.heads) if config.geometry else None
        self.attention = Heads(config, "image")
        self.feed = Feed(config)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        image: Images,
        present: Bool[Tensor, "batch region"],
        pairs: Float[Tensor, "batch region region 64"] | None,
    ) -> Images:
        """`pairs` is what `geometry.features` says of all pairs of boxes; None without geometry."""
        normed = self.norms[0](image)
        image = image + self.dropout(self.attention(normed, attention_mask=self.bias(present, pairs)))
        return image + self.dropout(self.feed(self.norms[1](image)))

    def bias(
        self, present: Bool[Tensor, "batch region"], pairs: Float[Tensor, "batch region region 64"] | None
    ) -> Bias:
        """What is added to the scores: the log of each head's geometry weight, and -inf for absent regions.

        A softmax of score + log weight is the softmax of scores, each exponential weighted.
        """
        absent = torch.zeros(present.shape, device=present.device).masked_fill(~present, -torch.inf)[:, None, None]
        if self.geometry is None:
            return absent
        return self.geometry(pairs).relu().clamp(min=LEAST).log().permute(0, 3, 1, 2) + absent


class DecoderLayer(nn.Module):
    """Attention to the text so far, then to the regions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Heads(config, "text")
        self.crossed = Heads(config, "text_to_image")
        self.feed = Feed(config)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        text: Texts,
        image: Images,
        before: Bool[Tensor, "batch 1 text text"],
        present: Bool[Tensor, "batch 1 1 region"],
    ) -> Texts:
        """`before` says which words a word may look at, `present` which regions there are."""
        text = text + self.dropout(self.attention(self.norms[0](text), attention_mask=before))
        looked = self.crossed(self.norms[1](text), attention_mask=present, encoder_hidden_states=image)
        text = text + self.dropout(looked)
        return text + self.dropout(self.feed(self.norms[2](text)))


class ObjectRelationTransformer(nn.Module):
    """The captioner; `build` makes one with initial weights, `crosslook.models.beam` lets it write."""

    image_input = "regions"

    def __init__(self, config: Config, tokenize: Tokenize) -> None:
        super().__init__()
        self.config, self.tokenize = config, tokenize
        self.standard = Standard(config.features)
        self.regions = nn.Linear(config.features, config.width)
        self.words = nn.Embedding(config.vocab, config.width)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.next_word = nn.Linear(config.width, config.vocab)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("places_of_words", waves(config.length, config.width), persistent=False)

    def forward(self, batch: Batch) -> Encoded:
        """Encode regions and read the captions, each word knowing those before it (teacher forcing).

        Raises:
            ValueError: for a batch without tokens, with those of a larger vocabulary, with longer captions, or without
                features of the model's width.
        """
        ids, text_mask = tokens(batch, self.config.vocab)
        images = self.see(batch)
        texts = self.read(ids, text_mask, images[-1], batch.region_mask)
        return Encoded(texts, images, text_mask, batch.region_mask)

    def see(self, batch: Batch) -> tuple[Images, ...]:
        """States of the regions: the embeddings, and after every layer (the last after the layer norm at the end).

        Raises:
            ValueError: for a batch without features of the model's width.
        """
        if batch.features is None or batch.features.shape[-1] != self.config.features:
            got = "none" if batch.features is None else f"{batch.features.shape[-1]}"
            raise ValueError(f"batch: expected region features of width {self.config.features}, got {got}")
        pairs = geometry.features(batch.boxes, batch.sizes, self.config.boxes) if self.config.geometry else None
        states = [self.dropout(self.regions(self.standard(batch.features)).relu())]
        for layer in self.encoder:
            states.append(layer(states[-1], batch.region_mask, pairs))
        return (*states[:-1], self.encoder_norm(states[-1]))

    def read(
        self,
        ids: Int[Tensor, "batch text"],
        text_mask: Bool[Tensor, "batch text"],
        image: Images,
        region_mask: Bool[Tensor, "batch region"],
    ) -> tuple[Texts, ...]:
        """States of the words, given the regions' last ones: embeddings, and after every layer.

        Raises:
            ValueError: for a text that is longer than the model's `length`.
        """
        n = ids.shape[1]
        if n > self.config.length:
            raise ValueError(f"ids: expected at most {self.config.length} tokens, got {n}")
        before = torch.ones(n, n, dtype=torch.bool, device=ids.device).tril() & text_mask[:, None, None]
        embedded = self.words(ids) * self.config.width**0.5 + self.places_of_words[:n]
        states = [self.dropout(embedded)]
        for layer in self.decoder:
            states.append(layer(states[-1], image, before, region_mask[:, None, None]))
        return (*states[:-1], self.decoder_norm(states[-1]))

    def word_logits(self, encoded: Encoded) -> Float[Tensor, "batch text vocab"]:
        """Of the next words: those at position t are about token t + 1."""
        return self.next_word(encoded.text_states[-1])

    def places(self, batch: Batch) -> Places:
        """Words and regions stand where they stand in the batch; there is no joint sequence."""
        text = torch.arange(batch.ids.shape[1], device=batch.ids.device).expand(len(batch), -1)
        own = torch.eye(batch.region_mask.shape[1], dtype=torch.bool, device=batch.ids.device)
        return Places(text, own.expand(len(batch), -1, -1))

    def attention_positions(self, batch: Batch) -> "Positions":
        """Which positions are present; [CLS] and [SEP] count as words."""
        from crosslook.capture import Positions

        return Positions(text=batch.text_mask, image=batch.region_mask)


def waves(length: int, width: int) -> Float[Tensor, "{length} {width}"]:
    """Sinusoidal positions (Vaswani et al. 2017, section 3.5): sine and cosine in turn."""
    frequencies = 10000 ** -(torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def build(config: Config, tokenize: Tokenize, seed: int = 0) -> ObjectRelationTransformer:
    """A model with initial weights, which follow from the seed, in evaluation mode."""
    model = ObjectRelationTransformer(config, tokenize)
    initialise(model, seed)
    return model.eval()
