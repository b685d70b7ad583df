"""Train the Stanza tagger that comes with the book: `python -m crosslook.train_tagger`.

Stanza's official models cannot be installed as packages, so a small one is trained here by Stanza's own trainer,
without any download, on the captions of Emoji Entities, whose tags the generator knows. It writes `data/stanza/`.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from crosslook.text import STANZA_TAGGER, parse

# Small enough to commit, trained in minutes. Words that are rare in the captions are spelled out by the character model
# alone (word_cutoff), so that it learns to tag words of other texts by their endings.
OPTIONS = {
    "hidden_dim": 64,
    "word_emb_dim": 32,
    "word_cutoff": 20,
    "char_hidden_dim": 64,
    "char_emb_dim": 24,
    "transformed_dim": 64,
    "tag_emb_dim": 16,
    "deep_biaff_hidden_dim": 64,
    "composite_deep_biaff_hidden_dim": 32,
    "batch_size": 32,
    "eval_interval": 250,
}
FLAGS = ("--no_pretrain", "--char_bidirectional", "--fix_eval_interval", "--cpu")
Sentence = tuple[list[str], list[str], list[str]]
"""Tokens, Penn tags, universal tags."""


def conllu(sentences: Iterable[Sentence]) -> str:
    """Tokens, Penn tags and universal tags as CoNLL-U; the columns that a tagger does not read are left blank."""
    lines = []
    for tokens, tags, universal in sentences:
        for number, (token, tag, upos) in enumerate(zip(tokens, tags, universal, strict=True), 1):
            lines.append(
                f"{number}\t{token}\t_\t{upos}\t{tag}\t_\t{number - 1}\t{'dep' if number > 1 else 'root'}\t_\t_"
            )
        lines.append("")
    return "\n".join(lines) + "\n"


def generated(split: str, images: int) -> list[Sentence]:
    """The captions and paragraphs of a split's first images with their tags."""
    from crosslook.data.emoji import records, trees
    from crosslook.data.emoji.tags import universal

    found = []
    for record in records.read(split)[:images]:
        for line in [*record["captions"], *record["paragraph"]]:
            tree = trees.parse(line)
            found.append((trees.text(tree).split(" "), trees.tags(tree), universal(tree)))
    return found


def train(images: int, steps: int, target: Path = STANZA_TAGGER) -> None:
    """Run Stanza's trainer; the weights replace those at `target` only when it is through."""
    from stanza.models import tagger

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, count in (("train", images), ("val", 50)):
            (folder / f"{split}.conllu").write_text(conllu(generated(split, count)), encoding="utf-8")
        options = OPTIONS | {"max_steps": steps, "lang": "en", "shorthand": "en_emoji"}
        options |= {"train_file": folder / "train.conllu", "eval_file": folder / "val.conllu"}
        options |= {"save_dir": folder, "save_name": target.name}
        pairs = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        tagger.main(["--mode", "train", *FLAGS, *pairs])
        _without_paths(folder / target.name, folder)
        os.replace(shutil.copyfile(folder / target.name, target.with_suffix(".part")), target)
    # The least that Stanza wants to know of a language before it loads a model by its path.
    models = {"tokenize": {"emoji": {}}, "pos": {"emoji": {}}}
    chosen = {"tokenize": "emoji", "pos": "emoji"}
    entry = {"lang_name": "English", **models, "default_processors": chosen, "packages": {"default": chosen}}
    (target.parent / "resources.json").write_text(json.dumps({"en": entry}, indent=1) + "\n", encoding="utf-8")


def _without_paths(weights: Path, folder: Path) -> None:
    """Stanza keeps its command line with the weights: leave out where the training files lay."""
    import torch

    kept = torch.load(weights, map_location="cpu", weights_only=True)
    for key, value in kept["config"].items():
        if isinstance(value, str) and value.startswith(str(folder)):
            kept["config"][key] = str(Path(value).relative_to(folder))
    torch.save(kept, weights, _use_new_zipfile_serialization=False)


def most_frequent(train: Iterable[Sentence], sentences: Iterable[Sentence]) -> list[list[tuple[str, str]]]:
    """Baseline: each word's most frequent (Penn, universal) tags in `train`, a noun's for words that are new."""
    counts: dict[str, Counter[tuple[str, str]]] = {}
    for sentence in train:
        for token, tag, upos in zip(*sentence, strict=True):
            counts.setdefault(token.lower(), Counter())[tag, upos] += 1
    best = {token: count.most_common(1)[0][0] for token, count in counts.items()}
    return [[best.get(token.lower(), ("NN", "NOUN")) for token in tokens] for tokens, _, _ in sentences]


def accuracy(found: Iterable[list[tuple[str, str]]], sentences: Iterable[Sentence]) -> tuple[float, float]:
    """Share of tokens with the right Penn and with the right universal tag."""
    pairs = [
        (ours[0] == tag, ours[1] == upos)
        for said, (_, tags, universal) in zip(found, sentences, strict=True)
        for ours, tag, upos in zip(said, tags, universal, strict=True)
    ]
    return sum(penn for penn, _ in pairs) / len(pairs), sum(universal for _, universal in pairs) / len(pairs)


def tagged(sentences: Iterable[Sentence], backend: str) -> list[list[tuple[str, str]]]:
    """What a back end says of the tokens of sentences: (Penn, universal) tags."""
    done = parse([" ".join(tokens) for tokens, _, _ in sentences], backend, pretokenized=True)
    return [[(token.tag, token.upos) for token in each.tokens] for each in done]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000, help="how many images of the train split")
    parser.add_argument("--steps", type=int, default=2500, help="how many steps to train")
    given = parser.parse_args()
    train(given.images, given.steps)
    test = generated("test", 100)
    said = {backend: tagged(test, backend) for backend in ("stanza", "spacy")}
    said["most frequent tag"] = most_frequent(generated("train", given.images), test)
    for name, found in said.items():
        penn, universal = accuracy(found, test)
        print(f"{name}: {penn:.2%} of Penn tags, {universal:.2%} of universal tags right on 100 test images")


if __name__ == "__main__":
    main()
