"""What the figure holds is what was measured; what it does when it is pointed at, in a real browser."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from crosslook import data
from crosslook.view import boxes as view
from crosslook.view.hover import WIDTH, hover


@pytest.fixture(scope="module")
def photos():
    return list(data.load("photos"))[:6]


def figure(samples, links=None):
    links = [sample.links for sample in samples] if links is None else links
    return hover(samples, links, [[f"region {i}" for i in range(len(each.regions.boxes))] for each in samples]).data


def state(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def test_it_holds_the_captions_their_phrases_and_boxes(photos):
    rows = state(figure(photos))["captions"]
    for row, sample in zip(rows, photos, strict=True):
        assert row["text"] == sample.caption
        said = [row["text"][phrase["start"] : phrase["end"]] for phrase in row["phrases"]]
        assert said == [phrase.text for phrase in sample.phrases]
        assert [phrase["colour"] for phrase in row["phrases"]] == view.colours(sample)
        assert [frozenset(phrase["gold"]) for phrase in row["phrases"]] == list(sample.links)
        np.testing.assert_allclose(np.array(row["boxes"]) - [0, 0, 1, 1], sample.regions.boxes)


def test_every_picture_is_there_once_and_in_proportion(photos):
    pictures = state(figure(photos))["pictures"]
    assert len(pictures) == len({sample.image_id for sample in photos})
    for sample in photos:
        image = Image.open(io.BytesIO(base64.b64decode(pictures[sample.image_id].partition(",")[2])))
        assert max(image.size) <= WIDTH
        assert image.width / image.height == pytest.approx(sample.width / sample.height, rel=0.01)


def test_nothing_is_fetched_and_text_cannot_leave_its_block(photos):
    evil = replace(photos[0], caption="</script><script>alert(1)</script>", phrases=(), links=())
    html = figure([evil])
    assert html.count("<script") == html.count("</script>") == 2
    assert state(html)["captions"][0]["text"] == evil.caption
    assert not re.findall(r"(?:src|href)=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)", html)


def test_unequal_numbers_and_missing_pictures_are_errors(photos):
    with pytest.raises(ValueError, match="shorter"):
        hover(photos, [photos[0].links], [[]])
    with pytest.raises(ValueError, match=r"sample \w+: expected an image, got none"):
        figure([replace(photos[0], picture=None)])


@pytest.mark.browser
def test_pointing_lights_up_phrases_and_boxes(photos, tmp_path):
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium on this machine")
    wrong = next(i for i in range(len(photos[0].regions.boxes)) if i not in photos[0].links[0])
    links = [(frozenset({wrong}), *photos[0].links[1:]), *(sample.links for sample in photos[1:])]
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8><body>{figure(photos, links)}", "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        assert page.inner_text(".sentence") == photos[0].caption
        page.hover(".phrase >> nth=0")
        assert page.inner_text(".said").startswith(f"“{photos[0].phrases[0].text}” → “region {wrong}”. It belongs to")
        assert page.locator(".phrase.lit").count() == 1
        page.focus(".phrase >> nth=1")
        assert page.inner_text(".said").endswith("Right.")
        page.click("button[aria-label='previous caption']")
        assert page.inner_text(".sentence") == photos[-1].caption
        gold = min(photos[-1].links[0])
        x1, y1, x2, y2 = photos[-1].regions.boxes[gold].tolist()
        drawn = page.locator("svg image").bounding_box()
        scale = drawn["width"] / photos[-1].width
        page.mouse.move(drawn["x"] + scale * (x1 + x2) / 2, drawn["y"] + scale * (y1 + y2) / 2)
        assert page.locator(".phrase.lit").count() >= 1
        browser.close()
    assert errors == []
