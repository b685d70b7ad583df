"""The way that the page "Your own data and models" goes, on files in the published forms, from first to last."""

import json
from dataclasses import replace

import pytest
import torch

from crosslook import data
from crosslook.data import bottom_up, flickr30k_writer
from crosslook.data.emoji import regions
from crosslook.models import volta
from crosslook.models.vision_language import VisionLanguage
from crosslook.paths import ROOT
from crosslook.run import NotebookError, run

IMAGES = 8
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "pooler_size": 16}
CONFIG = {
    **SIZES,
    **{f"v_{name}": size for name, size in SIZES.items()},
    **{f"{gate}_attn_sublayers": [0, 2] for gate in ("tt", "tv", "vt", "vv")},
    **{f"{part}_sublayers": [1, 3] for part in ("t_ff", "v_ff")},
    **{f"{part}_sublayers": [0, 1, 2, 3] for part in ("shared", "single_ln")},
    "image_embeddings": "uniter",
    "v_feature_size": 128,
    "num_locs": 5,
    "add_global_imgfeat": "first",
    "fusion_method": "mul",
    "hidden_act": "gelu",
    "v_hidden_act": "gelu",
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "sublayer2attn_hidden_size": {},
}


@pytest.fixture
def folder(tmp_path):
    """Annotations and captions, regions with their vocabularies, and a checkpoint of two layers."""
    samples = data.load("emoji:val", regions="gold")[: 5 * IMAGES]
    flickr30k_writer.write(tmp_path, "val", flickr30k_writer.from_samples(samples))
    found = regions.detector_regions("val")
    ids = list(dict.fromkeys(one.image_id for one in samples))
    names = sorted({name for each in ids for row in found[each].attributes for name, _ in row})
    classes = found[ids[0]].classes[:-1]
    lines = [
        bottom_up.from_regions(each, samples[0].width, samples[0].height, _things(found[each]), names) for each in ids
    ]
    bottom_up.write(tmp_path / "val_obj36.tsv", lines)
    (tmp_path / "objects_vocab.txt").write_text("\n".join(f"{name},some {name}" for name in classes))
    (tmp_path / "attributes_vocab.txt").write_text("\n".join(names))

    words = [*SPECIAL, *sorted({word for one in samples for word in one.caption.lower().split()})]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    config = CONFIG | {"vocab_size": len(words)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    decoder = torch.empty(1 + len(classes), 1, device="meta")
    torch.manual_seed(0)
    model = VisionLanguage(
        volta.read_config(config, {"cls.imagePredictions.decoder_dict.0.weight": decoder}), lambda caption: ([], [])
    )
    theirs = {volta.theirs(model.config, name): value for name, value in model.state_dict().items()}
    torch.save(theirs, tmp_path / "pytorch_model.bin")
    return tmp_path


def _things(found):
    """Regions as the published detector names them, among whose classes there is no background."""
    assert found.classes[-1] == "background"
    probs = found.class_probs[:, :-1]
    labels = tuple(found.classes[place] for place in probs.argmax(1))
    return replace(found, class_probs=probs, classes=found.classes[:-1], labels=labels)


def test_structure_runs_on_files_from_elsewhere(folder, tmp_path):
    asked = {"model": f"volta:{folder}", "data": f"flickr30k:{folder}:val", "tier": "tiny"}
    done = run(ROOT / "notebooks" / "structure.ipynb", asked, tmp_path / "copy.ipynb", progress=False)
    found = {result["name"]: result for result in done.results}
    for name in ("theme.truth.surface", "partial.distance.surface", "entropy.deep", "language.deep", "swap.moved"):
        result = found[f"structure.{name} ({asked['model']})"]
        assert result["n"] <= IMAGES
    # It has a twin of its own kind, and nothing is measured on other models beside it.
    assert "untrained twin" in found[f"structure.entropy.deep ({asked['model']})"]["control"]
    assert not [name for name in found if "(emoji/" in name]


@pytest.mark.parametrize(
    ("notebook", "asked", "message"),
    [
        ("structure", {"model": "hf:some"}, "model: expected emoji/NAME, untrained/NAME or volta:PATH, got 'hf:some'"),
        ("grounding", {"data": "flickr30k:f30k:val"}, "data: expected emoji:val or emoji:test"),
    ],
)
def test_what_a_chapter_cannot_take_is_said_at_once(notebook, asked, message, tmp_path):
    with pytest.raises(NotebookError, match=message):
        run(ROOT / "notebooks" / f"{notebook}.ipynb", asked, tmp_path / "copy.ipynb", progress=False)


def test_ablation_runs_on_files_from_elsewhere(folder, tmp_path):
    asked = {"model": f"volta:{folder}", "data": f"flickr30k:{folder}:val", "tier": "tiny"}
    done = run(ROOT / "notebooks" / "ablation.ipynb", asked, tmp_path / "copy.ipynb", progress=False)
    found = {result["name"]: result for result in done.results}
    for name in ("image.all-minus-none", "text.all-over-none", "labels.gold.all-over-none", "interaction"):
        assert f"ablation.{name} ({asked['model']})" in found
    assert found[f"ablation.image.none ({asked['model']})"]["n"] == 24
    # The file keeps no more than the detector's first choice.
    assert "ablation.labels.agreement" in found
    assert "ablation.labels.agreement.top-10" not in found
