"""The statistics of `crosslook.attention` over a whole corpus, batch by batch, on any number of processes.

Every metric takes the numbers of rows, `(batch, head, query)`, and asks not where they come from: weights that are
there as a tensor, or `streaming.statistics`. It keeps two sums for every image, layer and head (what was counted, and
out of how many), so any order of batches and any split over processes gives the same answer, and `significance` can
draw the images again.

    entropy = Entropy(n_images=len(samples), layers=12, heads=12)

    def measure(site):
        found = site.statistics()
        entropy.update(images, site.layer, found.entropy, site.query_text, found.valid)

    with capture(model, on_site=measure):
        for images, batch in batches:  # images: the place of each example's image in the corpus
            model(**batch)
    entropy.compute()  # (layer, head)
    entropy.interval()  # (2, layer, head)

From weights, the same call: `entropy.update(images, layer, attention.entropy(attn, normalize=False), queries)`.

What counts: the chosen rows, less those that are not `valid`; without `valid`, less those that are NaN, which is how
`attention` writes what is undefined. With `valid`, a NaN in a valid row comes from the model, and makes the answer NaN.
A head without anything counted is NaN.

Across processes each example must be given once: sums over all processes are taken when an answer is asked for, by all
of them together. `DistributedSampler` repeats examples to fill the last batch unless told otherwise.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor
from torchmetrics import Metric

from crosslook.significance import bootstrap_ratio


class Corpus(Metric):
    """What all metrics here share: the sums of each image, and what becomes of them.

    Args:
        n_images: size of the corpus; images are known by their place in it, from 0.
        layers, heads: of the model (of the kind of attention that is measured).
        groups: how many numbers a row has, for those metrics that take several.
        options: of every `torchmetrics.Metric`.
    """

    full_state_update = False
    numerator: Tensor
    denominator: Tensor

    def __init__(self, n_images: int, layers: int, heads: int, groups: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        sizes = {"n_images": n_images, "layers": layers, "heads": heads} | (
            {} if groups is None else {"groups": groups}
        )
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}: expected at least 1, got {size}")
        for name in ("numerator", "denominator"):
            zeros = torch.zeros(tuple(sizes.values()), dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum", persistent=True)
        # A MetricCollection merges metrics whose states are equal after the first batch, two thresholds say, for good.
        # NaN equals nothing.
        self.add_state("apart", torch.tensor(float("nan")), dist_reduce_fx="sum")

    def compute(self) -> Float64[Tensor, "layer head"] | Float64[Tensor, "layer head group"]:
        """The pooled ratio over all images, `(layer, head)` or `(layer, head, group)`; NaN where nothing counted."""
        return self.numerator.sum(0) / self.denominator.sum(0)

    def per_image(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sums for each image, `(image, layer, head[, group])`, over all processes."""
        with self.sync_context():
            return tuple(each.numpy(force=True).copy() for each in (self.numerator, self.denominator))

    def interval(self, level: float = 0.95, n_resamples: int = 10_000, seed: int = 0) -> np.ndarray:
        """Lower and upper end for `compute()`, `(2, layer, head[, group])`: `significance.bootstrap_ratio`."""
        return bootstrap_ratio(*self.per_image(), level=level, n_resamples=n_resamples, seed=seed)

    def _counts(
        self, images: Tensor, layer: int, name: str, values: Tensor, chosen: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Check everything that `update` was given; which rows count, `(batch, head, query)`."""
        n_images, layers, heads, *groups = self.numerator.shape
        if not 0 <= layer < layers:
            raise ValueError(f"layer: expected 0 to {layers - 1}, got {layer}")
        if images.ndim != 1 or images.is_floating_point() or images.dtype == torch.bool:
            raise ValueError(f"images: expected one whole number an example, got {images.dtype} {tuple(images.shape)}")
        if len(images) and not (images.min() >= 0 and images.max() < n_images):
            got = f"{images.min()} to {images.max()}"
            raise ValueError(f"images: expected places in the corpus, 0 to {n_images - 1}, got {got}")
        axes = {"batch": len(images), "head": heads, "query": None} | ({"group": groups[0]} if groups else {})
        _check(name, values, axes, values)
        axes = {"batch": len(images), "head": heads, "query": values.shape[2]}
        _check("queries", chosen, {"batch": axes["batch"], "query": axes["query"]}, values, mask=True)
        if valid is None:
            valid = ~(values.isnan().any(-1) if groups else values.isnan())
        _check("valid", valid, axes, values, mask=True)
        return chosen[:, None] & valid

    def _add(self, images: Tensor, layer: int, top: Tensor, bottom: Tensor) -> None:
        """Add `(batch, head[, group])` to the sums of the images; one that comes several times is added each time."""
        for state, sums in ((self.numerator, top), (self.denominator, bottom)):
            state[:, layer].index_add_(0, images.to(state.device), sums.to(state))


class Entropy(Corpus):
    """Mean entropy of the chosen rows (Ilinykh and Dobnik 2022, Eq. 5): in nats or normalised, as it is given.

    `attention.entropy` over the corpus, averaged with `nanmean`.
    """

    def update(
        self,
        images: Int[Tensor, " batch"],
        layer: int,
        entropy: Float[Tensor, "batch head query"],
        queries: Bool[Tensor, "batch query"],
        valid: Bool[Tensor, "batch head query"] | None = None,
    ) -> None:
        """Add the rows of one layer of a batch.

        Args:
            images: the place of each example's image in the corpus; it may come again.
            layer: from 0.
            entropy: `attention.entropy(...)`, or `entropy` or `normalized_entropy()` of `streaming.Statistics`.
            queries: the chosen rows.
            valid: rows that are defined; default: those that are not NaN.

        Raises:
            ValueError: for a layer or an image that is none, wrong shapes, types or devices, naming the argument.
        """
        counts = self._counts(images, layer, "entropy", entropy, queries, valid)
        self._add(images, layer, _sum(entropy, counts), counts.sum(-1))


class Mass(Corpus):
    """Mean weight that the chosen rows spend on each group of keys; needs `groups`, how many there are."""

    def update(
        self,
        images: Int[Tensor, " batch"],
        layer: int,
        mass: Float[Tensor, "batch head query group"],
        queries: Bool[Tensor, "batch query"],
        valid: Bool[Tensor, "batch head query"] | None = None,
    ) -> None:
        """Add the rows of one layer of a batch: `attention.mass(...)`, or `mass` of `streaming.Statistics`.

        The other arguments and errors are those of `Entropy.update`.
        """
        counts = self._counts(images, layer, "mass", mass, queries, valid)
        top = _sum(mass.transpose(-1, -2), counts[:, :, None])
        self._add(images, layer, top, counts.sum(-1, keepdim=True).expand_as(top))


class ModalityImportance(Mass):
    """The weight that [CLS] spends on each modality (Cao et al. 2020, Eq. 1): `Mass` with [CLS] as the chosen rows.

    `attention.modality_importance` over the corpus; `groups` is 2, text and image, unless said otherwise.
    """

    def __init__(self, n_images: int, layers: int, heads: int, groups: int = 2, **options: Any) -> None:
        super().__init__(n_images, layers, heads, groups, **options)


class Proportion(Corpus):
    """Of all the attention that the chosen rows give, the share that goes to the chosen keys.

    Ilinykh and Dobnik (2022, Eq. 3); `attention.proportion` over the corpus. Sums are pooled before they are divided.
    """

    def update(
        self,
        images: Int[Tensor, " batch"],
        layer: int,
        to_keys: Float[Tensor, "batch head query"],
        queries: Bool[Tensor, "batch query"],
        valid: Bool[Tensor, "batch head query"] | None = None,
        given: Float[Tensor, "batch head query"] | None = None,
    ) -> None:
        """Add the rows of one layer of a batch. For *text to region*, an example is a phrase with its image.

        Args:
            to_keys: the weight that each row spends on the chosen keys: a group of `attention.mass(...)` or of `mass`
                of `streaming.Statistics`.
            given: the weight that it spends in all; default: 1, as all rows do but those of a model with sink logits.

        The other arguments and errors are those of `Entropy.update`.
        """
        counts = self._counts(images, layer, "to_keys", to_keys, queries, valid)
        if given is not None:
            _check("given", given, dict(zip(("batch", "head", "query"), to_keys.shape, strict=True)), to_keys)
        spent = counts.sum(-1) if given is None else _sum(given, counts)
        self._add(images, layer, _sum(to_keys, counts), spent)


class ImageToText(Corpus):
    """The share of examples in which some image row gives more than the threshold to text (Cao et al. 2020, Eq. 2).

    `attention.image_to_text` over the corpus; the threshold must be exceeded, strictly. Every example counts, also one
    without a row that counts.
    """

    def __init__(self, n_images: int, layers: int, heads: int, threshold: float = 0.5, **options: Any) -> None:
        super().__init__(n_images, layers, heads, **options)
        self.threshold = threshold

    def update(
        self,
        images: Int[Tensor, " batch"],
        layer: int,
        to_text: Float[Tensor, "batch head query"],
        queries: Bool[Tensor, "batch query"],
        valid: Bool[Tensor, "batch head query"] | None = None,
    ) -> None:
        """Add the examples of one layer of a batch.

        Args:
            to_text: the weight that each row spends on text, a group of `mass`.
            queries: the image rows.

        The other arguments and errors are those of `Entropy.update`.
        """
        counts = self._counts(images, layer, "to_text", to_text, queries, valid)
        some, unknown = ((each & counts).any(-1) for each in (to_text > self.threshold, to_text.isnan()))
        self._add(images, layer, some.double().masked_fill(unknown, float("nan")), torch.ones_like(some))


class MaxLink(Corpus):
    """Mean weight of linked pairs, that of a pair being its largest single weight (Cao et al. 2020, section 3.3.2).

    `attention.max_link` over the corpus, averaged with `nanmean`.
    """

    def update(
        self,
        images: Int[Tensor, " batch"],
        layer: int,
        link: Float[Tensor, "batch head pair"],
        queries: Bool[Tensor, "batch pair"],
        valid: Bool[Tensor, "batch head pair"] | None = None,
    ) -> None:
        """Add the pairs of one layer of a batch: here a row is a pair of a phrase and a region.

        Args:
            link: of each pair the largest weight: `attention.max_link(...)[..., None]` with one pair an example, or
                from `streaming.weights_at`, with the largest taken over the words of a phrase.
            queries: the pairs that are there (the rest is padding).

        The other arguments and errors are those of `Entropy.update`.
        """
        counts = self._counts(images, layer, "link", link, queries, valid)
        self._add(images, layer, _sum(link, counts), counts.sum(-1))


def _sum(values: Tensor, counts: Tensor) -> Tensor:
    return values.double().masked_fill(~counts, 0).sum(-1)


def _check(name: str, tensor: Tensor, axes: dict[str, int | None], like: Tensor, mask: bool = False) -> None:
    """Raise unless the tensor has these axes, on this device, and is boolean if it is to be a mask."""
    sizes = axes.values()
    if tensor.ndim != len(axes) or any(n not in (None, got) for n, got in zip(sizes, tensor.shape, strict=True)):
        expected = ", ".join(axis if size is None else f"{axis}={size}" for axis, size in axes.items())
        raise ValueError(f"{name}: expected shape ({expected}), got {tuple(tensor.shape)}")
    if (tensor.dtype == torch.bool) != mask:
        raise ValueError(f"{name}: expected {'a boolean mask' if mask else 'numbers'}, got {tensor.dtype}")
    if tensor.device != like.device:
        raise ValueError(f"{name}: expected device {like.device}, got {tensor.device}")
