"""Models by name: what is listed can be loaded, what is shipped is small, and what is not there is said clearly."""

from dataclasses import replace

import pytest
import torch

from crosslook import models
from crosslook.data import detector
from crosslook.models import checkpoint, recipes, tokens, zoo
from crosslook.models.recipes import ARCHITECTURES, RECIPES

ENCODERS = tuple(name for name in ARCHITECTURES if name != "ort")
SHIPPED = zoo.shipped()
LARGEST = 4 * 2**20
"""Bytes of weights that are shipped, in half precision."""


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """No weights anywhere; the folders of those that are shipped and of those that were trained here."""
    monkeypatch.setenv("CROSSLOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "shipped")
    return tmp_path / "shipped", tmp_path / "cache" / "zoo"


@pytest.mark.parametrize("name", ENCODERS)
def test_untrained_twins(name, pairs):
    model = models.load(f"untrained/{name}")
    assert not model.training
    assert model.tokenize is tokens.emoji()
    assert model.image_input == ("none" if name == "bert" else "regions")
    with torch.no_grad():
        logits = model.word_logits(model(pairs))
    assert logits.shape == (*pairs.ids.shape, len(tokens.emoji()))
    weights = model.state_dict()
    same, other = (models.load(f"untrained/{name}", seed=seed).state_dict() for seed in (0, 1))
    assert all(torch.equal(value, same[key]) for key, value in weights.items())
    assert not torch.equal(weights["words.dense.weight"], other["words.dense.weight"])
    assert 2 * sum(value.numel() for value in weights.values()) < LARGEST


@pytest.mark.parametrize("name", ENCODERS[:-1])
def test_features_are_standardised_as_those_of_train(name, little):
    """Over val the mean is near 0 and the deviation near 1, in every dimension."""
    model = zoo.untrained(name)
    features = model.standard(little.images.features).flatten(0, 1)
    assert features.mean(0).abs().mean() < 0.2
    assert features.std(0).mean().item() == pytest.approx(1, abs=0.2)


def test_the_captioner_is_in_the_list_too():
    assert "untrained/ort" in models.list()
    model = models.load("untrained/ort")
    assert not model.training
    assert 2 * sum(value.numel() for value in model.state_dict().values()) < LARGEST


def test_sizes_are_those_of_the_detector(pairs):
    assert zoo.FEATURES == detector.DIM == pairs.features.shape[-1]
    assert zoo.classes() == pairs.class_probs.shape[-1] == len(detector.heads().classes)


def test_the_list_names_what_can_be_loaded(empty):
    shipped, cache = empty
    assert models.list() == (*(f"untrained/{name}" for name in ARCHITECTURES), *models.PLANTED, *models.FILES)
    checkpoint.save(zoo.untrained("bert"), shipped / "bert.safetensors")
    checkpoint.save(zoo.untrained("uniter", 1), shipped / "uniter-seed1.safetensors")
    checkpoint.save(zoo.untrained("lxmert"), cache / "lxmert.safetensors")
    (shipped / "notes.safetensors").touch()  # no recipe's
    assert zoo.shipped() == ("bert", "uniter-seed1")
    assert models.list()[:2] == ("emoji/bert", "emoji/uniter-seed1")
    # Trained here, though not shipped.
    assert models.load("emoji/lxmert").config.embeddings == "lxmert"


def test_shipped_weights_come_before_those_of_the_cache(empty):
    shipped, cache = empty
    path = cache / "bert.safetensors"
    assert zoo.weights("bert") == path
    checkpoint.save(zoo.untrained("bert", 1), path)
    checkpoint.save(zoo.untrained("bert", 2), shipped / "bert.safetensors")
    assert zoo.weights("bert") == shipped / "bert.safetensors"
    found, wanted = models.load("emoji/bert"), zoo.untrained("bert", 2)
    for name, value in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], value.half().float()), name


def test_weights_that_are_not_there_come_with_their_command(empty):
    message = r"uniter-xe\.safetensors: .*'uniter-xe' are not shipped; .*`python -m crosslook\.models\.train uniter-xe`"
    with pytest.raises(FileNotFoundError, match=message):
        models.load("emoji/uniter-xe")


def test_weights_of_another_model_are_refused(empty):
    shipped, _ = empty
    checkpoint.save(zoo.untrained("bert"), shipped / "uniter.safetensors")
    with pytest.raises(ValueError, match=r"uniter\.safetensors: weights do not fit VisionLanguage: .* missing: "):
        models.load("emoji/uniter")


def test_a_twin_begins_as_its_recipe_says():
    twin, seed0, seed1 = (
        models.load(f"untrained/{name}", **options).state_dict()["words.dense.weight"]
        for name, options in [("uniter-seed1", {}), ("uniter-seed1", {"seed": 0}), ("uniter", {"seed": 1})]
    )
    assert torch.equal(twin, seed1)
    assert torch.equal(seed0, models.load("untrained/uniter").state_dict()["words.dense.weight"])
    assert not torch.equal(seed0, seed1)


@pytest.mark.parametrize(
    ("spec", "option", "known"),
    [
        ("emoji/uniter", "seed", "none"),
        ("untrained/uniter", "sead", "seed"),
        ("planted/all", "tokenize", "seed"),
        ("volta:x", "tokenizer", "tokenize"),
        ("hf:x", "seed", "tokenizer"),
    ],
)
def test_an_option_that_a_model_does_not_take(spec, option, known):
    with pytest.raises(ValueError, match=f"^options: expected {known} for '{spec}', got {option}$"):
        models.load(spec, **{option: 1})


@pytest.mark.parametrize("kind", ["emoji", "untrained"])
def test_an_unknown_recipe_is_an_error_that_lists_the_known_ones(kind):
    with pytest.raises(ValueError, match=r"name: expected one of uniter, lxmert, .*, got 'unitar'"):
        models.load(f"{kind}/unitar")


@pytest.mark.parametrize(
    "spec", ["", "uniter", "emoji", "emoji/", "emoji:uniter", "planted/none", "volta:", "volta/x", "hf:", "hf"]
)
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(spec):
    with pytest.raises(ValueError, match=rf"spec: expected one of .*, got '{spec}'$") as caught:
        models.load(spec)
    assert all(known in str(caught.value) for known in models.list())


def test_a_path_may_hold_colons_and_slashes(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a:b/c:d/config\.json"):
        models.load(f"volta:{tmp_path}/a:b/c:d")


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_can_be_loaded(name):
    path = zoo.FOLDER / f"{name}.safetensors"
    assert path.stat().st_size <= LARGEST
    assert path.with_suffix(".jsonl").is_file()  # its losses
    weights = checkpoint.read(path)
    model = models.load(f"emoji/{name}")
    assert model.state_dict().keys() == weights.keys()
    assert {value.dtype for value in weights.values()} == {torch.float16}


def test_what_is_shipped_is_small():
    assert sum(path.stat().st_size for path in zoo.FOLDER.glob("*.safetensors")) <= 40e6


def test_recipes_vary_one_thing_each():
    """And no two are the same."""
    assert tuple(RECIPES)[:7] == ARCHITECTURES
    assert len(set(RECIPES.values())) == len(RECIPES)
    for name, recipe in RECIPES.items():
        assert name.startswith(recipe.architecture)
        if name.startswith("ort"):  # another kind of model, which trains in its own way
            continue
        assert recipe.architecture in (*ARCHITECTURES, "uniter-wide")
        plain = recipes.Recipe(recipe.architecture)
        if recipe.epochs != plain.epochs:  # what it differs from is trained for as long
            plain = RECIPES[{recipes.SHORT: f"{recipe.architecture}-short", recipes.WIDE: "uniter-wide"}[recipe.epochs]]
            assert plain == recipes.Recipe(recipe.architecture, epochs=recipe.epochs)
        fields = ("seed", "start", "degrade", "objective")
        changed = [field for field in fields if getattr(recipe, field) != getattr(plain, field)]
        assert len(changed) == (
            name == "bert" or (name not in ARCHITECTURES and not name.endswith(("-short", "-wide")))
        ), name
        # What it starts with is trained without a start of its own, and is of the same architecture.
        if recipe.start and recipe.start != recipes.MINILM:
            assert RECIPES[recipe.start].start is None
            assert RECIPES[recipe.start].architecture == recipe.architecture


def test_recipes_compare_what_the_papers_compare():
    masks = {
        (recipe.objective.measure, recipe.objective.threshold)
        for recipe in RECIPES.values()
        if recipe.architecture == "uniter" and replace(recipe, objective=recipes.DEFAULT) == RECIPES["uniter-short"]
    }
    assert {(measure, share) for measure in ("iou", "iot") for share in (0.2, 0.4, 0.6)} | {("iou", None)} <= masks
    assert {recipe.degrade for recipe in RECIPES.values()} == {0, 1, 2, 3, 4}
    assert {name: RECIPES[name].objective.modality for name in ("uniter-text", "uniter-image", "bert")} == {
        "uniter-text": "text",
        "uniter-image": "image",
        "bert": "text",
    }
    for name in ("uniter", "lxmert"):
        assert sorted(RECIPES[key].seed for key in (f"{name}-short", f"{name}-seed1", f"{name}-seed2")) == [0, 1, 2]
