"""Weights on disk: what comes back is what was written, to half precision; what does not fit changes nothing."""

import os
import pickle

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from crosslook.models import checkpoint


class Net(nn.Module):
    """Some weights, one of them a buffer."""

    def __init__(self, n=3):
        super().__init__()
        self.one = nn.Linear(n, 2)
        self.norm = nn.LayerNorm(2)
        self.register_buffer("scale", torch.full((1,), 7.0))


@pytest.fixture
def path(tmp_path):
    """A file that `save` wrote, of a model with seed 0."""
    checkpoint.save(net(0), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def net(seed, n=3):
    torch.manual_seed(seed)
    return Net(n)


def same(model, other):
    return all(torch.equal(a, other[name]) for name, a in model.state_dict().items())


@pytest.mark.parametrize("value", [65_520.0, -1e9, float("inf"), float("nan")])
def test_what_half_precision_cannot_hold_is_not_written(path, value):
    before, model = path.read_bytes(), net(0)
    model.one.weight.data[1, 2] = value
    with pytest.raises(
        ValueError, match=r"net\.safetensors: weights of Net cannot be written: 1 not finite.*one\.weight"
    ):
        checkpoint.save(model, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["net.safetensors"]


def test_what_was_saved_comes_back_in_half_precision(tmp_path):
    path, model = tmp_path / "new" / "folder" / "net.safetensors", net(0).train()
    checkpoint.save(model, path, {"command": "make it"})
    assert [entry.name for entry in path.parent.iterdir()] == ["net.safetensors"]  # no unfinished file
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"command": "make it"}
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
    assert model.training
    found = net(1).train()
    assert checkpoint.load(found, path) is found
    assert not found.training
    for name, value in found.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[name].half().float()), name
    # A second round changes nothing any more.
    checkpoint.save(found, path)
    assert same(checkpoint.load(net(2), path), found.state_dict())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(-60_000, 60_000, width=32), min_size=4, max_size=4),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
)
def test_any_precision_is_kept_as_half_of_it(tmp_path, values, dtype):
    model = nn.Linear(2, 2, bias=False).to(dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(values).view(2, 2))
    wanted = model.weight.detach().half()
    checkpoint.save(model, tmp_path / "x.safetensors")
    found = checkpoint.load(nn.Linear(2, 2, bias=False), tmp_path / "x.safetensors").weight.detach()
    assert found.dtype == torch.float32
    assert torch.equal(found, wanted.float())
    # Half precision has 11 bits, and below 6e-5 steps of 6e-8.
    given_ = model.weight.detach().double()
    assert ((found.double() - given_).abs() <= given_.abs() * 2**-11 + 2**-25).all()


def test_a_save_replaces_a_file_as_a_whole(path):
    before = path.read_bytes()
    checkpoint.save(net(5), path)
    assert path.read_bytes() != before
    assert len(list(path.parent.iterdir())) == 1


CHANGES = {
    "missing": (lambda w: w.pop("one.bias"), r"1 missing: one\.bias$"),
    "unknown": (lambda w: w.update(two=torch.zeros(1)), "1 unknown: two$"),
    "shape": (
        lambda w: w.update({"one.weight": torch.zeros(2, 4)}),
        r"1 of another shape: one\.weight \(expected \(2, 3\), got \(2, 4\)\)$",
    ),
    # As many numbers, in another order.
    "turned": (lambda w: w.update({"one.weight": torch.zeros(3, 2)}), r"expected \(2, 3\), got \(3, 2\)"),
    "nan": (lambda w: w["norm.bias"].fill_(float("nan")), r"1 not finite: norm\.bias$"),
    "infinite": (lambda w: w["scale"].fill_(float("-inf")), "1 not finite: scale$"),
    "two": (lambda w: (w.pop("scale"), w.update(a=torch.zeros(1))), "1 missing: scale; 1 unknown: a$"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_weights_that_do_not_fit_are_listed_and_nothing_is_loaded(path, change):
    alter, message = CHANGES[change]
    weights = load_file(path)
    alter(weights)
    save_file(weights, path)
    model = net(1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"net\.safetensors: weights do not fit Net: .*{message}"):
        checkpoint.load(model, path)
    assert same(model, before)
    assert model.training


def test_an_error_lists_the_first_few():
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(4)))
    listed = r"0\.weight, 0\.bias, 1\.weight, 1\.bias, 2\.weight"
    with pytest.raises(ValueError, match=rf"^here: weights do not fit Sequential: 8 missing: {listed} and 3 more$"):
        checkpoint.fill(model, {}, "here")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: expected a file of weights, found none"):
        checkpoint.load(net(0), tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match="expected a file of weights, found none"):
        checkpoint.read(tmp_path)  # a folder


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("share", [0, 0.05, 0.5, 0.95])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, suffix, share):
    path = tmp_path / f"net.{suffix}"
    if suffix == "bin":
        torch.save(net(0).state_dict(), path)
    else:
        checkpoint.save(net(0), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    model = net(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"net\.{suffix}: expected a file of weights \(.+\)$"):
        checkpoint.load(model, path)
    assert same(model, before)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_any_bytes_are_an_error_that_names_the_file(tmp_path):
    @settings(max_examples=150)
    @given(st.binary(max_size=12), st.sampled_from([b"", b"\x80\x02", b"PK\x03\x04"]), st.sampled_from("sb"))
    def check(data, start, kind):
        path = tmp_path / {"s": "x.safetensors", "b": "x.bin"}[kind]
        path.write_bytes(start + data)
        with pytest.raises(ValueError, match=r"x\.\w+: expected "):
            checkpoint.read(path)

    check()


class Runs:
    """Code in a pickle: it would make a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["torch", "legacy", "pickle"])
def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path, kind):
    path, folder = tmp_path / "x.bin", tmp_path / "ran"
    weights = {"one.weight": torch.zeros(2, 3), "trap": Runs(folder)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"trap": Runs(folder)}))
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(ValueError, match=r"x\.bin: expected a file of weights"):
        checkpoint.read(path)
    assert not folder.exists()
    # It would have run.
    torch.load(path, weights_only=False) if kind != "pickle" else pickle.loads(path.read_bytes())
    assert folder.exists()


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {"a": 1.0}, {"model": {"a": torch.zeros(1)}}])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.bin")
    with pytest.raises(ValueError, match=r"x\.bin: expected named tensors and nothing else, got (Tensor|list|dict)"):
        checkpoint.read(tmp_path / "x.bin")


def test_what_torch_saves_is_read(tmp_path):
    torch.save(net(0).state_dict(), tmp_path / "x.bin")
    assert same(checkpoint.load(net(1), tmp_path / "x.bin"), net(0).state_dict())
