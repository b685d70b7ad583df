"""Beyond two separate losses: do text and image act together, and how much of a score is owed to each?

Ablation of one modality says what is lost without it *while the other is there*. With both present and absent in turn
there are four scores, and what the two give together beyond what each gives alone. A Shapley value shares a score out
among players so that the parts add up to it; with two players it follows from the four scores, with every word and
region as a player it is sampled, as in MM-SHAP (Parcalabescu and Frank 2023).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from crosslook.ablation import ROWS
from crosslook.ablation_conditions import mask_id, stacked, take, without_regions, without_words
from crosslook.ablation_examples import Cases
from crosslook.data.sample import Batch
from crosslook.models.protocol import head

Score = Callable[[nn.Module, Batch], Float[Tensor, " batch"]]


@dataclass(frozen=True, eq=False)
class Square:
    """A score of each example with text and image present or absent; arrays `(example,)`."""

    neither: Float[np.ndarray, " example"]
    text: Float[np.ndarray, " example"]
    image: Float[np.ndarray, " example"]
    both: Float[np.ndarray, " example"]

    @property
    def interaction(self) -> Float[np.ndarray, " example"]:
        """What both give together beyond what each gives alone; 0 where their effects just add up."""
        return self.both - self.text - self.image + self.neither

    @property
    def of_text(self) -> Float[np.ndarray, " example"]:
        """The Shapley value of the text: what it adds, averaged over coming first and coming second."""
        return ((self.text - self.neither) + (self.both - self.image)) / 2

    @property
    def of_image(self) -> Float[np.ndarray, " example"]:
        """The Shapley value of the image; with that of the text it adds up to `both - neither`."""
        return ((self.image - self.neither) + (self.both - self.text)) / 2

    @property
    def image_share(self) -> Float[np.ndarray, " example"]:
        """The image's part of both values without their signs, 0 to 1; NaN where both are 0."""
        return _share(self.of_image, self.of_text)


def margin(model: nn.Module, batch: Batch) -> Float[Tensor, " batch"]:
    """How much rather a model says that text and image belong together: log-odds, in nats.

    Raises:
        ValueError: for a model without a head for matching.
    """
    logits = head(model, "match_logits")(model(batch))
    return logits[:, 1] - logits[:, 0]


@torch.no_grad()
def square(model: nn.Module, cases: Cases, filler: Float[Tensor, " dim"], score: Score = margin) -> Square:
    """The four scores of each example. Absent words are [MASK], absent regions have the feature `filler`.

    Raises:
        ValueError: for a model that knows no [MASK], and as `without_regions` and the score.
    """
    present = cases.batch.region_mask
    deaf = without_words(cases.batch, cases.words, mask_id(model))
    blind, neither = (without_regions(batch, present, filler) for batch in (cases.batch, deaf))
    rows = stacked([neither, blind, deaf, cases.batch])
    found = _scores(model, rows, score).view(4, len(cases))
    return Square(*found.double().numpy(force=True))


def shapley(
    value: Callable[[Bool[Tensor, "coalition player"]], Float[Tensor, " coalition"]],
    n_players: int,
    n_orders: int = 4,
    seed: int = 0,
) -> Float[Tensor, " player"]:
    """Shapley values by sampling (Castro et al. 2009): what a player adds when it comes, averaged over random orders.

    Args:
        value: of coalitions, true for who is in.
        n_players: at least 1.
        n_orders: how many orders are drawn; each is also used backwards, which evens out who comes early.
        seed: of the orders.

    Returns:
        One value a player. They add up to the value of all minus that of none, however few orders there are.

    Raises:
        ValueError: for no players or no orders.
    """
    for name, number in (("n_players", n_players), ("n_orders", n_orders)):
        if number < 1:
            raise ValueError(f"{name}: expected at least 1, got {number}")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([torch.randperm(n_players, generator=generator) for _ in range(n_orders)])
    orders = torch.cat([drawn, drawn.flip(1)])
    arrival = orders.argsort(1)
    inside = arrival[:, None] < torch.arange(n_players + 1)[:, None]  # (order, how many have come, player)
    worth = value(inside.flatten(0, 1)).view(len(orders), n_players + 1)
    added = worth.diff(dim=1).cpu()  # by place in the order
    return added.gather(1, arrival).mean(0)


@dataclass(frozen=True, eq=False)
class Parts:
    """What each word and each region gives to a score of one example; 0 for tokens that are no words, and padding."""

    words: Float[np.ndarray, " text"]
    regions: Float[np.ndarray, " region"]

    @property
    def image_share(self) -> float:
        """The regions' part of all values without their signs; NaN where all are 0."""
        return float(_share(np.abs(self.regions).sum(keepdims=True), np.abs(self.words).sum(keepdims=True))[0])


@torch.no_grad()
def parts(
    model: nn.Module,
    cases: Cases,
    filler: Float[Tensor, " dim"],
    n_orders: int = 4,
    seed: int = 0,
    score: Score = margin,
) -> list[Parts]:
    """Shapley values of every word and every region of each example.

    A coalition is a caption in which all other words are [MASK], with an image in which all other regions have the
    feature `filler`. It takes `2 n_orders (words + regions + 1)` passes an example.

    Raises:
        ValueError: as `square` and `shapley`.
    """
    mask, found = mask_id(model), []
    for row in range(len(cases)):
        here = torch.tensor([row], device=cases.words.device)
        words, regions = cases.words[row], cases.batch.region_mask[row]
        n_words, n_regions = int(words.sum()), int(regions.sum())

        def value(inside: Tensor, here=here, words=words, regions=regions, n_words=n_words) -> Tensor:
            inside = inside.to(words.device)
            batch = take(cases.batch, here.expand(len(inside)))
            gone_words, gone_regions = (torch.zeros_like(x).repeat(len(inside), 1) for x in (words, regions))
            gone_words[:, words], gone_regions[:, regions] = ~inside[:, :n_words], ~inside[:, n_words:]
            batch = without_regions(without_words(batch, gone_words, mask), gone_regions, filler)
            return _scores(model, batch, score)

        values = shapley(value, n_words + n_regions, n_orders, seed + row).double()
        of_words, of_regions = (torch.zeros(len(x), dtype=torch.float64) for x in (words, regions))
        of_words[words.cpu()], of_regions[regions.cpu()] = values[:n_words], values[n_words:]
        found.append(Parts(of_words.numpy(), of_regions.numpy()))
    return found


def _scores(model: nn.Module, batch: Batch, score: Score) -> Float[Tensor, " batch"]:
    rows = torch.arange(len(batch), device=batch.region_mask.device)
    return torch.cat([score(model, take(batch, some)) for some in rows.split(ROWS)])


def _share(one: Float[np.ndarray, " *example"], other: Float[np.ndarray, " *example"]) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(one) / (np.abs(one) + np.abs(other))
