"""A small model in the project's own style, and an oracle that watches attention where it is computed."""

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from crosslook.capture import Positions


class Attention(nn.Module):
    """BERT's old style."""

    def __init__(self, width=12, heads=3, dropout=0.0):
        super().__init__()
        self.num_attention_heads, self.attention_head_size = heads, width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden, attention_mask=None, encoder_hidden_states=None):
        other = hidden if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            linear(x).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for linear, x in ((self.query, hidden), (self.key, other), (self.value, other))
        )
        scores = q @ k.mT / self.attention_head_size**0.5
        if attention_mask is not None:
            scores = scores + attention_mask
        return (self.dropout(scores.softmax(-1)) @ v).transpose(1, 2).flatten(2)


class Output(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, hidden):
        return self.dense(hidden)


class Block(nn.Module):
    def __init__(self, kind=None, **options):
        super().__init__()
        self.inner = Attention(**options)
        self.output = Output()
        if kind is not None:
            self.inner.attention_kind = kind

    def forward(self, hidden, mask=None, other=None):
        return hidden + self.output(self.inner(hidden, attention_mask=mask, encoder_hidden_states=other))


class SingleStream(nn.Module):
    """Words and regions in one sequence, `layers` times the same kind of block; `mask` is true at what is present."""

    def __init__(self, layers=2, seed=0, **options):
        super().__init__()
        torch.manual_seed(seed)
        self.blocks = nn.ModuleList(Block(**options) for _ in range(layers))

    def forward(self, hidden, mask=None, n_words=2):
        added = None if mask is None else torch.where(mask, 0.0, -1e9)[:, None, None]
        for block in self.blocks:
            hidden = block(hidden, added)
        return hidden

    def attention_positions(self, hidden, mask=None, n_words=2):
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool) if mask is None else mask
        is_word = torch.arange(hidden.shape[1]) < n_words
        return Positions(joint_text=mask & is_word, joint_image=mask & ~is_word)


class TwoStreams(nn.Module):
    """Each modality on its own, then each looks at the other, through one shared module."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.text, self.image = Block("text"), Block("image")
        self.to_image, self.to_text = Block("text_to_image"), Block("image_to_text")

    def forward(self, text, image, text_mask, image_mask):
        for_text, for_image = (torch.where(mask, 0.0, -1e9)[:, None, None] for mask in (text_mask, image_mask))
        text, image = self.text(text, for_text), self.image(image, for_image)
        return self.to_image(text, for_image, image), self.to_text(image, for_text, text)

    def attention_positions(self, text, image, text_mask, image_mask):
        return Positions(text=text_mask, image=image_mask)


class Oracle(TorchFunctionMode):
    """The weights of every attention operation, in order, where they are computed: softmax, or torch's SDPA function.

    Independent of capture: it reads what goes in and out of torch's functions.
    """

    def __init__(self):
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "softmax" and result.ndim == 4:
            self.weights.append(result.detach().clone())
        elif name == "scaled_dot_product_attention":
            self.weights.append(sdpa_weights(*args, **kwargs))
        return result


@torch.no_grad()
def sdpa_weights(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """What torch documents of its function, in float64."""
    if enable_gqa:
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = q.double() @ k.double().mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -torch.inf)
    if attn_mask is not None:
        added = attn_mask if attn_mask.dtype != torch.bool else torch.where(attn_mask, 0.0, -torch.inf)
        scores = scores + added
    return scores.softmax(-1)


def compare(sites, expected, atol=1e-6):
    """Every site's weights are the expected ones, in this order, in all rows that may attend to something."""
    assert len(sites) == len(expected) > 0
    for site, weights in zip(sites, expected, strict=True):
        found = site.weights()
        valid = site.statistics().valid[..., None]
        assert valid.any()
        # torch's function may be given heads that share a key as queries.
        weights = weights.to(found).reshape(found.shape)
        torch.testing.assert_close(found * valid, weights.masked_fill(~valid, 0), atol=atol, rtol=0)
