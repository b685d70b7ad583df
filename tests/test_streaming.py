"""Streamed statistics against a loop over single weights in float64, and against the plain computation."""

import math
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from crosslook import attention, scores, streaming

NAN = float("nan")


@st.composite
def calls(draw):
    """Queries, keys and any mixture of the rules that models know; sizes small, blocks smaller."""
    batch, shared, kv_heads = (draw(st.integers(1, 2)) for _ in range(3))
    queries, keys, width = (draw(st.integers(1, n)) for n in (7, 9, 5))
    heads = shared * kv_heads
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def normal(*shape):
        return torch.randn(shape, generator=random)

    def coin(*shape, chance=0.7):
        return torch.rand(shape, generator=random) < chance

    sharpness = draw(st.sampled_from([0.1, 1.0, 8.0]))
    q, k = sharpness * normal(batch, heads, queries, width), normal(batch, kv_heads, keys, width)
    rules = {}
    if draw(st.booleans()):
        rules["scale"] = draw(st.sampled_from([0.1, 1.0]))
    if draw(st.booleans()):
        rules["key_mask"] = coin(batch, keys)
    kind = draw(st.sampled_from([None, "bool", "float", "minimum"]))
    shape = tuple(size if draw(st.booleans()) else 1 for size in (batch, heads, queries, keys))
    if kind == "bool":
        rules["bias"] = coin(*shape)
    elif kind == "float":
        rules["bias"] = normal(*shape)
    elif kind == "minimum":
        rules["bias"] = torch.zeros(shape).masked_fill(~coin(*shape), torch.finfo(torch.float32).min)
    if draw(st.booleans()):
        rules["causal"] = True
    if draw(st.booleans()):
        rules["window"] = draw(st.integers(1, 4))
    if draw(st.booleans()):
        rules["softcap"] = 5.0
    if draw(st.booleans()):
        rules["sinks"] = normal(heads)
    if draw(st.booleans()):
        rules["key_weight"] = normal(batch, heads, keys).abs()
    return q, k, rules


def loop(q, k, rules):
    """One weight after another, in float64, from the definitions; rows that may attend to nothing are None."""
    batch, heads, queries, width = q.shape
    keys, per = k.shape[2], q.shape[1] // k.shape[1]
    scale = rules.get("scale", width**-0.5)
    bias = rules.get("bias")
    bias = None if bias is None else bias.expand(batch, heads, queries, keys)
    found = {}
    for b in range(batch):
        for h in range(heads):
            for i in range(queries):
                place = i + keys - queries
                row = {}
                for j in range(keys):
                    score = scale * float(q[b, h, i].double() @ k[b, h // per, j].double())
                    if "softcap" in rules:
                        score = rules["softcap"] * math.tanh(score / rules["softcap"])
                    if "key_mask" in rules and not rules["key_mask"][b, j]:
                        continue
                    if bias is not None and bias.dtype == torch.bool and not bias[b, h, i, j]:
                        continue
                    if bias is not None and bias.dtype != torch.bool:
                        if bias[b, h, i, j] < -10000:
                            continue
                        score += float(bias[b, h, i, j])
                    if rules.get("causal") and j > place:
                        continue
                    if "window" in rules and abs(j - place) >= rules["window"]:
                        continue
                    if "key_weight" in rules:
                        score += math.log(float(rules["key_weight"][b, h, j]))
                    row[j] = score
                sink = float(rules["sinks"][h]) if "sinks" in rules and "key_weight" not in rules else -math.inf
                found[b, h, i] = None
                if row:
                    top = max(*row.values(), sink)
                    total = sum(math.exp(s - top) for s in row.values()) + math.exp(sink - top)
                    weights = torch.zeros(keys, dtype=torch.float64)
                    for j, score in row.items():
                        weights[j] = math.exp(score - top) / total
                    found[b, h, i] = (weights, top + math.log(total), len(row))
    return found


@settings(max_examples=150)
@given(calls(), st.integers(1, 4), st.integers(0, 2**31))
def test_statistics_are_those_of_a_loop_over_single_weights(call, block, seed):
    q, k, rules = call
    members = torch.rand(len(q), k.shape[2], 3, generator=torch.Generator().manual_seed(seed)) < 0.5
    found = streaming.statistics(q, k, groups=members, block=block, **rules)
    for (b, h, i), row in loop(q, k, rules).items():
        here = b, h, i
        if row is None:
            assert not found.valid[here]
            assert found.n_keys[here] == 0
            assert all(x[here].isnan().all() for x in (found.mass, found.entropy, found.max_weight, found.lse))
            continue
        weights, lse, count = row
        share = weights / weights.sum()
        assert found.valid[here]
        assert found.n_keys[here] == count
        assert found.lse[here].item() == pytest.approx(lse, abs=1e-5)
        assert found.max_weight[here].item() == pytest.approx(weights.max().item(), abs=4e-6)
        assert found.entropy[here].item() == pytest.approx(torch.special.entr(share).sum().item(), abs=1e-5)
        normal = torch.special.entr(share).sum().item() / math.log(count) if count > 1 else 0
        assert found.normalized_entropy()[here].item() == pytest.approx(normal, abs=2e-5)
        expected = (members[b].double() * weights[:, None]).sum(0)
        assert found.mass[here].tolist() == pytest.approx(expected.tolist(), abs=4e-6)


@settings(max_examples=100)
@given(calls())
def test_weights_are_those_of_the_loop(call):
    q, k, rules = call
    found = streaming.weights(q, k, **rules)
    for here, row in loop(q, k, rules).items():
        expected = torch.zeros(k.shape[2]) if row is None else row[0].float()
        torch.testing.assert_close(found[here], expected, atol=4e-6, rtol=0)


@settings(max_examples=60)
@given(calls(), st.integers(0, 2**31))
def test_single_weights_are_those_of_the_whole(call, seed):
    q, k, rules = call
    random = torch.Generator().manual_seed(seed)
    query = torch.randint(q.shape[2], (len(q), 4), generator=random)
    key = torch.randint(k.shape[2], (len(q), 4), generator=random)
    stats = streaming.statistics(q, k, **rules)
    found = streaming.weights_at(q, k, stats.lse, query, key, **rules)
    whole = streaming.weights(q, k, **rules).masked_fill(~stats.valid[..., None], NAN)
    rows = whole.gather(2, query[:, None, :, None].expand(-1, q.shape[1], -1, k.shape[2]))
    expected = rows.gather(3, key[:, None, :, None].expand(-1, q.shape[1], -1, -1))[..., 0]
    torch.testing.assert_close(found, expected, atol=4e-6, rtol=0, equal_nan=True)


@pytest.mark.parametrize("rules", [{}, {"causal": True}, {"window": 5}, {"softcap": 3.0}])
def test_blocks_of_any_size_agree_and_cover_a_long_sequence(rules, monkeypatch):
    random = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 6, 70, 8, generator=random), torch.randn(2, 3, 70, 8, generator=random)
    groups = torch.rand(2, 70, 20, generator=random)  # more than fit into the padded columns once
    whole = streaming.statistics(q, k, groups=groups, **rules)
    assert whole.mass.shape == (2, 6, 70, 20)
    for elements in (64, 3_000, 20_000):
        monkeypatch.setattr(scores, "ELEMENTS", elements)
        part = streaming.statistics(q, k, groups=groups, block=16, **rules)
        for name in ("mass", "entropy", "max_weight", "lse", "n_keys", "valid"):
            torch.testing.assert_close(getattr(part, name), getattr(whole, name), atol=4e-6, rtol=0)


@settings(max_examples=40)
@given(calls())
def test_streaming_is_the_same_as_weights_then_attention(call):
    q, k, rules = call
    stats = streaming.statistics(q, k, **rules)
    attn = streaming.weights(q, k, **rules)
    torch.testing.assert_close(
        stats.entropy, attention.entropy(attn, normalize=False), atol=1e-5, rtol=0, equal_nan=True
    )
    row_max = attn.amax(-1).masked_fill(~stats.valid, NAN)
    torch.testing.assert_close(stats.max_weight, row_max, atol=4e-6, rtol=0, equal_nan=True)


def test_leaving_keys_out_is_renormalising_the_rest():
    random = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, 3, 5, 8, generator=random), torch.randn(2, 3, 6, 8, generator=random)
    keep = torch.rand(2, 6, generator=random) < 0.6
    groups = torch.rand(2, 6, 2, generator=random) < 0.5
    stats = streaming.statistics(q, k, key_mask=keep, groups=groups)
    attn = streaming.weights(q, k)
    torch.testing.assert_close(stats.mass, attention.mass(attn, groups, keep), atol=4e-6, rtol=0)
    torch.testing.assert_close(stats.normalized_entropy(), attention.entropy(attn, keep), atol=1e-5, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
def test_weights_times_values_are_the_attention_of_torch(causal):
    q, k, v = torch.randn(3, 2, 4, 9, 16, generator=torch.Generator().manual_seed(2))
    expected = scaled_dot_product_attention(q, k, v, is_causal=causal)
    torch.testing.assert_close(streaming.weights(q, k, causal=causal) @ v, expected)


def test_bfloat16_is_scored_in_float32():
    # Sharp heads are where it shows: weights in bfloat16 would be wrong in the third digit.
    random = torch.Generator().manual_seed(3)
    q = (16 * torch.randn(1, 2, 16, 64, generator=random)).bfloat16()
    k = torch.randn(1, 2, 32, 64, generator=random).bfloat16()
    found, exact = streaming.statistics(q, k), streaming.statistics(q.double(), k.double())
    assert found.entropy.dtype == torch.float32
    assert exact.entropy.dtype == torch.float64
    torch.testing.assert_close(found.entropy.double(), exact.entropy, atol=1e-5, rtol=0)
    rough = (q @ k.transpose(-1, -2) * 64**-0.5).softmax(-1)
    assert (attention.entropy(rough, normalize=False) - exact.entropy).abs().max() > 1e-2


def test_even_rows_and_one_key():
    even = streaming.statistics(torch.zeros(1, 1, 2, 4), torch.randn(1, 1, 5, 4))
    torch.testing.assert_close(even.entropy, torch.full((1, 1, 2), math.log(5)))
    torch.testing.assert_close(even.max_weight, torch.full((1, 1, 2), 0.2))
    torch.testing.assert_close(even.normalized_entropy(), torch.ones(1, 1, 2))
    one = streaming.statistics(torch.randn(1, 1, 2, 4), torch.randn(1, 1, 1, 4))
    assert one.entropy.tolist() == one.normalized_entropy().tolist() == [[[0, 0]]]
    assert one.max_weight.tolist() == [[[1, 1]]]


def test_sharp_and_distant_scores_stay_exact():
    q = torch.tensor([[[[1000.0]]]])
    k = torch.tensor([[[[1.0], [1.0], [-1.0]]]])
    found = streaming.statistics(q, k, scale=1.0)
    assert found.max_weight.item() == pytest.approx(0.5, abs=1e-6)
    assert found.entropy.item() == pytest.approx(math.log(2), abs=2e-4)  # a score of 1000 has a rounding of 6e-5
    assert found.lse.item() == pytest.approx(1000 + math.log(2), abs=1e-3)


def test_nan_stays_visible_in_its_row_and_is_ignored_under_a_mask():
    q, k = torch.randn(1, 1, 3, 4), torch.randn(1, 1, 5, 4)
    q[0, 0, 1] = NAN
    found = streaming.statistics(q, k)
    assert found.valid.all()
    assert found.entropy.isnan().tolist() == [[[False, True, False]]]
    k[0, 0, 4] = NAN
    mask = torch.tensor([[True, True, True, True, False]])
    torch.testing.assert_close(
        streaming.statistics(q, k, key_mask=mask).entropy, streaming.statistics(q, k[:, :, :4]).entropy, equal_nan=True
    )


def test_calls_within_inference_mode_and_outside_of_it_may_follow_each_other(monkeypatch):
    monkeypatch.setattr(streaming, "_kept", threading.local())
    q = torch.randn(1, 2, 6, 4, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        inside = streaming.statistics(q, q).entropy
    torch.testing.assert_close(streaming.statistics(q, q).entropy, inside.clone(), rtol=0, atol=0)
    with torch.inference_mode():
        assert streaming.statistics(q, q).entropy.equal(inside)


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0)])
def test_nothing_to_attend_with_or_to(shape):
    batch, heads, queries, keys = shape
    q, k = torch.randn(batch, heads, queries, 8), torch.randn(batch, heads, keys, 8)
    found = streaming.statistics(q, k, groups=torch.ones(batch, keys, 2))
    assert found.mass.shape == (batch, heads, queries, 2)
    assert found.entropy.shape == found.valid.shape == (batch, heads, queries)
    assert found.entropy.isnan().all()
    assert not found.valid.any()
    assert streaming.weights(q, k).shape == shape


def test_weights_are_differentiable_where_a_row_is_masked():
    random = torch.Generator().manual_seed(4)
    q = torch.randn(1, 2, 3, 4, generator=random, dtype=torch.float64, requires_grad=True)
    k = torch.randn(1, 1, 5, 4, generator=random, dtype=torch.float64, requires_grad=True)
    bias = torch.rand(1, 1, 3, 5, generator=random) < 0.6
    bias[0, 0, 1] = False
    sinks = torch.zeros(2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda q, k: streaming.weights(q, k, bias=bias, softcap=2.0, sinks=sinks), (q, k), atol=1e-6
    )
    assert not streaming.statistics(q, k).entropy.requires_grad


def test_rotated_queries_and_keys_are_taken_as_they_are():
    # Rotating both by the angle of their place leaves only the distance: what a model hands over after rotary.
    angle = torch.arange(6) * 0.3
    turn = torch.stack([angle.cos(), angle.sin()], -1)[None, None]
    expected = (turn[0, 0] @ turn[0, 0].T).softmax(-1)
    torch.testing.assert_close(streaming.weights(turn, turn, scale=1.0)[0, 0], expected)


BAD = {
    "q": ({"q": torch.zeros(2, 3, 4)}, r"q: expected floats \(batch, head, query, d\), got torch.float32 \(2, 3, 4\)"),
    "k width": ({"k": torch.zeros(1, 2, 5, 3)}, r"k: expected floats \(batch=1, kv_head, key, d=4\)"),
    "k heads": ({"k": torch.zeros(1, 3, 5, 4)}, "k: expected a number of heads that divides the 2 of q, got 3"),
    "k whole": ({"k": torch.zeros(1, 2, 5, 4, dtype=torch.long)}, "k: expected floats"),
    "key_mask": ({"key_mask": torch.ones(1, 4, dtype=torch.bool)}, r"key_mask: expected shape \(batch=1, key=5\), got"),
    "key_mask type": ({"key_mask": torch.ones(1, 5)}, "key_mask: expected a boolean mask"),
    "bias": ({"bias": torch.zeros(1, 5)}, r"bias: expected shape \(batch=1\|1, head=1\|2, query=1\|3, key=1\|5\)"),
    "bias type": ({"bias": torch.zeros(1, 1, 1, 5, dtype=torch.long)}, "bias: expected a boolean mask or floats"),
    "sinks": ({"sinks": torch.zeros(3)}, r"sinks: expected shape \(head=2\), got \(3,\)"),
    "key_weight": ({"key_weight": torch.zeros(1, 1, 5)}, "key_weight: expected shape"),
    "groups": ({"groups": torch.zeros(1, 4, 2)}, r"groups: expected shape \(batch=1, key=5, group\), got \(1, 4, 2\)"),
    "window": ({"window": 0}, "window: expected a positive number of positions, got 0"),
    "softcap": ({"softcap": 0.0}, "softcap: expected a positive number"),
    "block": ({"block": 0}, "block: expected a positive number of queries"),
    "device": ({"k": torch.zeros(1, 2, 5, 4, device="meta")}, "k: expected device cpu, that of q, got meta"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_arguments_are_named(plain, case):
    change, message = BAD[case]
    arguments = {"q": torch.zeros(1, 2, 3, 4), "k": torch.zeros(1, 2, 5, 4)} | change
    with pytest.raises(ValueError, match=message):
        plain("streaming").statistics(arguments.pop("q"), arguments.pop("k"), **arguments)


def test_positions_outside_the_sequence_are_named():
    q, k = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 5, 4)
    lse = streaming.statistics(q, k).lse
    link = torch.tensor([[0]])
    with pytest.raises(ValueError, match="key: expected positions from 0 to 4, got 5 to 5"):
        streaming.weights_at(q, k, lse, link, link + 5)
    with pytest.raises(ValueError, match="query: expected positions from 0 to 2, got -1 to -1"):
        streaming.weights_at(q, k, lse, link - 1, link)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_on_a_gpu(dtype):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    q, k = torch.randn(2, 4, 300, 64).to(dtype), torch.randn(2, 2, 300, 64).to(dtype)
    mask, groups = torch.rand(2, 300) < 0.8, torch.rand(2, 300, 3)
    here = streaming.statistics(q, k, key_mask=mask, groups=groups, causal=True)
    there = streaming.statistics(q.cuda(), k.cuda(), key_mask=mask.cuda(), groups=groups.cuda(), causal=True)
    for name in ("mass", "entropy", "max_weight", "lse", "n_keys", "valid"):
        torch.testing.assert_close(getattr(there, name).cpu(), getattr(here, name), atol=1e-5, rtol=0, equal_nan=True)
