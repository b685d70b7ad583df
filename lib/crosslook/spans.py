"""From characters to tokens: which tokens of a caption lie in which of its spans."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from crosslook.data.sample import Tokenize


def tokens_in(
    captions: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]], tokenize: Tokenize
) -> Bool[Tensor, "batch span text"]:
    """Which tokens share a character with which spans; nothing where a caption has fewer spans than another.

    Args:
        captions: of a batch.
        spans: of each caption, as first character and the one after the last. An empty span holds no token.
        tokenize: the model's, as `collate` got it.

    Raises:
        ValueError: for another number of lists of spans than captions, or a span that is not in its caption.
    """
    if len(captions) != len(spans):
        raise ValueError(f"spans: expected one list for each of {len(captions)} captions, got {len(spans)}")
    edges = [torch.tensor(tokenize(caption)[1], dtype=torch.long).reshape(-1, 2) for caption in captions]
    most = max((len(some) for some in spans), default=0)
    inside = torch.zeros(len(captions), most, max((len(edge) for edge in edges), default=0), dtype=torch.bool)
    for row, edge, some, caption in zip(inside, edges, spans, captions, strict=True):
        first, last = edge.unbind(-1)
        for line, (start, end) in zip(row, some, strict=False):
            if not 0 <= start <= end <= len(caption):
                raise ValueError(f"spans: expected 0 <= start <= end <= {len(caption)}, got {(start, end)}")
            line[: len(edge)] = (first < last) & (first < end) & (last > start) & (start < end)
    return inside


def generated(tokens: Bool[Tensor, "batch span text"]) -> Bool[Tensor, "batch span text"]:
    """The positions at which a model that writes from left to right is when it writes these tokens: one before each."""
    return torch.nn.functional.pad(tokens[..., 1:], (0, 1))
