"""What is written is read back as it was, and what could not be read back is not written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosslook.data import flickr30k
from crosslook.data.archive import open_files
from crosslook.data.flickr30k_format import (
    TYPES,
    Annotation,
    Mention,
    Object,
    Sentence,
    parse_annotation,
    parse_sentences,
)
from crosslook.data.flickr30k_writer import annotation_xml, from_samples, sentences_text, write
from crosslook.data.sample import Phrase, Regions, Sample

# The shape checks that tests switch on draw random numbers of their own.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

chains = st.integers(1, 10**6).map(str)
types = st.lists(st.sampled_from(TYPES[:-1]), min_size=1, max_size=3).map(tuple)
words = st.text(st.characters(exclude_characters="[]\r\n", codec="utf-8"), max_size=12)


@st.composite
def annotations(draw):
    width, height = draw(st.integers(2, 600)), draw(st.integers(2, 600))

    def box():
        (x1, x2), (y1, y2) = (
            sorted(draw(st.lists(st.integers(1, size), min_size=2, max_size=2, unique=True)))
            for size in (width, height)
        )
        return x1, y1, x2, y2

    flags = st.sampled_from([(True, False), (False, True), (True, True)])
    objects = [
        Object(tuple(draw(st.lists(chains, min_size=1, max_size=4))), box())
        if draw(st.booleans())
        else Object((draw(chains),), None, *draw(flags))
        for _ in range(draw(st.integers(0, 5)))
    ]
    return Annotation("<7> & 8.jpg", width, height, tuple(objects), draw(st.integers(0, 4)))


@st.composite
def sentences(draw):
    """A caption made of alternating plain text and phrases."""
    caption, mentions = draw(words), []
    for _ in range(draw(st.integers(0, 4))):
        phrase = draw(words.filter(lambda text: text and text[0] != " " and text[-1] != " "))
        start = len(caption)
        kind = draw(st.one_of(st.just(("0", ("notvisual",))), st.tuples(chains, types)))
        mentions.append(Mention(start, start + len(phrase), *kind))
        caption += phrase + draw(words)
    return Sentence(caption, tuple(mentions))


@given(annotations())
def test_annotations_are_read_back_as_they_were(annotation):
    assert parse_annotation(annotation_xml(annotation), "file") == annotation


@given(st.lists(sentences().filter(lambda sentence: sentence.text.strip()), min_size=1, max_size=5))
def test_captions_are_read_back_as_they_were(found):
    assert parse_sentences(sentences_text(found), "file") == tuple(found)


@pytest.mark.parametrize(
    "sentence",
    [
        Sentence("a [dog]"),
        Sentence("a\ndog"),
        Sentence("a dog\r"),
        Sentence(""),
        Sentence("a dog", (Mention(0, 2, "1", ("people",)),)),  # ends with a space
        Sentence("a dog", (Mention(2, 2, "1", ("people",)),)),
        Sentence("a dog", (Mention(2, 9, "1", ("people",)),)),
        Sentence("a dog", (Mention(0, 5, "1", ("people",)), Mention(2, 5, "2", ("people",)))),
        Sentence("a dog", (Mention(2, 5, "1", ("person",)),)),
        Sentence("a dog", (Mention(2, 5, "1", ()),)),
        Sentence("a dog", (Mention(2, 5, "0", ("people",)),)),
        Sentence("a dog", (Mention(2, 5, "1/people x] [/EN#2", ("people",)),)),
    ],
)
def test_captions_that_the_format_cannot_hold_are_refused(sentence):
    with pytest.raises(ValueError, match=r"caption|expected"):
        sentences_text([sentence])


@pytest.mark.parametrize(
    "thing",
    [
        Object((), (1, 1, 5, 5)),
        Object(("1",), (1, 1, 11, 5)),
        Object(("1",), (3, 1, 3, 5)),
        Object(("1",)),
        Object(("1",), (1, 1, 5, 5), scene=True),
        Object(("a b",), (1, 1, 5, 5)),
    ],
)
def test_annotations_that_could_not_be_read_back_are_not_written(tmp_path, thing):
    with pytest.raises(ValueError, match=r"Annotations/7\.xml"):
        write(tmp_path, "val", [("7", Annotation("7.jpg", 10, 10, (thing,)), [Sentence("a")])])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def _samples():
    boxes = np.array([[0, 0, 4, 4], [2, 2, 8, 8], [0, 0, 4, 4]], dtype=np.float32)

    def phrase(caption, text, chain, places, *kinds):
        start = caption.index(text)
        return Phrase(start, start + len(text), text, kinds, chain, boxes[places])

    def sample(image_id, index, caption, *phrases):
        return Sample(image_id, index, caption, phrases, Regions(boxes), tuple(frozenset() for _ in phrases), 20, 10)

    one, two = "Two men see a dog in the park .", "They stand behind it , in the middle ."
    return [
        sample(
            "1",
            0,
            one,
            phrase(one, "Two men", "5", [1, 2], "people"),
            phrase(one, "a dog", "6", [0], "animals"),
            phrase(one, "the park", "7", [], "other", "scene"),
        ),
        sample(
            "1",
            1,
            two,
            phrase(two, "They", "5", [1, 2], "people"),
            phrase(two, "it", "6", [0], "animals"),
            phrase(two, "the middle", "0", [], "notvisual"),
        ),
        sample("2", 0, one, phrase(one, "a dog", "6", [], "animals"), phrase(one, "the park", "1", [0, 2], "other")),
    ]


def test_samples_by_hand():
    (first, annotation, captions), (second, other, _) = from_samples(_samples(), ".png")
    assert (first, second) == ("1", "2")
    # The first box is that of the dog, and of one of the men, too.
    assert annotation == Annotation(
        "1.png",
        20,
        10,
        (Object(("5", "6"), (1, 1, 5, 5)), Object(("5",), (3, 3, 9, 9)), Object(("7",), None, scene=True)),
    )
    assert [caption.text for caption in captions] == [sample.caption for sample in _samples()[:2]]
    assert captions[0].mentions[2] == Mention(21, 29, "7", ("other", "scene"))
    # A chain that has the same box twice keeps both.
    twice = Object(("1",), (1, 1, 5, 5))
    assert other.objects == (twice, twice, Object(("6",), None, nobndbox=True))


def test_samples_with_boxes_between_pixels_or_that_contradict_each_other_are_refused():
    first, second, _ = _samples()
    first.phrases[0].boxes[0, 0] += 0.5
    with pytest.raises(ValueError, match=r"image 1: 'Two men' \(chain 5\): expected boxes in whole pixels"):
        list(from_samples([first]))
    first.phrases[0].boxes[0, 0] += 0.5
    with pytest.raises(ValueError, match=r"image 1: 'They' \(chain 5\): expected boxes .* as in another caption"):
        list(from_samples([first, second]))


@pytest.fixture(scope="module")
def real(shared):
    """The files of a hundred real images, by name."""
    archive = shared / "data/flickr30k_entities/flickr30k_entities_v1_full.tar.xz"
    with open_files(archive, flickr30k.FOLDERS) as files:
        ids = set(files.text("val.txt").split()[:100])
        return {name: files.text(name) for name in files.names if name.split("/")[-1].split(".")[0] in ids}


@pytest.mark.realdata
def test_real_samples_are_read_back_as_they_were(real, tmp_path):
    before = flickr30k.read(real)
    write(tmp_path, "val", from_samples(before))
    after = flickr30k.read(tmp_path)
    assert len(before) == len(after) == 500
    for old, new in zip(before, after, strict=True):
        assert (old.image_id, old.caption, old.width, old.height) == (new.image_id, new.caption, new.width, new.height)
        for a, b in zip(old.phrases, new.phrases, strict=True):
            assert (a.start, a.end, a.text, a.types, a.chain) == (b.start, b.end, b.text, b.types, b.chain)
            assert np.array_equal(a.boxes, b.boxes)


@pytest.mark.realdata
def test_real_files_are_written_as_they_are_but_for_white_space(real):
    same = 0
    for name, text in real.items():
        xml = name.endswith("xml")
        parse, unparse = (parse_annotation, annotation_xml) if xml else (parse_sentences, sentences_text)
        again = unparse(parse(text, name))
        assert parse(again, name) == parse(text, name)
        assert again.split() == text.split()
        assert xml or again == text
        same += again == text
    # Few annotations are indented in another way.
    assert same > 0.98 * len(real)
