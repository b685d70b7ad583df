"""The explorer carries exactly the weights it was given, and does what it says, live and on a page without a kernel."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import traitlets
from PIL import Image

from crosslook import data
from crosslook.view import live
from crosslook.view.explorer import WIDTH, Example, Explorer, example, strongest

LAYERS, HEADS = 3, 4


def weights_of(sample, layers=LAYERS, heads=HEADS, seed=0):
    shape = (len(sample.phrases), layers, heads, len(sample.regions.boxes))
    weights = np.random.default_rng(seed).random(shape) ** 3
    return weights / weights.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def samples():
    return [each for each in data.load("photos") if each.phrases][:4]


@pytest.fixture(scope="module")
def examples(samples):
    return [example(sample, weights_of(sample, seed=seed)) for seed, sample in enumerate(samples)]


def state(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def mass(each, phrase, layer, head):
    return float(each.weights[phrase, layer, head, sorted(each.phrases[phrase][2])].astype(np.float32).sum())


# ---------------------------------------------------------------- what it carries


def test_it_carries_captions_boxes_and_every_weight(samples, examples):
    packed = state(Explorer(examples).html())["data"]
    assert (packed["layers"], packed["heads"]) == (LAYERS, HEADS)
    for entry, sample, each in zip(packed["examples"], samples, examples, strict=True):
        weights = np.frombuffer(base64.b64decode(entry["weights"]), "<f2").reshape(each.weights.shape)
        np.testing.assert_array_equal(weights, each.weights)
        assert entry["caption"] == sample.caption
        said = [entry["caption"][phrase["start"] : phrase["end"]] for phrase in entry["phrases"]]
        assert said == [phrase.text for phrase in sample.phrases]
        assert [frozenset(phrase["linked"]) for phrase in entry["phrases"]] == list(sample.links)
        np.testing.assert_allclose(np.array(entry["boxes"]) - [0, 0, 1, 1], sample.regions.boxes, atol=0.06)
        picture = Image.open(io.BytesIO(base64.b64decode(entry["picture"].partition(",")[2])))
        assert max(picture.size) <= WIDTH
        assert entry["size"] == [sample.width, sample.height]


def test_it_begins_with_the_strongest_head_of_the_first_phrase(examples):
    found = Explorer(examples)
    every = [[mass(examples[0], 0, layer, head) for head in range(HEADS)] for layer in range(LAYERS)]
    assert (found.layer, found.head) == tuple(np.unravel_index(np.argmax(every), (LAYERS, HEADS)))
    hollow = replace(examples[0], weights=np.full_like(examples[0].weights, np.nan))
    assert strongest(hollow) == (0, 0)


def test_twelve_captions_of_a_model_with_144_heads_stay_below_a_page_weight_of_1500_kB():
    boxes = np.tile(np.array([[0, 0, 99, 99]], np.float32), (36, 1))
    noise = np.random.default_rng(0)
    picture = Image.fromarray(noise.integers(0, 255, (30, 40, 3), np.uint8)).resize((400, 300))
    phrases = [(2 * place, 2 * place + 1, frozenset({place})) for place in range(5)]
    big = Example(picture, boxes, "a b c d e", phrases, noise.random((5, 12, 12, 36)).astype(np.float16))
    assert len(Explorer([big] * 12).html()) < 1.5e6


def test_nothing_is_fetched_and_text_cannot_leave_its_block(samples):
    evil = replace(samples[0], caption="</script><script>alert(1)</script>" + samples[0].caption)
    html = Explorer([example(evil, weights_of(evil))]).html()
    assert html.count("<script") == html.count("</script>") == 2
    assert state(html)["data"]["examples"][0]["caption"] == evil.caption
    assert not re.findall(r"(?:src|href)=|url\(|@import|import |https?://(?!www\.w3\.org/2000/svg)", html)


def test_one_output_has_both_faces(examples):
    bundle, _ = Explorer(examples)._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html"} <= set(bundle)
    assert bundle["text/plain"] == "Explorer of 4 captions, 3 layers of 4 heads"
    assert state(bundle["text/html"])["data"]["heads"] == HEADS


def test_the_page_begins_where_the_widget_stands(examples):
    found = Explorer(examples)
    found.example, found.phrase, found.layer, found.head = 2, 1, 2, 3
    assert {name: state(found.html())[name] for name in ("example", "phrase", "layer", "head")} == {
        "example": 2, "phrase": 1, "layer": 2, "head": 3,
    }  # fmt: skip


def test_the_script_is_a_module_that_needs_nothing():
    script = live.read("explorer.js").rstrip()
    assert script.endswith(live.ENDING)
    assert script.count("export ") == 1
    assert not re.search(r"^\s*import\b|\bimport\(", script, re.MULTILINE)


# ---------------------------------------------------------------- what it refuses


def test_choices_that_do_not_exist_are_errors(examples):
    found = Explorer(examples)
    for name, wrong, last in (("example", 4, 3), ("layer", LAYERS, 2), ("head", HEADS, 3), ("phrase", 99, None)):
        before = getattr(found, name)
        with pytest.raises(
            traitlets.TraitError, match=rf"{name}: expected 0 to {last or len(examples[0].phrases) - 1}"
        ):
            setattr(found, name, wrong)
        assert getattr(found, name) == before
    with pytest.raises(traitlets.TraitError):
        found.layer = -1


def test_another_example_begins_with_its_first_phrase(examples):
    found = Explorer(examples)
    found.phrase = 1
    found.example = 1
    assert found.phrase == 0


def test_what_does_not_fit_is_an_error(samples, examples):
    with pytest.raises(ValueError, match="examples: expected at least one, got none"):
        Explorer([])
    other = example(samples[1], weights_of(samples[1], heads=5))
    with pytest.raises(
        ValueError, match=r"examples\[1\]: expected weights \(phrase, layer, head, region\) of shape .*4, "
    ):
        Explorer([examples[0], other])
    with pytest.raises(ValueError, match=r"examples\[0\]: expected at least one phrase"):
        Explorer([replace(examples[0], phrases=[], weights=examples[0].weights[:0])])
    lost = replace(examples[0], phrases=[(0, 1, frozenset({999})), *examples[0].phrases[1:]])
    with pytest.raises(ValueError, match=r"examples\[0\]: expected linked regions below \d+, got \[999\]"):
        Explorer([lost])
    with pytest.raises(ValueError, match=r"sample \w+: expected an image, got none"):
        example(replace(samples[0], picture=None), weights_of(samples[0]))


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser):
    opened = browser.new_page()
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
    yield opened
    opened.close()
    assert errors == []


def show(page, html, folder):
    (folder / "page.html").write_text(f"<!doctype html><meta charset=utf-8><body>{html}", "utf-8")
    page.goto((folder / "page.html").as_uri())


def cell(layer, head):
    """The button of a head, layers and heads from 0."""
    return f"table.heads tbody tr:nth-child({layer + 1}) td:nth-of-type({head + 1}) button"


def percent(share):
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


@pytest.mark.browser
def test_a_page_without_a_kernel_does_it_all(examples, page, tmp_path):
    show(page, Explorer(examples).html(), tmp_path)
    assert page.inner_text(".sentence") == examples[0].caption
    for layer in range(LAYERS):
        for head in range(HEADS):
            wanted = f"L{layer + 1}H{head + 1}, {percent(mass(examples[0], 0, layer, head))}"
            assert page.get_attribute(cell(layer, head), "aria-label") == wanted
    assert page.locator("table.heads button[aria-pressed=true]").count() == 1

    page.click("button[aria-label='next caption']")
    page.click(".phrase >> nth=1")
    assert page.inner_text(".place") == "caption 2 of 4"
    assert page.get_attribute(".phrase >> nth=1", "aria-pressed") == "true"
    page.click(cell(2, 1))
    start, end, linked = examples[1].phrases[1]
    said = page.inner_text(".said")
    assert said.startswith(f"L3H2: of its attention from “{examples[1].caption[start:end]}”, ")
    if linked:
        assert percent(mass(examples[1], 1, 2, 1)) in said
    row = examples[1].weights[1, 2, 1].astype(float)
    shades = page.locator("rect.looked").evaluate_all("all => all.map(one => +one.getAttribute('fill-opacity'))")
    np.testing.assert_allclose(np.sort(shades), np.sort(0.62 * row / row.max()), rtol=1e-3)
    assert page.locator("rect.own").count() == len(linked)

    page.click("button.strongest")
    best = np.unravel_index(
        np.argmax([[mass(examples[1], 1, y, x) for x in range(HEADS)] for y in range(LAYERS)]), (LAYERS, HEADS)
    )
    assert page.get_attribute(cell(*best), "aria-pressed") == "true"


@pytest.mark.browser
def test_the_grid_is_one_stop_for_tab_and_arrows_move_in_it(examples, page, tmp_path):
    found = Explorer(examples)
    found.layer, found.head = 0, 0
    show(page, found.html(), tmp_path)
    assert page.locator("table.heads button[tabindex='0']").count() == 1
    page.focus(cell(0, 0))
    for key in ("ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight", "ArrowRight"):  # the first two lead nowhere
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("L2H3, ")
    assert page.inner_text(".said").startswith("L2H3: ")
    page.focus("button[aria-label='next caption']")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_attribute(".phrase >> nth=1", "aria-pressed") == "true"


@pytest.mark.browser
def test_undefined_weights_and_phrases_without_regions_are_hatched(examples, page, tmp_path):
    weights = examples[0].weights.copy()
    weights[0, 1, 2] = np.nan
    nowhere = [(start, end, frozenset() if place == 1 else linked or frozenset({0}))
               for place, (start, end, linked) in enumerate(examples[0].phrases)]  # fmt: skip
    show(page, Explorer([replace(examples[0], weights=weights, phrases=nowhere)]).html(), tmp_path)
    assert page.get_attribute(cell(1, 2), "aria-label") == "L2H3, undefined"
    assert page.locator("table.heads button.undefined").count() == 1
    page.click(cell(1, 2))
    assert "is not defined" in page.inner_text(".said")
    assert page.locator("rect.looked").count() == 0
    page.click(".phrase >> nth=1")
    assert page.locator("table.heads button.undefined").count() == LAYERS * HEADS
    assert "has no region in this picture" in page.inner_text(".said")
    assert not page.is_visible("button.strongest")


@pytest.mark.browser
def test_numbers_of_half_precision_are_read_exactly(page):
    page.goto("about:blank")
    script = live.read("explorer.js").rstrip().removesuffix(live.ENDING)
    every = np.arange(1 << 16, dtype="<u2").view("<f2")
    read = page.evaluate(
        f"text => {{ {script}\nreturn Array.from(halves(text), v => Number.isNaN(v) ? null : v === Infinity ? 1e9 "
        ": v === -Infinity ? -1e9 : v); }",
        base64.b64encode(every.tobytes()).decode(),
    )
    wanted = np.nan_to_num(every.astype(float), nan=np.nan, posinf=1e9, neginf=-1e9)
    np.testing.assert_array_equal(np.array(read, dtype=float), wanted)


@pytest.mark.browser
def test_live_choices_go_to_python_and_come_from_it(examples, page, tmp_path):
    """The module as anywidget runs it, with a stand-in for the model that notes down what is saved."""
    found = Explorer(examples)
    values = {name: getattr(found, name) for name in found.trait_names(page=True)}
    show(page, "<div id=here></div>", tmp_path)
    page.evaluate(
        """async ([source, values]) => {
          const module = await import("data:text/javascript;base64," + btoa(unescape(encodeURIComponent(source))));
          const heard = {};
          window.saved = [];
          window.model = {
            get: name => values[name],
            set(name, value) { values[name] = value; for (const f of heard["change:" + name] ?? []) f(); },
            save_changes() { const { data, ...rest } = values; window.saved.push(rest); },
            on(event, f) { (heard[event] ??= []).push(f); },
          };
          module.default.render({ model: window.model, el: document.querySelector("#here") });
        }""",
        [live.read("explorer.js"), values],
    )
    page.click(cell(2, 3))
    page.click("button[aria-label='previous caption']")
    first, second = page.evaluate("window.saved")
    assert first == {"example": 0, "phrase": 0, "layer": 2, "head": 3}
    assert second == {"example": 3, "phrase": 0, "layer": 2, "head": 3}
    page.evaluate("window.model.set('layer', 0)")
    assert page.inner_text(".said").startswith("L1H4: ")
    page.evaluate("window.model.set('example', 1)")
    assert page.inner_text(".sentence") == examples[1].caption
