"""Published checkpoints: equal to what their own code answers, at any size, and clear about what does not fit."""

import json
import re
from collections import Counter

import pytest
import torch
from torch import nn

from crosslook import models
from crosslook.capture import capture
from crosslook.models import architectures, checkpoint, volta
from crosslook.models.vision_language import VisionLanguage

NAMES = ("uniter", "visualbert", "vl-bert", "vilbert", "lxmert")
DECODER = "cls.imagePredictions.decoder_dict.0.weight"


def tokenize(caption):
    return [0], [(0, 0)]


def evens(start, stop, step=2):
    return list(range(start, stop, step))


# The study's five configurations: which sublayers have which part.
SINGLE = {
    **{f"{gate}_attn_sublayers": evens(0, 24) for gate in ("tt", "tv", "vt", "vv")},
    **{f"{stream}_ff_sublayers": evens(1, 24) for stream in "tv"},
    "shared_sublayers": list(range(24)),
}
SUBLAYERS = {
    **dict.fromkeys(NAMES[:3], SINGLE),
    "vilbert": {
        "tt_attn_sublayers": [0, 2, 4, 6, 8, 10, 14, 18, 22, 26, 30, 34],
        "tv_attn_sublayers": evens(12, 36, 4),
        "vt_attn_sublayers": evens(12, 36, 4),
        "vv_attn_sublayers": evens(14, 36, 4),
        "t_ff_sublayers": evens(1, 36),
        "v_ff_sublayers": evens(13, 36),
        "shared_sublayers": [],
    },
    "lxmert": {
        "tt_attn_sublayers": [*evens(0, 18), *evens(19, 33, 3)],
        "tv_attn_sublayers": evens(18, 33, 3),
        "vt_attn_sublayers": evens(18, 33, 3),
        "vv_attn_sublayers": [*evens(0, 10), *evens(19, 33, 3)],
        "t_ff_sublayers": [*evens(1, 18), *evens(20, 33, 3)],
        "v_ff_sublayers": [*evens(1, 10), *evens(20, 33, 3)],
        "shared_sublayers": evens(18, 33, 3),
    },
}
LISTS = {
    **dict.fromkeys(NAMES[:3], architectures.single_stream(12)),
    "vilbert": architectures.vilbert(text=6, cross=6),
    "lxmert": architectures.lxmert(text=9, image=5, cross=5),
}
PUBLISHED = re.compile(
    r"bert\.(v_)?embeddings\.\w+(\.1)?|bert\.[tv]_pooler\.dense|cls\.bi_seq_relationship|cls\.predictions"
    r"|cls\.(predictions|imagePredictions)\.transform\.(dense|LayerNorm)|cls\.imagePredictions\.decoder_dict\.0"
    r"|bert\.encoder\.layer\.\d+\."
    r"(attention_self\.(v_)?(query|key|value)|(attention_output|output)\.(v_)?(dense|LayerNorm)"
    r"|intermediate\.(v_)?dense)"
)


def base(name, width=768, heads=12, **changes):
    """A configuration as it is published."""
    sizes = {"hidden_size": width, "num_attention_heads": heads, "intermediate_size": 4 * width, "pooler_size": width}
    special = {"type_vocab_size": 3, "v_coordinate_embeddings_dim": 256, "image_head_ln": False}
    return {
        **sizes,
        **{f"v_{size}": value for size, value in sizes.items()},
        **SUBLAYERS[name],
        "image_embeddings": name,
        "vocab_size": 30522,
        "v_feature_size": 2048,
        "num_locs": 5,
        "add_global_imgfeat": "first",
        "fusion_method": "mul",
        "hidden_act": "gelu",
        "v_hidden_act": "gelu",
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "single_ln_sublayers": SUBLAYERS[name]["shared_sublayers"] if name in NAMES[:3] else [],
        "sublayer2attn_hidden_size": {},
        **(special if name == "vl-bert" else {}),
        **changes,
    }


def weights(classes=1601):
    return {DECODER: torch.empty(classes, 1, device="meta")}


@pytest.fixture(scope="module", params=NAMES)
def golden(request, shared):
    """A published checkpoint, small and random, and what the original code answers."""
    folder = shared / "fixtures" / "volta" / request.param
    answers = checkpoint.read(folder / "golden.safetensors")
    model = models.load(f"volta:{folder}", tokenize=tokenize)
    with torch.no_grad(), capture(model) as tape:
        states = model.encode(
            answers["in.input_ids"],
            answers["in.attention_mask"].bool(),
            answers["in.features"],
            answers["in.image_loc"],
            answers["in.image_mask"].bool(),
            answers["in.token_type_ids"],
        )
    return folder, model, answers, states, tape.sites


def agree(found, wanted):
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.realdata
def test_states_after_every_sublayer_are_the_originals(golden):
    _, model, answers, (texts, images), _ = golden
    assert len(texts) == len(images) == 1 + len(model.config.sublayers)
    assert sum(name.startswith(("out.text_states", "out.image_states")) for name in answers) == 2 * len(texts)
    for n, (text, image) in enumerate(zip(texts, images, strict=True)):
        agree(text, answers[f"out.text_states.{n}"])
        agree(image, answers[f"out.image_states.{n}"])
    assert texts[-1].std() > 0.3


@pytest.mark.realdata
def test_pooled_states_and_logits_are_the_originals(golden):
    _, model, answers, (texts, images), _ = golden
    with torch.no_grad():
        text, image = model.pool(texts[-1], images[-1])
        agree(text, answers["out.pooled_text"])
        agree(image, answers["out.pooled_image"])
        agree(model.words(texts[-1], model.embeddings.words.word.weight), answers["out.mlm_logits"])
        agree(model.regions(images[-1]), answers["out.mrc_logits"])
        agree(model.matching(text * image), answers["out.itm_logits"])


@pytest.mark.realdata
def test_captured_attention_is_the_originals(golden):
    """By sublayer and stream; a joint call in its four parts. Each part of the original is found once."""
    _, model, answers, _, sites = golden
    n_text = answers["in.input_ids"].shape[1]
    found = {}
    for site in sites:
        sublayer = re.fullmatch(r"encoder\.layers\.(\d+)\.(text|image)\.heads", site.name)[1]
        all_weights, stem = site.weights(), f"out.attention.{sublayer}"
        asking, _, seen = site.kind.partition("_to_")
        if site.kind == "joint":
            for stream, rows in (("text", slice(n_text)), ("image", slice(n_text, None))):
                parts = all_weights[:, :, rows, :n_text], all_weights[:, :, rows, n_text:]
                intra, inter = parts if stream == "text" else parts[::-1]
                found[f"{stem}.{stream}.intra_attn"], found[f"{stem}.{stream}.inter_attn"] = intra, inter
        else:
            found[f"{stem}.{asking}.{'inter' if seen else 'intra'}_attn"] = all_weights
    wanted = {name: value for name, value in answers.items() if name.startswith("out.attention")}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        agree(found[name], value)
    counts = Counter(type(gates).__name__ for gates in model.config.sublayers)
    assert len(sites) == counts["Attend"] + sum(bool(g.text and g.image) and not g.joint for g in attends(model))


def attends(model):
    return [gates for gates in model.config.sublayers if isinstance(gates, architectures.Attend)]


@pytest.mark.realdata
def test_what_of_a_published_file_is_not_used_is_a_copy_of_what_is(golden):
    """Shared weights are stored for both streams, and those of words once more in their decoder."""
    folder, model, *_ = golden
    theirs = checkpoint.read(folder / "pytorch_model.bin")
    used = {volta.theirs(model.config, name) for name in model.state_dict()}
    originals = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "bert.embeddings.image_token_type_embeddings.weight": "bert.embeddings.token_type_embeddings.weight",
    }
    for name in set(theirs) - used:
        original = originals.get(name, name.replace(".v_", "."))
        assert original in used, name
        assert torch.equal(theirs[name], theirs[original]), name


@pytest.mark.realdata
def test_the_fixtures_have_the_studys_lists(golden):
    folder, model, *_ = golden
    name = folder.name
    wanted = {
        **dict.fromkeys(NAMES[:3], architectures.single_stream(4)),
        "vilbert": architectures.vilbert(text=6, cross=3),
        "lxmert": architectures.lxmert(text=9, image=5, cross=3),
    }
    assert model.config.sublayers == wanted[name]
    assert model.config.embeddings == name
    assert not model.training


@pytest.mark.parametrize("name", NAMES)
def test_base_size_configurations(name):
    """At their full size on a device that keeps no numbers: lists, names and shapes."""
    config = volta.read_config(base(name), weights())
    assert config.sublayers == LISTS[name]
    assert (config.width, config.heads, config.feed_forward, config.pooled) == (768, 12, 3072, 768)
    assert (config.vocab, config.features, config.classes, config.positions) == (30522, 2048, 1601, 512)
    with torch.device("meta"):
        model = VisionLanguage(config, tokenize)
    ours = model.state_dict()
    named = {volta.theirs(config, key): value for key, value in ours.items()}
    assert len(named) == len(ours)  # no two weights share a published name
    assert all(PUBLISHED.fullmatch(key.rpartition(".")[0]) for key in named), named.keys()
    assert named["bert.embeddings.word_embeddings.weight"].shape == (30522, 768)
    assert named["cls.predictions.bias"].shape == (30522,)
    assert named["bert.encoder.layer.1.intermediate.dense.weight"].shape == (3072, 768)
    assert named["cls.bi_seq_relationship.weight"].shape == (2, 768)
    layers = {int(key.split(".")[3]) for key in named if key.startswith("bert.encoder.layer.")}
    assert layers == set(range(len(LISTS[name])))
    # Each stream's own weights, where it has any: published names begin with v_.
    apart = {key.split(".")[3] for key in named if re.search(r"layer\.\d+\..*\.v_", key)}
    lists = SUBLAYERS[name]
    members = {n for key in ("vt_attn_sublayers", "vv_attn_sublayers", "v_ff_sublayers") for n in lists[key]}
    assert {int(n) for n in apart} == members - set(lists["shared_sublayers"])
    back = volta.translated(model, named, "here")
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in ours.items()}
    # And it runs.
    text, image = torch.empty(2, 20, 768, device="meta"), torch.empty(2, 37, 768, device="meta")
    masks = torch.ones(2, 20, dtype=torch.bool, device="meta"), torch.ones(2, 37, dtype=torch.bool, device="meta")
    texts, images = model.encoder(text, image, *masks)
    assert texts[-1].shape == text.shape
    assert model.regions(images[-1]).shape == (2, 37, 1601)
    assert model.words(texts[-1], model.embeddings.words.word.weight).shape == (2, 20, 30522)


def test_names_of_crossing_attention():
    """Published weights of an unshared crossing are named by the stream that they read."""
    config = volta.read_config(base("vilbert"), weights())
    stem = "bert.encoder.layer.12"
    for ours, theirs in {
        "text.heads.query": "attention_self.query",
        "text.heads.key": "attention_self.v_key",
        "text.heads.value": "attention_self.v_value",
        "text.heads.dense": "attention_output.dense",
        "image.heads.query": "attention_self.v_query",
        "image.heads.key": "attention_self.key",
        "image.norm": "attention_output.v_LayerNorm",
    }.items():
        assert volta.theirs(config, f"encoder.layers.12.{ours}.weight") == f"{stem}.{theirs}.weight"


# A folder of a published model, made from one of ours.


def small(name, **changes):
    given = base(name, width=8, heads=2)
    lists = {key: [n for n in value if n < 4] for key, value in given.items() if key.endswith("_sublayers")}
    return given | lists | {"vocab_size": 11, "v_feature_size": 16, "max_position_embeddings": 9} | changes


@pytest.fixture
def folder(tmp_path):
    """A published `uniter` of two layers; returns the folder and the model that it was made from."""
    given = small("uniter")
    model = VisionLanguage(volta.read_config(given, weights(5)), tokenize).eval()
    theirs = {volta.theirs(model.config, name): value for name, value in model.state_dict().items()}
    (tmp_path / "config.json").write_text(json.dumps(given))
    torch.save(theirs, tmp_path / "pytorch_model.bin")
    return tmp_path, model


def test_a_folder_is_read(folder):
    path, model = folder
    found = models.load(f"volta:{path}", tokenize=tokenize)
    assert not found.training
    assert found.config == model.config
    assert found.config.classes == 5
    assert found.config.shortest_ends
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), model.parameters(), strict=True))
    assert found.tokenize is tokenize


def test_safetensors_are_preferred_and_extra_weights_are_left(folder):
    from safetensors.torch import save_file

    path, _ = folder
    theirs = checkpoint.read(path / "pytorch_model.bin")
    theirs["cls.bi_seq_relationship.bias"] = torch.tensor([3.0, 4])
    save_file(theirs | {"optimizer.step": torch.zeros(1)}, path / "model.safetensors")
    assert volta.load(path, tokenize).matching.bias.tolist() == [3, 4]


def test_word_pieces_come_from_the_folder(folder):
    path, _ = folder
    with pytest.raises(
        FileNotFoundError, match=r"vocab\.txt: expected the vocabulary .*put it there or pass tokenize="
    ):
        volta.load(path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s", "."]
    (path / "vocab.txt").write_text("\n".join(words))
    ids, spans = volta.load(path).tokenize("A dogs. Cat")
    assert list(ids) == [2, 5, 6, 7, 8, 1, 3]
    assert [tuple(span) for span in spans] == [(0, 0), (0, 1), (2, 5), (5, 6), (6, 7), (8, 11), (0, 0)]


def test_what_is_not_there_is_named(folder, tmp_path):
    path, _ = folder
    with pytest.raises(FileNotFoundError, match=r"nowhere/config\.json: expected the configuration"):
        volta.load(tmp_path / "nowhere", tokenize)
    (path / "pytorch_model.bin").rename(path / "other.bin")
    with pytest.raises(FileNotFoundError, match=r"expected pytorch_model\.bin or model\.safetensors, found neither"):
        volta.load(path, tokenize)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", '{"hidden_size": 8'])
def test_broken_json_is_an_error_that_names_the_file(folder, text):
    path, _ = folder
    (path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: expected JSON"):
        volta.load(path, tokenize)


def test_missing_settings_are_listed(folder):
    path, _ = folder
    given = small("uniter")
    del given["v_pooler_size"], given["tv_attn_sublayers"]
    (path / "config.json").write_text(json.dumps(given))
    message = r"config\.json: expected a configuration of the controlled study, without tv_attn_.*, v_pooler_size$"
    with pytest.raises(ValueError, match=message):
        volta.load(path, tokenize)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"v_hidden_size": 16}, "streams of equal sizes, got others in hidden_size$"),
        ({"v_pooler_size": 9, "v_intermediate_size": 3}, "in intermediate_size, pooler_size$"),
        ({"sublayer2attn_hidden_size": {"0": 9}}, "in sublayer2attn_hidden_size$"),
        ({"fusion_method": "sum"}, "expected fusion_method 'mul', got 'sum'"),
        ({"hidden_act": "relu"}, "expected hidden_act 'gelu', got 'relu'"),
        ({"add_global_imgfeat": "last"}, "expected add_global_imgfeat 'first', got 'last'"),
        ({"add_global_imgfeat": None}, "expected add_global_imgfeat 'first', got None"),
        ({"image_embeddings": "vit"}, "expected image_embeddings one of uniter, .*, lxmert, got 'vit'"),
        ({"t_ff_sublayers": [0, 1, 3]}, "expected sublayer 0 to be attention or a feed-forward network"),
        ({"t_ff_sublayers": [3], "v_ff_sublayers": [3]}, "expected sublayer 1 to be attention or"),
        ({"shared_sublayers": []}, "both streams to see both with shared weights"),
        ({"v_num_attention_heads": 3, "num_attention_heads": 3}, "heads: expected a divisor of the width 8, got 3"),
    ],
)
def test_configurations_that_are_none_of_the_studys_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        volta.read_config(small("uniter", **changes), weights(), "here")


def test_weights_of_another_task_are_refused():
    with pytest.raises(ValueError, match=rf"here: expected weights of a pre-trained model with {re.escape(DECODER)}"):
        volta.read_config(small("uniter"), {}, "here")


def test_weights_that_do_not_fit_the_configuration_are_listed(folder):
    path, _ = folder
    theirs = checkpoint.read(path / "pytorch_model.bin")
    query = "bert.encoder.layer.0.attention_self.query"
    torch.save({name: value for name, value in theirs.items() if query not in name}, path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=rf"pytorch_model\.bin: 2 weights are missing: {query}\.weight, .*\.bias$"):
        volta.load(path, tokenize)
    torch.save(theirs | {f"{query}.bias": torch.zeros(9)}, path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"1 of another shape: .*query\.bias \(expected \(8,\), got \(9,\)\)"):
        volta.load(path, tokenize)


def test_nothing_in_a_published_file_is_run(folder):
    path, _ = folder
    torch.save(nn.Linear(1, 1), path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin: expected a file of weights"):
        volta.load(path, tokenize)
