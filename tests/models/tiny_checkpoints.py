"""Folders as the hub gives them: tiny models with random weights, a tokenizer and an image processor, and samples."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
import tiny_transformers as tiny

from crosslook.data.sample import Phrase, Regions, Sample

WORDS = "a the dog cat man sits on runs red hat park big ball with plays".split()
CAPTIONS = ("a man with the red hat plays", "the big dog runs")
SIZES = ((48, 32), (32, 40))
REGIONS = 3, 2
WIDTH = 12
"""Of the region features that the tiny models take."""


def word_pieces(folder):
    """BERT's tokenizer over `WORDS`; "hatball" is two pieces."""
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    path = folder / "words.txt"
    path.write_text("\n".join([*special, *WORDS, "##ball", "##s"]) + "\n")
    BertTokenizer(vocab=str(path)).save_pretrained(folder)
    path.unlink()


def words(folder):
    """A tokenizer of a decoder: words, and ids for what stands around an image."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<pad>": 1, "<s>": 2, "</s>": 3, "\n": 4}
    vocabulary |= {word: 5 + place for place, word in enumerate(WORDS)}
    vocabulary |= {"<image>": tiny.IMAGE, "<fake_token_around_image>": 94, "<global-img>": 95}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|\n|[^\w\s]"), "removed", invert=True)
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    more = ["<image>", "<fake_token_around_image>", "<global-img>"]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=more, **special).save_pretrained(
        folder
    )


def _qwen(prefix, text=None, **vision):
    import transformers

    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], **(text or {})}
    config = getattr(transformers, prefix + "Config")(
        text_config={**tiny.DECODER, **tiny.SPECIAL, "rope_parameters": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 32,
            "num_heads": 4,
            "intermediate_size": 48,
            "patch_size": 4,
            **vision,
        },
        image_token_id=tiny.IMAGE,
        video_token_id=tiny.VIDEO,
        vision_start_token_id=tiny.START,
        vision_end_token_id=tiny.END,
    )
    return tiny.built(getattr(transformers, prefix + "ForConditionalGeneration"), config, "sdpa"), None


def qwen2_5_vl():
    return _qwen("Qwen2_5_VL", window_size=16, fullatt_block_indexes=[1])


def qwen3_vl():
    """With states of the image encoder that go into the decoder's first layer (DeepStack)."""
    return _qwen("Qwen3VL", {"mrope_interleaved": True}, num_position_embeddings=16, deepstack_visual_indexes=[0])


def idefics3():
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig

    config = Idefics3Config(
        vision_config={**tiny.SIZE, "image_size": 32, "patch_size": 8},
        text_config=LlamaConfig(**tiny.DECODER, **tiny.SPECIAL),
        image_token_id=tiny.IMAGE,
        scale_factor=2,
    )
    return tiny.built(Idefics3ForConditionalGeneration, config, "sdpa"), None


ZOO = {**tiny.ZOO, "qwen2_5_vl": qwen2_5_vl, "qwen3_vl": qwen3_vl, "idefics3": idefics3}


def built(name, folder, architecture=None, **changes):
    """The model of `ZOO` of that name, saved without its tokenizer; perhaps with a head."""
    import transformers

    model, _ = ZOO[name]()
    config = model.config
    for key, value in changes.items():
        setattr(config, key, value)
    if architecture or changes:
        cls = getattr(transformers, architecture) if architecture else type(model)
        model = tiny.built(cls, config, "eager" if name in tiny.OLD_STYLE else "sdpa")
    model.save_pretrained(folder)
    return model


def samples(dim=WIDTH, sizes=SIZES, boxes=None, paint=None):
    """Two captions with their regions and pictures: of noise, or as `paint(width, height)` gives them."""
    found = []
    for index, (caption, (width, height), n) in enumerate(zip(CAPTIONS, sizes, REGIONS, strict=True)):
        rng = np.random.default_rng(index)
        corners = np.sort(rng.random((n, 2, 2)), 1) * (width - 1, height - 1)
        own = corners.reshape(n, 4).astype(np.float32) if boxes is None else boxes[index]
        start = caption.index("the")
        found.append(
            Sample(
                image_id=f"image {index}",
                caption_index=0,
                caption=caption,
                phrases=(Phrase(start, start + 7, caption[start : start + 7], ("other",), "1", own[:1]),),
                regions=Regions(
                    own, features=None if dim is None else rng.normal(size=(len(own), dim)).astype(np.float32)
                ),
                links=(frozenset({0}),),
                width=width,
                height=height,
                picture=lambda index=index, size=(width, height): (paint or noise)(*size, index),
            )
        )
    return found


def noise(width, height, seed=0):
    from PIL import Image

    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def masses(site, places, n_words, n_regions):
    """From every word to every region, `(batch, head, word, region)`, as a user of the protocol computes it."""
    from crosslook import attention
    from crosslook.models.protocol import on_image, on_text

    n = len(site.q)
    each_word = torch.eye(n_words, dtype=torch.bool).expand(n, -1, -1)
    each_region = torch.eye(n_regions, dtype=torch.bool).expand(n, -1, -1)
    queries = on_text(places, site.kind, each_word, site.q.shape[2])
    keys = on_image(places, site.kind, each_region, site.k.shape[2])
    mass = attention.mass(site.weights(), keys.transpose(1, 2))
    return torch.einsum("bhqr,bwq->bhwr", mass, queries.float())
