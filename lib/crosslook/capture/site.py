"""One attention call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from crosslook import norms as value_lengths
from crosslook import streaming


@dataclass(frozen=True, eq=False)
class Site:
    """What one attention call compared, and by which rules: queries and keys as the model scored them.

    `kind` is "joint" (text and image in one sequence), "text", "image", "text_to_image" (queries of text, keys of the
    image) or "image_to_text". `layer` counts from 0 among the modules of a kind, in the order in which they run. `name`
    is the module's path in the model, and `call` counts how often it has run before in the same pass.

    `mask` is what the model gave: boolean, true where a query may attend to a key, or a number to add to the scores.
    `causal`, `window`, `softcap`, `sinks` are as in `streaming.statistics`. `output` is each head's part of the output
    projection, None where it was not found.

    `query_text` and the like say which positions are text and which image. Padding is neither; [CLS] and other special
    positions belong to the sequence that they came with. None where it is not known.
    """

    layer: int
    name: str
    call: int
    kind: str
    q: Float[Tensor, "batch head query d"]
    k: Float[Tensor, "batch kv_head key d"]
    v: Float[Tensor, "batch kv_head key d_value"] | None
    output: Float[Tensor, "head d_value model"] | None
    mask: Bool[Tensor, "#batch #head #query #key"] | Float[Tensor, "#batch #head #query #key"] | None
    scale: float
    causal: bool = False
    window: int | None = None
    softcap: float | None = None
    sinks: Float[Tensor, " head"] | None = None
    query_text: Bool[Tensor, "batch query"] | None = None
    query_image: Bool[Tensor, "batch query"] | None = None
    key_text: Bool[Tensor, "batch key"] | None = None
    key_image: Bool[Tensor, "batch key"] | None = None

    @property
    def rules(self) -> dict[str, Any]:
        """The call's rules as keywords, for all of `streaming` and `rollout`: `weights_at(q, k, ..., **site.rules)`."""
        return {
            "scale": self.scale,
            "bias": self.mask,
            "causal": self.causal,
            "window": self.window,
            "softcap": self.softcap,
            "sinks": self.sinks,
        }

    def weights(self) -> Float[Tensor, "batch head query key"]:
        """All weights, before dropout, as `streaming.weights` computes them: differentiable, 0 in fully masked rows."""
        return streaming.weights(self.q, self.k, **self.rules)

    def statistics(
        self,
        groups: Bool[Tensor, "batch key group"] | Float[Tensor, "batch key group"] | None = None,
        leave_out: Bool[Tensor, "batch key"] | None = None,
        norms: bool = False,
    ) -> streaming.Statistics:
        """Masses, entropy and largest weights of the call, without its weights.

        Args:
            groups: sets of keys whose mass is asked for (default: text and image, in this order, where known).
            leave_out: keys to leave out, such as [CLS] and [SEP]; the weights on the others are renormalised.
            norms: whether to weigh each key by the length of what it would add to a query (Kobayashi et al. 2020).

        Raises:
            ValueError: for shapes that do not fit, or `norms` where values or output projection are not known.
        """
        if groups is None and self.key_text is not None and self.key_image is not None:
            groups = torch.stack([self.key_text, self.key_image], -1)
        key_weight = None
        if norms:
            if self.v is None or self.output is None:
                raise ValueError(f"norms: expected a site with values and an output projection, {self.name} has none")
            key_weight = value_lengths.value_norms(self.v, self.output)
        key_mask = None
        if leave_out is not None:
            batch, keys = len(self.k), self.k.shape[2]
            if leave_out.shape != (batch, keys) or leave_out.dtype != torch.bool:
                got = f"{tuple(leave_out.shape)} of {leave_out.dtype}"
                raise ValueError(f"leave_out: expected a boolean mask of shape (batch={batch}, key={keys}), got {got}")
            key_mask = ~leave_out
        return streaming.statistics(
            self.q, self.k, groups=groups, key_mask=key_mask, key_weight=key_weight, **self.rules
        )
