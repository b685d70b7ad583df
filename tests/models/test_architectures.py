"""The lists of sublayers are those of the papers, and what the encoder cannot do is refused."""

import pytest

from crosslook.models.architectures import (
    BOTH,
    IMAGE,
    TEXT,
    Attend,
    Config,
    Feed,
    lxmert,
    single_stream,
    small,
    vilbert,
)

SIZES = {"vocab": 20, "features": 16, "classes": 5}


def drawn(sublayers):
    """Each sublayer in a few letters: what text sees > what the image sees, * where weights are shared."""
    letters = {"text": "t", "image": "v"}

    def one(gates):
        if isinstance(gates, Feed):
            sides = ["f" * gates.text, "f" * gates.image]
        else:
            sides = ["".join(letters[seen] for seen in part) for part in (gates.text, gates.image)]
        return "|".join(sides) + "*" * gates.shared

    return [one(gates) for gates in sublayers]


def test_single_stream_by_hand():
    assert drawn(single_stream(2)) == ["tv|tv*", "f|f*"] * 2
    assert all(gates.joint for gates in single_stream(3)[::2])


def test_lxmert_by_hand():
    alone = ["t|v", "f|f"]
    assert drawn(lxmert(text=2, image=1, cross=1)) == [*alone, "t|", "f|", "v|t*", *alone]
    assert drawn(lxmert(text=1, image=1, cross=2)) == [*alone, *["v|t*", *alone] * 2]


def test_vilbert_by_hand():
    assert drawn(vilbert(text=2, cross=1)) == ["t|", "f|", "t|", "f|", "v|t", "f|f", "t|v", "f|f"]


@pytest.mark.parametrize(
    ("name", "text", "image"),
    [("uniter", 6, 6), ("visualbert", 6, 6), ("vl-bert", 6, 6), ("vilbert", 5, 4), ("lxmert", 4, 3), ("bert", 6, 0)],
)
def test_layers_of_the_small_models(name, text, image):
    """A layer ends with a feed-forward network."""
    config = small(name, **SIZES)
    feeds = [gates for gates in config.sublayers if isinstance(gates, Feed)]
    assert (sum(gates.text for gates in feeds), sum(gates.image for gates in feeds)) == (text, image)
    assert config.embeddings == ("text" if name == "bert" else name)
    assert (config.vocab, config.features, config.classes) == (20, 16, 5)
    # What the image shows reaches the words, and the other way round, but for the text-only control.
    attends = [gates for gates in config.sublayers if isinstance(gates, Attend)]
    assert any("image" in gates.text for gates in attends) == (name != "bert")
    assert any("text" in gates.image for gates in attends) == (name != "bert")


def test_an_unknown_small_model_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"name: expected one of uniter, .*, bert, got 'unitar'"):
        small("unitar", **SIZES)


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (lambda: Attend(BOTH, BOTH), "both streams to see both with shared weights, or neither"),
        (lambda: Attend(BOTH, IMAGE), "both streams to see both"),
        (lambda: Attend(TEXT, BOTH), "both streams to see both"),
        (lambda: Attend(BOTH), "both streams to see both"),
        (lambda: Attend(TEXT, shared=True), "two streams to share weights"),
        (lambda: Attend(image=IMAGE, shared=True), "two streams to share weights"),
        (lambda: Attend(IMAGE, IMAGE), "look at each other in the same sublayer"),
        (lambda: Attend(TEXT, TEXT), "look at each other in the same sublayer"),
        (lambda: Attend(IMAGE), "look at each other in the same sublayer"),
        (lambda: Feed(text=True, shared=True), "two streams to share weights"),
        (lambda: Feed(shared=True), "two streams to share weights"),
    ],
)
def test_sublayers_that_no_architecture_has_are_refused(gates, message):
    with pytest.raises(ValueError, match=rf"sublayers: expected .*{message}.*, got (Attend|Feed)\("):
        gates()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings": "vit"}, "embeddings: expected one of uniter, .*, text, got 'vit'"),
        ({"heads": 7}, "heads: expected a divisor of the width 128, got 7"),
        ({"locations": 6}, "locations: expected 4 or 5, got 6"),
        ({"embeddings": "vl-bert", "coordinates": 3}, "coordinates: expected an eighth of the 16 features.*, got 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    given = {"embeddings": "uniter", "sublayers": single_stream(1)} | SIZES | changes
    with pytest.raises(ValueError, match=message):
        Config(**given)
