"""A real language model as the beginning of a UNITER: the weights of all-MiniLM-L6-v2, in a model of its shape.

It has six layers, 384 wide, with twelve heads, as `uniter-wide` has (Wang et al. 2020; Reimers and Gurevych 2019). It
knows the words of Emoji Entities by its word pieces: a word of several begins as their mean.
"""

import torch
from torch import Tensor

from crosslook.models import checkpoint
from crosslook.models.tokens import SPECIAL, Words
from crosslook.models.vision_language import VisionLanguage

ATTENTION = {
    "heads.query": "attention.self.query",
    "heads.key": "attention.self.key",
    "heads.value": "attention.self.value",
    "heads.dense": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
}
FEED = {"up": "intermediate.dense", "down": "output.dense", "norm": "output.LayerNorm"}


def fill(model: VisionLanguage, words: Words) -> VisionLanguage:
    """Put MiniLM's weights into all parts of a single-stream model that it has too; the others stay as they are.

    These are the embeddings of words, positions and segments, and all layers. Nothing in MiniLM knows of regions, and
    its head for masked words was not published.

    Args:
        model: of 6 layers, 384 wide; is changed.
        words: the model's vocabulary.

    Raises:
        ValueError: for a model of another shape, which stays as it is.
    """
    from crosslook.linking import sentence_transformer

    bert = sentence_transformer()[0]
    theirs, tokenizer = bert.auto_model.state_dict(), bert.tokenizer
    table = theirs["embeddings.word_embeddings.weight"]
    pieces = [
        [tokenizer.convert_tokens_to_ids(word)] if word in SPECIAL else tokenizer.encode(word, add_special_tokens=False)
        for word in words.vocabulary
    ]
    longest = model.config.positions
    found: dict[str, Tensor] = {
        "embeddings.words.word.weight": torch.stack([table[ids].mean(0) for ids in pieces]),
        "embeddings.words.position.weight": theirs["embeddings.position_embeddings.weight"][:longest],
        "embeddings.words.segment.weight": theirs["embeddings.token_type_embeddings.weight"],
    }
    for leaf in ("weight", "bias"):
        found[f"embeddings.norm.{leaf}"] = theirs[f"embeddings.LayerNorm.{leaf}"]
        for number in range(len(model.encoder.layers)):
            for ours, name in (ATTENTION, FEED)[number % 2].items():
                found[f"encoder.layers.{number}.text.{ours}.{leaf}"] = theirs.get(
                    f"encoder.layer.{number // 2}.{name}.{leaf}", torch.empty(0)
                )
    checkpoint.fill(model, {**model.state_dict(), **found}, "all-MiniLM-L6-v2")
    return model
