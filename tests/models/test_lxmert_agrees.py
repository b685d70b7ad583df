"""Our `lxmert` and that of `transformers` agree when they are given the same weights."""

import pytest
import tiny_checkpoints as tiny
import torch

from crosslook import models
from crosslook.capture import capture
from crosslook.data.sample import collate
from crosslook.models.architectures import Config, lxmert
from crosslook.models.vision_language import VisionLanguage

TEXT, IMAGE, CROSS = 3, 2, 2
ATTENTION = {"heads.query": "query", "heads.key": "key", "heads.value": "value"}


def names():
    """Each module of ours that has weights, and its name in `transformers`."""
    found = {
        "embeddings.words.word": "lxmert.embeddings.word_embeddings",
        "embeddings.words.position": "lxmert.embeddings.position_embeddings",
        "embeddings.words.segment": "lxmert.embeddings.token_type_embeddings",
        "embeddings.norm": "lxmert.embeddings.LayerNorm",
        "embeddings.feature": "lxmert.encoder.visn_fc.visn_fc",
        "embeddings.feature_norm": "lxmert.encoder.visn_fc.visn_layer_norm",
        "embeddings.box": "lxmert.encoder.visn_fc.box_fc",
        "embeddings.box_norm": "lxmert.encoder.visn_fc.box_layer_norm",
        "words": "cls.predictions",
        "words.dense": "cls.predictions.transform.dense",
        "words.norm": "cls.predictions.transform.LayerNorm",
        "regions.dense": "obj_predict_head.transform.dense",
        "regions.norm": "obj_predict_head.transform.LayerNorm",
        "regions.classes": "obj_predict_head.decoder_dict.obj",
    }

    def attention(own, theirs, inner):
        found.update({f"{own}.{key}": f"{theirs}.{inner}.{value}" for key, value in ATTENTION.items()})
        found.update({f"{own}.heads.dense": f"{theirs}.output.dense", f"{own}.norm": f"{theirs}.output.LayerNorm"})

    def feed(own, up, down):
        found.update({f"{own}.up": f"{up}.dense", f"{own}.down": f"{down}.dense", f"{own}.norm": f"{down}.LayerNorm"})

    place = 0
    for layer in range(max(TEXT, IMAGE)):
        for stream, theirs, n in (("text", "layer", TEXT), ("image", "r_layers", IMAGE)):
            if layer < n:
                base = f"lxmert.encoder.{theirs}.{layer}"
                attention(f"encoder.layers.{place}.{stream}", f"{base}.attention", "self")
                feed(f"encoder.layers.{place + 1}.{stream}", f"{base}.intermediate", f"{base}.output")
        place += 2
    for layer in range(CROSS):
        base = f"lxmert.encoder.x_layers.{layer}"
        attention(f"encoder.layers.{place}.text", f"{base}.visual_attention", "att")
        for stream, theirs in (("text", "lang"), ("image", "visn")):
            attention(f"encoder.layers.{place + 1}.{stream}", f"{base}.{theirs}_self_att", "self")
            feed(f"encoder.layers.{place + 2}.{stream}", f"{base}.{theirs}_inter", f"{base}.{theirs}_output")
        place += 3
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lxmert")
    labels = {"num_object_labels": 7, "num_attr_labels": 5, "num_qa_labels": 3}
    original = tiny.built("lxmert", folder, "LxmertForPreTraining", **labels)
    tiny.word_pieces(folder)
    theirs = models.load(f"hf:{folder}")
    # Biases and layer norms are 0 and 1 at first, and would agree by chance; so would attention that is uniform.
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name.endswith("query.weight"):
                parameter *= 2
            if name.endswith("visual_attention.output.dense.weight"):
                parameter *= 0.2  # else all words become the same
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    size = original.config
    config = Config(
        "lxmert",
        lxmert(TEXT, IMAGE, CROSS),
        vocab=size.vocab_size,
        features=size.visual_feat_dim,
        classes=size.num_object_labels,
        width=size.hidden_size,
        heads=size.num_attention_heads,
        feed_forward=size.intermediate_size,
        positions=size.max_position_embeddings,
        types=size.type_vocab_size,
        locations=4,
        whole_image=False,
    )
    ours = VisionLanguage(config, theirs.tokenize).eval()
    found, weights = names(), theirs.model.state_dict()
    translated, unused = {}, set(weights)
    for key in ours.state_dict():
        module, _, kind = key.rpartition(".")
        if module in found:
            translated[key] = weights[f"{found[module]}.{kind}"]
            unused.discard(f"{found[module]}.{kind}")
    lacking = set(ours.state_dict()) - set(translated)
    # Ours pools both streams, LXMERT only its first word.
    assert {key.partition(".")[0] for key in lacking} == {"text_pooler", "image_pooler", "matching"}
    rest = ("lxmert.pooler", "cls.seq", "answer_head", "obj_predict_head.decoder_dict", "cls.predictions.decoder")
    assert all(key.startswith(rest) for key in unused)
    ours.load_state_dict(translated, strict=False)
    return ours, theirs


def run(model):
    batch = collate(tiny.samples(), model.tokenize)
    with torch.no_grad(), capture(model) as tape:
        return batch, model(batch), tape.sites


def test_hidden_states_and_logits_agree(both):
    (batch, ours, _), (_, theirs, _) = (run(model) for model in both)
    for stream, present in (("text", batch.text_mask), ("image", batch.region_mask)):
        mine, other = (getattr(encoded, f"{stream}_states") for encoded in (ours, theirs))
        assert len(mine) == len(other) == 1 + CROSS + (TEXT if stream == "text" else IMAGE)
        for a, b in zip(mine, other, strict=True):
            assert b[present].std() > 0.5
            torch.testing.assert_close(a[present], b[present], atol=1e-5, rtol=0)
    for name, present in (("word_logits", batch.text_mask), ("region_logits", batch.region_mask)):
        a, b = (getattr(model, name)(encoded) for model, encoded in zip(both, (ours, theirs), strict=True))
        torch.testing.assert_close(a[present], b[present], atol=1e-4, rtol=1e-5)


def test_attention_agrees(both):
    (_, _, ours), (_, _, theirs) = (run(model) for model in both)
    mine, other = ({(site.kind, site.layer): site for site in sites} for sites in (ours, theirs))
    assert len(mine) == len(ours) == TEXT + IMAGE + 4 * CROSS
    assert set(mine) == set(other)
    for key, site in mine.items():
        rows = site.query_text | site.query_image
        a, b = site.weights().transpose(1, 2)[rows], other[key].weights().transpose(1, 2)[rows]
        assert b.max() > 2 * b[b > 0].min(), key  # far from uniform
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
