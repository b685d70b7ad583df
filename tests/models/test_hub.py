"""Checkpoints of `transformers` on disk load, and give what `transformers` itself gives."""

import json

import pytest
import tiny_checkpoints as tiny
import torch

from crosslook import models
from crosslook.capture import capture
from crosslook.data.sample import collate
from crosslook.models import protocol

MODELS = {"lxmert": "LxmertForPreTraining", "visual_bert": "VisualBertForPreTraining"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {}
    for name, architecture in MODELS.items():
        found[name] = tmp_path_factory.mktemp(name)
        changes = {"num_object_labels": 7, "num_attr_labels": 5, "num_qa_labels": 3} if name == "lxmert" else {}
        tiny.built(name, found[name], architecture, **changes)
        tiny.word_pieces(found[name])
    return found


@pytest.fixture(scope="module")
def loaded(folders):
    return {name: models.load(f"hf:{folder}") for name, folder in folders.items()}


def run(model):
    batch = collate(tiny.samples(), model.tokenize)
    with torch.no_grad(), capture(model) as tape:
        encoded = model(batch)
    return batch, encoded, tape.sites


def originals(folders, name, batch):
    """What the class of transformers gives, called as its documentation says; ids by a tokenizer of its own."""
    import transformers

    model = getattr(transformers, MODELS[name]).from_pretrained(folders[name]).eval()
    tokens = transformers.BertTokenizer.from_pretrained(folders[name])(
        list(batch.captions), padding=True, return_tensors="pt"
    )
    visual = {"visual_attention_mask": batch.region_mask.float(), "output_hidden_states": True}
    if name == "lxmert":
        width, height = batch.sizes[:, None, 0], batch.sizes[:, None, 1]
        x1, y1, x2, y2 = batch.boxes.unbind(-1)
        visual["visual_pos"] = torch.stack([x1 / width, y1 / height, x2 / width, y2 / height], -1)
        visual["visual_feats"] = batch.features
    else:
        visual["visual_embeds"] = batch.features
    return model, {**tokens, **visual}


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_lxmert_is_that_of_transformers(folders, loaded):
    batch, encoded, _ = run(loaded["lxmert"])
    model, inputs = originals(folders, "lxmert", batch)
    with torch.no_grad():
        found = model(**inputs, matched_label=torch.tensor([1, 1]))
        base = model.lxmert(**inputs)
        objects = model.obj_predict_head(base.vision_output)["obj"]
    assert len(encoded.text_states) == 1 + 3 + 2
    assert len(encoded.image_states) == 1 + 2 + 2
    for own, theirs in (
        (encoded.text_states[1:], base.language_hidden_states),
        (encoded.image_states[1:], base.vision_hidden_states),
    ):
        for a, b in zip(own, theirs, strict=True):
            close(a, b)
    close(encoded.text_states[0], model.lxmert.embeddings(inputs["input_ids"], torch.zeros_like(inputs["input_ids"])))
    close(encoded.image_states[0], model.lxmert.encoder.visn_fc(inputs["visual_feats"], inputs["visual_pos"]))
    close(loaded["lxmert"].word_logits(encoded), found.prediction_logits)
    close(loaded["lxmert"].region_logits(encoded), objects)
    assert objects.shape == (2, 3, 7)
    # transformers: label 1 says that the sentence matches the image.
    match = loaded["lxmert"].match_logits(encoded).log_softmax(-1)
    close(-match[:, 1].mean(), found.loss)


def test_visual_bert_is_that_of_transformers(folders, loaded):
    batch, encoded, _ = run(loaded["visual_bert"])
    model, inputs = originals(folders, "visual_bert", batch)
    n = batch.ids.shape[1]
    with torch.no_grad():
        ignored = torch.full((2, n + 3), -100)
        ignored[0, 1] = 5
        # transformers: label 0 says that the sentence matches the image.
        found = model(**inputs, labels=ignored, sentence_image_labels=torch.tensor([0, 0]))
    assert len(encoded.text_states) == len(encoded.image_states) == 3
    for text, image, both in zip(encoded.text_states, encoded.image_states, found.hidden_states, strict=True):
        close(torch.cat([text, image], 1), both)
    words = loaded["visual_bert"].word_logits(encoded)
    close(words, found.prediction_logits[:, :n])
    match = loaded["visual_bert"].match_logits(encoded).log_softmax(-1)
    close(-match[:, 1].mean() - words.log_softmax(-1)[0, 1, 5], found.loss)


def test_mass_from_words_to_regions(loaded):
    """Read by hand: in LXMERT words look at regions directly, in VisualBERT regions stand behind the words."""
    for name, model in loaded.items():
        batch, _, sites = run(model)
        n_words, n_regions = batch.ids.shape[1], batch.boxes.shape[1]
        assert torch.equal(batch.phrase_tokens[0, 0].nonzero()[:, 0], torch.tensor([4, 5]))  # the red
        kind, first = ("text_to_image", 0) if name == "lxmert" else ("joint", n_words)
        sites = [site for site in sites if site.kind == kind]
        assert len(sites) == 2
        for site in sites:
            found = tiny.masses(site, model.places(batch), n_words, n_regions)
            weights = site.weights()
            for b in range(2):
                for region in range(n_regions):
                    expected = weights[b, :, :n_words, first + region] * (region < tiny.REGIONS[b])
                    close(found[b, :, :, region], expected)
            assert torch.equal(site.query_text.sum(1), batch.text_mask.sum(1))
            assert torch.equal(site.key_image.sum(1), torch.tensor(tiny.REGIONS))


def test_what_is_padded_changes_nothing(loaded):
    for model in loaded.values():
        both = collate(tiny.samples(), model.tokenize)
        one = collate(tiny.samples()[1:], model.tokenize)
        with torch.no_grad():
            found, alone = model(both), model(one)
        n, r = one.ids.shape[1], one.boxes.shape[1]
        assert (n, r) < (both.ids.shape[1], both.boxes.shape[1])
        close(found.text_states[-1][1:, :n], alone.text_states[-1])
        close(found.image_states[-1][1:, :r], alone.image_states[-1])


def test_tokens_and_their_characters(loaded):
    for model in loaded.values():
        ids, spans = model.tokenize("The hatball")
        assert ids == [2, 6, 5 + tiny.WORDS.index("hat"), 5 + len(tiny.WORDS), 3]
        assert spans == [(0, 0), (0, 3), (4, 7), (7, 11), (0, 0)]


def test_a_model_without_heads_says_so(tmp_path):
    tiny.built("lxmert", tmp_path)
    tiny.word_pieces(tmp_path)
    model = models.load(f"hf:{tmp_path}")
    for head in protocol.HEADS:
        with pytest.raises(ValueError, match=f"{head}.*got Lxmert with no head"):
            protocol.head(model, head)
    visual_bert = tmp_path / "visual_bert"
    tiny.built("visual_bert", visual_bert)
    tiny.word_pieces(visual_bert)
    with pytest.raises(ValueError, match="got VisualBert with no head"):
        protocol.head(models.load(f"hf:{visual_bert}"), "match_logits")


def test_a_checkpoint_takes_features_of_its_width(loaded):
    for model in loaded.values():
        with pytest.raises(
            ValueError, match="region features of width 12, as this checkpoint was trained on; got none"
        ):
            model(collate(tiny.samples(dim=None), model.tokenize))
        with pytest.raises(ValueError, match=r"width 12.* got width 5"):
            model(collate(tiny.samples(dim=5), model.tokenize))
        with pytest.raises(ValueError, match="expected tokens, got none"):
            model(collate(tiny.samples()))
        with pytest.raises(ValueError, match="at most 20 tokens a caption, got 21"):
            model(collate(tiny.samples(), lambda text: ([7] * 21, [(0, 0)] * 21)))
        with pytest.raises(ValueError, match="token ids below 100, got 500"):
            model(collate(tiny.samples(), lambda text: ([500], [(0, 0)])))


def test_published_models_are_said_to_want_bottom_up_attention(loaded, monkeypatch):
    monkeypatch.setattr(loaded["lxmert"].model.config, "visual_feat_dim", 2048)
    with pytest.raises(ValueError, match=r"width 2048, .*bottom-up attention \(Anderson et al. 2018\); got width 12"):
        loaded["lxmert"](collate(tiny.samples(), loaded["lxmert"].tokenize))


def test_the_tokenizer_may_come_from_elsewhere(tmp_path):
    """As for the published VisualBERT; without files transformers would make up a tokenizer of five special tokens."""
    tiny.built("visual_bert", tmp_path / "model")
    (tmp_path / "words").mkdir()
    tiny.word_pieces(tmp_path / "words")
    with pytest.raises(FileNotFoundError, match=r"expected a tokenizer .* found none; say which .*tokenizer=NAME"):
        models.load(f"hf:{tmp_path}/model")
    model = models.load(f"hf:{tmp_path}/model", tokenizer=str(tmp_path / "words"))
    assert model.tokenize("dog")[0] == [2, 5 + tiny.WORDS.index("dog"), 3]


def test_what_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="found no such folder"):
        models.load("hf:./no/such/folder")
    with pytest.raises(FileNotFoundError, match=r"expected config.json in this folder, found none"):
        models.load(f"hf:{tmp_path}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="hf:nobody/nothing: no such folder, it was not downloaded before"):
        models.load("hf:nobody/nothing")


def test_configurations_that_are_none(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"expected a config.json of transformers"):
        models.load(f"hf:{tmp_path}")
    path.write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"expected a model of type lxmert, .*got 'bert'"):
        models.load(f"hf:{tmp_path}")
    tiny.word_pieces(tmp_path)
    path.write_text(json.dumps({"model_type": "lxmert", "architectures": ["BertModel", "os.system"]}))
    with pytest.raises(ValueError, match=r"name its class under architectures, got BertModel, os\.system"):
        models.load(f"hf:{tmp_path}")


def test_weights_that_are_missing_damaged_or_of_another_shape(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    for file in folders["lxmert"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    weights = load_file(path)
    fewer = {key: value for key, value in weights.items() if "r_layers" not in key}
    save_file(fewer, path, {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"but lxmert\.encoder\.r_layers\.0\.\S+ is missing(, \S+ is missing){4} and 27 more"
    ):
        models.load(f"hf:{tmp_path}")
    key = "lxmert.pooler.dense.weight"
    save_file({**weights, key: torch.zeros(3, 3)}, path, {"format": "pt"})
    with pytest.raises(ValueError, match=r"but lxmert\.pooler\.dense\.weight is \(3, 3\) instead of \(32, 32\)$"):
        models.load(f"hf:{tmp_path}")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="could not read the weights; SafetensorError"):
        models.load(f"hf:{tmp_path}")
    path.unlink()
    with pytest.raises(ValueError, match="could not read the weights; OSError"):
        models.load(f"hf:{tmp_path}")


def test_nothing_is_unpickled(folders, loaded, tmp_path):
    from safetensors.torch import load_file

    for file in folders["lxmert"].iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(folders["lxmert"] / "model.safetensors")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    plain = models.load(f"hf:{tmp_path}")
    for key, value in loaded["lxmert"].state_dict().items():
        assert torch.equal(value, plain.state_dict()[key]), key
    torch.save({**weights, "more": Written(tmp_path / "mark")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="could not read the weights"):
        models.load(f"hf:{tmp_path}")
    assert not (tmp_path / "mark").exists()


class Written:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).write_text, (self.path, "unpickled")


def test_visual_bert_whose_regions_come_last_is_refused(tmp_path):
    tiny.built("visual_bert", tmp_path, bypass_transformer=True)
    tiny.word_pieces(tmp_path)
    with pytest.raises(ValueError, match="got bypass_transformer"):
        models.load(f"hf:{tmp_path}")
