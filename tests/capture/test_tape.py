"""What a tape keeps: passes, parts of the model on their own, interruptions, captures within captures."""

import gc
import re
import weakref

import pytest
import torch
from own_models import Oracle, SingleStream, compare
from torch import nn
from torch.utils.checkpoint import checkpoint

from crosslook.capture import Positions, Unsupported, capture


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_sites_are_those_of_the_last_pass():
    model = SingleStream()
    with capture(model) as tape:
        model(normal(2, 4, 12))
        first = tape.sites
        model(normal(1, 3, 12))
    assert [site.q.shape[2] for site in tape.sites] == [3, 3]
    assert [site.call for site in tape.sites] == [0, 0]
    assert [site.q.shape[2] for site in first] == [4, 4]


def test_sites_stay_after_the_block():
    model = SingleStream()
    with capture(model) as tape:
        model(normal(2, 4, 12))
    model(normal(1, 3, 12))
    assert [site.q.shape[2] for site in tape.sites] == [4, 4]


def test_what_is_handed_over_is_let_go():
    model = SingleStream()
    alive = []
    with torch.no_grad(), capture(model, on_site=lambda site: alive.append(weakref.ref(site.q))) as tape:
        model(normal(2, 4, 12))
    gc.collect()
    assert tape.n_sites == len(alive) == 2
    assert not tape.sites
    assert not any(ref() is not None for ref in alive)


def test_a_site_is_handed_over_as_it_happens():
    model = SingleStream()
    order = []
    for index, block in enumerate(model.blocks):
        block.output.register_forward_hook(lambda *_, index=index: order.append(f"after {index}"))
    with capture(model, on_site=lambda site: order.append(site.name)):
        model(normal(2, 4, 12))
    assert order == ["blocks.0.inner", "after 0", "blocks.1.inner", "after 1"]


def test_a_part_of_the_model_on_its_own():
    model = SingleStream()
    with capture(model) as tape:
        model.blocks[1](normal(2, 4, 12))
    assert [(site.layer, site.name) for site in tape.sites] == [(0, "blocks.1.inner")]
    assert tape.sites[0].query_text is None  # nobody said what is text


def test_an_attention_module_on_its_own():
    module = SingleStream().blocks[0].inner
    with Oracle() as oracle, capture(module) as tape:
        module(normal(2, 4, 12))
    assert tape.sites[0].name == ""
    compare(tape.sites, oracle.weights)


@pytest.mark.parametrize("part", ["whole", "part", "around"])
def test_a_model_that_is_being_captured(part):
    model = SingleStream()
    other = {"whole": model, "part": model.blocks[0], "around": nn.Sequential(model)}[part]
    with capture(model) as tape:
        with pytest.raises(Unsupported, match="expected one that is not being captured"), capture(other):
            pass
        model(normal(2, 4, 12))
    assert len(tape.sites) == 2
    with capture(other) as tape:
        other(normal(2, 4, 12))
    assert tape.sites


def test_a_capture_that_fails_to_begin_leaves_nothing():
    model = nn.Linear(2, 2)
    for _ in range(2):
        with pytest.raises(Unsupported, match="no attention module found"), capture(model):
            pass


def test_after_an_error_the_next_pass_starts_afresh():
    model = SingleStream()
    with capture(model) as tape:
        with pytest.raises(RuntimeError):
            model(normal(2, 4, 13))
        model(normal(2, 4, 12))
    assert len(tape.sites) == 2


def test_after_an_interruption_too():
    """Which is no Exception, so that no hook hears of it."""
    model = SingleStream()
    interrupted = False

    def interrupt(*_):
        if not interrupted:
            raise KeyboardInterrupt

    model.blocks[1].inner.register_forward_pre_hook(interrupt)
    with capture(model) as tape:
        with pytest.raises(KeyboardInterrupt):
            model(normal(2, 4, 12))
        interrupted = True
        with Oracle() as oracle:
            model(normal(1, 3, 12))
    compare(tape.sites, oracle.weights)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_records_a_call_once(reentrant):
    class Checkpointed(SingleStream):
        def forward(self, hidden):
            for block in self.blocks:
                hidden = checkpoint(block, hidden, use_reentrant=reentrant)
            return hidden

    model = Checkpointed()
    with capture(model) as tape:
        model(normal(2, 4, 12).requires_grad_()).sum().backward()
    assert [site.name for site in tape.sites] == ["blocks.0.inner", "blocks.1.inner"]
    assert model.blocks[0].inner.query.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_loss_on_weights_under_gradient_checkpointing(reentrant):
    """What a callback computes does not count among what the pass saves, and has the same gradients."""
    gradients = []
    for checkpointed in (False, True):
        model = SingleStream(layers=1)
        block, hidden = model.blocks[0], normal(2, 4, 12).requires_grad_()
        losses = []
        with capture(model, on_site=lambda site, losses=losses: losses.append(site.weights().square().sum())):
            out = checkpoint(block, hidden, use_reentrant=reentrant) if checkpointed else block(hidden)
            # Reentrant checkpointing gives no graph inside of it.
            loss = out.square().sum() + (0 if reentrant else losses[0])
            loss.backward()
        gradients.append([hidden.grad, block.inner.query.weight.grad])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


def test_a_backward_pass_within_the_forward_pass():
    """What it computes again has been recorded."""

    class Learning(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
            self.linear = nn.Linear(12, 12)

        def block(self, hidden):
            return self.linear(self.attention(hidden, hidden, hidden)[0]).tanh()

        def forward(self, hidden):
            out = checkpoint(self.block, hidden, use_reentrant=False)
            (gradient,) = torch.autograd.grad(out.square().sum(), hidden)
            return gradient

    model = Learning()
    with capture(model) as tape:
        model(normal(2, 4, 12).requires_grad_())
    assert [(site.name, site.call) for site in tape.sites] == [("attention", 0)]


def test_hooks_of_others_see_and_change_what_they_did_before():
    """A head that is knocked out by a hook on its queries is captured as knocked out."""
    model = SingleStream(layers=1)

    def zero(module, args, output):
        return output * torch.tensor([0.0] * 4 + [1.0] * 8)

    model.blocks[0].inner.query.register_forward_hook(zero)
    with Oracle() as oracle, capture(model) as tape:
        model(normal(1, 4, 12))
    torch.testing.assert_close(tape.sites[0].weights()[:, 0], torch.full((1, 4, 4), 0.25))
    compare(tape.sites, oracle.weights)


def test_positions_from_whoever_captures():
    model = SingleStream(layers=1)
    del SingleStream.attention_positions  # as if the model said nothing
    try:
        with capture(model) as tape:
            model(normal(2, 4, 12))
        assert tape.sites[0].key_text is None
        assert tape.sites[0].statistics().mass is None

        def positions(hidden, mask=None, n_words=2):
            is_word = torch.arange(4).expand(2, 4) < n_words
            return Positions(joint_text=is_word, joint_image=~is_word)

        with capture(model, positions=positions) as tape:
            model(normal(2, 4, 12), n_words=3)
        assert tape.sites[0].key_text.sum(1).tolist() == [3, 3]
        assert tape.sites[0].statistics().mass.shape[-1] == 2
    finally:
        SingleStream.attention_positions = _ATTENTION_POSITIONS


_ATTENTION_POSITIONS = SingleStream.attention_positions


@pytest.mark.parametrize("part", ["joint_text", "joint_image"])
@pytest.mark.parametrize("shape", [(2, 3), (2, 5), (1, 4)])
def test_positions_that_do_not_fit(part, shape):
    model = SingleStream(layers=1)
    given = Positions(**{part: torch.ones(shape, dtype=torch.bool)})
    message = re.escape(f"positions: expected {part} of shape (batch=2, 4), got {shape}")
    with capture(model, positions=lambda *_: given), pytest.raises(ValueError, match=message):
        model(normal(2, 4, 12))


def test_compiled_and_parallel_models():
    model = SingleStream()
    with pytest.raises(Unsupported, match="got a compiled one"), capture(torch.compile(model)):
        pass
    with pytest.raises(Unsupported, match=r"nn.DataParallel; give its \.module"), capture(nn.DataParallel(model)):
        pass
