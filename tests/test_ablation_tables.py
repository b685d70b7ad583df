"""Shipped losses against the models that they are losses of, and files that are not what they should be."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from crosslook import ablation_tables
from crosslook.ablation_examples import images
from crosslook.models import zoo
from crosslook.models.recipes import RECIPES

SHIPPED = sorted(path.stem for path in ablation_tables.FOLDER.glob("*.safetensors"))
CONDITIONS = [
    *("none", "object 0.5", "all"),
    *(f"{kind} {gone}" for kind in ("kl", "xe", "gold") for gone in ("none", "phrase", "all")),
    "wrong",
]


@pytest.fixture
def table():
    """Losses of five phrases of three images, some of them unknown."""
    rng = np.random.default_rng(0)
    losses = {name: rng.gamma(2, 2, 5) for name in ("none", "all")}
    losses["all"][2] = np.nan
    return ablation_tables.Table(losses, np.array([0, 0, 1, 2, 2]))


@pytest.fixture(scope="module")
def phrases():
    return ablation_tables._phrases(0.0)[1]


@pytest.mark.parametrize("name", [name for name in SHIPPED if name in zoo.shipped()])
def test_a_shipped_table_is_what_its_shipped_model_loses(name):
    shipped, measured = ablation_tables.read(name), ablation_tables.measure(name, 80)
    assert list(measured.losses) == CONDITIONS
    for condition, losses in measured.losses.items():
        np.testing.assert_allclose(shipped.losses[condition][:80], losses, rtol=2e-3, atol=2e-3, err_msg=condition)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_table_is_of_a_recipe_and_of_the_phrases_of_val(name, phrases):
    assert name in RECIPES
    table = ablation_tables.read(name)
    assert list(table.losses) == CONDITIONS
    np.testing.assert_array_equal(table.images, images(phrases))
    for losses in table.losses.values():
        assert len(losses) == len(phrases)
        assert not np.isinf(losses).any()
    # The loss on words is there for every phrase, and asking people's nouns and counting errors go together.
    assert not np.isnan(table.losses["none"]).any()
    np.testing.assert_array_equal(np.isnan(table.losses["wrong"]), np.isnan(table.losses["gold none"]))
    assert set(table.losses["wrong"][~np.isnan(table.losses["wrong"])]) == {0, 1}


def test_every_encoder_that_is_compared_has_its_weights_or_its_table_shipped():
    starts = {recipe.start for recipe in RECIPES.values()}
    encoders = {name for name, recipe in RECIPES.items() if recipe.architecture not in zoo.CAPTIONERS}
    assert encoders - starts <= {*zoo.shipped(), *SHIPPED}


def test_what_was_written_comes_back_in_half_precision(table, tmp_path):
    ablation_tables.write("uniter-xe", table, tmp_path / "new")
    found = ablation_tables.read("uniter-xe", tmp_path / "new")
    assert list(found.losses) == ["none", "all"]
    for name, losses in table.losses.items():
        np.testing.assert_array_equal(found.losses[name], losses.astype(np.float16).astype(float))
    np.testing.assert_array_equal(found.images, table.images)
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["uniter-xe.safetensors"]  # no unfinished file


def test_the_command_measures_and_writes_each_model(table, tmp_path, monkeypatch, capsys):
    asked = []
    real = ablation_tables.write
    monkeypatch.setattr(ablation_tables, "measure", lambda name: asked.append(name) or table)
    monkeypatch.setattr(ablation_tables, "write", lambda name, found: real(name, found, tmp_path))
    ablation_tables.main(["uniter-xe", "uniter-alone"])
    assert asked == ["uniter-xe", "uniter-alone"]
    assert {entry.stem for entry in tmp_path.iterdir()} == {*asked}
    assert capsys.readouterr().out.count("wrote ") == 2


def test_a_table_that_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"train uniter-xe` and `python -m crosslook.ablation_tables uniter-xe`"
    ):
        ablation_tables.read("uniter-xe", tmp_path)


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        ({"losses": torch.zeros(2, 3), "images": torch.zeros(3)}, None),
        ({"losses": torch.zeros(2, 3), "images": torch.zeros(3)}, {"conditions": '["none"]'}),
        ({"losses": torch.zeros(1, 3)}, {"conditions": '["none"]'}),
        ({"losses": torch.zeros(1, 3), "images": torch.zeros(3)}, {"conditions": "[none"}),
    ],
    ids=["no names", "too few names", "no images", "broken names"],
)
def test_a_file_that_is_no_table_is_named(tensors, metadata, tmp_path):
    save_file(tensors, tmp_path / "uniter.safetensors", metadata)
    with pytest.raises(ValueError, match=r"uniter\.safetensors: expected the losses of a model"):
        ablation_tables.read("uniter", tmp_path)


def test_a_truncated_file_is_named(table, tmp_path):
    ablation_tables.write("uniter", table, tmp_path)
    path = tmp_path / "uniter.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"uniter\.safetensors"):
        ablation_tables.read("uniter", tmp_path)


def test_an_unknown_model_is_an_error():
    with pytest.raises(ValueError, match="name: expected one of"):
        ablation_tables.measure("unitre")
