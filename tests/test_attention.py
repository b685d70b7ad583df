"""Statistics of attention weights against scipy, loops over single weights, and cases worked by hand."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crosslook import attention

NAN = float("nan")

# Two words look at three regions; in bits, the entropy of the rows is 1.5 and 1.
ROWS = torch.tensor([[[[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]]]])


@st.composite
def weights(draw, square=False):
    """Attention weights of any small shape, from nearly even rows to nearly one-hot ones, with some exact zeros."""
    batch, head, query, key = (draw(st.integers(1, n)) for n in (3, 3, 4, 5))
    shape = (batch, head, key if square else query, key)
    scores = draw(hnp.arrays(np.float64, shape, elements=st.floats(-30, 30, width=32)))
    attn = torch.from_numpy(scores).softmax(-1)
    attn[attn < 1e-9] = 0
    return attn / attn.sum(-1, keepdim=True)


@st.composite
def with_masks(draw):
    """Weights with a boolean mask over queries and one over keys."""
    attn = draw(weights())
    batch, _, query, key = attn.shape
    queries, keys = (torch.from_numpy(draw(hnp.arrays(bool, (batch, n)))) for n in (query, key))
    return attn, queries, keys


def rows(attn):
    batch, head, query, _ = attn.shape
    return [(b, h, q) for b in range(batch) for h in range(head) for q in range(query)]


# Entropy


@settings(deadline=None, max_examples=60)
@given(with_masks())
def test_entropy_is_scipys_on_the_attendable_keys(case):
    attn, _, keys = case
    nats, share = attention.entropy(attn, keys, normalize=False), attention.entropy(attn, keys)
    for b, h, q in rows(attn):
        left = attn[b, h, q][keys[b]].numpy()
        if left.sum() == 0:
            assert nats[b, h, q].isnan()
            assert share[b, h, q].isnan()
            continue
        expected = scipy.stats.entropy(left)  # it normalises
        assert nats[b, h, q].item() == pytest.approx(expected, abs=1e-9)
        most = math.log(len(left))
        assert share[b, h, q].item() == pytest.approx(expected / most if most else 0, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(weights())
def test_entropy_without_a_mask_is_that_with_a_full_one(attn):
    everything = torch.ones(attn.shape[0], attn.shape[-1], dtype=torch.bool)
    for normalize in (True, False):
        torch.testing.assert_close(
            attention.entropy(attn, normalize=normalize), attention.entropy(attn, everything, normalize)
        )
    share = attention.entropy(attn)
    assert ((share >= 0) & (share <= 1 + 1e-9)).all()


def test_entropy_by_hand():
    bits = attention.entropy(ROWS, normalize=False) / math.log(2)
    torch.testing.assert_close(bits, torch.tensor([[[1.5, 1.0]]]))
    without_last = torch.tensor([[True, True, False]])
    torch.testing.assert_close(
        attention.entropy(ROWS, without_last),
        torch.tensor([[[math.log(3) - 2 / 3 * math.log(2), math.log(2)]]]) / math.log(2),
    )
    assert attention.entropy(torch.full((1, 1, 1, 7), 1 / 7)).item() == pytest.approx(1)


def test_entropy_of_one_key_is_zero_with_a_plus_sign():
    for attn in (torch.ones(1, 1, 2, 1), torch.eye(3)[None, None]):
        values = attention.entropy(attn)
        assert (values == 0).all()
        assert not values.signbit().any()
    only_first = torch.tensor([[True, False, False]])
    assert attention.entropy(ROWS, only_first).tolist() == [[[0, 0]]]


def test_masked_keys_may_hold_anything():
    dirty = ROWS.clone()
    dirty[..., 2] = NAN
    mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(attention.entropy(dirty, mask), attention.entropy(ROWS, mask))
    assert attention.entropy(dirty).isnan().all(), "without the mask it is looked at"


def test_a_row_that_may_attend_to_nothing_is_nan_and_spoils_nothing():
    attn = torch.stack([ROWS[0], ROWS[0]]).requires_grad_()
    mask = torch.tensor([[False, False, False], [True, True, True]])
    values = attention.entropy(attn, mask)
    assert values[0].isnan().all()
    torch.testing.assert_close(values[1], attention.entropy(ROWS)[0])
    values.nanmean().backward()
    assert attn.grad.isfinite().all()
    assert (attn.grad[0] == 0).all()


@settings(deadline=None, max_examples=60)
@given(with_masks())
def test_renormalize(case):
    attn, _, keys = case
    kept = attention.renormalize(attn, keys)
    for b, h, q in rows(attn):
        total = attn[b, h, q][keys[b]].sum()
        if total == 0:
            assert kept[b, h, q].isnan().all()
        else:
            torch.testing.assert_close(kept[b, h, q], attn[b, h, q] * keys[b] / total)


# Mass


@settings(deadline=None, max_examples=60)
@given(weights(), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_mass_is_a_sum_over_members(attn, groups, seed):
    random = np.random.default_rng(seed)
    members = torch.from_numpy(random.random((attn.shape[0], attn.shape[-1], groups)) < 0.5)
    found = attention.mass(attn, members)
    for b, h, q in rows(attn):
        for g in range(groups):
            expected = sum(attn[b, h, q, k].item() for k in range(attn.shape[-1]) if members[b, k, g])
            assert found[b, h, q, g].item() == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(attention.mass(attn, members.double()), found)
    torch.testing.assert_close(attention.mass(attn, members.double() / 2), found / 2)


def test_mass_by_hand():
    groups = torch.tensor([[[True, False], [True, True], [False, False]]])
    assert attention.mass(ROWS, groups).tolist() == [[[[0.75, 0.25], [1.0, 0.5]]]]
    assert attention.mass(ROWS, groups[..., :0]).shape == (1, 1, 2, 0)


# Proportion


@settings(deadline=None, max_examples=60)
@given(with_masks())
def test_proportion_pools_before_it_divides(case):
    attn, queries, keys = case
    found = attention.proportion(attn, queries, keys)
    for h in range(attn.shape[1]):
        on, all_of = 0.0, 0.0
        for b, _, q in rows(attn[:, :1]):
            if queries[b, q]:
                on += sum(attn[b, h, q, k].item() for k in range(attn.shape[-1]) if keys[b, k])
                all_of += attn[b, h, q].sum().item()
        if all_of:
            assert found[h].item() == pytest.approx(on / all_of, abs=1e-12)
        else:
            assert found[h].isnan()


def test_proportion_by_hand():
    words = torch.tensor([[True, True], [False, True]])
    described = torch.tensor([[True, False, False], [False, True, False]])
    twice = ROWS.expand(2, -1, -1, -1)
    assert attention.proportion(twice, words, described).tolist() == [0.5]  # (1/2 + 1/2 + 1/2) / 3
    lopsided = torch.tensor([[[[1.0, 0.0]], [[0.5, 0.5]]]])
    assert attention.proportion(lopsided, torch.tensor([[True]]), torch.tensor([[True, False]])).tolist() == [1.0, 0.5]
    # Phrases of different length: 1 of 1 row, 0 of 3 rows; the mean of the two ratios would be 1/2.
    attn = torch.tensor([[1.0, 0.0]]).expand(2, 1, 3, 2)
    lengths = torch.tensor([[True, False, False], [True, True, True]])
    which = torch.tensor([[True, False], [False, True]])
    assert attention.proportion(attn, lengths, which).tolist() == [0.25]


def test_rows_that_are_not_chosen_may_hold_anything():
    attn = ROWS.clone()
    attn[:, :, 1] = NAN
    first, region = torch.tensor([[True, False]]), torch.tensor([[True, False, False]])
    assert attention.proportion(attn, first, region).tolist() == [0.5]
    assert attention.max_link(attn, first, region).tolist() == [[0.5]]
    assert attention.image_to_text(attn, first, region, threshold=0.4).tolist() == [1.0]
    assert attention.proportion(attn, ~first, region).isnan().all()
    assert attention.max_link(attn, ~first, region).isnan().all()
    assert attention.image_to_text(attn, ~first, region).isnan().all()


# The largest link


@settings(deadline=None, max_examples=60)
@given(with_masks())
def test_max_link_is_the_largest_pair(case):
    attn, queries, keys = case
    found = attention.max_link(attn, queries, keys)
    for b in range(attn.shape[0]):
        for h in range(attn.shape[1]):
            linked = attn[b, h][queries[b]][:, keys[b]]
            if linked.numel():
                assert found[b, h] == linked.max()
            else:
                assert found[b, h].isnan()


def test_max_link_by_hand():
    both = torch.tensor([[True, True]])
    assert attention.max_link(ROWS, both, torch.tensor([[False, True, True]])).tolist() == [[0.5]]
    assert attention.max_link(ROWS, torch.tensor([[True, False]]), torch.tensor([[False, True, True]])).tolist() == [
        [0.25]
    ]


# Image to text


@settings(deadline=None, max_examples=60)
@given(with_masks(), st.floats(0, 1))
def test_image_to_text_counts_examples(case, threshold):
    attn, image, text = case
    sums = [[attn[b, h][image[b]][:, text[b]].sum(-1) for h in range(attn.shape[1])] for b in range(len(attn))]
    if any((abs(each - threshold) < 1e-9).any() for example in sums for each in example):
        return  # a tie that rounding decides
    expected = [np.mean([bool((example[h] > threshold).any()) for example in sums]) for h in range(attn.shape[1])]
    np.testing.assert_allclose(attention.image_to_text(attn, image, text, threshold), expected)


def test_image_to_text_by_hand():
    """The second example gives exactly one half, which is not more than half; the third has no region."""
    attn = torch.tensor([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0]])[:, None, None]
    image = torch.tensor([[True], [True], [False]])
    text = torch.tensor([[True, False]] * 3)
    assert attention.image_to_text(attn, image, text).item() == pytest.approx(1 / 3)
    assert attention.image_to_text(attn, image, text, threshold=0.4).item() == pytest.approx(2 / 3)


# Rollout


def rolled_by_loops(attns, residual):
    layers, n = len(attns), attns.shape[-1]
    before = np.eye(n)
    out = []
    for layer in range(layers):
        mixed = (1 - residual) * attns[layer] + residual * np.eye(n)
        now = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                now[i, j] = sum(mixed[i, k] * before[k, j] for k in range(n))
        before = now
        out.append(now)
    return np.stack(out)


@settings(deadline=None, max_examples=50)
@given(weights(square=True), weights(square=True), st.floats(0, 1))
def test_rollout_follows_every_head(first, second, residual):
    n = min(first.shape[-1], second.shape[-1])
    two = torch.stack([each[0, 0, :n, :n] + 0.01 for each in (first, second)])
    two = two / two.sum(-1, keepdim=True)
    attns = torch.stack([two, two.flip(0)], dim=1)[:, None]  # (layer, batch, head, query, key)
    found = attention.rollout(attns, residual)
    assert found.shape == attns.shape
    for head, each in enumerate((two, two.flip(0))):
        np.testing.assert_allclose(found[:, 0, head], rolled_by_loops(each.numpy(), residual), atol=1e-12)
    torch.testing.assert_close(attention.rollout(attns[:, :, 0], residual), found[:, :, 0])
    torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))


def test_rollout_by_hand():
    """The second position looks at the first, then the third at the second: a quarter of it comes from the first."""
    first = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, 1]])
    second = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]])
    attns = torch.stack([first, second])[:, None]
    assert attention.rollout(attns)[1, 0].tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]]
    torch.testing.assert_close(attention.rollout(attns, residual=0)[1, 0], second @ first)
    assert attention.rollout(attns, residual=1)[1, 0].tolist() == torch.eye(3).tolist()


def test_rollout_of_a_row_without_attention_keeps_its_own_state():
    nothing = torch.zeros(2, 1, 2, 2)
    for residual in (0, 0.5):
        assert attention.rollout(nothing, residual)[1, 0].tolist() == [[1, 0], [0, 1]]
    unscaled = torch.tensor([[[[3.0, 1.0], [0.0, 2.0]]]])
    torch.testing.assert_close(attention.rollout(unscaled, 0)[0, 0], torch.tensor([[0.75, 0.25], [0, 1]]))


def test_rollout_of_no_layer():
    assert attention.rollout(torch.zeros(0, 2, 3, 3)).shape == (0, 2, 3, 3)


# All of them


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_computed_in_single(dtype):
    attn = torch.full((1, 1, 300, 300), 1 / 300, dtype=dtype)
    every = torch.ones(1, 300, dtype=torch.bool)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    answers = {
        "entropy": (attention.entropy(attn, normalize=False).mean(), math.log(300)),
        "mass": (attention.mass(attn, every[..., None]).mean(), 300 * attn[0, 0, 0, 0].item()),
        "proportion": (attention.proportion(attn, every, every)[0], 1),
        "max_link": (attention.max_link(attn, every, every)[0, 0], attn[0, 0, 0, 0].item()),
        "image_to_text": (attention.image_to_text(attn, every, every)[0], 1),
        "rollout": (attention.rollout(attn[:, 0][None]).sum(-1).mean(), 1),
    }
    for name, (found, expected) in answers.items():
        assert found.dtype == wide, name
        assert found.item() == pytest.approx(expected, rel=1e-5), name


def test_gradients():
    scores = torch.randn(
        2, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    queries = torch.tensor([[True, True, False], [False, True, True]])
    keys = torch.tensor([[True, False, True], [True, True, False]])
    functions = {
        "entropy": lambda attn: attention.entropy(attn, keys),
        "mass": lambda attn: attention.mass(attn, keys[..., None]),
        "proportion": lambda attn: attention.proportion(attn, queries, keys),
        "max_link": lambda attn: attention.max_link(attn, queries, keys),
        "rollout": lambda attn: attention.rollout(attn.expand(2, -1, -1, -1, -1)),
    }
    for name, function in functions.items():
        assert torch.autograd.gradcheck(lambda x, f=function: f(x.softmax(-1)), scores), name
    zeros = torch.eye(3)[None, None].requires_grad_()
    attention.entropy(zeros).sum().backward()
    assert zeros.grad.isfinite().all(), "the derivative of p log p at 0 is not, and is left out"


def test_inputs_are_not_changed():
    attn, groups = ROWS.clone(), torch.tensor([[[True], [True], [False]]])
    attention.entropy(attn, groups[..., 0])
    attention.mass(attn, groups)
    attention.proportion(attn, torch.tensor([[True, False]]), groups[..., 0])
    assert torch.equal(attn, ROWS)


def test_nothing_is_a_value_or_nan():
    no_batch = torch.zeros(0, 2, 3, 4)
    queries, keys = torch.zeros(0, 3, dtype=torch.bool), torch.zeros(0, 4, dtype=torch.bool)
    assert attention.entropy(no_batch, keys).shape == (0, 2, 3)
    assert attention.proportion(no_batch, queries, keys).isnan().all()
    assert attention.image_to_text(no_batch, queries, keys).isnan().all()
    assert attention.max_link(no_batch, queries, keys).shape == (0, 2)
    no_key = torch.zeros(1, 2, 3, 0)
    one, none = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 0, dtype=torch.bool)
    assert attention.entropy(no_key).isnan().all()
    assert attention.max_link(no_key, one, none).isnan().all()
    assert attention.mass(no_key, none[..., None]).tolist() == torch.zeros(1, 2, 3, 1).tolist()
    assert attention.image_to_text(no_key, one, none).tolist() == [0, 0]


BAD = {
    "three axes": (lambda a: a.entropy(ROWS[0]), r"attn: expected shape \(batch, head, query, key\), got \(1, 2, 3\)"),
    "mask of queries": (
        lambda a: a.entropy(ROWS, torch.ones(1, 2, dtype=torch.bool)),
        r"key_mask: expected shape \(batch=1, key=3\), got \(1, 2\)",
    ),
    "batch": (
        lambda a: a.mass(ROWS, torch.ones(2, 3, 1)),
        r"groups: expected shape \(batch=1, key=3, group\), got \(2, 3, 1\)",
    ),
    "additive mask": (
        lambda a: a.entropy(ROWS, torch.zeros(1, 3)),
        r"key_mask: expected a boolean mask, True where a position is present, got torch.float32",
    ),
    "indices": (
        lambda a: a.proportion(ROWS, torch.tensor([[0, 1]]), torch.ones(1, 3, dtype=torch.bool)),
        r"queries: expected a boolean mask.*got torch.int64",
    ),
    "links": (
        lambda a: a.max_link(ROWS, torch.ones(1, 2, dtype=torch.bool), torch.ones(3, dtype=torch.bool)),
        r"keys: expected shape \(batch=1, key=3\), got \(3,\)",
    ),
    "text of queries": (
        lambda a: a.image_to_text(ROWS, torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)),
        r"text: expected shape \(batch=1, key=3\), got \(1, 2\)",
    ),
    "cross-attention": (
        lambda a: a.rollout(ROWS),
        r"attns: expected shape \(layer, batch, \[head,\] n, n\), got \(1, 1, 2, 3\)",
    ),
    "residual": (
        lambda a: a.rollout(torch.zeros(1, 1, 2, 2), 1.5),
        r"residual: expected a share between 0 and 1, got 1.5",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_name_the_argument_and_both_shapes(case, plain):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call(plain("attention"))
