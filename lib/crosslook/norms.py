"""The norm-based reading of a head: how long the vectors are that it moves, not only the weights it moves them with.

A head adds to a query the sum of weight x f(key), where f takes the key's value through the head's part of the output
projection. Kobayashi et al. (2020, section 3) find that heads put large weights on vectors they make tiny ([CLS],
[SEP], punctuation): there the weight says little.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def value_norms(
    v: Float[Tensor, "batch kv_head key d"], output: Float[Tensor, "head d model"]
) -> Float[Tensor, "batch head key"]:
    """The length of f(x) for every key and head: of what it would add to a query at weight one.

    Args:
        v: values, with their bias; with fewer heads than the output has, each serves as many heads in a row.
        output: each head's part of the output projection, `(head, d, model)`. The projection's bias belongs to no key.

    Returns:
        `(batch, head, key)`, float32 or wider. Give it to `streaming.statistics` as `key_weight` for masses, entropy
        and largest weight of the norm-based reading without ever holding it. The `lse` of the two readings differ by
        the log of the length that a query is moved by, every key counted on its own.

    Raises:
        ValueError: for shapes that do not fit each other.
    """
    if v.ndim != 4 or output.ndim != 3 or output.shape[1] != v.shape[3]:
        raise ValueError(
            f"v, output: expected (batch, kv_head, key, d) and (head, d, model), got {tuple(v.shape)} and "
            f"{tuple(output.shape)}"
        )
    heads, kv_heads = output.shape[0], v.shape[1]
    if not kv_heads or heads % kv_heads:
        raise ValueError(f"v: expected a number of heads that divides the {heads} of output, got {kv_heads}")
    dtype = torch.promote_types(v.dtype, torch.float32)
    maps = output.to(dtype)
    # |v W|^2 = v (W W') v': a product with d columns instead of the model's width.
    grams = (maps @ maps.transpose(-1, -2)).view(kv_heads, heads // kv_heads, *maps.shape[1:2], -1)
    squares = [torch.einsum("bgkd,gde,bgke->bgk", v.to(dtype), gram, v.to(dtype)) for gram in grams.unbind(1)]
    return torch.stack(squares, 2).flatten(1, 2).clamp(min=0).sqrt()


def norm_weights(
    attn: Float[Tensor, "batch head query key"], norms: Float[Tensor, "batch head key"]
) -> Float[Tensor, "batch head query key"]:
    """The length of what each query gets from each key: weight x length of f(x) (Kobayashi et al. 2020, section 3).

    Rows do not sum to one; `attention.entropy` takes them in proportion, `attention.renormalize` makes them sum to one.

    Raises:
        ValueError: for shapes that do not fit each other.
    """
    if attn.ndim != 4 or norms.shape != (*attn.shape[:2], attn.shape[3]):
        batch, heads, _, keys = attn.shape if attn.ndim == 4 else ("batch", "head", 0, "key")
        raise ValueError(f"norms: expected shape (batch={batch}, head={heads}, key={keys}), got {tuple(norms.shape)}")
    return attn.to(norms.dtype) * norms[:, :, None]
