"""Models of pixels: which patches show a region is seen by painting it; the rest is what `transformers` gives."""

import numpy as np
import pytest
import tiny_checkpoints as tiny
import torch
from tiny_transformers import END, IMAGE, START

from crosslook import models
from crosslook.capture import capture
from crosslook.data.sample import collate
from crosslook.models import protocol

NEAREST = 0
PROCESSORS = {
    "vilt": ("ViltImageProcessorPil", {"size": {"shortest_edge": 32}, "size_divisor": 8}),
    "llava": ("CLIPImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
    "qwen2_vl": ("Qwen2VLImageProcessorPil", {"patch_size": 4, "size": {"shortest_edge": 64, "longest_edge": 4096}}),
    "paligemma": ("SiglipImageProcessorPil", {"size": {"height": 32, "width": 32}}),
    "smolvlm": (
        "SmolVLMImageProcessorPil",
        {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}},
    ),
}
# For each picture: rows and columns of its patches; where they begin in it, and the size of one, in its pixels.
PATCHES = {
    "vilt": (((48, 32), (4, 6), (0, 0), (8, 8)), ((32, 40), (5, 4), (0, 0), (8, 8))),
    "llava": (((48, 32), (2, 2), (8, 0), (16, 16)), ((32, 40), (2, 2), (0, 4), (16, 16))),
    "qwen2_vl": (((48, 32), (4, 6), (0, 0), (8, 8)), ((32, 40), (5, 4), (0, 0), (8, 8))),
    "paligemma": (((64, 32), (2, 2), (0, 0), (32, 16)), ((32, 64), (2, 2), (0, 0), (16, 32))),
    "smolvlm": (((64, 32), (2, 2), (0, 0), (32, 16)), ((32, 64), (2, 2), (0, 0), (16, 32))),
}
LEAD = {
    "llava": ([2], []),
    "qwen2_vl": ([START], [END]),
    "paligemma": ([], [2]),
    "smolvlm": ([94, 95], [94]),
}
for name, like in {"qwen2_5_vl": "qwen2_vl", "qwen3_vl": "qwen2_vl", "idefics3": "smolvlm"}.items():
    for table in (PROCESSORS, PATCHES, LEAD):
        table[name] = table[like]
PROCESSORS["idefics3"] = "Idefics3ImageProcessorPil", PROCESSORS["smolvlm"][1]
DECODERS = list(LEAD)
# Rectangles of patches: first column and row, last column and row.
CELLS = (((0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 0)), ((1, 0, 1, 1), (0, 1, 1, 1)))


def save(name, folder, architecture=None, processor=None, **changes):
    import transformers

    model = tiny.built(name, folder, architecture, **changes)
    (tiny.word_pieces if name == "vilt" else tiny.words)(folder)
    cls, options = processor or PROCESSORS[name]
    getattr(transformers, cls)(**options, resample=NEAREST).save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {name: tmp_path_factory.mktemp(name) for name in PROCESSORS}
    for name, folder in found.items():
        save(name, folder, "ViltForMaskedLM" if name == "vilt" else None)
    return found


@pytest.fixture(scope="module")
def loaded(folders):
    return {name: models.load(f"hf:{folder}") for name, folder in folders.items()}


def boxes_of(shapes, cells=CELLS):
    """The boxes of some rectangles of patches, in pixels of the picture, the last one included."""
    found = []
    for (_, _, (x, y), (w, h)), own in zip(shapes, cells, strict=True):
        found.append(np.array([(x + a * w, y + b * h, x + (c + 1) * w - 1, y + (d + 1) * h - 1) for a, b, c, d in own]))
    return [one.astype(np.float32) for one in found]


def covered(shape, cell):
    """The numbers of the patches in a rectangle, row by row."""
    columns, (a, b, c, d) = shape[1][1], cell
    return {row * columns + column for row in range(b, d + 1) for column in range(a, c + 1)}


def samples(shapes, **options):
    return tiny.samples(dim=None, sizes=[shape[0] for shape in shapes], boxes=boxes_of(shapes), **options)


def first_states(model, shapes, paint):
    with torch.no_grad():
        return model(collate(samples(shapes, paint=paint), model.tokenize)).image_states[0]


def painted(box, index):
    """Pictures that are black, but for this box of picture `index`."""
    from PIL import Image

    def paint(width, height, which):
        pixels = np.zeros((height, width, 3), np.uint8)
        if which == index:
            x1, y1, x2, y2 = box.clip(0).astype(int)
            pixels[y1 : y2 + 1, x1 : x2 + 1] = 255
        return Image.fromarray(pixels)

    return paint


def blind(model):
    """Attention in the image encoder gives nothing, so that what an image token is comes from its own patch."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ("vision" in name or "visual" in name) and name.endswith(("out_proj.weight", "attn.proj.weight")):
                parameter.zero_()
    return model


def check_places_by_painting(model, shapes):
    batch = collate(samples(shapes), model.tokenize)
    places = model.places(batch)
    black = first_states(model, shapes, painted(np.zeros(4), None))
    for index, boxes in enumerate(boxes_of(shapes)):
        for region, box in enumerate(boxes):
            changed = (first_states(model, shapes, painted(box, index)) != black).any(-1)
            assert changed[index].any()
            assert torch.equal(places.regions[index, region], changed[index]), (index, region)
            assert not changed[1 - index].any()
    assert not places.regions[1, len(CELLS[1]) :].any()


@pytest.mark.parametrize("name", list(PROCESSORS))
def test_painting_a_region_changes_the_patches_that_show_it(loaded, folders, name):
    model = loaded["vilt"] if name == "vilt" else blind(models.load(f"hf:{folders[name]}"))
    check_places_by_painting(model, PATCHES[name])


def test_a_picture_that_is_padded_to_a_square(tmp_path):
    size = {"size": {"height": 32, "width": 32}, "crop_size": {"height": 32, "width": 32}}
    save("llava", tmp_path, processor=("LlavaImageProcessorPil", {**size, "do_pad": True}))
    shapes = (((64, 32), (2, 2), (0, -16), (32, 32)), ((32, 64), (2, 2), (-16, 0), (32, 32)))
    check_places_by_painting(blind(models.load(f"hf:{tmp_path}")), shapes)


def test_an_image_token_that_is_no_patch(tmp_path):
    save("llava", tmp_path, vision_feature_select_strategy="full")
    model = blind(models.load(f"hf:{tmp_path}"))
    batch = collate(samples(PATCHES["llava"]), model.tokenize)
    with torch.no_grad():
        assert model(batch).image_states[0].shape[1] == 5
    assert model.places(batch).regions[0, 0].tolist() == [False, True, False, False, False]
    check_places_by_painting(model, PATCHES["llava"])


@pytest.mark.parametrize("longest", [5, 11, -1])
def test_vilt_with_a_largest_number_of_patches(tmp_path, longest):
    save("vilt", tmp_path, max_image_length=longest)
    model = models.load(f"hf:{tmp_path}")
    shapes = PATCHES["vilt"]
    whole = [(0, 0, shape[0][0] - 1, shape[0][1] - 1) for shape in shapes]
    quarters = [(0, 0, shape[0][0] // 2 - 1, shape[0][1] // 2 - 1) for shape in shapes]
    boxes = [np.array([a, b], np.float32) for a, b in zip(whole, quarters, strict=True)]
    sizes = [shape[0] for shape in shapes]
    batch = collate(tiny.samples(dim=None, sizes=sizes, boxes=boxes), model.tokenize)
    black = first_states(model, shapes, painted(np.zeros(4), None))
    regions = model.places(batch).regions
    assert regions[:, 0].sum(1).tolist() == ([24, 20] if longest == -1 else [longest, longest])
    for index in range(2):
        for region in range(2):
            torch.manual_seed(10 + region)  # which ones are dropped does not depend on the user's seed
            changed = (first_states(model, shapes, painted(boxes[index][region], index)) != black).any(-1)
            # Half of a row of five patches is a patch that is shown by half of it.
            assert (regions[index, region] == changed[index]).all()


def run(model, shapes):
    batch = collate(samples(shapes), model.tokenize)
    with torch.no_grad(), capture(model) as tape:
        encoded = model(batch)
    return batch, encoded, tape.sites


def close(a, b):
    torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list(PROCESSORS))
def test_mass_from_words_to_regions(loaded, name):
    """By hand: where the caption begins, where the image does, and which patches each region covers."""
    model, shapes = loaded[name], PATCHES[name]
    batch, encoded, sites = run(model, shapes)
    places, (n_words, n_regions) = model.places(batch), (batch.ids.shape[1], batch.boxes.shape[1])
    sites = [site for site in sites if site.kind == "joint"]
    assert len(sites) == 2
    for site in sites:
        found, weights = tiny.masses(site, places, n_words, n_regions), site.weights()
        for b, shape in enumerate(shapes):
            n_patches = shape[1][0] * shape[1][1]
            n_own = len(tiny.CAPTIONS[b].split()) + 2 * (name == "vilt")
            before, between = LEAD.get(name, ([], []))
            image, text = len(before), len(before) + n_patches + len(between)
            if name == "vilt":
                image, text = n_words + 1, 0
            assert site.key_image[b, image : image + n_patches].all()
            assert int(site.key_image[b].sum()) == n_patches + (name == "vilt")
            assert site.key_text[b, text : text + n_own].all()
            for region, cell in enumerate(CELLS[b]):
                expected = sum(weights[b, :, text : text + n_own, image + patch] for patch in covered(shape, cell))
                close(found[b, :, :n_own, region], expected)
            close(found[b, :, :n_own, len(CELLS[b]) :], torch.zeros(4, n_own, n_regions - len(CELLS[b])))
    assert encoded.image_mask.sum(1).tolist() == [r * c + (name == "vilt") for _, (r, c), *_ in shapes]


@pytest.mark.parametrize("architecture", ["ViltForMaskedLM", "ViltForImageAndTextRetrieval"])
def test_vilt_is_that_of_transformers_whatever_the_shuffle(tmp_path, architecture):
    import transformers

    save("vilt", tmp_path, architecture)
    model = models.load(f"hf:{tmp_path}")
    batch, encoded, _ = run(model, PATCHES["vilt"])
    theirs = getattr(transformers, architecture).from_pretrained(tmp_path).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    tokens = transformers.BertTokenizer.from_pretrained(tmp_path)(
        list(batch.captions), padding=True, return_tensors="pt"
    )
    pixels = processor([picture() for picture in batch.pictures], return_tensors="pt")
    for seed in range(3):
        torch.manual_seed(seed)
        with torch.no_grad():
            found = theirs(**tokens, **pixels, output_hidden_states=True)
        n = batch.ids.shape[1]
        for own, both in zip(encoded.text_states[:-1], found.hidden_states[:-1], strict=True):
            close(own[batch.text_mask], both[:, :n][batch.text_mask])
        if architecture == "ViltForMaskedLM":
            close(model.word_logits(encoded)[batch.text_mask], found.logits[batch.text_mask])
            assert model.match_logits is None
        else:
            close(model.match_logits(encoded), torch.cat([torch.zeros(2, 1), found.logits], 1))
            assert model.word_logits is None


def test_vilt_draws_no_random_numbers_of_the_user(loaded):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    _, first, _ = run(loaded["vilt"], PATCHES["vilt"])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    _, second, _ = run(loaded["vilt"], PATCHES["vilt"])
    assert torch.equal(first.image_states[-1], second.image_states[-1])


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_are_those_of_transformers(loaded, folders, name):
    """Their own forward, given the sequence as their processors write it (by hand where one asks for more packages)."""
    import transformers

    model, shapes = loaded[name], PATCHES[name]
    batch, encoded, _ = run(model, shapes)
    cls = getattr(transformers, type(model.model).__name__)
    theirs = cls.from_pretrained(folders[name]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[name])
    processor = transformers.AutoImageProcessor.from_pretrained(folders[name])
    before, between = LEAD[name]
    for b, (_, (rows, columns), *_) in enumerate(shapes):
        options = {"do_image_splitting": False} if name in ("smolvlm", "idefics3") else {}
        inputs = dict(processor(batch.pictures[b](), return_tensors="pt", **options))
        own = tokenizer(tiny.CAPTIONS[b], add_special_tokens=False)["input_ids"]
        ids = [*before, *[IMAGE] * (rows * columns), *between, *own, *[4] * (name == "paligemma")]
        inputs["input_ids"] = torch.tensor([ids])
        if name.startswith("qwen"):
            inputs["mm_token_type_ids"] = (inputs["input_ids"] == IMAGE).int()
        if name == "paligemma":
            inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
        with torch.no_grad():
            found = theirs(**inputs, output_hidden_states=True)
        start = len(before) + rows * columns + len(between)
        close(model.word_logits(encoded)[b, : len(own)], found.logits[0, start : start + len(own)])
        assert len(encoded.text_states) == len(found.hidden_states) == 3
        for text, image, both in zip(encoded.text_states, encoded.image_states, found.hidden_states, strict=True):
            close(text[b, : len(own)], both[0, start : start + len(own)])
            close(image[b, : rows * columns], both[0, len(before) : len(before) + rows * columns])


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("name", ["llava", "paligemma"])
def test_the_sequence_is_what_the_processor_writes(loaded, folders, name):
    """LLaVA's leaves the first token to the tokenizer, which is one of words here and adds none."""
    import transformers

    model = loaded[name]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[name])
    images = transformers.AutoImageProcessor.from_pretrained(folders[name])
    images.image_seq_length = 4
    if name == "llava":
        processor = transformers.LlavaProcessor(images, tokenizer, 16, "default", num_additional_image_tokens=1)
        text = "<s><image>"
    else:
        processor, text = transformers.PaliGemmaProcessor(images, tokenizer), "<image>"
    batch = collate(samples(PATCHES[name])[:1], model.tokenize)
    found = processor(images=batch.pictures[0](), text=text + batch.captions[0], return_tensors="pt")
    seen = {}
    with capture(model), torch.no_grad():
        handle = model.model.base_model.register_forward_pre_hook(
            lambda module, args, kwargs: seen.update(kwargs), with_kwargs=True
        )
        model(batch)
        handle.remove()
    assert torch.equal(seen["input_ids"], found["input_ids"])
    assert torch.equal(seen["pixel_values"], found["pixel_values"])


@pytest.mark.parametrize("name", ["vilt", "llava"])
def test_a_word_that_is_hidden_is_not_looked_at(loaded, name):
    from dataclasses import replace

    model = loaded[name]
    batch = collate(samples(PATCHES[name]), model.tokenize)
    mask = batch.text_mask.clone()
    mask[:, 1] = False
    hidden = replace(batch, text_mask=mask)
    with torch.no_grad(), capture(model) as tape:
        model(hidden)
    place = int(model.places(hidden).joint_text[0, 1])
    for site in (site for site in tape.sites if site.kind == "joint"):
        assert not site.weights()[..., place].any()
        assert site.weights()[:, :, place + 1 :, place - 1].all()
        assert not site.key_text[:, place].any()


def test_decoders_predict_words_only(loaded):
    for name in DECODERS:
        with pytest.raises(ValueError, match=r"match_logits.*got Decoder with word_logits"):
            protocol.head(loaded[name], "match_logits")
    assert protocol.head(loaded["llava"], "word_logits")


@pytest.mark.parametrize("name", ["vilt", "llava"])
def test_a_picture_is_needed_and_opened_once(loaded, name):
    from dataclasses import replace

    model, asked = loaded[name], []
    own = samples(PATCHES[name])
    none = replace(own[1], picture=None)
    with pytest.raises(ValueError, match=r"expected pictures, .* no region features.* none of image 1$"):
        model(collate([own[0], none], model.tokenize))
    with pytest.raises(ValueError, match="none of image 0, image 1"):
        model(replace(collate(own, model.tokenize), pictures=None))
    with pytest.raises(ValueError, match="none of image 1"):
        model(collate([own[0], replace(none, picture=lambda: None)], model.tokenize))
    opened = replace(own[0], picture=lambda: asked.append(1) or own[0].image)
    batch = collate([opened], model.tokenize)
    model(batch), model.places(batch), model.attention_positions(batch)
    assert asked == [1]
    model(collate([opened], model.tokenize))
    assert asked == [1, 1]


def test_a_caption_with_the_token_of_an_image(loaded):
    model = loaded["llava"]
    batch = collate(samples(PATCHES["llava"]), lambda text: ([IMAGE], [(0, 0)]))
    with pytest.raises(ValueError, match="captions without the token of an image"):
        model(batch)
    with pytest.raises(ValueError, match="expected tokens, got none"):
        model(collate(samples(PATCHES["llava"])))


def test_a_checkpoint_without_its_image_processor(tmp_path):
    tiny.built("llava", tmp_path)
    tiny.words(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"expected an image processor \(preprocessor_config.json\)"):
        models.load(f"hf:{tmp_path}")
