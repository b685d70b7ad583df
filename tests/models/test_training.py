"""Training: the same result whether or not it was interrupted, the schedule by hand, and a model that really learns."""

import json
import math
from functools import cache

import pytest
import torch

from crosslook import models
from crosslook.data.emoji import dataset, records
from crosslook.data.emoji.regions import detector_regions
from crosslook.models import checkpoint, tokens, train, training, zoo
from crosslook.models.architectures import Config, single_stream
from crosslook.models.corpus import Corpus
from crosslook.models.pretraining import Objective, Pretraining
from crosslook.models.recipes import RECIPES, Recipe
from crosslook.models.vision_language import build

EPOCHS = 3
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]


def tiny(seed=0, width=16, layers=1):
    """A model with dropout, so that random numbers matter."""
    sizes = {"vocab": len(tokens.emoji()), "features": 128, "classes": zoo.classes(), "width": width}
    config = Config("uniter", single_stream(layers), **sizes, heads=2, feed_forward=2 * width, pooled=8, dropout=0.1)
    return build(config, tokens.emoji(), seed)


class Task(Pretraining):
    """Batches of four, three an epoch; stops, or gives a loss of NaN, at one place. Notes what it sees of the model."""

    def __init__(self, corpus, stop=None, spoil=None, batch_size=4):
        super().__init__(corpus, corpus, Objective(), batch_size=batch_size)
        self.stop, self.spoil, self.place, self.modes, self.draws = stop, spoil, None, set(), []

    def batch(self, epoch, index):
        self.place = epoch, index
        return super().batch(epoch, index)

    def losses(self, model, batch, generator):
        self.modes.add(("losses", model.training))
        self.draws.append((*self.place, generator.initial_seed()))
        found = super().losses(model, batch, generator)
        if self.place == self.stop:
            raise KeyboardInterrupt
        if self.place == self.spoil:
            found["words"] = found["words"] * math.nan
        return found

    def validate(self, model):
        self.modes.add(("validate", model.training))
        if self.stop == (self.place[0], "validation"):
            raise KeyboardInterrupt
        return super().validate(model)


def fit(task, folder, model=None, **changes):
    model = tiny() if model is None else model
    log = training.fit(model, task, folder, **({"epochs": EPOCHS, "seed": 5} | changes))
    return model, log


def timeless(log):
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in log]


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(little, tmp_path_factory):
    """A run that nothing interrupted: the task, its folder, the model and the log."""
    folder, task = tmp_path_factory.mktemp("whole"), Task(little)
    return task, folder, *fit(task, folder)


def test_a_run_leaves_a_log_and_a_model_that_has_changed(whole):
    task, folder, model, log = whole
    assert [entry["epoch"] for entry in log] == [1, 2, 3]
    for entry in log:
        assert entry.keys() == {"epoch", "train", "val", "seconds"}
        assert entry["train"].keys() == entry["val"].keys() == {"words", "regions", "matching"}
        assert all(math.isfinite(value) for part in ("train", "val") for value in entry[part].values())
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == log
    assert {path.name for path in folder.iterdir()} == {"log.jsonl", "state.pt"}
    assert not same(model, tiny())
    assert not model.training
    assert task.modes == {("losses", True), ("validate", False)}
    assert len({seed for *_, seed in task.draws}) == 9  # each batch draws its own numbers


def test_the_log_has_the_mean_loss_of_an_epoch(little, tmp_path):
    """With a learning rate of 0 nothing changes: the losses can be computed again."""
    task = Task(little)
    model, log = fit(task, tmp_path, epochs=1, lr=0.0)
    assert same(model, tiny())
    model.train()
    sums = dict.fromkeys(log[0]["train"], 0.0)
    for index in range(3):
        generator = training._seeded(5, 0, index)
        for name, value in task.losses(model, task.batch(0, index), generator).items():
            sums[name] += value.item() / 3
    assert log[0]["train"] == pytest.approx(sums, rel=1e-6)


@pytest.mark.parametrize("stop", [(0, 1), (1, 0), (1, 2), (2, 1), (1, "validation"), (2, "validation")])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(little, whole, tmp_path, stop):
    with pytest.raises(KeyboardInterrupt):
        fit(Task(little, stop=stop), tmp_path)
    held = json.loads(torch.load(tmp_path / "state.pt")["log"]) if stop[0] else []
    assert len(held) == stop[0]
    (tmp_path / "state.part").write_bytes(b"half of a sta")  # killed while it was writing
    torch.manual_seed(1234)  # another process has other random numbers
    task = Task(little)
    model, log = fit(task, tmp_path, tiny(seed=9) if held else tiny())
    _, folder, wanted, wanted_log = whole
    assert same(model, wanted)
    assert timeless(log) == timeless(wanted_log)
    assert log[: len(held)] == held
    assert [place for *place, _ in task.draws] == [[epoch, i] for epoch in range(stop[0], 3) for i in range(3)]
    mine, other = (torch.load(place / "state.pt") for place in (tmp_path, folder))
    assert torch.equal(mine["optimizer"]["state"][0]["exp_avg"], other["optimizer"]["state"][0]["exp_avg"])
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == log


def test_a_run_that_is_complete_is_only_read(little, whole):
    _, folder, wanted, wanted_log = whole
    before = (folder / "state.pt").read_bytes()
    task = Task(little)
    model, log = fit(task, folder, tiny(seed=9).train())
    assert same(model, wanted)
    assert log == wanted_log
    assert not task.draws
    assert (folder / "state.pt").read_bytes() == before
    assert not model.training


def test_the_seed_matters(little, whole, tmp_path):
    model, _ = fit(Task(little), tmp_path, seed=6)
    assert not same(model, whole[2])


@pytest.mark.parametrize(
    "change", [{"epochs": 4}, {"lr": 1e-3}, {"warmup": 0.2}, {"weight_decay": 0.0}, {"seed": 6}, {"about": "xe"}]
)
def test_other_settings_are_refused(little, whole, change):
    _, folder, *_ = whole
    before, model = (folder / "state.pt").read_bytes(), tiny(seed=9)
    with pytest.raises(
        ValueError, match=r"state\.pt: expected a run with .*, got one with .*; remove it to begin anew"
    ):
        fit(Task(little), folder, model, **change)
    assert same(model, tiny(seed=9))
    assert (folder / "state.pt").read_bytes() == before


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_broken_state_is_named(little, whole, tmp_path, share):
    state = (whole[1] / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(state[: int(share * len(state))])
    with pytest.raises(ValueError, match=r"state\.pt: expected the state of a training run .*; remove it"):
        fit(Task(little), tmp_path)


def test_the_state_of_another_architecture_is_refused(little, whole):
    model = tiny(seed=9, layers=2)
    with pytest.raises(ValueError, match=r"state\.pt: .*missing: encoder\.layers\.2"):
        fit(Task(little), whole[1], model)
    assert same(model, tiny(seed=9, layers=2))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_state(little, whole, tmp_path):
    with pytest.raises(FloatingPointError, match=r"epoch 2, batch 2: expected a finite loss, got .*nan"):
        fit(Task(little, spoil=(1, 1)), tmp_path)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1
    model, _ = fit(Task(little), tmp_path)
    assert same(model, whole[2])


def test_the_optimizer_step_by_step(little, tmp_path, monkeypatch):
    """Ten steps, four of warm-up, then a straight line to 0; weight decay for matrices alone; gradients of length 1."""
    steps, real = [], torch.optim.AdamW.step

    def watched(self, *args):
        lengths = [p.grad.norm() for group in self.param_groups for p in group["params"] if p.grad is not None]
        steps.append(([group["lr"] for group in self.param_groups], torch.stack(lengths).norm().item()))
        steps[-1] += (self.param_groups,)
        return real(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    task = Pretraining(little, little, Objective(), batch_size=2)
    task.n_batches = 5
    model, _ = fit(task, tmp_path, epochs=2, lr=0.012, warmup=0.4, weight_decay=0.3)
    wanted = [0.003, 0.006, 0.009, 0.012, 0.012, 0.010, 0.008, 0.006, 0.004, 0.002]
    assert [rates[0] for rates, *_ in steps] == pytest.approx(wanted)
    assert all(rates == rates[:1] * 2 for rates, *_ in steps)
    assert all(length < 1.0001 for _, length, _ in steps)
    groups = {group["weight_decay"]: group["params"] for group in steps[0][2]}
    assert groups.keys() == {0.3, 0.0}
    assert all(parameter.ndim > 1 for parameter in groups[0.3])
    assert all(parameter.ndim == 1 for parameter in groups[0.0])
    assert len(groups[0.3]) + len(groups[0.0]) == len(list(model.parameters()))


@pytest.mark.parametrize(("total", "warmup"), [(1, 0.1), (10, 0.0), (10, 0.1), (7, 1.0)])
def test_short_schedules_stay_between_0_and_1(total, warmup):
    rates = [training._schedule(step, total, warmup) for step in range(total)]
    assert max(rates) == 1
    assert min(rates) > 0
    assert training._schedule(total, total, warmup) == 0


@pytest.mark.parametrize("device", DEVICES)
def test_a_tiny_model_learns_ten_captions_though_it_was_stopped(few, tmp_path, device):
    corpus = Corpus([few[index] for index in range(0, 50, 5)], tokens.emoji())
    settings = {"epochs": 40, "lr": 6e-3}
    with pytest.raises(KeyboardInterrupt):
        fit(Task(corpus, stop=(20, 0), batch_size=10), tmp_path, tiny(width=32).to(device), **settings)
    held = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    model, log = fit(Task(corpus, batch_size=10), tmp_path, tiny(seed=9, width=32).to(device), **settings)
    assert (len(held), len(log), log[:20]) == (20, 40, held)
    assert {parameter.device.type for parameter in model.parameters()} == {device}
    first, last = log[0]["val"], log[-1]["val"]
    assert last["words"] < first["words"] / 2
    assert last["regions"] < 0.9 * first["regions"]


@pytest.fixture
def kept(tmp_path, monkeypatch, narrow):
    """A cache and a folder of weights of the test's own, narrow models, and a train split of 32 captions."""
    monkeypatch.setenv("CROSSLOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    asked = []

    def corpus(split, degrade=0.0):
        asked.append((split, degrade))
        return thirty_two()

    monkeypatch.setattr(train, "corpus", corpus)
    return tmp_path, asked


@cache
def thirty_two():
    """As many as one batch takes."""
    samples = dataset.from_records(records.read("val")[:32], "val", detector_regions("val"))
    return Corpus([samples[5 * image] for image in range(32)], tokens.emoji())


def recipe(monkeypatch, name, **changes):
    made = Recipe(**({"architecture": "vilbert", "epochs": 1} | changes))
    monkeypatch.setitem(RECIPES, name, made)
    return made


def test_train_ships_a_model_that_can_be_loaded(kept, monkeypatch, capsys):
    folder, asked = kept
    made = recipe(monkeypatch, "tiny", seed=3, degrade=1.0)
    train.main(["tiny", "--ship", "--device", "cpu"])
    path = folder / "zoo" / "tiny.safetensors"
    assert f"wrote {path}" in capsys.readouterr().out
    assert asked == [("train", 1.0), ("val", 1.0)]
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        assert file.metadata() == {"command": "python -m crosslook.models.train tiny", "recipe": str(made)}
    (entry,) = map(json.loads, path.with_suffix(".jsonl").read_text().splitlines())
    assert entry["epoch"] == 1
    assert not (folder / "cache" / "training" / "tiny").exists()
    assert "emoji/tiny" in models.list()
    # The same again by hand, to half precision.
    wanted = zoo.untrained("vilbert", 3)
    task = Pretraining(thirty_two(), thirty_two(), made.objective, seed=3)
    training.fit(wanted, task, folder / "own", epochs=1, seed=3, lr=train.RATE * 128 / 16)
    found = models.load("emoji/tiny")
    for name, value in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], value.half().float()), name
    assert not found.training


def test_a_recipe_that_starts_with_another_trains_it_first(kept, monkeypatch):
    folder, _ = kept
    recipe(monkeypatch, "first", objective=Objective(modality="text"))
    recipe(monkeypatch, "second", start="first", epochs=2)
    began, real = {}, training.fit

    def watched(model, task, place, **settings):
        began[place.name] = {name: value.clone() for name, value in model.state_dict().items()}
        assert task.objective == RECIPES[place.name].objective
        return real(model, task, place, **settings)

    monkeypatch.setattr(training, "fit", watched)
    train.train("second", device="cpu")
    assert list(began) == ["first", "second"]
    cache = folder / "cache" / "zoo"
    weights = checkpoint.read(cache / "first.safetensors")
    assert all(torch.equal(value, weights[name].float()) for name, value in began["second"].items())
    assert not all(torch.equal(value, began["first"][name]) for name, value in began["second"].items())
    assert len((cache / "second.jsonl").read_text().splitlines()) == 2
    assert not (folder / "zoo").exists()
    began.clear()
    train.train("second", device="cpu")  # the first is there now
    assert list(began) == ["second"]


def test_a_run_of_the_command_goes_on_where_it_was(kept, monkeypatch):
    folder, _ = kept
    recipe(monkeypatch, "tiny", epochs=2)
    monkeypatch.setattr(Pretraining, "validate", _stopping(Pretraining.validate))
    with pytest.raises(KeyboardInterrupt):
        train.train("tiny", device="cpu")
    assert not (folder / "cache/zoo/tiny.safetensors").exists()
    assert len((folder / "cache/training/tiny/log.jsonl").read_text().splitlines()) == 1
    train.train("tiny", device="cpu")
    assert len((folder / "cache/zoo/tiny.jsonl").read_text().splitlines()) == 2


def _stopping(real):
    """Stops in the second call."""
    calls = []

    def validate(self, model):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, model)

    return validate


def test_what_is_trained_beside_shipped_weights_says_how_to_load_it(kept, monkeypatch, capsys):
    folder, _ = kept
    recipe(monkeypatch, "tiny")
    train.main(["tiny", "--device", "cpu"])
    assert "shipped" not in capsys.readouterr().out
    shipped = folder / "zoo" / "tiny.safetensors"
    checkpoint.save(zoo.untrained("vilbert", 1), shipped)
    train.main(["tiny", "--device", "cpu"])
    said, path = capsys.readouterr().out, folder / "cache/zoo/tiny.safetensors"
    assert f"models.load('emoji/tiny') still gives the shipped {shipped}" in said
    assert f"checkpoint.load(zoo.untrained('vilbert'), '{path}')" in said
    assert not same(checkpoint.load(zoo.untrained("vilbert"), path), models.load("emoji/tiny"))
    train.main(["tiny", "--device", "cpu", "--ship"])
    assert "still gives" not in capsys.readouterr().out
    assert same(checkpoint.load(zoo.untrained("vilbert"), path), models.load("emoji/tiny"))
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("ship", [False, True])
def test_all_leaves_out_what_it_has_trained(kept, monkeypatch, capsys, ship):
    folder, _ = kept
    ran, options = [], ["--ship"] if ship else []
    monkeypatch.setattr(train, "train", lambda name, **options: ran.append(name))
    place = folder / "zoo" if ship else folder / "cache" / "zoo"
    checkpoint.save(zoo.untrained("bert"), place / "bert.safetensors", {"recipe": str(RECIPES["bert"])})
    checkpoint.save(zoo.untrained("uniter"), place / "uniter.safetensors", {"recipe": "another"})
    checkpoint.save(zoo.untrained("lxmert"), place / "lxmert.safetensors")
    train.main(["all", *options])
    assert ran == ["uniter", "lxmert", "ort", "vilbert", "vl-bert", "visualbert"]
    assert f"bert: {place / 'bert.safetensors'} is there, by the same recipe" in capsys.readouterr().out
    train.main(["bert", *options])  # asked for by its name
    assert ran[6:] == ["bert"]


def test_the_command_knows_its_names(kept, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(train, "train", lambda name, **options: ran.append((name, options)))
    train.main(["all"])
    assert [name for name, _ in ran] == ["uniter", "lxmert", "ort", "vilbert", "vl-bert", "visualbert", "bert"]
    assert ran[0][1] == {"ship": False, "device": None}
    with pytest.raises(SystemExit):
        train.main(["uniter", "unitar"])
    assert "no recipe for unitar; there are uniter, lxmert," in capsys.readouterr().err
    assert len(ran) == 7


def test_an_unknown_recipe_is_an_error():
    with pytest.raises(ValueError, match=r"name: expected one of uniter, .*, got 'unitar'"):
        train.train("unitar")


def test_minilm_is_a_start_too_and_wider_models_learn_more_slowly(tmp_path, monkeypatch):
    from crosslook.models import minilm

    began = {}

    def watched(model, task, place, *, lr, **settings):
        place.mkdir(parents=True, exist_ok=True)
        began[place.name] = {name: value.clone() for name, value in model.state_dict().items()}, lr
        return []

    monkeypatch.setenv("CROSSLOOK_CACHE", str(tmp_path))
    monkeypatch.setattr(training, "fit", watched)
    monkeypatch.setattr(train, "task", lambda recipe: None)
    for name in ("uniter-wide-minilm", "bert"):
        train.train(name, device="cpu")
    states, rate = began["uniter-wide-minilm"]
    wanted = minilm.fill(zoo.untrained("uniter-wide"), tokens.emoji()).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in states.items())
    assert rate == pytest.approx(train.RATE / 3)
    assert began["bert"][1] == train.RATE
