"""Streamed rollout against the product of the whole matrices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook import attention, rollout, scores, streaming


@st.composite
def stacks(draw):
    """Queries and keys of a few self-attention layers, with rules that leave some rows with nothing to attend to."""
    layers, batch, shared, kv_heads, n = (draw(st.integers(1, m)) for m in (3, 2, 2, 2, 6))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    q = 2 * torch.randn(layers, batch, shared * kv_heads, n, 4, generator=random, dtype=torch.float64)
    k = torch.randn(layers, batch, kv_heads, n, 4, generator=random, dtype=torch.float64)
    rules = {}
    if draw(st.booleans()):
        rules["bias"] = torch.rand(batch, 1, n, n, generator=random) < 0.6
    if draw(st.booleans()):
        rules["sinks"] = torch.randn(shared * kv_heads, generator=random, dtype=torch.float64)
    if draw(st.booleans()):
        rules["causal"] = True
    return q, k, rules, random


@settings(max_examples=80)
@given(stacks(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.booleans())
def test_rollout_onto_groups_and_single_rows(stack, residual, averaged):
    q, k, rules, random = stack
    layers, batch, heads, n, _ = q.shape
    attns = torch.stack([streaming.weights(*layer, **rules) for layer in zip(q, k, strict=True)])
    whole = attention.rollout(attns.mean(2) if averaged else attns, residual)
    shape = (batch, n) if averaged else (batch, heads, n)
    groups = torch.rand(*shape, 3, generator=random, dtype=torch.float64)
    reached = groups
    for layer in range(layers):
        reached = rollout.forward(q[layer], k[layer], reached, residual, **rules)
        torch.testing.assert_close(reached, whole[layer] @ groups)

    asked = torch.eye(n, dtype=torch.float64)[:, -2:].expand(*shape, -1)
    rows = asked
    for layer in reversed(range(layers)):
        rows = rollout.backward(q[layer], k[layer], rows, residual, **rules)
    torch.testing.assert_close(rows.transpose(-1, -2), whole[-1][..., -2:, :])


def test_blocks_add_up(monkeypatch):
    monkeypatch.setattr(scores, "ELEMENTS", 500)
    q, k = torch.randn(2, 2, 4, 50, 8, generator=torch.Generator().manual_seed(0))
    states = torch.rand(2, 50, 2)
    expected = attention.rollout(streaming.weights(q, k).mean(1)[None])[0]
    torch.testing.assert_close(rollout.forward(q, k, states), expected @ states)
    torch.testing.assert_close(rollout.backward(q, k, states), expected.transpose(-1, -2) @ states)


def test_wrong_arguments_are_named():
    q, k = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"states: expected shape \(batch=1, \[head=2,\] 3, any\), got \(1, 4, 2\)"):
        rollout.forward.__wrapped__(q, k, torch.zeros(1, 4, 2))
    with pytest.raises(ValueError, match="residual: expected a share between 0 and 1, got 2"):
        rollout.forward(q, k, torch.zeros(1, 3, 2), residual=2)
    with pytest.raises(ValueError, match="q, k: expected self-attention, got 3 queries and 5 keys"):
        rollout.forward.__wrapped__(q, torch.zeros(1, 2, 5, 4), torch.zeros(1, 3, 2))
