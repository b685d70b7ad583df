"""The norm-based reading against the vectors themselves, and its streamed form against the whole."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook import attention, norms, streaming


@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 5), st.integers(0, 2**31))
def test_norms_are_lengths_of_what_is_moved(batch, shared, kv_heads, keys, seed):
    random = torch.Generator().manual_seed(seed)
    v = torch.randn(batch, kv_heads, keys, 4, generator=random, dtype=torch.float64)
    output = torch.randn(shared * kv_heads, 4, 7, generator=random, dtype=torch.float64)
    found = norms.value_norms(v, output)
    for b in range(batch):
        for h in range(shared * kv_heads):
            for j in range(keys):
                moved = v[b, h // shared, j] @ output[h]
                assert found[b, h, j].item() == pytest.approx(moved.norm().item())


def test_streamed_is_weight_times_length_renormalised():
    random = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 6, 8, generator=random)
    output = torch.randn(3, 8, 24, generator=random)
    lengths = norms.value_norms(v, output)
    groups = torch.rand(2, 6, 2, generator=random) < 0.5
    moved = norms.norm_weights(streaming.weights(q, k), lengths)
    shares = moved / moved.sum(-1, keepdim=True)
    plain, read = streaming.statistics(q, k), streaming.statistics(q, k, key_weight=lengths, groups=groups)
    torch.testing.assert_close(read.mass, attention.mass(shares, groups), atol=4e-6, rtol=0)
    torch.testing.assert_close(read.entropy, attention.entropy(moved, normalize=False), atol=1e-5, rtol=0)
    torch.testing.assert_close(read.max_weight, shares.amax(-1), atol=4e-6, rtol=0)
    torch.testing.assert_close((read.lse - plain.lse).exp(), moved.sum(-1))


def test_a_head_that_looks_at_a_vector_it_makes_tiny():
    # All weight on the first key, whose value is a hundredth of the second's: the head moves mostly the second.
    attn = torch.tensor([[[[0.9, 0.1]]]])
    v = torch.tensor([[[[0.01, 0.0], [1.0, 0.0]]]])
    lengths = norms.value_norms(v, torch.eye(2)[None])
    assert norms.norm_weights(attn, lengths).flatten().tolist() == pytest.approx([0.009, 0.1])
    nothing = streaming.statistics(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 2, 2), key_weight=torch.zeros(1, 1, 2))
    assert not nothing.valid.any(), "a head that moves nothing has no norm-based reading"
    half = streaming.statistics(
        torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 3, 2), key_weight=torch.tensor([[[0.0, 1.0, 1.0]]])
    )
    assert half.entropy.item() == pytest.approx(math.log(2))


def test_wrong_shapes_are_named(plain):
    module = plain("norms")
    with pytest.raises(ValueError, match=r"got \(1, 2, 3, 4\) and \(2, 5, 8\)"):
        module.value_norms(torch.zeros(1, 2, 3, 4), torch.zeros(2, 5, 8))
    with pytest.raises(ValueError, match="v: expected a number of heads that divides the 3 of output, got 2"):
        module.value_norms(torch.zeros(1, 2, 3, 4), torch.zeros(3, 4, 8))
    with pytest.raises(ValueError, match=r"norms: expected shape \(batch=1, head=2, key=5\), got \(1, 2, 3\)"):
        module.norm_weights(torch.zeros(1, 2, 3, 5), torch.zeros(1, 2, 3))
