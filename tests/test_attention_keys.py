"""Leaving keys out, in every statistic: the same as a softmax that never had them. And modality importance."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook import attention

NAN = float("nan")


@st.composite
def cases(draw):
    """Scores, and keys to keep; a softmax over the kept keys alone is what every statistic must be that of."""
    batch, head, n = (draw(st.integers(1, m)) for m in (3, 2, 6))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scores = 3 * torch.randn(batch, head, n, n, generator=random, dtype=torch.float64)
    keep = torch.rand(batch, n, generator=random) < 0.6
    keep[:, draw(st.integers(0, n - 1))] = True
    without = scores.masked_fill(~keep[:, None, None], float("-inf")).softmax(-1)
    queries, keys = (torch.rand(batch, n, generator=random) < 0.6 for _ in range(2))
    return scores.softmax(-1), without, keep, queries, keys


@settings(max_examples=80)
@given(cases())
def test_every_statistic_is_that_of_a_softmax_without_the_left_out_keys(case):
    attn, without, keep, queries, keys = case
    groups = torch.stack([keys, ~keys], -1)
    same = torch.testing.assert_close
    same(attention.renormalize(attn, keep), without)
    same(attention.entropy(attn, keep, normalize=False), attention.entropy(without, normalize=False))
    same(attention.mass(attn, groups, keep), attention.mass(without, groups))
    same(attention.proportion(attn, queries, keys, keep), attention.proportion(without, queries, keys), equal_nan=True)
    same(
        attention.max_link(attn, queries, keys, keep), attention.max_link(without, queries, keys & keep), equal_nan=True
    )
    same(attention.image_to_text(attn, queries, keys, 0.5, keep), attention.image_to_text(without, queries, keys, 0.5))
    same(
        attention.modality_importance(attn, queries, groups, keep),
        attention.modality_importance(without, queries, groups),
        equal_nan=True,
    )
    for layers, plain in (
        (torch.stack([attn, attn]), torch.stack([without, without])),
        (attn.mean(1)[None], attention.renormalize(attn.mean(1, keepdim=True), keep)[None, :, 0]),
    ):
        same(attention.rollout(layers, key_mask=keep), attention.rollout(plain))


def test_a_row_that_rests_on_left_out_keys_alone_counts_nowhere():
    # The first query looks at [CLS] only. Without [CLS] it says nothing; deleting the column would call it 0.
    attn = torch.tensor([[[[1.0, 0.0, 0.0], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6]]]])
    keep = torch.tensor([[False, True, True]])
    queries, keys = torch.tensor([[True, True, False]]), torch.tensor([[False, True, False]])
    groups = keys[..., None]
    assert attention.mass(attn, groups, keep).flatten().tolist() == pytest.approx([NAN, 0.8, 0.25], nan_ok=True)
    assert attention.proportion(attn, queries, keys, keep).item() == pytest.approx(0.8)
    assert attention.proportion(attn, queries, keys).item() == pytest.approx(0.2), "what deleting would have measured"
    assert attention.max_link(attn, queries, keys, keep).item() == pytest.approx(0.8)
    assert attention.max_link(attn, queries[:, [0, 2, 2]], keys, keep).isnan().item()
    assert attention.modality_importance(attn, queries, groups, keep).item() == pytest.approx(0.8)
    assert attention.image_to_text(attn, queries[:, [0, 2, 2]], keys, 0.0, keep).tolist() == [0]
    rolled = attention.rollout(attn[None], key_mask=keep)[0, 0, 0]
    assert rolled[0].tolist() == [1, 0, 0], "it passes on its own state"
    assert rolled[1].tolist() == pytest.approx([0, 0.9, 0.1])


def test_modality_importance_by_hand():
    # Two examples of [CLS] word region; the second has one more region and [SEP] is never counted.
    attn = torch.tensor([[[[0.2, 0.5, 0.3, 0.0]]], [[[0.1, 0.3, 0.2, 0.4]]]]).expand(2, 1, 4, 4)
    cls = torch.tensor([[True, False, False, False]] * 2)
    text = torch.tensor([[False, True, False, False]] * 2)
    image = torch.tensor([[False, False, True, False], [False, False, True, True]])
    found = attention.modality_importance(attn, cls, torch.stack([text, image], -1))
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.45]]))
    assert attention.modality_importance(attn, ~cls & cls, torch.stack([text, image], -1)).isnan().all()


def test_in_the_importance_of_modalities_a_nan_of_the_model_stays_visible():
    """And a row without weight on what counts is left out."""
    attn = torch.tensor([[0.2, 0.6, 0.2], [1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])[:, None, None]
    keep = torch.tensor([[False, True, True]] * 3)
    modalities = torch.tensor([[[False, False], [True, False], [False, True]]] * 3)
    first = torch.ones(3, 1, dtype=torch.bool)
    found = attention.modality_importance(attn, first, modalities, keep)
    torch.testing.assert_close(found, torch.tensor([[(0.75 + 0.5) / 2, (0.25 + 0.5) / 2]]))
    attn[0, 0, 0, 1] = float("nan")
    assert attention.modality_importance(attn, first, modalities, keep).isnan().all()


def test_rollout_passes_gradients_to_weights_and_through_the_mask():
    attn = torch.rand(2, 1, 2, 3, 3, dtype=torch.float64).softmax(-1).requires_grad_()
    keep = torch.tensor([[True, True, False]])
    assert torch.autograd.gradcheck(lambda a: attention.rollout(a, key_mask=keep), (attn,))
    assert torch.autograd.gradcheck(lambda a: attention.rollout(a.mean(2)), (attn,))


def test_wrong_masks_and_devices_are_named(plain):
    attention = plain("attention")
    attn, queries = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 2, dtype=torch.bool)
    short = torch.ones(1, 3, dtype=torch.bool)
    elsewhere = torch.ones(1, 2, dtype=torch.bool, device="meta")
    for call in (
        lambda mask: attention.renormalize(attn, mask),
        lambda mask: attention.entropy(attn, mask),
        lambda mask: attention.mass(attn, queries[..., None], mask),
        lambda mask: attention.proportion(attn, queries, queries, mask),
        lambda mask: attention.max_link(attn, queries, queries, mask),
        lambda mask: attention.image_to_text(attn, queries, queries, 0.5, mask),
        lambda mask: attention.modality_importance(attn, queries, queries[..., None], mask),
        lambda mask: attention.rollout(attn[None], key_mask=mask),
    ):
        with pytest.raises(ValueError, match=r"key_mask: expected shape \(batch=1, key=2\), got \(1, 3\)"):
            call(short)
        with pytest.raises(ValueError, match="key_mask: expected a boolean mask"):
            call(queries.float())
        with pytest.raises(ValueError, match="key_mask: expected device cpu, that of the weights, got meta"):
            call(elsewhere)
    with pytest.raises(ValueError, match="queries: expected device cpu"):
        attention.proportion(attn, elsewhere, queries)
