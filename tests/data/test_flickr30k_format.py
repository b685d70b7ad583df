"""The two files of an image: what they say when they are right, and which place an error names when they are not."""

import re

import pytest

from crosslook.data.errors import DataError
from crosslook.data.flickr30k_format import (
    Annotation,
    Mention,
    Object,
    Sentence,
    parse_annotation,
    parse_sentences,
)

XML = """<annotation>
	<filename>7.jpg</filename>
	<size>
		<width>100</width>
		<height>50</height>
		<depth>3</depth>
	</size>
	<object>
		<name>1</name>
		<name>12</name>
		<bndbox>
			<xmin>1</xmin>
			<ymin>2</ymin>
			<xmax>100</xmax>
			<ymax>50</ymax>
		</bndbox>
	</object>
	<object>
		<name>3</name>
		<scene>1</scene>
		<nobndbox>0</nobndbox>
	</object>
</annotation>
"""


def _fails(parse, text, where, message):
    with pytest.raises(DataError) as caught:
        parse(text, "file")
    assert caught.value.where == where
    assert re.search(message, caught.value.message), caught.value.message
    assert str(caught.value) == f"{where}: {caught.value.message}"


def test_an_annotation_by_hand():
    assert parse_annotation(XML, "file") == Annotation(
        "7.jpg", 100, 50, (Object(("1", "12"), (1, 2, 100, 50)), Object(("3",), None, scene=True))
    )


def test_sentences_by_hand():
    text = (
        "[/EN#1/people A man] waves at [/EN#0/notvisual the camera] .\r\n"
        "Rain !\n"
        "[/EN#23/vehicles/scene A  böat]'s [/EN#1/people he]\n"
    )
    assert parse_sentences(text, "file") == (
        Sentence(
            "A man waves at the camera .", (Mention(0, 5, "1", ("people",)), Mention(15, 25, "0", ("notvisual",)))
        ),
        Sentence("Rain !"),
        Sentence("A  böat's he", (Mention(0, 7, "23", ("vehicles", "scene")), Mention(10, 12, "1", ("people",)))),
    )


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("</size>", "", "file:23:3", "well-formed XML, got mismatched tag"),
        ("<annotation>", "<annotation", "file:2:2", "well-formed XML"),
        (XML, "", "file:1:1", "well-formed XML, got no element found"),
        (XML, "<a/>", "file:1:1", "expected <annotation>, got <a>"),
        ("<width>100</width>", "", "file:3:2", "<size>: expected one <width>, got 0"),
        ("<width>100</width>", "<width>100</width><width>9</width>", "file:3:2", "expected one <width>, got 2"),
        ("<width>100</width>", "<width>1e2</width>", "file:4:3", "<width>: expected a whole number, got '1e2'"),
        ("<width>100</width>", "<width>0</width>", "file:3:2", "a size of at least 1 x 1, got 0 x 50"),
        (
            "<width>100</width>",
            "<width>99</width>",
            "file:11:3",
            r"object 1: .*inside \(1, 1, 99, 50\), got \(1,",
        ),
        ("<ymin>2</ymin>", "<ymin>0</ymin>", "file:11:3", r"object 1: bndbox: expected a box inside \(1, 1, 100, 50\)"),
        ("<xmin>1</xmin>", "<xmin>-1</xmin>", "file:11:3", "object 1: bndbox: expected a box inside"),
        ("<ymin>2</ymin>", "<ymin>50</ymin>", "file:11:3", "object 1: bndbox: expected xmin < xmax .* without area"),
        ("<xmin>1</xmin>", "<xmin>101</xmin>", "file:11:3", "object 1: bndbox: expected xmin < xmax"),
        ("<xmin>1</xmin>", "", "file:11:3", "<bndbox>: expected one <xmin>, got 0"),
        ("<xmin>1</xmin>", "<xmin>" + "9" * 5000 + "</xmin>", "file:12:4", "expected a whole number, got '999"),
        ("<xmin>1</xmin>", "<xmin>\u0661</xmin>", "file:12:4", "expected a whole number"),
        ("<name>3</name>", "", "file:18:2", "object 2: expected a <name> with a chain id, got none"),
        ("<name>3</name>", "<name>dog</name>", "file:18:2", "object 2: name: expected a chain id .* got 'dog'"),
        ("<name>3</name>", "<name>0</name>", "file:18:2", "object 2: name: expected a chain id"),
        ("<scene>1</scene>", "", "file:18:2", "object 2: expected either <bndbox> or .* got <nobndbox>"),
        ("<scene>1</scene>", "<bndbox/>", "file:18:2", "object 2: .* got <bndbox> and <nobndbox>"),
        ("<scene>1</scene>", "<scene>0</scene>", "file:18:2", r"object 2: expected scene .* got \(0, 0\)"),
        ("<scene>1</scene>", "<scene>yes</scene>", "file:20:3", "<scene>: expected a whole number, got 'yes'"),
        ("<filename>7.jpg</filename>", "", "file:1:1", "<annotation>: expected one <filename>, got 0"),
    ],
)
def test_a_wrong_annotation_names_the_place(old, new, where, message):
    assert XML.count(old) >= 1
    _fails(parse_annotation, XML.replace(old, new, 1), where, message)


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE annotation [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotation SYSTEM "http://localhost/a.dtd">',
    ],
)
def test_entities_are_refused_before_any_is_expanded(doctype):
    bomb = doctype + XML.replace("7.jpg", "&b;")
    _fails(parse_annotation, bomb, "file", "without document type and entities, got DTDForbidden")


@pytest.mark.parametrize(
    ("line", "where", "message"),
    [
        ("a [/EN#1/people man", "file:2:3", r"expected '\]' before the end of the line, got '\[/EN#1/people man'"),
        ("[/EN#1/people a [/EN#2/people b]", "file:2:1", r"expected '\]' before another bracket"),
        ("a man] walks", "file:2:6", r"'\]' closes no bracket"),
        ("[/EN#1/people a man] walks ]", "file:2:28", r"'\]' closes no bracket"),
        ("[/EN#1/people man]]", "file:2:19", r"'\]' closes no bracket"),
        ("x [a man]", "file:2:3", r"expected '\[/EN#chain/type words\]', got '\[a man\]'"),
        ("[/EN#x/people man]", "file:2:1", r"expected '\[/EN#chain/type words\]'"),
        ("[/EN#01/people man]", "file:2:1", r"expected '\[/EN#chain/type words\]'"),
        ("[/EN#1 man]", "file:2:1", r"expected '\[/EN#chain/type words\]'"),
        ("[/EN#1/people]", "file:2:1", r"expected '\[/EN#chain/type words\]'"),
        ("[/EN#1/people ]", "file:2:1", r"expected '\[/EN#chain/type words\]'"),
        ("[/EN#1/people  man]", "file:2:1", r"expected '\[/EN#chain/type words\]'"),
        ("[/en#1/people man]", "file:2:1", r"expected '\[/EN#chain/type words\]'"),
        ("x [/EN#1/persons man]", "file:2:3", r"expected types of \('people', .*, got 'persons'"),
        ("x [/EN#1/notvisual man]", "file:2:3", "expected chain 0 and type notvisual together, got chain 1"),
        ("x [/EN#0/people man]", "file:2:3", "expected chain 0 and type notvisual together, got chain 0"),
        ("  ", "file:2", "expected a caption, got an empty line"),
    ],
)
def test_a_wrong_caption_names_line_and_character(line, where, message):
    _fails(parse_sentences, f"A dog .\n{line}\nA cat .\n", where, message)


def test_a_sentence_file_without_captions_is_an_error():
    _fails(parse_sentences, "", "file:1", "expected a caption")
    _fails(parse_sentences, "a\n\n", "file:2", "expected a caption")


def test_a_long_line_of_brackets_takes_linear_time():
    # Backtracking over a million characters would not end.
    _fails(parse_sentences, "[/EN#1/people " + "a " * 500_000, "file:1:1", "expected '\\]' before the end of the line")
    _fails(parse_sentences, "[" * 100_000, "file:1:1", "before another bracket")
    _fails(parse_annotation, "<annotation>" + "<size>" * 10_000, "file:1:60013", "well-formed XML")
