"""Kinds of sentence: each gives a sentence's constituents, or None where the scene has nothing to tell in that way."""

from collections.abc import Callable

from crosslook.data.emoji import clauses as c
from crosslook.data.emoji import grammar as g
from crosslook.data.emoji.clauses import Fact
from crosslook.data.emoji.facts import count, is_plural
from crosslook.data.emoji.lexicon import pick
from crosslook.data.emoji.mentions import Context, kind
from crosslook.data.emoji.plurals import group, together
from crosslook.data.emoji.telling import (
    append,
    append_last,
    append_outer,
    choose,
    extras,
    fresh,
    modified,
    simple_tense,
    spot_phrase,
    tense,
    where_in_image,
    without_setting,
)
from crosslook.data.emoji.trees import Tree

Parts = list[Tree] | None


def active(context: Context, fact: Fact | None = None) -> Parts:
    """A young man is playing a guitar on the stage."""
    fact = fact or choose(context, fresh(context))
    if fact is None:
        return None
    form = tense(context)
    subject = c.described(context, fact[0], context.style.modifiers * (fact[1] != "wearing"))
    if fact in context.used:
        return None
    return [subject, _verb(context, fact, form)]


def _verb(context: Context, fact: Fact, form: str) -> Tree:
    """The verb phrase of a fact, its object first in the order of words, what follows it after."""
    plural = is_plural(context.scene, fact[0])
    inner = c.predicate_phrase(context, fact, form, plural, modifiers=context.style.modifiers * 0.5)
    return append(inner, extras(context, fact))


def passive(context: Context) -> Parts:
    """A guitar is being played by a man."""
    facts = [f for f in fresh(context) if c.can_be_passive(f)]
    facts = [f for f in facts if f[1] != "wearing" and not is_plural(context.scene, f[0])]
    fact = choose(context, facts)
    if fact is None:
        return None
    form = tense(context)
    subject = c.described(context, fact[2], context.style.modifiers * 0.5)
    agent = c.described(context, fact[0], context.style.modifiers)
    where = [c.setting(context)] if context.chance(context.style.setting) else []
    return [subject, c.passive(context, fact, form, agent, *where)]


def fragment(context: Context) -> Parts:
    """A dog chasing a ball on the beach."""
    fact = choose(context, fresh(context))
    return [modified(context, fact)] if fact else None


def existential(context: Context) -> Parts:
    """There is a man riding a bicycle in the street."""
    fact = choose(context, fresh(context))
    if fact is None:
        return None
    phrase = modified(context, fact)
    be = g.verb_phrase(
        "be", simple_tense(context), count(context.scene, fact[0]) > 1 or is_plural(context.scene, fact[0]), phrase
    )
    return [g.there(), be]


def shows(context: Context) -> Parts:
    """The image shows ...; this is a picture of ...; ... can be seen."""
    fact = choose(context, fresh(context))
    if fact is None:
        return None
    context.form = "present"
    image = pick(context.rng, {"image": 4, "picture": 4, "photo": 2, "scene": 1})
    way = pick(context.rng, {"shows": 5, "of": 2, "see": 2, "seen": 2})
    phrase = modified(context, fact)
    if way == "shows":
        verb = pick(context.rng, {"show": 6, "depict": 1})
        return [
            g.simple(f"{pick(context.rng, {'the': 3, 'this': 2})} {image}", "0"),
            g.verb_phrase(verb, "present", False, phrase),
        ]
    if way == "of":
        what = g.node("NP", g.simple(f"a {image}", "0"), g.node("PP", g.leaf("IN", "of"), phrase))
        return [g.node("NP", g.leaf("DT", "this")), g.verb_phrase("be", "present", False, what)]
    where = g.node("PP", g.leaf("IN", "in"), g.simple(f"{pick(context.rng, {'the': 2, 'this': 1})} {image}", "0"))
    if way == "see":
        return [
            g.node("NP", g.leaf("PRP", "we")),
            g.node("VP", g.leaf("MD", "can"), g.verb_phrase("see", "base", True, phrase, where)),
        ]
    seen = g.node("VP", g.leaf("VB", "be"), g.node("VP", g.leaf("VBN", "seen"), where))
    return [phrase, g.node("VP", g.leaf("MD", "can"), seen)]


def fronted(context: Context) -> Parts:
    """In the park, a woman is feeding a duck."""
    where = c.setting(context)
    keep, context.style = context.style, without_setting(context.style)
    parts = pick_pattern(context, {"active": 5, "existential": 3, "two_verbs": 1})
    context.style = keep
    return [where, g.leaf(",", ","), *parts] if parts else None


def sided(context: Context) -> Parts:
    """On the left, there is a tree; on the left, a dog ..., and on the right, there is a bench."""
    first = _spot(context, ())
    if first is None:
        return None
    name, parts = first
    second = _spot(context, (name,)) if context.chance(0.45) else None
    if second is None:
        return parts
    return [g.node("S", *parts), g.leaf(",", ","), g.leaf("CC", "and"), g.node("S", *second[1])]


def _spot(context: Context, taken: tuple[str, ...]) -> tuple[str, list[Tree]] | None:
    """A place in the image, and a clause about something there that was not mentioned."""
    spots = [(i, where_in_image(context, i)) for i in range(len(context.scene.things)) if i not in context.names]
    spots = [(i, name) for i, name in spots if name is not None and name not in taken]
    if not spots:
        return None
    index, name = spots[int(context.rng.random() * len(spots))]
    fact = choose(context, [f for f in fresh(context) if f[0] == index])
    keep, context.style = context.style, without_setting(context.style)
    if fact and context.chance(0.6):
        parts = active(context, fact)
    else:
        phrase = c.described(context, index, context.style.modifiers)
        form = "past" if context.form.startswith("past") else "present"
        parts = [g.there(), g.verb_phrase("be", form, is_plural(context.scene, index), phrase)]
    context.style = keep
    return (name, [spot_phrase(name), g.leaf(",", ","), *parts]) if parts else None


def two_verbs(context: Context) -> Parts:
    """A man sits on a bench and reads a book; a woman is standing near a tree and holding a cup."""
    facts = [f for f in fresh(context) if f[1] not in c.ATTIRE]
    pairs = [(a, b) for a in facts for b in facts if a[0] == b[0] and a[1] != b[1] and a[2] != b[2] and c.is_action(b)]
    if not pairs:
        return None
    first, second = pairs[int(context.rng.random() * len(pairs))]
    form, plural = tense(context), is_plural(context.scene, first[0])
    subject = c.described(context, first[0], context.style.modifiers * 0.6)
    if {first, second} & context.used:
        return None
    one = c.predicate_phrase(context, first, form, plural)
    two = c.predicate_phrase(context, second, form, plural)
    if (
        not c.is_action(first)
        and one.children[0].word in ("is", "are", "was", "were")
        and one.children[-1].label != "VP"
    ):
        return None  # a man is under a cloud and reads
    more = extras(context, second) if c.is_action(first) else []
    if form not in g.BE_FORMS:
        return [subject, append_last(g.coordinate("VP", [one, two]), more)]
    if one.children[-1].children[0].label != "VBG":
        return None  # *is parked near a tree* and *is waiting* share no auxiliary
    inner = g.coordinate("VP", [one.children[-1], two.children[-1]])
    return [subject, Tree("VP", (*one.children[:-1], append_last(inner, more)))]


def two_clauses(context: Context) -> Parts:
    """A man is playing a guitar while a dog lies next to him."""
    fact = choose(context, fresh(context))
    if fact is None:
        return None
    keep, context.style = context.style, without_setting(context.style)
    first = active(context, fact)
    context.style = keep
    if first is None:
        return None
    facts = [
        f for f in context.scene.relations if f not in context.used and f[0] not in context.names and f[1] != "has"
    ]
    related = [f for f in facts if f[2] in context.names]
    if related and context.chance(0.6):
        facts = related
    second = choose(context, facts)
    if second is None:
        return None
    form = context.form
    subject = c.described(context, second[0], context.style.modifiers * 0.3)
    if second in context.used:
        return None
    clause = g.node("S", subject, c.predicate_phrase(context, second, form, is_plural(context.scene, second[0])))
    joint = pick(context.rng, {"while": 4, "and": 4, "as": 1})
    if joint == "and":
        return [g.node("S", *first), g.leaf(",", ","), g.leaf("CC", "and"), clause]
    return [first[0], append_outer(first[1], g.subordinate(joint, clause))]


def inverted(context: Context) -> Parts:
    """Behind the bench stands a large tree."""
    fact = choose(context, [f for f in fresh(context) if f[1] in c.SPATIAL and f[1] not in ("left_of", "right_of")])
    if fact is None:
        return None
    form = "past" if tense(context).startswith("past") else "present"
    where = c.place(context, fact)
    subject = c.described(context, fact[0], context.style.modifiers)
    verb, participle = c.posture(context, fact[0])
    verb = "be" if participle else verb
    return [where, g.verb_phrase(verb, form, is_plural(context.scene, fact[0])), subject]


def listing(context: Context) -> Parts:
    """There is a dog in the park: for a scene of which nothing else can be told."""
    kinds = [kind(context.scene, i) for i in range(len(context.scene.things))]
    index = next((i for i, name in enumerate(kinds) if name not in ("clothing", "bodyparts")), 0)
    phrase = c.described(context, index, context.style.modifiers)
    return [
        g.there(),
        g.verb_phrase("be", simple_tense(context), is_plural(context.scene, index), phrase, c.setting(context)),
    ]


PATTERNS: dict[str, Callable[[Context], Parts]] = {
    "active": active,
    "passive": passive,
    "fragment": fragment,
    "existential": existential,
    "shows": shows,
    "fronted": fronted,
    "sided": sided,
    "two_verbs": two_verbs,
    "together": together,
    "group": group,
    "two_clauses": two_clauses,
    "inverted": inverted,
}


def pick_pattern(context: Context, weights: dict[str, int]) -> Parts:
    """The constituents of a sentence of one of these kinds."""
    return PATTERNS[pick(context.rng, weights)](context)
