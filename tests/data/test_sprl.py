"""The reader of spatial role labelling data: a file by hand, what is wrong in one, and the real one."""

import re
from collections import Counter

import pytest

from crosslook.data.errors import DataError
from crosslook.data.sprl import Sentence, divide, read
from crosslook.relations import Part, Relation

XML = """<?xml version="1.0" ?><DOC>
<SENTENCE id="s1">
<CONTENT>About 12 cats  asleep on roofs .</CONTENT>
<TRAJECTOR id="tw2"> Cats</TRAJECTOR>
<LANDMARK id="lw5"> Roofs</LANDMARK>
<SPATIAL_INDICATOR id="sw4">on </SPATIAL_INDICATOR>
<RELATION general_type="region" id="r0" lm="lw5" sp="sw4" tr="tw2"/>
<POSTAGS>About/IN</POSTAGS>
</SENTENCE>
<SENTENCE id="s601">
<CONTENT>boats on the right</CONTENT>
<TRAJECTOR id="tw0"> boats</TRAJECTOR>
<LANDMARK id="lw4">undefined</LANDMARK>
<SPATIAL_INDICATOR id="sw1">on the right</SPATIAL_INDICATOR>
<RELATION general_type="DIRECTION relative" id="r0" lm="lw4" sp="sw1" tr="tw0"/>
<RELATION general_type="direction" id="r1" lm="lw4" sp="sw1" tr="tw0"/>
</SENTENCE>
<SENTENCE id="s1214"><CONTENT>a view</CONTENT></SENTENCE>
</DOC>
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "some.xml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def one(content, elements, kind="region", ids=("tw0", "sw1", "lw2")):
    """A file with one relation between elements `(tag, id, text)`."""
    inside = "".join(f'<{tag} id="{each}">{text}</{tag}>' for tag, each, text in elements)
    relation = '<RELATION general_type="{}" id="r0" tr="{}" sp="{}" lm="{}"/>'.format(kind, *ids)
    return f'<DOC><SENTENCE id="s7"><CONTENT>{content}</CONTENT>{inside}{relation}</SENTENCE></DOC>'


def usual(target=("tw0", "cup"), indicator=("sw1", "on"), landmark=("lw2", "table")):
    tags = ("TRAJECTOR", "SPATIAL_INDICATOR", "LANDMARK")
    return [(tag, *each) for tag, each in zip(tags, (target, indicator, landmark), strict=True)]


def test_a_file_by_hand(file):
    cats = Relation(Part(9, 13, 2, 3, 2, "cats"), Part(21, 23, 4, 5, 4, "on"), Part(24, 29, 5, 6, 5, "roofs"), "region")
    boats = Relation(Part(0, 5, 0, 1, 0, "boats"), Part(6, 18, 1, 4, 3, "on the right"), None, "direction")
    sentences = read(file(XML))
    assert sentences == [
        Sentence("s1", "About 12 cats asleep on roofs .", (cats,)),
        Sentence("s601", "boats on the right", (boats,)),  # once, though it is written twice
        Sentence("s1214", "a view", ()),
    ]
    assert divide(sentences) == ([sentences[0]], [sentences[1]])


@pytest.mark.parametrize(
    ("content", "marked", "words"),
    [
        ("the cup on a table", "tw1 cup", "cup"),
        ("the cup on a table", "tw4 Cup", "cup"),  # the wrong number
        ("cup by cup on a cup", "tw4 cup", "cup@5"),  # the nearest
        ("cup by cup on a cup", "tw2 cup", "cup@2"),
        ("the gutiar", "tw1 guitar", "gutiar"),  # another spelling
        ("others stand", "tw6 other", "others"),
        ("the red tea -pot", "tw3 tea-pot", "tea -pot"),
        ("the girl", "tw1 boy", "girl"),  # other words: what stands there
        ("walking over the square", "tw1 walking over", "walking over"),  # the number of the second
        ("in front it", "tw0 in front of", "in front it"),  # most of the words
    ],
)
def test_where_words_stand(file, content, marked, words):
    identity, _, text = marked.partition(" ")
    elements = usual(target=(identity, text), indicator=("sw0", content.split()[0]), landmark=("lw0", "undefined"))
    (sentence,) = read(file(one(content, elements, ids=(identity, "sw0", "lw0"))))
    target = sentence.relations[0].target
    words, _, place = words.partition("@")
    assert target.text == words
    assert content[target.start : target.end] == words
    assert target.text.split() == content.split()[target.first : target.last]
    assert not place or target.first == int(place)


def test_an_id_means_the_last_element_before_the_relation(file):
    again = one("cup on table", usual()).replace(
        "</SENTENCE>",
        '<TRAJECTOR id="tw0">table</TRAJECTOR><RELATION general_type="region" tr="tw0" sp="sw1" lm="lw2"/></SENTENCE>',
    )
    (sentence,) = read(file(again))
    assert [each.target.text for each in sentence.relations] == ["cup", "table"]


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("<DOC>", "some.xml:1:6", "expected well-formed XML, got no element found"),
        ("<DOC>\n</DOK>", "some.xml:2:3", "expected well-formed XML, got mismatched tag"),
        ("<DOC/>", "some.xml", "expected <SENTENCE> in <DOC>, got none"),
        ("<DOC><SENTENCE/></DOC>", "some.xml: sentence 1", "expected an id, got none"),
        ('<DOC><SENTENCE id="s1"/></DOC>', "some.xml: sentence 1 (s1)", "expected words in <CONTENT>, got none"),
        (
            one("cup on table", usual(), kind="shape"),
            "some.xml: sentence 1 (s7), relation r0",
            "general_type: expected one of region, direction, distance, got 'shape'",
        ),
        (
            one("cup on table", usual(), ids=("tw0", "sw1", "lw3")),
            "some.xml: sentence 1 (s7), relation r0",
            "lm: expected the id of a <LANDMARK> before it, got 'lw3'",
        ),
        (
            one("cup on table", usual(target=("first", "cup")), ids=("first", "sw1", "lw2")),
            "some.xml: sentence 1 (s7), relation r0",
            "<TRAJECTOR>: expected an id such as tw2, got 'first'",
        ),
        (
            one("cup on table", usual(target=("tw9", "zebra")), ids=("tw9", "sw1", "lw2")),
            "some.xml: sentence 1 (s7), relation r0",
            "<TRAJECTOR> tw9: expected 'zebra' in 'cup on table'",
        ),
        (
            one("cup on table", usual(target=("tw0", "undefined"))),
            "some.xml: sentence 1 (s7), relation r0",
            "expected words for trajector and indicator, got 'undefined'",
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><DOC>&b;</DOC>', "some.xml", "expected XML without document type"),
    ],
)
def test_a_malformed_file_names_the_place(file, text, where, message):
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read(file(text))
    assert caught.value.where == where


@pytest.mark.realdata
def test_the_real_file(shared):
    path = shared / "data/sprl/dubstack_SItrain.xml"
    sentences = read(path)
    training, test = divide(sentences)
    assert (len(sentences), len(training), len(test)) == (1219, 600, 613)
    # Counted in the text of the file: what stands between s1 and s1213, with the two kinds that are written otherwise.
    text = path.read_text(encoding="utf-8")
    written = Counter(re.findall('general_type="([^"]*)"', text.partition('id="s1"')[2].partition('id="s1214"')[0]))
    found = Counter(relation.kind for sentence in training + test for relation in sentence.relations)
    assert found.total() == 1706
    assert written.total() == 1709
    assert found["region"] == written["region"] + written["regions"]
    assert found["distance"] == written["distance"] == 33
    assert (written["region"], written["direction"]) == (1035, 639)
    for sentence in sentences:
        for relation in sentence.relations:
            for part in (relation.target, relation.relation, relation.landmark):
                assert part is None or sentence.text[part.start : part.end] == part.text
                assert part is None or sentence.text.split(" ")[part.first : part.last] == part.text.split(" ")
