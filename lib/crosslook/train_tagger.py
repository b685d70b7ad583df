"""Train the Stanza tagger that comes with the book: `python -m crosslook.train_tagger`.

Stanza's official models cannot be installed as packages, so a small one is trained here by Stanza's own trainer,
without any download, on the captions of Emoji Entities, whose tags the generator knows. It writes `data/stanza/`.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from crosslook.text import STANZA_TAGGER

SIZES = {"hidden_dim": 64, "word_emb_dim": 32, "tag_emb_dim": 16, "composite_deep_biaff_hidden_dim": 32}
SIZES |= {"deep_biaff_hidden_dim": 64, "transformed_dim": 32}


def conllu(sentences: Iterable[tuple[list[str], list[str], list[str]]]) -> str:
    """Tokens, Penn tags and universal tags as CoNLL-U; the columns that a tagger does not read are left blank."""
    lines = []
    for tokens, tags, universal in sentences:
        for number, (token, tag, upos) in enumerate(zip(tokens, tags, universal, strict=True), 1):
            lines.append(
                f"{number}\t{token}\t_\t{upos}\t{tag}\t_\t{number - 1}\t{'dep' if number > 1 else 'root'}\t_\t_"
            )
        lines.append("")
    return "\n".join(lines) + "\n"


def generated(split: str, images: int) -> list[tuple[list[str], list[str], list[str]]]:
    """The captions and paragraphs of a split's first images with their tags."""
    from crosslook.data.emoji import records, trees
    from crosslook.data.emoji.tags import upos

    out = []
    for record in records.read(split)[:images]:
        for line in [*record["captions"], *record["paragraph"]]:
            tree = trees.parse(line)
            tokens, tags = trees.tokens(tree), trees.tags(tree)
            tokens = [tokens[0].capitalize(), *tokens[1:]]
            out.append((tokens, tags, [upos(tag, token) for tag, token in zip(tags, tokens, strict=True)]))
    return out


def train(images: int, steps: int, target: Path = STANZA_TAGGER) -> None:
    """Run Stanza's trainer; the weights replace those at `target` only when it is through."""
    from stanza.models import tagger

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, count in (("train", images), ("val", 40)):
            (folder / f"{split}.conllu").write_text(conllu(generated(split, count)), encoding="utf-8")
        sizes = [part for key, value in SIZES.items() for part in (f"--{key}", str(value))]
        files = ["--train_file", str(folder / "train.conllu"), "--eval_file", str(folder / "val.conllu")]
        place = ["--save_dir", str(folder), "--save_name", target.name, "--lang", "en", "--shorthand", "en_emoji"]
        course = ["--max_steps", str(steps), "--eval_interval", "50", "--fix_eval_interval", "--batch_size", "1000"]
        tagger.main(["--mode", "train", "--no_pretrain", "--no_char", "--cpu", *files, *place, *sizes, *course])
        shutil.copyfile(folder / target.name, target)
    # The least that Stanza wants to know of a language before it loads a model by its path.
    entry = {
        "lang_name": "English",
        "tokenize": {},
        "pos": {},
        "default_processors": {},
        "packages": {"default": {}},
    }
    (target.parent / "resources.json").write_text(json.dumps({"en": entry}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1500, help="how many images of the train split")
    parser.add_argument("--steps", type=int, default=400, help="how many steps to train")
    given = parser.parse_args()
    train(given.images, given.steps)


if __name__ == "__main__":
    main()
