"""The GPU kernel against the plain loop: in Triton's interpreter on a CPU, on the device where there is one."""

import pytest
import torch
from hypothesis import given, settings

from crosslook import streaming
from crosslook.scores import Scores
from test_streaming import calls

pytest.importorskip("triton")
from crosslook import kernels

# The interpreter is NumPy, which warns of the logarithm of a row's missing weight.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PARTS = ("mass", "entropy", "max_weight", "lse")


def compare(q, k, groups, rules, atol=1e-5):
    columns = torch.zeros(*groups.shape[:2], -(-groups.shape[2] // 16) * 16)
    columns[..., : groups.shape[2]] = groups
    scoring = Scores(
        q.to(DEVICE), k.to(DEVICE), **{n: v.to(DEVICE) if hasattr(v, "to") else v for n, v in rules.items()}
    )
    assert kernels.fits(scoring)
    found = kernels.one_pass(scoring, columns.to(DEVICE), block=256)
    mass, entropy, largest, lse, n_keys = (x.cpu() for x in found)
    assert (n_keys == 0).equal(lse <= -5e29)
    stats = streaming._finish(Scores(q, k, **rules), mass[..., : groups.shape[2]], entropy, largest, lse, n_keys)
    expected = streaming.statistics(q, k, groups=groups, **rules)
    for part in PARTS:
        torch.testing.assert_close(
            getattr(stats, part),
            getattr(expected, part),
            atol=atol,
            rtol=0,
            equal_nan=True,
            msg=lambda m, p=part: p + m,
        )
    assert stats.valid.equal(expected.valid)
    assert stats.n_keys.equal(expected.n_keys)


@settings(max_examples=60)
@given(calls())
def test_the_kernel_is_the_plain_loop(call):
    q, k, rules = call
    groups = torch.rand(len(q), k.shape[2], 3, generator=torch.Generator().manual_seed(0))
    compare(q, k, groups, rules)


@pytest.mark.parametrize("rules", [{}, {"causal": True}, {"causal": True, "window": 70}, {"window": 30}])
def test_over_several_blocks(rules):
    random = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, 4, 150, 24, generator=random), torch.randn(2, 2, 150, 24, generator=random)
    mask = torch.rand(2, 150, generator=random) < 0.8
    compare(q, k, torch.rand(2, 150, 20, generator=random), {"key_mask": mask, **rules})
    compare(q[:, :, :5], k, torch.rand(2, 150, 2, generator=random), rules)


def test_nan_and_half_precision():
    random = torch.Generator().manual_seed(2)
    q, k = (torch.randn(1, 2, 20, 32, generator=random) for _ in range(2))
    groups = torch.rand(1, 20, 1, generator=random)
    # The interpreter knows no bfloat16.
    half = torch.float16 if DEVICE == "cpu" else torch.bfloat16
    compare(q.to(half), k.to(half), groups, {})
    q[0, 0, 3, 1] = float("nan")
    k[0, 1, 7] = float("nan")
    mask = torch.ones(1, 20, dtype=torch.bool)
    mask[0, 7] = False
    compare(q, k, groups, {"key_mask": mask})
    compare(q, k[:, :, :8], groups[:, :8], {})
    # However a key is closed, what is NaN there harms no query that does not see it.
    q, k = (torch.randn(1, 2, 20, 32, generator=random) for _ in range(2))
    k[0, :, 19] = float("nan")
    seen = torch.ones(1, 1, 20, 20, dtype=torch.bool)
    seen[..., :15, 19] = False
    for rules in ({"causal": True}, {"window": 3}, {"bias": seen}, {"bias": torch.where(seen, 0.5, -torch.inf)}):
        compare(q, k, groups, rules)
        blind = 19 if "causal" in rules else 17 if "window" in rules else 15
        assert streaming.statistics(q, k, **rules).entropy[0, 0].isnan().tolist() == [False] * blind + [True] * (
            20 - blind
        )


def test_what_it_leaves_to_the_plain_loop():
    q = torch.randn(1, 1, 2, 4)
    assert not kernels.fits(Scores(q.double(), q.double()))
    assert not kernels.fits(Scores(q, q[:, :, :0]))
    assert not kernels.fits(Scores(torch.zeros(1, 1, 2, 512), torch.zeros(1, 1, 2, 512)))
