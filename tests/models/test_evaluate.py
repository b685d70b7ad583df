"""Scores on a tiny corpus against plain loops."""

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from crosslook import captioning, data
from crosslook.data.sample import collate
from crosslook.models import beam, checkpoint, evaluate, masking, tokens, train, zoo
from crosslook.models.evaluate import scores
from crosslook.models.recipes import ARCHITECTURES
from crosslook.models.tokens import CLS, MASK, PAD, SEP

WORDS = {"blind_phrase_bits", "blind_phrase_accuracy"}


def nll(row, wanted):
    row = row.double().tolist()
    return max(row) + math.log(sum(math.exp(x - max(row)) for x in row)) - row[wanted]


def best(row):
    row = row.tolist()
    return row.index(max(row))


@torch.no_grad()
def by_hand(model, corpus, seed=0):
    """Each score's cases, image by image: a list of a value for each word, region or pair that is asked for."""
    n = len(corpus.captions_of)
    generator = torch.Generator().manual_seed(1000 * seed)
    chosen = torch.tensor([captions[i % 5] for i, captions in enumerate(corpus.captions_of)])
    batch = corpus.batch(torch.arange(n), chosen)
    phrases = masking.one_phrase(batch, generator)
    asked, covered = masking.regions(batch, generator)
    said = Counter(best(row) for image in corpus.images.class_probs for row in image)
    cases = {}

    def note(name, value):
        cases.setdefault(name, []).append(value)

    for b in range(n):
        one = corpus.batch(torch.tensor([b]), chosen[b : b + 1])
        length = one.ids.shape[1]
        words = [t for t in range(length) if phrases[b, t]]
        words = words or [t for t, i in enumerate(one.ids[0].tolist()) if i not in (PAD, CLS, SEP)]
        ids = one.ids.clone()
        ids[0, words] = MASK
        sighted = replace(one, ids=ids)
        blind = replace(sighted, region_mask=one.region_mask & False)
        another = corpus.batch(torch.tensor([(b + n // 2) % n]), chosen[b : b + 1])
        assert another.captions == one.captions
        strange = replace(another, ids=ids)
        for prefix, seen in (("", sighted), ("stranger_", strange), ("blind_", blind)):
            logits = model.word_logits(model(seen))[0]
            for t in words:
                note(f"{prefix}phrase_bits", nll(logits[t], int(one.ids[0, t])) / math.log(2))
                note(f"{prefix}phrase_accuracy", float(best(logits[t]) == one.ids[0, t]))
        features = one.features.clone()
        features[0, covered[b]] = 0
        heard = replace(one, features=features)
        only = {name: getattr(heard, name)[:, :1] for name in ("ids", "text_mask")}
        deaf = replace(heard, **only, phrase_tokens=one.phrase_tokens[..., :1])
        for prefix, seen in (("", heard), ("deaf_", deaf)):
            logits = model.region_logits(model(seen))[0]
            for r in asked[b].nonzero().flatten().tolist():
                note(f"{prefix}region_accuracy", float(best(logits[r]) == best(one.class_probs[0, r])))
        for r in asked[b].nonzero().flatten().tolist():
            note("commonest_region_accuracy", float(best(one.class_probs[0, r]) == said.most_common(1)[0][0]))
        stranger = corpus.batch(torch.tensor([b]), chosen[[(b + n // 2) % n]])
        assert stranger.captions != one.captions
        own, other = (model.match_logits(model(pair))[0] for pair in (one, stranger))
        note("matching", float(own[1] - own[0] > other[1] - other[0]))
    return cases


@pytest.mark.parametrize("name", ["uniter", "vl-bert", "lxmert"])
def test_scores_by_hand(stirred, little, name):
    found, cases = scores(stirred(name), little), by_hand(stirred(name), little)
    assert found.keys() == cases.keys() | {"gain_over_stranger", "gain_over_blind"}
    for score, values in cases.items():
        assert found[score]["n"] == len(values)
        assert found[score]["value"] == pytest.approx(sum(values) / len(values), abs=1e-4), score
        low, high = found[score]["interval"]
        assert low <= found[score]["value"] <= high
    assert found["matching"]["n"] == 12


@torch.no_grad()
def test_gains_are_differences_word_by_word(stirred, little):
    model, control = stirred("lxmert"), stirred("bert")
    found = scores(model, little, control=control)
    own = found["phrase_bits"]["value"]
    for name in ("stranger", "blind"):
        assert found[f"gain_over_{name}"]["value"] == pytest.approx(
            found[f"{name}_phrase_bits"]["value"] - own, abs=1e-6
        )
    assert found["gain_over_bert"]["value"] == pytest.approx(
        scores(control, little)["blind_phrase_bits"]["value"] - own, abs=1e-6
    )
    assert {found[name]["n"] for name in found if name.startswith("gain")} == {found["phrase_bits"]["n"]}
    # The same model as its own control gains nothing by not being asked twice, image by image.
    alike = scores(model, little, control=model)
    assert alike["gain_over_bert"] == alike["gain_over_blind"]


def test_the_control_has_the_scores_of_words_alone(stirred, little):
    found = scores(stirred("bert"), little)
    assert found.keys() == WORDS
    # As blind as any other model without its image: the words are the same.
    sighted = scores(stirred("uniter"), little)
    assert {name: found[name]["n"] for name in WORDS} == {name: sighted[name]["n"] for name in WORDS}


def test_scores_follow_from_the_seed(stirred, little):
    model = stirred("lxmert")
    first, again, other = (scores(model, little, seed) for seed in (1, 1, 2))
    assert first == again
    assert first["phrase_bits"] != other["phrase_bits"]
    assert first["matching"] == other["matching"]  # where nothing is drawn


def test_blind_scores_do_not_follow_the_image(stirred, little, few):
    """Nor deaf ones the text."""
    from crosslook.models.corpus import Corpus

    samples = [few[5 * image] for image in range(12)]
    turned = [replace(sample, regions=samples[i - 1].regions) for i, sample in enumerate(samples)]
    one, other = (Corpus(some, tokens.emoji()) for some in (samples, turned))
    for name in ("vl-bert", "vilbert"):
        found, wanted = scores(stirred(name), one), scores(stirred(name), other)
        assert found["blind_phrase_bits"]["value"] == pytest.approx(wanted["blind_phrase_bits"]["value"], abs=1e-6)
        assert found["phrase_bits"]["value"] != pytest.approx(wanted["phrase_bits"]["value"], abs=1e-3)


def test_regions_that_are_asked_for_are_hidden_with_their_neighbours(stirred, little):
    model, seen = stirred("uniter"), []
    with_hook = model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        scores(model, little)
    finally:
        with_hook.remove()
    generator = torch.Generator().manual_seed(0)
    chosen = torch.tensor([captions[i % 5] for i, captions in enumerate(little.captions_of)])
    batch = little.batch(torch.arange(12), chosen)
    masking.one_phrase(batch, generator)
    asked, covered = masking.regions(batch, generator)
    assert (covered & ~asked).any()
    hidden = [given for given in seen if (given.features == 0).all(-1).any()]
    assert len(hidden) == 2  # with the text and without
    assert len(seen) == 7
    for given in hidden:
        assert torch.equal(given.features, batch.features * ~covered[..., None])
        assert torch.equal(given.region_mask, batch.region_mask)


def test_a_model_that_knows_everything_is_perfect(little):
    """And one that knows nothing is at chance."""

    class Knows(torch.nn.Module):
        image_input = "regions"

        def __init__(self, knows):
            super().__init__()
            self.register_parameter("one", torch.nn.Parameter(torch.ones(1)))
            self.knows = knows

        def forward(self, batch):
            return batch

        def word_logits(self, batch):
            ids = torch.stack([little.texts.ids[little.texts.captions.index(caption)] for caption in batch.captions])
            found = torch.nn.functional.one_hot(ids[:, : batch.ids.shape[1]], 795)
            return found.float() * self.knows

        def region_logits(self, batch):
            return batch.class_probs * self.knows

        def match_logits(self, batch):
            captions = [little.texts.captions.index(caption) for caption in batch.captions]
            own = [
                little.image_of[c] == little.images.image_ids.index(i)
                for c, i in zip(captions, batch.image_ids, strict=True)
            ]
            return torch.stack([torch.zeros(len(batch)), torch.tensor(own) * self.knows], 1)

    found = {name: score["value"] for name, score in scores(Knows(100.0), little).items()}
    assert found["phrase_accuracy"] == found["region_accuracy"] == found["matching"] == 1
    assert found["phrase_bits"] == pytest.approx(0, abs=1e-6)
    none = {name: score["value"] for name, score in scores(Knows(0.0), little).items()}
    assert none["phrase_bits"] == none["blind_phrase_bits"] == pytest.approx(math.log2(795), rel=1e-5)
    assert none["matching"] == 0  # a tie is no answer


@pytest.fixture(scope="module")
def paragraphs():
    return list(data.load("emoji:val", text="paragraph"))[:4]


def test_what_a_captioner_writes_is_compared_with_its_own_image_and_another(paragraphs):
    model = zoo.untrained("ort")
    longest = max(len(model.tokenize(sample.caption)[0]) for sample in paragraphs)
    ids = [beam.generate(model, collate([sample], model.tokenize), 2, longest)[0] for sample in paragraphs]
    texts = [model.tokenize.decode(each) for each in ids]
    found = evaluate.written(model, paragraphs)
    for prefix, order in (("", (0, 1, 2, 3)), ("stranger_", (2, 3, 0, 1))):
        wanted = captioning.evaluate(texts, [[paragraphs[i].caption] for i in order])
        for name, score in wanted.items():
            assert found[prefix + name]["value"] == pytest.approx(score.value, abs=1e-9)
            assert found[prefix + name]["interval"] == pytest.approx(score.interval, abs=1e-9)
            assert found[prefix + name]["n"] == 4
    assert len(found) == 2 * len(wanted)


def test_a_captioner_that_writes_the_truth_is_perfect(paragraphs, monkeypatch):
    def copy(model, batch, width, length):
        assert width == 2
        return batch.ids

    monkeypatch.setattr(beam, "generate", copy)
    found = evaluate.written(zoo.untrained("ort"), paragraphs)
    assert found["BLEU-4"]["value"] == pytest.approx(1)
    assert found["ROUGE-L"]["value"] == pytest.approx(1)
    assert found["stranger_BLEU-4"]["value"] < 0.5


def test_the_command_writes_scores_beside_those_that_are_there(narrow, little, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "corpus", lambda split, degrade: {("val", 0.0): little}[split, degrade])
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(evaluate, "FILE", tmp_path / "scores.json")
    for name in ("bert", "lxmert"):
        checkpoint.save(zoo.untrained(name, 1), tmp_path / f"{name}.safetensors")
    evaluate.main(["bert"])
    found = json.loads(evaluate.FILE.read_text())
    assert list(found) == ["emoji/bert", "untrained/bert"]
    assert found["untrained/bert"] == json.loads(json.dumps(scores(zoo.untrained("bert"), little)))
    assert found["emoji/bert"]["blind_phrase_bits"]["value"] != found["untrained/bert"]["blind_phrase_bits"]["value"]
    evaluate.FILE.write_text(json.dumps(found | {"emoji/other": {}}))
    evaluate.main(["lxmert"])
    with_others = json.loads(evaluate.FILE.read_text())
    assert "gain_over_bert" in with_others["emoji/lxmert"]
    assert "gain_over_blind" in with_others["untrained/lxmert"]
    assert "gain_over_bert" not in with_others["untrained/lxmert"]  # two random initialisations
    assert list(with_others) == ["emoji/bert", "emoji/lxmert", "emoji/other", "untrained/bert", "untrained/lxmert"]
    # Without names: all that are shipped, and nothing else.
    evaluate.main([])
    every = json.loads(evaluate.FILE.read_text())
    assert list(every) == ["emoji/bert", "emoji/lxmert", "untrained/bert", "untrained/lxmert"]
    assert every == {name: with_others[name] for name in every}
    assert "untrained/lxmert {'phrase_bits':" in capsys.readouterr().out


def test_the_command_writes_after_each_model(narrow, little, tmp_path, monkeypatch):
    """Those that are not shipped any more go first; a model that is not reached keeps its old scores."""

    def stop_at_lxmert(model, corpus, **options):
        if model.config.embeddings == "lxmert":
            raise KeyboardInterrupt
        return {"phrase_bits": {"value": 1.0}}

    monkeypatch.setattr(train, "corpus", lambda split, degrade: little)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setenv("CROSSLOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluate, "FILE", tmp_path / "scores.json")
    monkeypatch.setattr(evaluate, "scores", stop_at_lxmert)
    for name in ("uniter", "lxmert"):
        checkpoint.save(zoo.untrained(name, 1), tmp_path / f"{name}.safetensors")
    evaluate.FILE.write_text(json.dumps({"emoji/lxmert": {"old": {}}, "emoji/vilbert": {}}))
    with pytest.raises(KeyboardInterrupt):
        evaluate.main([])
    found = json.loads(evaluate.FILE.read_text())
    assert found == {"emoji/lxmert": {"old": {}}, "emoji/uniter": {"phrase_bits": {"value": 1.0}}}
    assert not list(tmp_path.glob("*.part"))


def test_a_model_is_scored_on_the_regions_that_it_was_trained_with(narrow, little, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(train, "corpus", lambda split, degrade: asked.append((split, degrade)) or little)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setenv("CROSSLOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluate, "FILE", tmp_path / "scores.json")
    for name in ("uniter", "uniter-degrade3"):
        checkpoint.save(zoo.untrained(name, 1), tmp_path / f"{name}.safetensors")
    evaluate.main([])
    assert asked == [("val", 0.0), ("val", 3.0), ("val", 0.0)]
    assert list(json.loads(evaluate.FILE.read_text())) == ["emoji/uniter", "emoji/uniter-degrade3", "untrained/uniter"]


def test_the_command_knows_its_names(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["uniter", "unitar"])
    assert "no recipe for unitar; there are uniter, lxmert," in capsys.readouterr().err


def test_the_command_reads_what_captioners_write(paragraphs, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(evaluate, "FILE", tmp_path / "scores.json")
    monkeypatch.setattr(evaluate, "_paragraphs", lambda: paragraphs)
    for name in ("ort", "ort-flat"):
        checkpoint.save(zoo.untrained(name, 1), tmp_path / f"{name}.safetensors")
    evaluate.main([])
    found = json.loads(evaluate.FILE.read_text())
    assert list(found) == ["emoji/ort", "emoji/ort-flat", "untrained/ort"]
    assert found["untrained/ort"] == json.loads(json.dumps(evaluate.written(zoo.untrained("ort"), paragraphs)))


@pytest.mark.skipif(not (zoo.FOLDER / "scores.json").is_file(), reason="no scores yet")
def test_the_captioner_writes_about_its_image():
    found = json.loads((zoo.FOLDER / "scores.json").read_text())
    for score in ("BLEU-4", "ROUGE-L", "CIDEr-D", "WMD"):
        low = found["emoji/ort"][score]["interval"][0]
        assert low > found["emoji/ort"][f"stranger_{score}"]["interval"][1], score
        assert low > found["untrained/ort"][score]["interval"][1], score


@pytest.mark.skipif(not (zoo.FOLDER / "scores.json").is_file(), reason="no scores yet")
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name in zoo.shipped() and name != "ort"])
def test_trained_models_beat_their_untrained_twins_by_far(name):
    found = json.loads((zoo.FOLDER / "scores.json").read_text())
    trained, twin = found[f"emoji/{name}"], found[f"untrained/{name}"]
    own = "blind_phrase" if name == "bert" else "phrase"
    assert trained[f"{own}_bits"]["interval"][1] < twin[f"{own}_bits"]["interval"][0] - 1
    for score in sorted({f"{own}_accuracy", "region_accuracy"} & set(trained)):
        assert trained[score]["interval"][0] > twin[score]["interval"][1] + 0.05, score
    if name != "bert":  # and what it knows from another image, or guesses
        if name != "visualbert":  # which is never told where a hidden region is
            assert trained["region_accuracy"]["interval"][0] > trained["commonest_region_accuracy"]["value"]
        assert trained["matching"]["interval"][0] > 0.75
        assert trained["gain_over_stranger"]["interval"][0] > 0.8
        assert trained["gain_over_blind"]["interval"][0] > 0.5
        assert trained["gain_over_bert"]["interval"][0] > 0.25
