"""What people wear, and which parts of them are spoken of."""

from random import Random

from crosslook.data.emoji import body
from crosslook.data.emoji.draft import Draft, chance, draft, large_enough, pick
from crosslook.data.emoji.sprites import index
from crosslook.data.emoji.world import categories

SLOTS = ("hat", "eyes", "neck", "torso", "legs", "feet", "rear", "gown", "suit")
FEMININE = ("dress", "blouse", "swimsuit")


def garments(rng: Random, setting: str, person: Draft, posture: str) -> list[Draft]:
    """What a doll (or each of a group) wears."""
    category = categories()[person.category]
    uniform = index()["people"][person.category][0]["kind"] == "bust"
    if posture == "lie" or "wearing" not in category.subject or person.category == "clown":
        return []
    allowed = {"eyes", "rear"} if uniform else {"hat", "eyes"} if posture == "bust" else set(SLOTS)
    if posture in ("ride", "sit"):
        allowed -= {"feet", "rear", "legs"} if posture == "ride" else {"rear"}
    if person.category == "baby":
        allowed = {"hat"}
    weights = {
        key: c.object["wearing"] * c.settings[setting]
        for key, c in categories().items()
        if c.type == "clothing" and setting in c.settings and "wearing" in c.object and c.roles[0] in allowed
    }
    found: list[Draft] = []
    for _ in range(int(pick(rng, {"0": 3, "1": 6, "2": 6, "3": 3}))):
        if person.category not in ("woman", "girl", "old_woman"):
            weights = {k: w for k, w in weights.items() if k not in FEMININE}
        if not weights:
            break
        garment = draft(rng, pick(rng, weights), varied=False)
        garment.boxes = [body.worn(garment.category, box, posture) for box in person.boxes]
        slot = categories()[garment.category].roles[0]
        taken = {"gown": ("gown", "torso", "legs", "suit"), "suit": ("suit", "gown", "torso", "legs")}.get(
            slot, (slot,)
        )
        taken += ("gown", "suit") if slot in ("torso", "legs") else ()
        weights = {k: w for k, w in weights.items() if categories()[k].roles[0] not in taken}
        garment.layer, garment.attached = (-1 if slot == "rear" else 1), person
        if large_enough(garment.boxes):
            found.append(garment)
    # From the skin outwards, as they are drawn.
    order = ("rear", "legs", "feet", "torso", "gown", "suit", "neck", "eyes", "hat")
    return sorted(found, key=lambda g: order.index(categories()[g.category].roles[0]))


def parts(rng: Random, person: Draft, wears: list[Draft]) -> list[Draft]:
    """Body parts to be spoken of; their boxes are known only when everything is placed."""
    found: list[Draft] = []
    hatted = any(categories()[g.category].roles[0] == "hat" for g in wears)
    beard = person.category == "man" and chance(rng, 14)
    if beard:
        colours = {c: w for c, w in categories()["beard"].colours.items() if c in body.hair_colours("man", True)}
        found.append(Draft("beard", pick(rng, colours), "medium", [], 2, part_of=person))
    colours = body.hair_colours(person.category, beard)
    # A hat hides short hair.
    if colours and not (hatted and person.category not in ("woman", "girl")) and chance(rng, 36):
        weights = {c: w for c, w in categories()["hair"].colours.items() if c in colours}
        found.append(Draft("hair", found[0].colour if beard else pick(rng, weights), "medium", [], 2, part_of=person))
    if chance(rng, 40):
        weights = {k: c.frequency for k, c in categories().items() if c.type == "bodyparts" and not c.colours}
        found.append(Draft(pick(rng, weights), None, "medium", [], 2, part_of=person))
    return found
