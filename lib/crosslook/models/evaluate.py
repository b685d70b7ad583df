"""What the zoo's models have learnt: masked words, masked regions and matching on val, beside their untrained twins.

    python -m crosslook.models.evaluate              # all that are shipped; writes data/zoo/scores.json
    python -m crosslook.models.evaluate uniter       # only these, added to the file

A whole phrase of each caption is hidden and its words predicted, with the image, with another one and without; regions
are hidden, with all that overlap them, and named; and of two captions the model says which belongs to the image. The
captioners write a paragraph about each image. Regions are those of the detector that a model was trained with.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from crosslook.data.sample import Batch, Sample, collate
from crosslook.models import beam, masking, zoo
from crosslook.models.corpus import Corpus
from crosslook.models.pretraining import BITS
from crosslook.models.protocol import head
from crosslook.models.recipes import ARCHITECTURES, RECIPES
from crosslook.models.tokens import MASK, PAD, special
from crosslook.significance import bootstrap_ratio

FILE = zoo.FOLDER / "scores.json"
BEAM = 2
"""How many beginnings a captioner keeps, as in Ilinykh and Dobnik (2022)."""
Scores = dict[str, dict[str, float | list[float] | int]]
Sums = Float[np.ndarray, "score image"]


@torch.no_grad()
def scores(model: nn.Module, corpus: Corpus, seed: int = 0, control: nn.Module | None = None) -> Scores:
    """Every score that an encoder can have: its `value`, the `interval` around it (95%, bootstrap over images), `n`.

    - `phrase_bits`, `phrase_accuracy`: of the words of a hidden phrase of one caption of each image (its first, second
      and so on by turns, since first captions are the simplest); `stranger_...`: with the regions of another image;
      `blind_...`: without any, as a model of text alone always is.
    - `gain_over_stranger`, `gain_over_blind`, `gain_over_bert`: how many bits a word its image saves the model, against
      both of these, and against `control`, a model of text alone that is asked for the same words.
    - `region_accuracy`: how often the first choice for a hidden region is the detector's; `deaf_...`: with only [CLS]
      of the caption; `commonest_...`: of always saying the corpus' commonest class.
    - `matching`: how often the image's own caption scores higher than another image's.

    What is hidden follows from the seed and is the same for every model.
    """
    device = next(model.parameters()).device
    sums: dict[str, list[Tensor]] = {}
    images = torch.arange(len(corpus.captions_of))
    chosen = torch.tensor([captions[i % len(captions)] for i, captions in enumerate(corpus.captions_of)])
    commonest = _commonest(corpus.images)
    for number, some in enumerate(images.split(100)):
        generator = torch.Generator().manual_seed(1000 * seed + number)
        batch = corpus.batch(some, chosen[some]).to(device)
        # The image half of the data set from here is never its own.
        elsewhere = (some + len(images) // 2) % len(images)
        heard, seen = corpus.batch(some, chosen[elsewhere]).to(device), corpus.batch(elsewhere, chosen[some]).to(device)
        for name, (total, count) in _of_batch(model, control, batch, heard, seen, commonest, generator).items():
            sums.setdefault(name, []).append(torch.stack([total, count]).cpu())
    found = {}
    for name, parts in sums.items():
        total, count = torch.cat(parts, 1).double().numpy()
        low, high = bootstrap_ratio(total, count)
        value = float(total.sum() / count.sum())
        found[name] = {"value": value, "interval": [float(low), float(high)], "n": int(count.sum())}
    return found


def written(model: nn.Module, samples: Sequence[Sample]) -> Scores:
    """Scores of the paragraphs that a captioner writes (`crosslook.captioning`), as `scores` gives those of encoders.

    `stranger_...`: what it wrote is compared with the paragraph of another image.

    Args:
        model: a captioner, in evaluation mode.
        samples: images with one paragraph each.
    """
    from crosslook import captioning

    device, truth = next(model.parameters()).device, [[sample.caption] for sample in samples]
    length = min(max(len(model.tokenize(text)[0]) for (text,) in truth), model.config.length)
    texts = []
    for some in range(0, len(samples), 100):
        batch = collate(samples[some : some + 100], model.tokenize).to(device)
        texts += [model.tokenize.decode(ids) for ids in beam.generate(model, batch, BEAM, length)]
    half = len(truth) // 2
    found: Scores = {}
    for prefix, references in (("", truth), ("stranger_", truth[half:] + truth[:half])):
        for name, score in captioning.evaluate(texts, references).items():
            low, high = score.interval
            found[prefix + name] = {"value": score.value, "interval": [low, high], "n": len(texts)}
    return found


def _of_batch(
    model: nn.Module,
    control: nn.Module | None,
    batch: Batch,
    heard: Batch,
    seen: Batch,
    commonest: int,
    generator: torch.Generator,
) -> dict[str, tuple[Tensor, Tensor]]:
    """For each score its sum and its number of cases in every image.

    `heard`: the images with captions of others, `seen`: the captions with images of others.
    """
    hidden = _phrase(batch, generator)
    asked, covered = masking.regions(batch, generator)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    n = hidden.sum(1)
    sighted = replace(batch, ids=torch.where(hidden, MASK, batch.ids))
    stranger = replace(seen, ids=sighted.ids)
    unseen = replace(sighted, region_mask=torch.zeros_like(batch.region_mask))
    for prefix, given in (("", sighted), ("stranger_", stranger), ("blind_", unseen)):
        losses, right = _losses(model, given, batch.ids)
        found[f"{prefix}phrase_bits"] = (losses * hidden).sum(1), n
        found[f"{prefix}phrase_accuracy"] = (right & hidden).sum(1), n
    if model.image_input == "none":
        return {name: pair for name, pair in found.items() if name.startswith("blind_")}
    others = {name: found[f"{name}_phrase_bits"][0] for name in ("stranger", "blind")}
    if control is not None:
        others["bert"] = (_losses(control, unseen, batch.ids)[0] * hidden).sum(1)
    for name, bits in others.items():
        found[f"gain_over_{name}"] = bits - found["phrase_bits"][0], n
    features = batch.features.masked_fill(covered[..., None], 0)
    at_start = torch.arange(batch.ids.shape[1], device=batch.ids.device) == 0
    with_text = replace(batch, features=features)
    # Without the ids too: VL-BERT reads from them how long the caption is.
    alone = replace(with_text, ids=batch.ids.where(at_start, PAD), text_mask=batch.text_mask & at_start)
    said = batch.class_probs.argmax(-1)
    for prefix, given in (("", with_text), ("deaf_", alone)):
        named = head(model, "region_logits")(model(given)).argmax(-1) == said
        found[f"{prefix}region_accuracy"] = (named & asked).sum(1), asked.sum(1)
    found["commonest_region_accuracy"] = ((said == commonest) & asked).sum(1), asked.sum(1)
    own, strange = (_match(model, pair) for pair in (batch, heard))
    found["matching"] = (own > strange).float(), torch.ones_like(own)
    return found


def _losses(model: nn.Module, given: Batch, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Of each word its loss in bits, and whether it is the model's first choice."""
    logits = head(model, "word_logits")(model(given))
    return F.cross_entropy(logits.transpose(1, 2), ids, reduction="none") * BITS, logits.argmax(-1) == ids


def _match(model: nn.Module, batch: Batch) -> Tensor:
    logits = head(model, "match_logits")(model(batch))
    return logits[:, 1] - logits[:, 0]


def _commonest(images: Batch) -> int:
    """The class that is most often the detector's first choice."""
    if images.class_probs is None:
        return -1
    return int(images.class_probs.argmax(-1)[images.region_mask].mode().values)


def _phrase(batch: Batch, generator: torch.Generator) -> Tensor:
    """The words of one phrase of each caption, or all of its words where it has no phrase."""
    words = masking.one_phrase(batch, generator)
    return torch.where(words.any(1, keepdim=True), words, batch.text_mask & ~special(batch.ids))


def main(arguments: Sequence[str] | None = None) -> None:
    from crosslook.models.train import corpus

    parser = argparse.ArgumentParser(prog="python -m crosslook.models.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="models (default: all that are shipped)")
    chosen = parser.parse_args(arguments).names
    if unknown := [name for name in chosen if name not in RECIPES]:
        parser.error(f"no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    names = chosen or zoo.shipped()
    loaders: list[tuple[str, Callable[[], nn.Module]]] = [
        (f"emoji/{name}", lambda n=name: zoo.load(n)) for name in names
    ]
    loaders += [(f"untrained/{name}", lambda n=name: zoo.untrained(n)) for name in ARCHITECTURES if name in names]
    before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    found = {spec: some for spec, some in before.items() if chosen or spec in dict(loaders)}
    bert = zoo.load("bert") if zoo.weights("bert").exists() else None
    for spec, loader in loaders:
        recipe = RECIPES[spec.partition("/")[2]]
        # Two random initialisations differ in more than the image: twins have no control.
        control = bert if spec.startswith("emoji/") else None
        if recipe.architecture in zoo.CAPTIONERS:
            found[spec] = written(loader(), _paragraphs())
        else:
            found[spec] = scores(loader(), corpus("val", recipe.degrade), control=control)
        print(spec, {name: round(score["value"], 3) for name, score in found[spec].items()}, flush=True)
        # After each model and in one piece, so that a run that is stopped loses only the last.
        part = FILE.with_suffix(".part")
        part.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", encoding="utf-8")
        os.replace(part, FILE)


def _paragraphs() -> list[Sample]:
    from crosslook import data
    from crosslook.data.emoji.regions import detector_regions

    return list(data.load("emoji:val", regions=detector_regions("val"), text="paragraph"))


if __name__ == "__main__":
    main()
