"""`streaming.statistics` in one pass on a GPU, in Triton; the plain loop stays the reference.

Per row the kernel keeps a running maximum m and, over e = exp(score - m), the sums l of e, u of e (score - m), and of
e in each group. Then log-sum-exp is m + log l, the largest weight 1 / l, a mass its sum / l, and the entropy
log l - u / l, which cancels nothing. Scores, masks and biases never leave the chip.
"""

from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from crosslook.scores import CLOSED, MASKED, Scores

WIDEST = 256  # of a head: what fits on the chip


def fits(rules: Scores) -> bool:
    """Whether the kernel can do this call; float64, say, is left to the plain loop."""
    return rules.dtype == torch.float32 and rules.shape[3] > 0 and rules.q.shape[3] <= WIDEST


def one_pass(rules: Scores, columns: Tensor, block: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Mass, entropy, largest weight, log-sum-exp and number of open keys, before sinks and rows without weight.

    Args:
        rules: checked, `fits`.
        columns: `(batch, key, group)` float32, the number of groups a multiple of 16, possibly 0.
        block: of the plain loop; the kernel has its own.
    """
    batch, heads, queries, keys = rules.shape
    width, groups = rules.q.shape[3], columns.shape[2]
    outputs = [torch.empty(batch, heads, queries, dtype=torch.float32, device=rules.q.device) for _ in range(3)]
    n_keys = torch.empty(batch, heads, queries, dtype=torch.int32, device=rules.q.device)
    mass = torch.empty(batch, heads, queries, groups, dtype=torch.float32, device=rules.q.device)
    nothing = rules.q
    bias, weight = rules.bias, rules.key_weight
    mask = nothing if rules.key_mask is None else rules.key_mask.to(torch.uint8).contiguous()
    if bias is not None:
        bias = (bias.to(torch.uint8) if bias.dtype == torch.bool else bias).expand(rules.shape)
    weight = nothing if weight is None else weight.float().log().clamp(min=MASKED).contiguous()
    rows = 64 if queries > 16 else 16
    # Of a grid's axes only the first may be longer than 65,535. Triton starts on the current device.
    on = torch.cuda.device(rules.q.device) if rules.q.is_cuda else nullcontext()
    with on:
        _kernel[(batch * heads, triton.cdiv(queries, rows))](
            rules.q, *rules.q.stride(), rules.k, *rules.k.stride(),
            nothing if bias is None else bias, *((0,) * 4 if bias is None else bias.stride()),
            mask, weight, columns.contiguous(),
            mass, *outputs, n_keys,
            heads, heads // rules.k.shape[1], queries, keys, width,
            width**-0.5 if rules.scale is None else rules.scale,
            1.0 if rules.softcap is None else rules.softcap, rules.window or 0,
            HAS_MASK=rules.key_mask is not None, HAS_WEIGHT=rules.key_weight is not None,
            BIAS=0 if bias is None else 1 if bias.dtype == torch.uint8 else 2,
            CAUSAL=rules.causal, WINDOW=rules.window is not None, CAP=rules.softcap is not None,
            GROUPS=groups, ROWS=rows, KEYS=64, D=max(16, triton.next_power_of_2(width)),
            SHUT=MASKED, CLOSED=CLOSED,
        )  # fmt: skip
    return mass, *outputs, n_keys.long()


@triton.jit
def _kernel(
    q_at, q_b, q_h, q_i, q_d, k_at, k_b, k_h, k_j, k_d, bias_at, bias_b, bias_h, bias_i, bias_j,
    mask_at, weight_at, columns_at, mass_at, entropy_at, largest_at, lse_at, count_at,
    heads, shared, queries, keys, width, scale, cap, window,
    HAS_MASK: tl.constexpr, HAS_WEIGHT: tl.constexpr, BIAS: tl.constexpr, CAUSAL: tl.constexpr, WINDOW: tl.constexpr,
    CAP: tl.constexpr, GROUPS: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, D: tl.constexpr,
    SHUT: tl.constexpr, CLOSED: tl.constexpr,
):  # fmt: skip
    # In 64 bits: a mask of 46,341 x 46,341 has more places than 32 bits can count.
    pair = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1).to(tl.int64)
    b, h = pair // heads, pair % heads
    i = block * ROWS + tl.arange(0, ROWS)
    d = tl.arange(0, D)
    inside = i < queries
    q = tl.load(
        q_at + b * q_b + h * q_h + i[:, None] * q_i + d[None, :] * q_d,
        mask=inside[:, None] & (d[None, :] < width), other=0.0,
    )  # fmt: skip
    place = i + keys - queries
    low, high = 0, keys
    if CAUSAL:
        high = tl.minimum(keys, tl.maximum(0, (block + 1) * ROWS + keys - queries))
    if WINDOW:
        low = tl.maximum(0, block * ROWS + keys - queries - window + 1) // KEYS * KEYS
        if not CAUSAL:
            high = tl.minimum(keys, tl.maximum(0, (block + 1) * ROWS + keys - queries + window))

    m = tl.full([ROWS], SHUT, tl.float32)
    total, spread = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    count = tl.zeros([ROWS], tl.int32)
    if GROUPS > 0:
        g = tl.arange(0, GROUPS)
        sums = tl.zeros([ROWS, GROUPS], tl.float32)
    for start in range(low, high, KEYS):
        j = start + tl.arange(0, KEYS).to(tl.int64)
        there = j < keys
        seen = there
        if HAS_MASK:
            seen = seen & (tl.load(mask_at + b * keys + j, mask=there, other=0) != 0)
        # Transposed on the way in. A masked key is not read: a NaN there must not come through.
        k = tl.load(
            k_at + b * k_b + (h // shared) * k_h + j[None, :] * k_j + d[:, None] * k_d,
            mask=seen[None, :] & (d[:, None] < width), other=0.0,
        )  # fmt: skip
        s = tl.dot(q, k, input_precision="ieee").to(tl.float32) * scale
        if CAP:
            squeezed = tl.exp(-2.0 * tl.abs(s / cap))
            s = tl.where(s < 0, -1.0, 1.0) * cap * (1.0 - squeezed) / (1.0 + squeezed)
        opened = seen[None, :] & inside[:, None]
        if BIAS > 0:
            bias = tl.load(
                bias_at + b * bias_b + h * bias_h + i[:, None] * bias_i + j[None, :] * bias_j,
                mask=inside[:, None] & there[None, :], other=0,
            )  # fmt: skip
            if BIAS == 1:
                opened = opened & (bias != 0)
            else:
                opened = opened & (bias > CLOSED)
                s += bias.to(tl.float32)
        if HAS_WEIGHT:
            s += tl.load(weight_at + pair * keys + j, mask=there, other=0.0)[None, :]
        ahead = j[None, :] - place[:, None]
        if CAUSAL:
            opened = opened & (ahead <= 0)
        if WINDOW:
            opened = opened & (tl.abs(ahead) < window)
        s = tl.where(opened, s, SHUT)

        top = tl.maximum(m, tl.max(s, 1))
        below = tl.where(opened, s - top[:, None], 0.0)
        e = tl.where(opened, tl.exp(below), 0.0)
        fade = tl.exp(m - top)
        spread = fade * (spread + total * (m - top)) + tl.sum(e * below, 1)
        total = fade * total + tl.sum(e, 1)
        count += tl.sum(opened.to(tl.int32), 1)
        if GROUPS > 0:
            columns = tl.load(
                columns_at + (b * keys + j[:, None]) * GROUPS + g[None, :], mask=there[:, None], other=0.0
            )
            sums = fade[:, None] * sums + tl.dot(e, columns, input_precision="tf32x3")
        m = top

    row = pair * queries + i
    entropy = tl.log(total) - spread / total
    tl.store(entropy_at + row, tl.where(entropy < 0, 0.0, entropy), inside)  # a maximum would drop NaN
    tl.store(largest_at + row, 1.0 / total, inside)
    tl.store(lse_at + row, tl.where(count > 0, m + tl.log(total), SHUT), inside)
    tl.store(count_at + row, count, inside)
    if GROUPS > 0:
        tl.store(mass_at + row[:, None] * GROUPS + g[None, :], sums / total[:, None], inside[:, None])
