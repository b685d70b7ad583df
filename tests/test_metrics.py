"""Accumulated over a corpus, in any order and over real processes, metrics equal the functions on the whole corpus."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torchmetrics import MetricCollection

from crosslook import attention, metrics, significance, streaming

NAN = float("nan")
IMAGES, LAYERS, HEADS, LENGTH = 6, 2, 3, 7
EXAMPLES = 10  # some images have several captions


class Examples:
    """Examples with padding, rows that may attend to nothing, and two groups of keys; both ways to read a head."""

    def __init__(self, seed: int = 0, sinks: bool = False):
        random = torch.Generator().manual_seed(seed)
        shape = (LAYERS, EXAMPLES, HEADS, LENGTH, 4)
        self.q, self.k = (3 * torch.randn(shape, generator=random) for _ in range(2))
        self.images = torch.randint(IMAGES, (EXAMPLES,), generator=random)
        self.present = torch.rand(EXAMPLES, LENGTH, generator=random) < 0.8
        self.open = torch.rand(EXAMPLES, 1, LENGTH, LENGTH, generator=random) < 0.4
        self.queries = torch.rand(EXAMPLES, LENGTH, generator=random) < 0.6
        text = torch.rand(EXAMPLES, LENGTH, generator=random) < 0.5
        self.groups = torch.stack([text, ~text], -1)
        self.rules = {"bias": self.open, "sinks": torch.randn(HEADS, generator=random) if sinks else None}
        self.attn = [streaming.weights(self.q[i], self.k[i], **self.rules) for i in range(LAYERS)]

    def streamed(self, layer: int) -> streaming.Statistics:
        groups = torch.cat([self.groups, torch.ones(EXAMPLES, LENGTH, 1)], -1)
        return streaming.statistics(self.q[layer], self.k[layer], key_mask=self.present, groups=groups, **self.rules)

    def links(self, layer: int) -> torch.Tensor:
        """One link an example: from the chosen queries to the text."""
        return attention.max_link(self.attn[layer], self.queries, self.groups[..., 0], self.present)

    def expected(self, name: str) -> torch.Tensor:
        """The public function, on the whole corpus at once."""
        text, present = self.groups[..., 0], self.present
        each = {
            "entropy": lambda a: rows_mean(attention.entropy(a, present, normalize=False), self.queries),
            "importance": lambda a: attention.modality_importance(a, self.queries, self.groups, present),
            "proportion": lambda a: attention.proportion(a, self.queries, text, present),
            "image_to_text": lambda a: attention.image_to_text(a, self.queries, text, 0.6, present),
            "max_link": lambda a: attention.max_link(a, self.queries, text, present).nanmean(0),
        }
        return torch.stack([each[name](attn) for attn in self.attn]).double()


def rows_mean(values, queries):
    return torch.stack([head[queries].nanmean() for head in values.transpose(0, 1)])


def collection() -> MetricCollection:
    sizes = (IMAGES, LAYERS, HEADS)
    return MetricCollection(
        {
            "entropy": metrics.Entropy(*sizes),
            "mass": metrics.Mass(*sizes, groups=2),
            "importance": metrics.ModalityImportance(*sizes),
            "proportion": metrics.Proportion(*sizes),
            "image_to_text": metrics.ImageToText(*sizes, threshold=0.6),
        }
    )


def numbers(corpus: Examples, layer: int, route: str) -> dict:
    """What both routes give of every row."""
    if route == "streamed":
        found = corpus.streamed(layer)
        mass, entropy, valid = found.mass[..., :2], found.entropy, found.valid
    else:
        mass = attention.mass(corpus.attn[layer], corpus.groups, corpus.present)
        entropy, valid = attention.entropy(corpus.attn[layer], corpus.present, normalize=False), None
    return {"entropy": entropy, "mass": mass, "to_keys": mass[..., 0], "to_text": mass[..., 0], "valid": valid}


def feed(to, corpus: Examples, which, layer: int, route: str) -> None:
    rows = {name: None if each is None else each[which] for name, each in numbers(corpus, layer, route).items()}
    to.update(images=corpus.images[which], layer=layer, queries=corpus.queries[which], **rows)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["weights", "streamed"]), st.data())
def test_any_order_and_any_batches_give_what_the_functions_give(seed, route, data):
    corpus = Examples(seed)
    found = collection()
    cuts = sorted(data.draw(st.sets(st.integers(1, EXAMPLES - 1))))
    batches = torch.tensor(data.draw(st.permutations(range(EXAMPLES)))).tensor_split(cuts)
    calls = [(layer, batch) for layer in range(LAYERS) for batch in batches]
    for layer, batch in data.draw(st.permutations(calls)):
        feed(found, corpus, batch, layer, route)
    answer = found.compute()
    for name in found:
        expected = corpus.expected("importance" if name == "mass" else name)
        torch.testing.assert_close(answer[name], expected, atol=3e-6, rtol=1e-5, equal_nan=True, msg=name)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.permutations(range(EXAMPLES)))
def test_links(seed, order):
    corpus = Examples(seed)
    found = metrics.MaxLink(IMAGES, LAYERS, HEADS)
    for layer in range(LAYERS):
        for i in order:
            found.update(corpus.images[[i]], layer, corpus.links(layer)[[i], :, None], torch.tensor([[True]]))
    torch.testing.assert_close(found.compute(), corpus.expected("max_link"), equal_nan=True)


def test_links_from_single_streamed_weights():
    """Two words of a phrase and one region, in an example that is padded to three pairs."""
    corpus = Examples(3)
    lse = streaming.statistics(corpus.q[0], corpus.k[0]).lse
    words, region = torch.tensor([[0, 1]]).expand(EXAMPLES, 2), torch.full((EXAMPLES, 2), 5)
    single = streaming.weights_at(corpus.q[0], corpus.k[0], lse, words, region)
    link = torch.cat([single.amax(-1, keepdim=True), torch.full((EXAMPLES, HEADS, 2), 99.0)], -1)
    found = metrics.MaxLink(IMAGES, LAYERS, HEADS)
    found.update(corpus.images, 0, link, torch.tensor([[True, False, False]]).expand(EXAMPLES, 3))
    attn = streaming.weights(corpus.q[0], corpus.k[0])
    places = torch.arange(LENGTH).expand(EXAMPLES, LENGTH)
    expected = attention.max_link(attn, places < 2, places == 5).mean(0).double()
    torch.testing.assert_close(found.compute()[0], expected)


def test_by_hand():
    entropy = metrics.Entropy(n_images=3, layers=2, heads=1)
    queries = torch.tensor([[True, True, False], [True, True, True]])
    rows = torch.tensor([[[1.0, 3, 9]], [[NAN, 2, 4]]])
    entropy.update(torch.tensor([2, 0]), 1, rows, queries)
    assert entropy.compute().tolist() == [[pytest.approx(NAN, nan_ok=True)], [10 / 4]]
    top, bottom = entropy.per_image()
    assert (top.shape, bottom.shape) == ((3, 2, 1), (3, 2, 1))
    assert top[:, 1, 0].tolist() == [6, 0, 4]
    assert bottom[:, 1, 0].tolist() == [2, 0, 2]
    assert not bottom[:, 0].any()


def test_a_model_with_sink_logits_gives_less_than_one():
    corpus = Examples(1, sinks=True)
    found = metrics.Proportion(IMAGES, LAYERS, HEADS)
    halved = metrics.Proportion(IMAGES, LAYERS, HEADS)
    for layer in range(LAYERS):
        streamed = corpus.streamed(layer)
        mass = streamed.mass
        found.update(corpus.images, layer, mass[..., 0], corpus.queries, streamed.valid, given=mass[..., 2])
        halved.update(corpus.images, layer, mass[..., 0], corpus.queries, streamed.valid)
    masked = [
        streaming.weights(q, k, key_mask=corpus.present, **corpus.rules)
        for q, k in zip(corpus.q, corpus.k, strict=True)
    ]
    expected = [attention.proportion(attn, corpus.queries, corpus.groups[..., 0]) for attn in masked]
    torch.testing.assert_close(found.compute(), torch.stack(expected).double(), atol=3e-6, rtol=1e-5)
    assert (halved.compute() < found.compute()).all()


@pytest.mark.parametrize("missing", ["nan", "invalid"])
def test_rows_that_are_undefined_count_nowhere(missing):
    corpus = Examples(2)
    found, expected = collection(), collection()
    rows = numbers(corpus, 0, "weights")
    rows["valid"] = ~rows["entropy"].isnan()
    rows["valid"][:, 1] &= torch.rand(EXAMPLES, LENGTH, generator=torch.Generator().manual_seed(0)) < 0.5
    chosen = {"images": corpus.images, "layer": 0, "queries": corpus.queries}
    if missing == "nan":
        gone = ~rows.pop("valid")
        rows = {name: each.masked_fill(gone[(...,) + (None,) * (each.ndim - 3)], NAN) for name, each in rows.items()}
    found.update(**chosen, **rows)
    # Head by head, only the rows that count are chosen.
    rows = numbers(corpus, 0, "weights")
    valid = ~rows["entropy"][:, 1].isnan()
    valid &= torch.rand(EXAMPLES, LENGTH, generator=torch.Generator().manual_seed(0)) < 0.5
    expected.update(**chosen | {"queries": corpus.queries & valid}, **rows)
    for name, answer in found.compute().items():
        torch.testing.assert_close(answer[0, 1], expected.compute()[name][0, 1], msg=name)


def test_a_nan_that_the_model_gave_stays_visible():
    found, everywhere = collection(), torch.ones(1, 1, dtype=torch.bool)
    one = torch.full((1, HEADS, 1), 0.7)
    one[0, 1] = NAN
    rows = {"entropy": one, "mass": one[..., None].expand(1, HEADS, 1, 2), "to_keys": one, "to_text": one}
    valid = torch.ones(1, HEADS, 1, dtype=torch.bool)
    found.update(images=torch.tensor([4]), layer=0, queries=everywhere, valid=valid, **rows)
    for name, answer in found.compute().items():
        assert answer[0].isnan().reshape(HEADS, -1).all(-1).tolist() == [False, True, False], name


def test_an_example_without_image_rows_counts_as_one_where_none_looks():
    found = metrics.ImageToText(5, 1, 1)
    to_text = torch.tensor([[[0.9, 0.1]], [[0.9, 0.1]], [[0.5, 0.2]], [[NAN, 0.6]], [[0.9, 0.9]]])
    image = torch.tensor([[True, True], [False, True], [True, True], [True, True], [False, False]])
    found.update(torch.arange(5), 0, to_text, image)
    assert found.per_image()[0].ravel().tolist() == [1, 0, 0, 1, 0], "exactly the threshold is not over it"
    assert found.compute().item() == pytest.approx(2 / 5)


def test_intervals_draw_the_images():
    corpus, found = Examples(5), collection()
    feed(found, corpus, slice(None), 1, "streamed")
    metric = found["mass"]
    ends = metric.interval(level=0.8, n_resamples=300, seed=3)
    assert ends.shape == (2, LAYERS, HEADS, 2)
    assert np.isnan(ends[:, 0]).all()
    expected = significance.bootstrap_ratio(*metric.per_image(), level=0.8, n_resamples=300, seed=3)
    np.testing.assert_array_equal(ends, expected)
    middle = metric.compute().numpy()[1]
    assert ((ends[0, 1] <= middle) & (middle <= ends[1, 1])).all()


def test_metrics_of_a_collection_stay_apart():
    """Two thresholds that agree in the first batch, which torchmetrics would take for one metric."""
    both = MetricCollection({"low": metrics.ImageToText(2, 1, 1), "high": metrics.ImageToText(2, 1, 1, threshold=0.8)})
    for image, weight in enumerate([0.1, 0.7]):
        both.update(torch.tensor([image]), 0, torch.full((1, 1, 1), weight), torch.tensor([[True]]))
    assert {name: answer.item() for name, answer in both.compute().items()} == {"low": 0.5, "high": 0}


def test_forward_answers_for_the_batch_and_keeps_the_corpus():
    corpus, found = Examples(6), metrics.Entropy(IMAGES, LAYERS, HEADS)
    rows = attention.entropy(corpus.attn[0], normalize=False)
    halves = [slice(0, 5), slice(5, EXAMPLES)]
    answers = [found(corpus.images[half], 0, rows[half], corpus.queries[half]) for half in halves]
    for half, answer in zip(halves, answers, strict=True):
        expected = rows_mean(rows[half], corpus.queries[half]).double()
        torch.testing.assert_close(answer[0], expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(found.compute()[0], rows_mean(rows, corpus.queries).double(), atol=1e-6, rtol=1e-6)


def test_sums_are_saved_without_pickle_and_forgotten_on_reset():
    corpus, found = Examples(7), collection()
    feed(found, corpus, slice(None), 0, "weights")
    feed(found, corpus, slice(None), 1, "weights")
    other = collection()
    other.load_state_dict(load(save(found.state_dict())))
    for name in ("entropy", "mass"):
        for ours, theirs in zip(found[name].per_image(), other[name].per_image(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    found.reset()
    assert not found["mass"].per_image()[1].any()
    feed(found, corpus, slice(None), 0, "weights")
    expected = corpus.expected("entropy")[0]
    torch.testing.assert_close(found.compute()["entropy"][0], expected, atol=3e-6, rtol=1e-5)


def test_sums_are_wide_whatever_comes_in():
    found = metrics.Entropy(1, 1, 1).half().float()
    rows = torch.full((1, 1, 4096), 1.001, dtype=torch.bfloat16)
    for _ in range(50):
        found.update(torch.tensor([0]), 0, rows, torch.ones(1, 4096, dtype=torch.bool))
    assert found.compute().dtype == torch.float64
    assert found.compute().item() == rows[0, 0, 0].item()


def test_in_inference_mode_and_with_gradients():
    found = metrics.Entropy(1, 1, 1)
    rows = torch.ones(1, 1, 1, requires_grad=True)
    here = torch.tensor([[True]])
    found.update(torch.tensor([0]), 0, rows, here)
    with torch.inference_mode():
        found.update(torch.tensor([0]), 0, 2 * rows, here)
    assert found.compute().item() == 1.5
    assert not found.compute().requires_grad


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_rows_of_a_device(device):
    """The sums may stay on the CPU while the model runs elsewhere."""
    corpus = Examples(8)
    found = metrics.Entropy(IMAGES, LAYERS, HEADS).to(device)
    rows = attention.entropy(corpus.attn[0], corpus.present, normalize=False).cuda()
    found.update(corpus.images, 0, rows, corpus.queries.cuda())
    assert found.compute().device.type == device
    torch.testing.assert_close(found.compute()[0].cpu(), corpus.expected("entropy")[0], atol=3e-6, rtol=1e-5)


WORKER = """
import sys
import numpy as np, torch
from torch import distributed
from test_metrics import Examples, collection, feed
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
corpus, found = Examples(9), collection()
for layer in range(2):
    # Unequal shares, in opposite order; one image may have examples on both sides.
    for batch in ([0, 3], [5]) if rank else ([8, 9, 7], [6], [1, 2, 4]):
        feed(found, corpus, batch, layer, "streamed")
answer = {name: each.numpy() for name, each in found.compute().items()}
answer["interval"] = found["proportion"].interval(n_resamples=50)
answer["top"], answer["bottom"] = found["mass"].per_image()
feed(found, corpus, [], 0, "streamed")  # what is local goes on as before
answer["again"] = found.compute()["entropy"].numpy()
np.savez(f"{folder}/{rank}.npz", **answer)
distributed.destroy_process_group()
"""


def test_two_processes_give_what_one_gives(tmp_path, request):
    command = [sys.executable, "-c", WORKER]
    folder = request.path.parent
    workers = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=folder, stderr=subprocess.PIPE) for rank in range(2)
    ]
    for worker in workers:
        complaint = worker.communicate(timeout=240)[1].decode()
        assert worker.returncode == 0, complaint
    corpus, one = Examples(9), collection()
    for layer in range(LAYERS):
        feed(one, corpus, slice(None), layer, "streamed")
    expected = {name: each.numpy() for name, each in one.compute().items()}
    expected["interval"] = one["proportion"].interval(n_resamples=50)
    expected["top"], expected["bottom"] = one["mass"].per_image()
    expected["again"] = expected["entropy"]
    for rank in range(2):
        with np.load(tmp_path / f"{rank}.npz") as answer:
            assert set(answer) == set(expected)
            for name, value in expected.items():
                np.testing.assert_allclose(answer[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def arguments(**other):
    here = {
        "images": torch.tensor([0, 1]),
        "layer": 0,
        "entropy": torch.ones(2, HEADS, 4),
        "queries": torch.ones(2, 4, dtype=torch.bool),
        "valid": torch.ones(2, HEADS, 4, dtype=torch.bool),
    }
    return here | other


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"layer": 2}, "layer: expected 0 to 1, got 2"),
        ({"layer": -1}, "layer: expected 0 to 1, got -1"),
        ({"images": torch.tensor([0, 6])}, "images: expected places in the corpus, 0 to 5, got 0 to 6"),
        ({"images": torch.tensor([-1, 2])}, "images: .* got -1 to 2"),
        ({"images": torch.tensor([0.0, 1])}, r"images: expected one whole number an example, got torch.float32 \(2,\)"),
        ({"images": torch.tensor([0])}, r"entropy: expected shape \(batch=1, head=3, query\), got \(2, 3, 4\)"),
        ({"entropy": torch.ones(2, 5, 4)}, r"entropy: expected shape \(batch=2, head=3, query\), got \(2, 5, 4\)"),
        ({"entropy": torch.ones(2, HEADS)}, r"entropy: expected shape .*, got \(2, 3\)"),
        ({"entropy": torch.ones(2, HEADS, 4) > 0}, "entropy: expected numbers, got torch.bool"),
        ({"queries": torch.ones(2, 5) > 0}, r"queries: expected shape \(batch=2, query=4\), got \(2, 5\)"),
        ({"queries": torch.ones(2, 4)}, "queries: expected a boolean mask, got torch.float32"),
        ({"valid": torch.ones(2, 1, 4) > 0}, r"valid: expected shape \(batch=2, head=3, query=4\), got \(2, 1, 4\)"),
        ({"queries": torch.ones(2, 4, device="meta") > 0}, "queries: expected device cpu, got meta"),
    ],
)
def test_bad_input_is_named(plain, wrong, complaint):
    metric = plain("metrics").Entropy(IMAGES, LAYERS, HEADS)
    with pytest.raises(ValueError, match=complaint):
        metric.update(**arguments(**wrong))
    assert not metric.per_image()[1].any(), "nothing was added"


def test_groups_and_given_are_checked(plain):
    module = plain("metrics")
    both = torch.ones(2, 4) > 0
    with pytest.raises(
        ValueError, match=r"mass: expected shape \(batch=2, head=3, query, group=2\), got \(2, 3, 4, 5\)"
    ):
        module.Mass(IMAGES, LAYERS, HEADS, 2).update(torch.tensor([0, 1]), 0, torch.ones(2, HEADS, 4, 5), both)
    share = module.Proportion(IMAGES, LAYERS, HEADS)
    with pytest.raises(ValueError, match=r"given: expected shape \(batch=2, head=3, query=4\), got \(2, 3\)"):
        share.update(torch.tensor([0, 1]), 0, torch.ones(2, HEADS, 4), both, given=torch.ones(2, HEADS))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_sizes_are_checked(sizes):
    with pytest.raises(ValueError, match=r"(n_images|layers|heads): expected at least 1, got 0"):
        metrics.Entropy(*sizes)
