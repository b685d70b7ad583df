"""Sublayers against the same arithmetic in plain loops: over images, heads, queries and keys, the softmax by hand."""

import math

import pytest
import torch

from crosslook.capture import Positions, capture
from crosslook.models.architectures import BOTH, IMAGE, TEXT, Attend, Config, Feed, single_stream
from crosslook.models.encoder import Encoder, Heads, RegionHead, Sublayer, WordHead, initialise, kind
from crosslook.models.vision_language import VisionLanguage

WIDTH, HEADS = 6, 2
CONFIG = Config("uniter", single_stream(1), 9, 8, 5, width=WIDTH, heads=HEADS, feed_forward=7, dropout=0.5)


def made(cls, *args):
    """A module in double precision, with weights that make attention sharp and no bias or norm trivial."""
    module = cls(*args).double().eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.8 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.fixture(scope="module")
def streams():
    """Two images with captions; in each stream the second has padding, also between what is present."""
    generator = torch.Generator().manual_seed(3)
    text, image = (torch.randn(2, n, WIDTH, generator=generator, dtype=torch.float64) for n in (4, 3))
    text_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    image_mask = torch.tensor([[1, 1, 1], [0, 1, 0]], dtype=torch.bool)
    return text, image, text_mask, image_mask


def linear(module, x):
    rows = zip(module.weight.tolist(), module.bias.tolist(), strict=True)
    return [sum(w * value for w, value in zip(row, x, strict=True)) + bias for row, bias in rows]


def norm(module, x):
    mean = sum(x) / len(x)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in x) / len(x) + 1e-12)
    parts = zip(x, module.weight.tolist(), module.bias.tolist(), strict=True)
    return [(value - mean) / deviation * weight + bias for value, weight, bias in parts]


def gelu(x):
    return [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x]


def plus(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def softmaxed(heads, asking, seen, present):
    """Weights by head, query and key, for lists of vectors."""
    size = WIDTH // HEADS
    keys = [linear(heads.key, x) for x in seen]
    found = []
    for h in range(HEADS):
        part = slice(h * size, (h + 1) * size)
        rows = []
        for x in asking:
            q = linear(heads.query, x)[part]
            scores = [sum(a * b for a, b in zip(q, k[part], strict=True)) / math.sqrt(size) for k in keys]
            powers = [math.exp(score) if there else 0.0 for score, there in zip(scores, present, strict=True)]
            rows.append([power / sum(powers) for power in powers])
        found.append(rows)
    return found


def attended(block, asking, seen, present):
    """The whole block for one image: attention, output, residual and norm."""
    size = WIDTH // HEADS
    weights = softmaxed(block.heads, asking, seen, present)
    values = [linear(block.heads.value, x) for x in seen]
    found = []
    for i, x in enumerate(asking):
        gathered = [sum(weights[c // size][i][j] * values[j][c] for j in range(len(seen))) for c in range(WIDTH)]
        found.append(norm(block.norm, plus(x, linear(block.heads.dense, gathered))))
    return found


def fed(block, x):
    return norm(block.norm, plus(x, linear(block.down, gelu(linear(block.up, x)))))


def lists(streams):
    """Each image as lists: words, regions and which are present."""
    return zip(*(part.tolist() for part in streams), strict=True)


def same(found, wanted):
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-9, rtol=1e-9)


def test_a_joint_sublayer(streams):
    layer = made(Sublayer, CONFIG, Attend(BOTH, BOTH, shared=True))
    assert layer.image is None
    text, image = layer(*streams)
    wanted = [attended(layer.text, t + v, t + v, mt + mv) for t, v, mt, mv in lists(streams)]
    same(torch.cat([text, image], 1), wanted)


@pytest.mark.parametrize("shared", [True, False])
def test_streams_that_look_at_each_other(streams, shared):
    """Each reads the other as it was before the sublayer."""
    layer = made(Sublayer, CONFIG, Attend(IMAGE, TEXT, shared=shared))
    assert (layer.image is None) == shared
    of_image = layer.text if shared else layer.image
    text, image = layer(*streams)
    same(text, [attended(layer.text, t, v, mv) for t, v, _, mv in lists(streams)])
    same(image, [attended(of_image, v, t, mt) for t, v, mt, _ in lists(streams)])


@pytest.mark.parametrize("shared", [True, False])
def test_streams_that_look_at_themselves(streams, shared):
    layer = made(Sublayer, CONFIG, Attend(TEXT, IMAGE, shared=shared))
    of_image = layer.text if shared else layer.image
    text, image = layer(*streams)
    same(text, [attended(layer.text, t, t, mt) for t, _, mt, _ in lists(streams)])
    same(image, [attended(of_image, v, v, mv) for _, v, _, mv in lists(streams)])


@pytest.mark.parametrize("shared", [True, False])
def test_a_feed_forward_sublayer(streams, shared):
    layer = made(Sublayer, CONFIG, Feed(True, True, shared))
    of_image = layer.text if shared else layer.image
    text, image = layer(*streams)
    same(text, [[fed(layer.text, x) for x in t] for t, *_ in lists(streams)])
    same(image, [[fed(of_image, x) for x in v] for _, v, *_ in lists(streams)])


@pytest.mark.parametrize("gates", [Attend(text=TEXT), Attend(image=IMAGE), Feed(text=True), Feed(image=True)])
def test_a_stream_that_passes_by_is_given_back_as_it_came(streams, gates):
    layer = made(Sublayer, CONFIG, gates)
    found = layer(*streams)
    passing = 1 if gates.text else 0
    assert found[passing] is streams[passing]
    assert not torch.allclose(found[1 - passing], streams[1 - passing])
    assert (layer.text is None, layer.image is None) == (not gates.text, not gates.image)


def test_a_query_without_keys_gathers_nothing(streams):
    """An image without regions: of its words only the output's bias comes through."""
    heads = made(Heads, CONFIG, "text_to_image")
    text, image, *_ = streams
    none = torch.zeros(2, 1, 1, 3, dtype=torch.bool)
    found = heads(text, attention_mask=none, encoder_hidden_states=image)
    torch.testing.assert_close(found, heads.dense.bias.expand_as(found))


def test_the_encoder_gives_what_came_in_and_each_sublayer_in_turn(streams):
    gates = (Attend(TEXT), Feed(True), Attend(IMAGE, TEXT), Feed(True, True))
    encoder = made(Encoder, Config(**(vars(CONFIG) | {"sublayers": gates})))
    texts, images = encoder(*streams)
    assert len(texts) == len(images) == 5
    text, image = streams[:2]
    assert texts[0] is text
    assert images[0] is image
    for n, layer in enumerate(encoder.layers, 1):
        text, image = layer(text, image, *streams[2:])
        assert torch.equal(texts[n], text)
        assert torch.equal(images[n], image)
    assert torch.equal(images[2], images[0])


def test_capture_reads_the_weights_that_were_computed_by_hand(streams):
    gates = (Attend(IMAGE, TEXT, shared=True), Attend(TEXT, IMAGE), Attend(BOTH, BOTH, shared=True))
    encoder = made(Encoder, Config(**(vars(CONFIG) | {"sublayers": gates})))
    text_mask, image_mask = streams[2:]

    def positions(*_):
        none = torch.zeros_like
        joint = torch.cat([text_mask, none(image_mask)], 1), torch.cat([none(text_mask), image_mask], 1)
        return Positions(text_mask, image_mask, *joint)

    with capture(encoder, positions=positions) as tape:
        texts, images = encoder(*streams)
    assert [(site.kind, site.name) for site in tape.sites] == [
        ("text_to_image", "layers.0.text.heads"),
        ("image_to_text", "layers.0.text.heads"),
        ("text", "layers.1.text.heads"),
        ("image", "layers.1.image.heads"),
        ("joint", "layers.2.text.heads"),
    ]
    streams_at = [(texts[0], images[0]), (images[0], texts[0]), *((x[1], x[1]) for x in (texts, images))]
    both = torch.cat([texts[2], images[2]], 1)
    masks = [image_mask, text_mask, text_mask, image_mask, torch.cat([text_mask, image_mask], 1)]
    for site, (asking, seen), mask in zip(tape.sites, [*streams_at, (both, both)], masks, strict=True):
        heads = encoder.get_submodule(site.name)
        rows = zip(asking.tolist(), seen.tolist(), mask.tolist(), strict=True)
        weights = torch.tensor([softmaxed(heads, *row) for row in rows])
        torch.testing.assert_close(site.weights().double(), weights.double(), atol=1e-6, rtol=0)


def test_heads_for_words_and_regions():
    x = torch.randn(2, 3, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    embedding = torch.randn(9, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    words = made(WordHead, CONFIG)

    def hidden(head, row):
        return gelu(linear(head.dense, row))

    def word(row):
        state = norm(words.norm, hidden(words, row))
        products = [sum(a * b for a, b in zip(state, entry, strict=True)) for entry in embedding.tolist()]
        return plus(products, words.bias.tolist())

    same(words(x, embedding), [[word(row) for row in rows] for rows in x.tolist()])
    regions = made(RegionHead, CONFIG)
    wanted = [
        [linear(regions.classes, norm(regions.norm, hidden(regions, row))) for row in rows] for rows in x.tolist()
    ]
    same(regions(x), wanted)
    plain = made(RegionHead, Config(**(vars(CONFIG) | {"region_head_norm": False})))
    same(plain(x), [[linear(plain.classes, hidden(plain, row)) for row in rows] for rows in x.tolist()])
    assert not any("norm" in name for name in plain.state_dict())


@pytest.mark.parametrize(
    ("asking", "seen", "wanted"),
    [
        ("text", TEXT, "text"),
        ("text", IMAGE, "text_to_image"),
        ("image", TEXT, "image_to_text"),
        ("image", IMAGE, "image"),
        ("text", BOTH, "joint"),
        ("image", BOTH, "joint"),
    ],
)
def test_kinds_of_attention(asking, seen, wanted):
    assert kind(asking, seen) == wanted


def test_dropout_is_for_training_alone(streams):
    layer = made(Sublayer, CONFIG, Attend(BOTH, BOTH, shared=True))
    one, two = (layer(*streams)[0] for _ in range(2))
    assert torch.equal(one, two)
    layer.train()
    one, two = (layer(*streams)[0] for _ in range(2))
    assert not torch.allclose(one, two)
    # Among the weights too, not only behind the output.
    heads, (text, _, mask, _) = layer.text.heads, streams
    one, two = (heads(text, attention_mask=mask[:, None, None]) for _ in range(2))
    assert not torch.allclose(one, two)


def test_initial_weights_follow_from_the_seed():
    config = Config(**(vars(CONFIG) | {"width": 48, "heads": 4, "feed_forward": 60, "vocab": 50}))

    def weights(seed):
        torch.manual_seed(seed + 100)  # torch's own numbers do not matter
        model = VisionLanguage(config, str.split)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(7)
        initialise(model, seed)
        return model.state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
        if "norm" in name or name.endswith("bias"):
            assert (value == ("norm.weight" in name)).all(), name
        else:
            assert not torch.equal(value, other[name]), name
            # 0.02 at a width of 768: a sixteenth of that width, four times as much.
            assert value.abs().max() < 5 * 0.08, name
            if value.numel() > 1000:
                assert value.std().item() == pytest.approx(0.08, rel=0.1), name
    words = first["embeddings.words.word.weight"]
    assert not words[0].any()
    assert words[1:].any(1).all()
