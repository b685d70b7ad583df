"""Checkpoints of the controlled study of Bugliarello et al. (2021): `config.json` and `pytorch_model.bin` in a folder.

    models.load("volta:PATH")

The published models have two numbers for each sublayer where ours has an object; weights keep their values and change
their names. Only the study's own ("controlled") configurations are read, in which both streams are equally wide.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crosslook.data.sample import Tokenize
from crosslook.models import checkpoint
from crosslook.models.architectures import Attend, Config, Feed, Sublayer
from crosslook.models.vision_language import VisionLanguage, build

WORDS = {
    "words.word": "word_embeddings",
    "words.position": "position_embeddings",
    "words.segment": "token_type_embeddings",
}
REGIONS = {"feature": "image_embeddings", "box": "image_location_embeddings"}
EMBEDDINGS = {
    "uniter": {
        "feature_norm": "image_layer_norm",
        "box_norm": "image_location_layer_norm",
        "image_norm": "v_LayerNorm",
    },
    "visualbert": {
        "feature": "projection",
        "image_segment": "token_type_embeddings_visual",
        "image_position": "position_embeddings_visual",
    },
    "vl-bert": {
        "shrink.1": "obj_downsample.1",
        "region_word": "object_linguistic_embeddings",
        "masked_feature": "object_mask_visual_embedding",
        "end": "end_embedding",
        "text_visual_norm": "visual_ln_text",
        "region_visual_norm": "visual_ln_object",
    },
    "vilbert": {"image_norm": "LayerNorm"},
    "lxmert": {"feature_norm": "ImgLayerNorm", "box_norm": "LocLayerNorm"},
}
"""Our names of the embeddings' parts and theirs."""
APART = ("vilbert", "lxmert")
"""Architectures whose image embeddings are a module of their own."""


def load(folder: str | os.PathLike, tokenize: Tokenize | None = None) -> VisionLanguage:
    """The model of a folder, in evaluation mode.

    Args:
        folder: holds `config.json` and `pytorch_model.bin` (or `model.safetensors`).
        tokenize: gives a caption's ids; default: BERT's word pieces, from a `vocab.txt` in the folder.

    Raises:
        FileNotFoundError: one of the files is not there.
        ValueError: a file is broken, the configuration is not one of the study's, or weights do not fit it.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the configuration of a published model, found none")
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        names = next(name for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).is_file())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected JSON ({error})") from error
    except StopIteration:
        raise FileNotFoundError(f"{folder}: expected pytorch_model.bin or model.safetensors, found neither") from None
    weights = checkpoint.read(folder / names)
    model = build(read_config(given, weights, str(path)), tokenize or word_pieces(folder))
    checkpoint.fill(model, translated(model, weights, str(folder / names)), str(folder / names))
    return model


def read_config(given: Mapping[str, Any], weights: Mapping[str, Tensor], source: str = "config") -> Config:
    """Our configuration of a published one; the number of classes is that of the weights.

    Raises:
        ValueError: naming `source` and what is missing or not supported.
    """
    sizes = ("hidden_size", "num_attention_heads", "intermediate_size", "pooler_size")
    gates = ("tt", "tv", "vt", "vv")
    needed = {
        *sizes,
        *(f"v_{size}" for size in sizes),
        *(f"{gate}_attn_sublayers" for gate in gates),
        *("t_ff_sublayers", "v_ff_sublayers", "shared_sublayers", "image_embeddings", "vocab_size", "v_feature_size"),
    }
    if missing := sorted(needed - set(given)):
        raise ValueError(f"{source}: expected a configuration of the controlled study, without {', '.join(missing)}")
    unequal = [size for size in sizes if given[size] != given[f"v_{size}"]]
    special = [name for name, value in given.items() if name.startswith("sublayer2") and value]
    if unequal or special:
        raise ValueError(f"{source}: expected streams of equal sizes, got others in {', '.join(unequal + special)}")
    fixed = {"fusion_method": "mul", "hidden_act": "gelu", "v_hidden_act": "gelu", "add_global_imgfeat": "first"}
    for name, value in fixed.items():
        if given.get(name, value) != value:
            raise ValueError(f"{source}: expected {name} {value!r}, got {given[name]!r}")
    if given["image_embeddings"] not in EMBEDDINGS:
        raise ValueError(
            f"{source}: expected image_embeddings one of {', '.join(EMBEDDINGS)}, got {given['image_embeddings']!r}"
        )
    decoder = "cls.imagePredictions.decoder_dict.0.weight"
    if decoder not in weights:
        raise ValueError(f"{source}: expected weights of a pre-trained model with {decoder}, got none of that name")
    return Config(
        embeddings=given["image_embeddings"],
        sublayers=tuple(_sublayers(given, source)),
        vocab=given["vocab_size"],
        features=given["v_feature_size"],
        classes=len(weights[decoder]),
        width=given["hidden_size"],
        heads=given["num_attention_heads"],
        feed_forward=given["intermediate_size"],
        pooled=given["pooler_size"],
        positions=given.get("max_position_embeddings", 512),
        types=given.get("type_vocab_size", 2),
        locations=given.get("num_locs", 5),
        coordinates=given.get("v_coordinate_embeddings_dim") or 0,
        shortest_ends=True,
        region_head_norm=given.get("image_head_ln", True),
    )


def _sublayers(given: Mapping[str, Any], source: str) -> Iterator[Sublayer]:
    """One object for each sublayer, from the lists that say which sublayers have which part."""
    members = {name: set(given[name]) for name in given if name.endswith("_sublayers")}
    for n in range(1 + max(max(numbers, default=-1) for numbers in members.values())):
        here = {name.removesuffix("_sublayers").removesuffix("_attn") for name in members if n in members[name]}
        shared = "shared" in here
        attends = bool(here & {"tt", "tv", "vt", "vv"})
        if attends == bool(here & {"t_ff", "v_ff"}):
            raise ValueError(f"{source}: expected sublayer {n} to be attention or a feed-forward network")
        if attends:
            text, image = (
                tuple(stream for stream, gate in (("text", f"{own}t"), ("image", f"{own}v")) if gate in here)
                for own in "tv"
            )
            yield Attend(text, image, shared)
        else:
            yield Feed("t_ff" in here, "v_ff" in here, shared)


def translated(model: VisionLanguage, weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Published weights under our names.

    Raises:
        ValueError: naming `source` and published names that are missing.
    """
    names = {name: theirs(model.config, name) for name in model.state_dict()}
    if missing := [name for name in names.values() if name not in weights]:
        raise ValueError(f"{source}: {len(missing)} weights are missing: {checkpoint.listed(missing)}")
    return {ours: weights[name] for ours, name in names.items()}


def theirs(config: Config, name: str) -> str:
    """The published name of one of our weights."""
    part, _, leaf = name.rpartition(".")
    if part.startswith("embeddings."):
        return _embedding(config.embeddings, part.removeprefix("embeddings.")) + f".{leaf}"
    if match := re.fullmatch(r"encoder\.layers\.(\d+)\.(text|image)\.(.+)", part):
        return f"bert.encoder.layer.{match[1]}.{_sublayer(config, int(match[1]), match[2], match[3])}.{leaf}"
    heads = {
        "words": "cls.predictions",
        "words.dense": "cls.predictions.transform.dense",
        "words.norm": "cls.predictions.transform.LayerNorm",
        "regions.dense": "cls.imagePredictions.transform.dense",
        "regions.norm": "cls.imagePredictions.transform.LayerNorm",
        "regions.classes": "cls.imagePredictions.decoder_dict.0",
        "text_pooler": "bert.t_pooler.dense",
        "image_pooler": "bert.v_pooler.dense",
        "matching": "cls.bi_seq_relationship",
    }
    return f"{heads[part]}.{leaf}"


def _embedding(architecture: str, part: str) -> str:
    if part in WORDS:
        return f"bert.embeddings.{WORDS[part]}"
    if part == "norm":
        return "bert.embeddings.LayerNorm"
    module = "v_embeddings" if architecture in APART else "embeddings"
    return f"bert.{module}.{(REGIONS | EMBEDDINGS[architecture])[part]}"


def _sublayer(config: Config, number: int, stream: str, part: str) -> str:
    """The part of a sublayer; theirs are named by the stream whose states they read, ours by the one they update."""
    gates, own = config.sublayers[number], "v_" if stream == "image" else ""
    if isinstance(gates, Feed):
        ours = {"up": f"intermediate.{own}dense", "down": f"output.{own}dense", "norm": f"output.{own}LayerNorm"}
        return ours[part]
    if part == "norm":
        return f"attention_output.{own}LayerNorm"
    part = part.removeprefix("heads.")
    if part == "dense":
        return f"attention_output.{own}dense"
    seen = gates.image if stream == "image" else gates.text
    read = own if part == "query" or gates.shared else {"text": "", "image": "v_"}[seen[0]]
    return f"attention_self.{read}{part}"


def word_pieces(folder: Path) -> Tokenize:
    """BERT's uncased word pieces, from `vocab.txt` in a folder.

    Raises:
        FileNotFoundError: when it is not there.
    """
    path = folder / "vocab.txt"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected the vocabulary of the published models (bert-base-uncased), found none; "
            "put it there or pass tokenize="
        )
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast(str(path))

    def tokenize(caption: str) -> tuple[list[int], list[tuple[int, int]]]:
        found = tokenizer(caption, return_offsets_mapping=True)
        return found["input_ids"], found["offset_mapping"]

    return tokenize
