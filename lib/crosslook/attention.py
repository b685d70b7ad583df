"""Statistics of attention weights that are there as a tensor.

Every function is pure, takes weights `(batch, head, query, key)` whose rows (over `key`) sum to one, and computes in
float32 or wider, since bfloat16 sums drift. Masks are boolean, True where a position is present.

With a `key_mask`, only its keys count: padding, or [CLS], [SEP] and other attention sinks, are left out and each row
is renormalised over the rest, as if the softmax had run without them. Leaving positions out without renormalising
measures how much a head rests there, and reads as if it were something about the others. Without a `key_mask`, rows
are taken as they are, whatever they sum to (a model with sink logits gives less than one).

What is undefined is NaN, never 0, which would read as a measurement: the entropy of a row that may attend to nothing,
the proportion over no query, the largest of no links. `torch.nanmean` leaves such values out; in what is pooled over
rows, they count nowhere. A NaN among the weights that a function is asked to look at makes its answer NaN; one at a
masked position does not.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def renormalize(
    attn: Float[Tensor, "batch head query key"], key_mask: Bool[Tensor, "batch key"]
) -> Float[Tensor, "batch head query key"]:
    """The weights on the keys of the mask, as a distribution over these keys alone; 0 on all others.

    Equal to the softmax over these keys alone. A row without any weight there is NaN.

    Raises:
        ValueError: for a wrong shape or device, or a mask that is not boolean.
    """
    _check("attn", attn, "batch head query key")
    _check_mask("key_mask", key_mask, "batch key", attn)
    return _distribution(_wide(attn).masked_fill(~key_mask[:, None, None, :], 0))


def entropy(
    attn: Float[Tensor, "batch head query key"],
    key_mask: Bool[Tensor, "batch key"] | None = None,
    normalize: bool = True,
) -> Float[Tensor, "batch head query"]:
    """How spread out each row is: 0 for one key alone, the maximum for all attendable keys alike.

    Ilinykh and Dobnik (2022, Eq. 5), with their normalisation by the maximum (Fig. 3).

    Args:
        attn: weights; a row that does not sum to one is taken in proportion.
        key_mask: which keys may be attended to (default: all). Others are left out and the row is renormalised.
            It is the same for all queries of an example; under a causal mask ask for `normalize=False`.
        normalize: divide by the log of the number of attendable keys, so that 1 is uniform (0 where there is only
            one key); otherwise nats.

    Returns:
        `(batch, head, query)`; NaN for a row without any weight on attendable keys.

    Raises:
        ValueError: for a wrong shape or device, or a mask that is not boolean.
    """
    _check("attn", attn, "batch head query key")
    if not attn.shape[-1]:
        return _wide(attn).new_full(attn.shape[:-1], float("nan"))
    weights = _distribution(_wide(attn)) if key_mask is None else renormalize(attn, key_mask)
    # The limit of p log p at 0 is 0. Taking the log of 1 there keeps the gradient finite as well.
    nats = 0 - (weights * weights.where(weights != 0, 1).log()).sum(-1)
    if not normalize:
        return nats
    if key_mask is None:
        count = torch.full_like(nats[:, :1, :1], attn.shape[-1])
    else:
        count = key_mask.sum(-1).to(nats)[:, None, None]
    return nats / count.log().where(count > 1, 1)


def mass(
    attn: Float[Tensor, "batch head query key"],
    groups: Bool[Tensor, "batch key group"] | Float[Tensor, "batch key group"],
    key_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "batch head query group"]:
    """The weight that each row spends on each group of keys.

    Args:
        attn: weights.
        groups: membership, boolean or as a weight; groups may overlap, and need not cover all keys.
        key_mask: keys that count (default: all, and nothing is renormalised).

    Returns:
        `(batch, head, query, group)`; NaN for a row without any weight on the keys of the mask.

    Raises:
        ValueError: for a wrong shape or device.
    """
    _check("attn", attn, "batch head query key")
    _check("groups", groups, "batch key group", attn)
    weights = _wide(attn) if key_mask is None else renormalize(attn, key_mask)
    return weights @ groups[:, None].to(weights.dtype)


def modality_importance(
    attn: Float[Tensor, "batch head query key"],
    cls: Bool[Tensor, "batch query"],
    modalities: Bool[Tensor, "batch key group"],
    key_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "head group"]:
    """The weight that [CLS] spends on each modality, averaged over the batch.

    Cao et al. (2020, Eq. 1). They count only words and regions as text and image, not [CLS] and [SEP], and leave the
    weights as they are, so their two numbers do not add up to one; with a `key_mask` of words and regions they do.

    Args:
        attn: weights of a joint sequence.
        cls: the query [CLS] of each example.
        modalities: which keys belong to each, usually text and image.
        key_mask: keys that count (default: all, and nothing is renormalised).

    Returns:
        `(head, group)`; the mean over heads is the paper's measure of a layer. NaN where there is no such query.

    Raises:
        ValueError: for a wrong shape or device, or a mask that is not boolean.
    """
    spent = mass(attn, modalities, key_mask)
    _check_mask("cls", cls, "batch query", attn)
    _check_mask("modalities", modalities, "batch key group", attn)
    rows = spent.transpose(1, 2)[cls]
    if key_mask is None:
        return rows.mean(0)
    # A row without weight on the mask does not count. One that is NaN because the weights are must stay visible.
    empty = (_kept(attn, key_mask).sum(-1) == 0).transpose(1, 2)[cls]
    return rows.masked_fill(empty[..., None], 0).sum(0) / (~empty).sum(0)[..., None]


def proportion(
    attn: Float[Tensor, "batch head query key"],
    queries: Bool[Tensor, "batch query"],
    keys: Bool[Tensor, "batch key"],
    key_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, " head"]:
    """Of all the attention that the chosen queries give, the share that goes to the chosen keys.

    Ilinykh and Dobnik (2022, Eq. 3): both sums run over the whole batch before one is divided by the other, so a long
    phrase counts for more than a short one. For *text to region*, an element of the batch is a phrase with its image:
    `queries` are the words of the phrase, `keys` its regions.

    Args:
        attn: weights.
        queries, keys: the rows that are asked, and the columns that are looked for.
        key_mask: keys that count (default: all). Each row is renormalised first; one without weight there counts in
            neither sum.

    Returns:
        `(head,)`, between 0 and 1; NaN where the chosen queries give no attention at all (or there are none).

    Raises:
        ValueError: for a wrong shape or device, or a mask that is not boolean.
    """
    _check("attn", attn, "batch head query key")
    _check_mask("queries", queries, "batch query", attn)
    _check_mask("keys", keys, "batch key", attn)
    given = _kept(attn, key_mask).masked_fill(~queries[:, None, :, None], 0)
    chosen = given.masked_fill(~keys[:, None, None, :], 0)
    return chosen.sum((0, 2, 3)) / given.sum((0, 2, 3))


def max_link(
    attn: Float[Tensor, "batch head query key"],
    queries: Bool[Tensor, "batch query"],
    keys: Bool[Tensor, "batch key"],
    key_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "batch head"]:
    """The largest single weight from the query set to the key set.

    The weight of a link between a region and a phrase of several words in Cao et al. (2020, section 3.3.2).

    Args:
        attn: weights.
        queries, keys: the two sides of the link.
        key_mask: keys that count (default: all). Linked keys outside it, and rows without weight on it, are no link.

    Returns:
        `(batch, head)`; NaN where the query set or the key set is empty.

    Raises:
        ValueError: for a wrong shape or device, or a mask that is not boolean.
    """
    _check("attn", attn, "batch head query key")
    _check_mask("queries", queries, "batch query", attn)
    _check_mask("keys", keys, "batch key", attn)
    if not attn.shape[-1] * attn.shape[-2]:
        return _wide(attn).new_full(attn.shape[:2], float("nan"))
    weights = _kept(attn, key_mask)
    linked = queries[:, None, :, None] & keys[:, None, None, :]
    if key_mask is not None:
        linked = linked & key_mask[:, None, None, :] & (weights.sum(-1, keepdim=True) != 0)
    largest = weights.masked_fill(~linked, float("-inf")).amax((-2, -1))
    return largest.masked_fill(~linked.any(-1).any(-1), float("nan"))


def image_to_text(
    attn: Float[Tensor, "batch head query key"],
    image: Bool[Tensor, "batch query"],
    text: Bool[Tensor, "batch key"],
    threshold: float = 0.5,
    key_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, " head"]:
    """The share of examples in which some image query gives more than the threshold to text.

    Cao et al. (2020, Eq. 2), with a threshold of 0.5. It is a choice only in a model whose image positions may attend
    to both modalities (single stream).

    Args:
        attn: weights of a joint sequence.
        image: which queries are regions. An example without any counts as one where none does.
        text: which keys are text.
        threshold: must be exceeded, strictly.
        key_mask: keys that count (default: all). A row without weight there gives nothing to text.

    Returns:
        `(head,)`; NaN for an empty batch.

    Raises:
        ValueError: for a wrong shape or device, or a mask that is not boolean.
    """
    _check("attn", attn, "batch head query key")
    _check_mask("image", image, "batch query", attn)
    _check_mask("text", text, "batch key", attn)
    to_text = _kept(attn, key_mask).masked_fill(~text[:, None, None, :], 0).sum(-1)
    some, unknown = ((each & image[:, None, :]).any(-1) for each in (to_text > threshold, to_text.isnan()))
    return some.to(to_text.dtype).masked_fill(unknown, float("nan")).mean(0)


def rollout(
    attns: Float[Tensor, "layer batch *head query key"],
    residual: float = 0.5,
    key_mask: Bool[Tensor, "batch key"] | None = None,
) -> Float[Tensor, "layer batch *head query key"]:
    """Attention followed through the layers: how much of each input position reaches each position of a layer.

    Abnar and Zuidema (2020, Eq. 1): with `A = (1 - residual) W + residual I`, rows renormalised, the rollout of a layer
    is A times the rollout of the layer below. They average the heads first (`attns.mean(2)`); given heads, each head is
    followed on its own, as if the others were not there.

    Args:
        attns: self-attention of all layers, lowest first, `(layer, batch, query, key)` or with a head axis.
        residual: the share that a position keeps of itself, between 0 and 1; the paper's is one half.
        key_mask: keys that count (default: all); nothing flows from the others, except into themselves.

    Returns:
        The same shape, differentiable. A row without any attention passes on its own state alone.

    Raises:
        ValueError: if queries and keys differ in number, or the residual share is not between 0 and 1.
    """
    if attns.ndim not in (4, 5) or attns.shape[-1] != attns.shape[-2]:
        raise ValueError(f"attns: expected shape (layer, batch, [head,] n, n), got {tuple(attns.shape)}")
    if not 0 <= residual <= 1:
        raise ValueError(f"residual: expected a share between 0 and 1, got {residual}")
    weights = _wide(attns)
    if key_mask is not None and len(attns):
        layers = attns if attns.ndim == 5 else attns[:, :, None]
        weights = torch.stack([_kept(layer, key_mask) for layer in layers]).reshape(attns.shape)
    identity = torch.eye(attns.shape[-1], dtype=weights.dtype, device=attns.device)
    mixed = (1 - residual) * weights + residual * identity
    total = mixed.sum(-1, keepdim=True)
    mixed = (mixed / total.where(total != 0, 1)).where(total != 0, identity)
    reached = [*mixed[:1]]
    for layer in mixed[1:]:
        reached.append(layer @ reached[-1])
    return torch.stack(reached) if reached else mixed


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _kept(attn: Tensor, key_mask: Tensor | None) -> Tensor:
    """The weights, renormalised over the mask when there is one; 0, not NaN, in a row without weight there."""
    if key_mask is None:
        return _wide(attn)
    _check_mask("key_mask", key_mask, "batch key", attn)
    empty = _wide(attn).masked_fill(~key_mask[:, None, None, :], 0).sum(-1, keepdim=True) == 0
    return renormalize(attn, key_mask).masked_fill(empty, 0)


def _distribution(weights: Tensor) -> Tensor:
    total = weights.sum(-1, keepdim=True)
    # Dividing by 1 where the sum is 0 keeps NaN out of the gradient of a batch that holds such a row.
    return (weights / total.where(total != 0, 1)).masked_fill(total == 0, float("nan"))


def _check(name: str, tensor: Tensor, axes: str, attn: Tensor | None = None) -> None:
    """Raise unless the tensor has these axes, in the sizes that they have in `attn`."""
    sizes = dict(zip(("batch", "head", "query", "key"), attn.shape, strict=True)) if attn is not None else {}
    names = axes.split()
    fits = tensor.ndim == len(names) and all(
        sizes.get(axis, size) == size for axis, size in zip(names, tensor.shape, strict=True)
    )
    if not fits:
        expected = ", ".join(f"{axis}={sizes[axis]}" if axis in sizes else axis for axis in names)
        raise ValueError(f"{name}: expected shape ({expected}), got {tuple(tensor.shape)}")
    if attn is not None and tensor.device != attn.device:
        raise ValueError(f"{name}: expected device {attn.device}, that of the weights, got {tensor.device}")


def _check_mask(name: str, mask: Tensor, axes: str, attn: Tensor) -> None:
    _check(name, mask, axes, attn)
    if mask.dtype != torch.bool:
        raise ValueError(f"{name}: expected a boolean mask, True where a position is present, got {mask.dtype}")
