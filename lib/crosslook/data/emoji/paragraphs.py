"""A picture told in a few sentences, each leading to the next: *a guitar*, *the guitar*, *it*."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from crosslook.data.emoji import clauses as c
from crosslook.data.emoji import grammar as g
from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.clauses import Fact
from crosslook.data.emoji.facts import is_plural
from crosslook.data.emoji.lexicon import pick
from crosslook.data.emoji.mentions import POSSESSIVE, Context, Style, can_refer, kind, mark, pronoun_is_clear, refer
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.telling import append, spot_phrase, weigh, where_in_image
from crosslook.data.emoji.trees import Tree

TELLER = Style(
    forms={"progressive": 6, "present": 4},
    patterns={},
    colour=0.45,
    size=0.2,
    opinion=0.2,
    material=0.12,
    general=0.04,
    modifiers=0.15,
)
UNTOLD_PARTS = ("face", "hand", "arm", "leg", "foot", "head")
"""Nobody would say that a man has these; they are seen."""
LONGEST = 18
"""Words of a paragraph's longest sentence."""


def paragraph(scene: Scene) -> list[str]:
    """Three to five sentences about a scene, as trees; pronouns are marked with what they stand for."""
    rng = Random(f"{scene.seed} paragraph")
    context = Context(scene, rng, TELLER, recent=[], form="past" if rng.random() < 0.2 else "present")
    wanted = 3 + int(rng.random() * 2.6)
    told: list[Tree] = []
    described = False
    while len(told) < wanted:
        last = len(told) == wanted - 1
        ways = [_next] if not told else [_closing, _next] if last and context.chance(0.6) else [_next, _closing]
        if not told:
            ways = [_opening, _next]
        elif not described and context.chance(0.25):
            ways = [_attribute, *ways]
        for way in (*ways, _closing, _also, *([_remark] if len(told) == 2 else [])):
            tried, tree = _try(context, way)
            if tree is not None:
                context = tried
                described = described or way is _attribute
                told.append(tree)
                break
        else:
            break
    return [str(tree) for tree in told]


def _try(context: Context, way: Callable[[Context], list[Tree] | None]) -> tuple[Context, Tree | None]:
    """A sentence made one way, with the context after it; what does not work out leaves the context as it was."""
    for _ in range(6):
        trial = replace(
            context,
            names=dict(context.names),
            levels=dict(context.levels),
            used=set(context.used),
            recent=list(context.recent),
        )
        parts = way(trial)
        if parts is None:
            continue
        tree = g.sentence(*parts)
        if g.length(tree) <= LONGEST:
            # A pronoun of the next sentence may mean something of this one.
            trial.recent = trial.recent[len(context.recent) :]
            return trial, tree
    return context, None


def _form(context: Context) -> str:
    form = pick(context.rng, context.style.forms)
    return {"present": "past", "progressive": "past_progressive"}[form] if context.form == "past" else form


def _opening(context: Context) -> list[Tree] | None:
    """The picture shows a busy street. / In the park, a man ... / There is ..."""
    way = pick(context.rng, {"picture": 3 * (context.form == "present"), "fact": 5, "there": 3})
    entry = lex.lexicon()["settings"][context.scene.setting]
    if way == "picture":
        noun = lex.tagged(pick(context.rng, entry["nouns"]))
        some = (
            lex.tagged(pick(context.rng, entry["adjectives"]), "JJ") if len(noun) == 1 and context.chance(0.7) else ()
        )
        what = g.noun_phrase("a", (*some, *noun), "S")
        image = pick(context.rng, {"picture": 4, "image": 3, "photo": 2})
        if context.chance(0.5):
            verb = g.verb_phrase("show", "present", False, what)
            return [g.simple(f"{pick(context.rng, {'the': 2, 'this': 2})} {image}", "0"), verb]
        if context.chance(0.5):
            what = g.node("NP", g.simple(f"a {image}", "0"), g.node("PP", g.leaf("IN", "of"), what))
        return [g.node("NP", g.leaf("DT", "this")), g.verb_phrase("be", "present", False, what)]
    fact = _choose(context)
    if fact is None:
        return None
    subject = c.described(context, fact[0], 0.4 * (fact[1] != "wearing"), most=1)
    if fact in context.used:
        return None
    plural = is_plural(context.scene, fact[0])
    where = c.setting(context)
    if way == "there":
        if subject.children[-1].label not in ("SBAR", "VP") and c.is_action(fact):
            subject = g.node("NP", subject, c.action(context, fact, "ing", plural))
        return [g.there(), g.verb_phrase("be", context.form, plural, subject, where)]
    clause = c.predicate_phrase(context, fact, _form(context), plural)
    if context.chance(0.5):
        return [where, g.leaf(",", ","), subject, clause]
    return [subject, append(clause, [where])]


def _choose(context: Context) -> Fact | None:
    """The next relation to tell: lively, and about what was just spoken of."""
    weights = {}
    for number, fact in enumerate(context.scene.relations):
        subject, predicate, other = fact
        if fact in context.used or (predicate == "has" and not _can_tell_part(context, fact)):
            continue
        near = 5 if subject in context.recent else 3 if other in context.recent else 1
        near = near if subject in context.names or other in context.names or not context.names else 0.5
        weights[str(number)] = near * (
            3 if predicate in c.ATTIRE and subject in context.names else weigh(context, fact)
        )
    return context.scene.relations[int(pick(context.rng, weights))] if weights else None


def _can_tell_part(context: Context, fact: Fact) -> bool:
    """Parts are told of someone just spoken of; *his hand* needs a present in which one sees it."""
    shown = context.scene.things[fact[2]].category not in UNTOLD_PARTS or context.form == "present"
    return fact[0] in context.recent and shown


def _next(context: Context) -> list[Tree] | None:
    """One more relation; *behind him, there is a tree* where its subject is new and its object is not."""
    fact = _choose(context)
    if fact is None:
        return None
    subject, predicate, other = fact
    form, plural = _form(context), is_plural(context.scene, subject)
    new = subject not in context.names
    if new and other in context.names:
        if not c.is_action(fact) and context.chance(0.6):
            return _inverted(context, fact)
        if c.can_be_passive(fact) and context.chance(0.3):
            what = refer(context, other, subject=True, pronouns=0.6)
            return what and [what, c.passive(context, fact, form, c.described(context, subject, 0.2))]
    if new:
        who = c.described(context, subject, 0.3 * (predicate != "wearing"), most=1)
    else:
        who = refer(context, subject, subject=True, pronouns=0.8)
    if who is None or fact in context.used:
        return None
    if other in context.names and not can_refer(context, other):
        return None
    if predicate == "has" and context.scene.things[other].category in UNTOLD_PARTS:
        return _part(context, fact)
    verb = c.predicate_phrase(context, fact, form, plural, modifiers=0.25)
    more = [
        f
        for f in c.subject_facts(context, subject)
        if f[1] == predicate and c.clear(context, f) and context.scene.things[f[2]].category not in UNTOLD_PARTS
    ]
    if more and predicate in ("wearing", "has") and context.chance(0.6):
        return [who, _add_object(verb, c.object_phrase(context, more[0]))]
    return [who, verb]


def _part(context: Context, fact: Fact) -> list[Tree] | None:
    """We can see his hands. / Her face can be seen."""
    subject, _, other = fact
    possessor = lex.pronoun(context.scene.things[subject].category)
    if possessor is None or not pronoun_is_clear(context, subject, context.recent):
        return None
    category, plural = context.scene.things[other].category, is_plural(context.scene, other)
    noun = lex.tagged(pick(context.rng, lex.nouns(category, plural)), "NNS" if plural else "NN")
    context.used.add(fact)
    context.names[other], context.levels[other] = noun, category
    context.recent += [subject, other]
    phrase = g.noun_phrase(POSSESSIVE[possessor], noun, mark(other))
    if context.chance(0.5):
        return [
            g.node("NP", g.leaf("PRP", "we")),
            g.node("VP", g.leaf("MD", "can"), g.verb_phrase("see", "base", True, phrase)),
        ]
    return [phrase, _can_be_seen()]


def _can_be_seen(*rest: Tree) -> Tree:
    seen = g.node("VP", g.leaf("VBN", "seen"), *rest)
    return g.node("VP", g.leaf("MD", "can"), g.node("VP", g.leaf("VB", "be"), seen))


def _add_object(verb: Tree, phrase: Tree) -> Tree:
    """*is wearing a cap* and *a coat*: *is wearing a cap and a coat*."""
    last = verb.children[-1]
    changed = _add_object(last, phrase) if last.label == "VP" else last
    if last.label == "NP":
        changed = g.coordinate("NP", [last, phrase])
    elif last.label != "VP":
        return g.node("VP", *verb.children)
    return Tree("VP", (*verb.children[:-1], changed))


def _attribute(context: Context) -> list[Tree] | None:
    """It is small and brown: of something just spoken of, what its name did not say."""
    scene = context.scene
    told = {i: {word for _, word in context.names[i]} for i in context.recent if i in context.names}
    found = []
    for index, words in told.items():
        thing = scene.things[index]
        colours = lex.colour_words(thing.category, thing.colour) if thing.colour else {}
        sizes = lex.size_words(thing.category, thing.size) if thing.size != "medium" else {}
        if kind(scene, index) not in ("bodyparts", "people") and colours and not words & {*colours, *sizes, "golden"}:
            found.append((index, colours, sizes))
    if not found:
        return None
    index, colours, sizes = found[int(context.rng.random() * len(found))]
    who = refer(context, index, subject=True, pronouns=0.6)
    if who is None:
        return None
    words = [pick(context.rng, sizes)] if sizes else []
    words.append(pick(context.rng, colours))
    said = [g.leaf("JJ", word) for word in words]
    how = g.coordinate("ADJP", said) if len(said) > 1 else g.node("ADJP", *said)
    context.names[index] = (*(("JJ", word) for word in words), *context.names[index])
    return [who, g.verb_phrase("be", context.form, is_plural(scene, index), how)]


def _inverted(context: Context, fact: Fact) -> list[Tree] | None:
    """Behind the man, there is a tree; next to it stands a tree."""
    subject, _, other = fact
    if not can_refer(context, other):
        return None
    where = c.place(context, fact)
    what = c.described(context, subject, 0.25)
    plural = is_plural(context.scene, subject)
    verb, participle = c.posture(context, subject)
    if verb == "be" or participle or context.chance(0.5):
        return [where, g.leaf(",", ","), g.there(), g.verb_phrase("be", context.form, plural, what)]
    return [where, g.verb_phrase(verb, context.form, plural), what]


def _closing(context: Context) -> list[Tree] | None:
    """In the background, there is a house."""
    spots = [(i, where_in_image(context, i)) for i in range(len(context.scene.things)) if i not in context.names]
    spots = [(i, name) for i, name in spots if name is not None]
    far = [spot for spot in spots if spot[1] == "background" or kind(context.scene, spot[0]) == "scene"]
    if not spots:
        return None
    spots = far if far and context.chance(0.7) else spots
    index, name = spots[int(context.rng.random() * len(spots))]
    what = c.described(context, index, 0.3)
    plural = is_plural(context.scene, index)
    if context.chance(0.25):
        return [what, _can_be_seen(spot_phrase(name))] if context.form == "present" else None
    if context.chance(0.3):
        return [what, g.verb_phrase("be", context.form, plural, spot_phrase(name))]
    return [spot_phrase(name), g.leaf(",", ","), g.there(), g.verb_phrase("be", context.form, plural, what)]


def _also(context: Context) -> list[Tree] | None:
    """There is also a duck in the park."""
    rest = [
        i
        for i in range(len(context.scene.things))
        if i not in context.names and kind(context.scene, i) not in ("clothing", "bodyparts")
    ]
    if not rest:
        return None
    index = rest[int(context.rng.random() * len(rest))]
    what = c.described(context, index, 0.3)
    be = g.verb_phrase("be", context.form, is_plural(context.scene, index))
    where = c.setting(context) if context.chance(0.4) else None
    return [g.there(), g.node("VP", *be.children, g.adverb_phrase("also"), what, where)]


def _remark(context: Context) -> list[Tree] | None:
    """All of this is in the park: a last word where nothing else is left to tell."""
    this = g.node("PP", g.leaf("IN", "of"), g.node("NP", g.leaf("DT", "this")))
    everything = g.node("NP", g.node("NP", g.leaf("DT", "all")), this)
    return [everything, g.verb_phrase("be", context.form, False, c.setting(context))]
