"""One encoder for five architectures: streams of text and image, updated sublayer by sublayer (`architectures.py`)."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from crosslook.models.architectures import Attend, Config, Feed
from crosslook.models.embeddings import EPS

Stream = Float[Tensor, "batch position dim"]
Texts, Images = Float[Tensor, "batch text dim"], Float[Tensor, "batch image dim"]
TextMask, ImageMask = Bool[Tensor, "batch text"], Bool[Tensor, "batch image"]


@runtime_checkable
class Sizes(Protocol):
    """What attention needs to know of a model's configuration."""

    width: int
    heads: int
    dropout: float


class Heads(nn.Module):
    """Multi-head attention with the names that BERT gives its parts; `attention_kind` labels its calls in turn."""

    def __init__(self, config: Sizes, *kinds: str) -> None:
        super().__init__()
        self.attention_kind = kinds
        self.num_attention_heads = config.heads
        self.attention_head_size = config.width // config.heads
        self.query, self.key, self.value, self.dense = (nn.Linear(config.width, config.width) for _ in range(4))
        self.dropout = config.dropout

    def forward(
        self,
        hidden: Stream,
        attention_mask: Bool[Tensor, "#batch #head #query key"] | Float[Tensor, "#batch #head #query key"],
        encoder_hidden_states: Float[Tensor, "batch key dim"] | None = None,
    ) -> Stream:
        """What each position gathers, from its own sequence or another.

        `attention_mask` is true where a query may look, or a number that is added to its score. A query that may look
        nowhere gathers 0.
        """
        other = hidden if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            linear(x).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for linear, x in ((self.query, hidden), (self.key, other), (self.value, other))
        )
        dropout = self.dropout if self.training else 0.0
        gathered = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, dropout_p=dropout)
        return self.dense(gathered.transpose(1, 2).flatten(2))


class AttentionBlock(nn.Module):
    """Attention, the residual connection and the layer norm after it."""

    def __init__(self, config: Config, *kinds: str) -> None:
        super().__init__()
        self.heads = Heads(config, *kinds)
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, hidden: Stream, present: Bool[Tensor, "batch key"], other: Float[Tensor, "batch key dim"] | None = None
    ) -> Stream:
        """`present` says which positions may be looked at."""
        gathered = self.heads(hidden, attention_mask=present[:, None, None], encoder_hidden_states=other)
        return self.norm(hidden + self.dropout(gathered))


class FeedBlock(nn.Module):
    """The feed-forward network, the residual connection and the layer norm after it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.width)
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Stream) -> Stream:
        return self.norm(hidden + self.dropout(self.down(F.gelu(self.up(hidden)))))


class Sublayer(nn.Module):
    """A sublayer of both streams. Where they share weights, `image` is None and `text` serves both."""

    def __init__(self, config: Config, gates: Attend | Feed) -> None:
        super().__init__()
        self.gates = gates
        if isinstance(gates, Feed):
            self.text = FeedBlock(config) if gates.text else None
            self.image = FeedBlock(config) if gates.image and not gates.shared else None
            return
        text, image = (kind(asking, seen) for asking, seen in (("text", gates.text), ("image", gates.image)))
        if gates.joint or gates.shared:
            self.text = AttentionBlock(config, *([text] if gates.joint else [text, image]))
            self.image = None
        else:
            self.text = AttentionBlock(config, text) if gates.text else None
            self.image = AttentionBlock(config, image) if gates.image else None

    def forward(
        self, text: Texts, image: Images | None, text_mask: TextMask, image_mask: ImageMask | None
    ) -> tuple[Texts, Images | None]:
        """Both streams after this sublayer; one that passes by is given back as it came."""
        of_text, of_image = self.text, self.text if self.gates.shared else self.image
        if isinstance(self.gates, Feed):
            return of_text(text) if of_text else text, of_image(image) if of_image else image
        if self.gates.joint:
            both = self.text(torch.cat([text, image], 1), torch.cat([text_mask, image_mask], 1))
            return both[:, : text.shape[1]], both[:, text.shape[1] :]
        streams = {"text": (text, text_mask), "image": (image, image_mask)}

        def look(block: AttentionBlock | None, own: str, seen: tuple[str, ...]) -> Stream | None:
            if block is None:
                return streams[own][0]
            states, mask = streams[seen[0]]
            return block(streams[own][0], mask, None if seen == (own,) else states)

        return look(of_text, "text", self.gates.text), look(of_image, "image", self.gates.image)


def kind(asking: str, seen: tuple[str, ...]) -> str:
    """What `crosslook.capture` calls attention of one stream to some."""
    if len(seen) == 2:
        return "joint"
    return asking if seen == (asking,) or not seen else f"{asking}_to_{seen[0]}"


class Encoder(nn.Module):
    """All sublayers one after the other."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Sublayer(config, gates) for gates in config.sublayers)

    def forward(
        self, text: Texts, image: Images | None, text_mask: TextMask, image_mask: ImageMask | None
    ) -> tuple[list[Texts], list[Images | None]]:
        """States of both streams: what came in, and after every sublayer."""
        texts, images = [text], [image]
        for layer in self.layers:
            text, image = layer(text, image, text_mask, image_mask)
            texts.append(text)
            images.append(image)
        return texts, images


class WordHead(nn.Module):
    """Logits over the vocabulary: a layer, and the word embeddings once more (`embedding` is theirs)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.bias = nn.Parameter(torch.zeros(config.vocab))

    def forward(
        self, states: Float[Tensor, "*position dim"], embedding: Float[Tensor, "vocab dim"]
    ) -> Float[Tensor, "*position vocab"]:
        return F.linear(self.norm(F.gelu(self.dense(states))), embedding, self.bias)


class RegionHead(nn.Module):
    """Logits over the detector's classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=EPS) if config.region_head_norm else nn.Identity()
        self.classes = nn.Linear(config.width, config.classes)

    def forward(self, states: Float[Tensor, "*position dim"]) -> Float[Tensor, "*position class"]:
        return self.classes(self.norm(F.gelu(self.dense(states))))


def initialise(model: nn.Module, seed: int) -> None:
    """Normal weights, biases 0, layer norms 1; follows from the seed.

    The standard deviation is BERT's 0.02 at BERT's width of 768, and grows with the root of how much narrower a model
    is: with 0.02 at a width of 128 all scores begin near 0 and the first epochs pass before anything is learnt.
    """
    generator = torch.Generator().manual_seed(seed)
    sd = 0.02 * (768 / model.config.width) ** 0.5
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                module.weight.normal_(0, sd, generator=generator)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0
            if isinstance(module, nn.Linear | WordHead) and module.bias is not None:
                module.bias.zero_()
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
