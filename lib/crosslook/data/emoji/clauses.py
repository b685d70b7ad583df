"""From relations of a scene to verb phrases and noun phrases with modifiers."""

from crosslook.data.emoji import grammar as g
from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.facts import is_plural
from crosslook.data.emoji.lexicon import pick
from crosslook.data.emoji.mentions import Context, first_mention, kind, mark, pronoun_of, refer
from crosslook.data.emoji.trees import Tree

Fact = tuple[int, str, int]

SPATIAL = ("left_of", "right_of", "next_to", "near", "behind", "in_front_of", "on", "above", "under", "in")
ATTIRE = ("wearing", "has")
POSED = (
    *("sitting_on", "lying_on", "riding", "driving", "in", "hanging_from", "leaning_on", "standing_on", "reading"),
    *("playing", "chasing", "walking", "pulling", "pushing"),
)
"""Who takes part in these as subject is not said to stand somewhere."""
BAGS = ("backpack", "handbag", "glasses", "sunglasses")


def subject_facts(context: Context, index: int) -> list[Fact]:
    """Relations of a thing as subject that were not told yet."""
    return [fact for fact in context.scene.relations if fact[0] == index and fact not in context.used]


def is_action(fact: Fact) -> bool:
    return fact[1] not in SPATIAL


def clear(context: Context, fact: Fact, *avoid: int) -> bool:
    """Whether the fact can be told with a new thing as its object, other than those in `avoid`."""
    return fact[2] not in context.names and fact[2] not in avoid


def object_phrase(context: Context, fact: Fact, modifiers: float = 0.0) -> Tree:
    """The object of a relation as the text needs it: introduced (perhaps with a modifier) or referred to."""
    subject, predicate, other = fact
    context.used.add(fact)
    if other in context.names:
        return refer(context, other) or first_mention(context, other)
    worn = predicate in (*ATTIRE, "holding", "carrying")
    owner = subject if predicate not in SPATIAL and kind(context.scene, other) != "people" else None
    owner = owner if predicate in ("wearing", "holding", "riding", "walking") else None
    several = worn and is_plural(context.scene, subject)
    return described(context, other, modifiers, owner=owner, bare=several, landmark=predicate in SPATIAL)


def described(
    context: Context,
    index: int,
    modifiers: float,
    owner: int | None = None,
    bare: bool = False,
    landmark: bool = False,
    most: int = 2,
) -> Tree:
    """A thing introduced, with probability `modifiers` each for up to `most` phrases or clauses that say more of it."""
    phrase = first_mention(context, index, owner, bare, landmark)
    if phrase.children[0].word == "the":
        return phrase
    for _ in range(most):
        if not context.chance(modifiers):
            break
        changed = _modify(context, index, phrase)
        if changed is None:
            break
        phrase = changed
        if phrase.children[-1].label in ("SBAR", "VP"):
            break
    return phrase


def _modify(context: Context, index: int, phrase: Tree) -> Tree | None:
    """One modifier: *in a red hat*, *with a beard*, *who is wearing ...*, *holding ...*, *on the table*."""
    facts = [fact for fact in subject_facts(context, index) if clear(context, fact)]
    clothes = [f for f in facts if f[1] == "wearing"]
    parts = [f for f in facts if f[1] == "has" and _worth_a_with(context, f)]
    things = [f for f in facts if f[1] in ("holding", "carrying")]
    places = [f for f in facts if f[1] in SPATIAL]
    garments = [f for f in clothes if context.scene.things[f[2]].category not in BAGS]
    options = {
        "in": 4 * bool(garments),
        "with": 3 * bool(parts) + 2 * bool(things) + bool(len(clothes) > len(garments)),
        "wearing": 4 * bool(clothes),
        "who": 2 * bool(clothes or things),
        "ing": 2 * bool(things),
        "place": (2 if kind(context.scene, index) not in ("people", "animals") else 0) * bool(places),
    }
    options = {name: weight for name, weight in options.items() if weight}
    if not options:
        return None
    choice = pick(context.rng, options)
    if choice == "in":
        return g.node("NP", phrase, g.node("PP", g.leaf("IN", "in"), _several(context, garments)))
    if choice == "with":
        bags = [f for f in clothes if f not in garments]
        with_ = _several(context, [*parts, *things][:1] or bags)
        return g.node("NP", phrase, g.node("PP", g.leaf("IN", "with"), with_))
    if choice == "place":
        return g.node("NP", phrase, place(context, places[0]))
    if choice == "wearing":
        return g.node("NP", phrase, g.verb_phrase("wear", "ing", False, _several(context, clothes)))
    fact = (things or clothes)[0]
    if choice == "ing":
        return g.node("NP", phrase, action(context, fact, "ing", False))
    form = "past" if context.form.startswith("past") else "present"
    if context.chance(0.6):
        form = {"past": "past_progressive", "present": "progressive"}[form]
    pronoun = "who" if kind(context.scene, index) == "people" else "that"
    return g.relative(phrase, pronoun, action(context, fact, form, is_plural(context.scene, index)))


def _worth_a_with(context: Context, fact: Fact) -> bool:
    return context.scene.things[fact[2]].category in ("hair", "beard", "face")


def _several(context: Context, facts: list[Fact]) -> Tree:
    """One or two objects of the same relation: *a blue coat and a red cap*."""
    number = 2 if len(facts) > 1 and context.chance(0.35) else 1
    return g.coordinate("NP", [object_phrase(context, fact) for fact in facts[:number]])


def place(context: Context, fact: Fact, modifiers: float = 0.0) -> Tree:
    """A spatial relation as a phrase: *next to a tree*."""
    preposition = pick(context.rng, lex.lexicon()["predicates"][fact[1]]["prep"])
    return g.prepositional(preposition, object_phrase(context, fact, modifiers))


def adverb(context: Context, predicate: str) -> Tree | None:
    """Sometimes, an adverb that suits an action."""
    choices = lex.lexicon()["predicates"][predicate].get("adverbs")
    if choices and context.chance(context.style.adverbs):
        return g.adverb_phrase(pick(context.rng, choices))
    return None


def action(context: Context, fact: Fact, form: str, plural: bool, *rest: Tree, modifiers: float = 0.0) -> Tree:
    """A relation told by its verb: *is playing a guitar*, *sits on a bench*. *Have* is never progressive."""
    _, predicate, other = fact
    if predicate == "has" and form in g.BE_FORMS:
        form = g.BE_FORMS[form]
    seated = lex.lexicon()["predicates"][predicate].get("participles")
    usual = lex.verbs(predicate, context.scene.things[other].category)
    if seated and usual == lex.lexicon()["predicates"][predicate]["verbs"] and form == "ing" and context.chance(0.3):
        base, preposition = pick(context.rng, seated).split()
        where = g.prepositional(preposition, object_phrase(context, fact, modifiers))
        return g.passive_phrase(base, "participle", plural, where, *rest)
    verb = pick(context.rng, usual)
    how = adverb(context, predicate)
    first = how is not None and context.chance(0.5)
    target = object_phrase(context, fact, modifiers)
    held = _in_hand(context, fact)
    rest = (held, *rest) if held else rest
    return g.verb_phrase(verb, form, plural, target, *rest, before=how if first else None, after=None if first else how)


def _in_hand(context: Context, fact: Fact) -> Tree | None:
    """*in his hand*, *on her head*, where that part is spoken of in the scene."""
    subject, predicate, other = fact
    spot = {"holding": ("in", "hand"), "wearing": ("on", "head")}.get(predicate)
    if spot is None or pronoun_of(context.scene, subject) not in ("he", "she"):
        return None
    if spot[1] == "head" and not lex.is_a(context.scene.things[other].category, "hat"):
        return None
    for fact in subject_facts(context, subject):
        if fact[1] == "has" and context.scene.things[fact[2]].category == spot[1] and clear(context, fact):
            context.used.add(fact)
            owner = {"he": "his", "she": "her"}[pronoun_of(context.scene, subject)]
            noun = lex.tagged(*(("hands", "NNS") if is_plural(context.scene, fact[2]) else (spot[1], "NN")))
            context.names[fact[2]], context.levels[fact[2]] = noun, lex.concept_of(spot[1])
            return g.node("PP", g.leaf("IN", spot[0]), g.noun_phrase(owner, noun, mark(fact[2])))
    return None


def posture(context: Context, index: int) -> tuple[str, bool]:
    """The verb for being somewhere, and whether it is a participle after *be*: stand, fly, be, (park, True)."""
    scene = context.scene
    doing = {predicate for s, predicate, _ in scene.relations if s == index}
    acts = lex.inherited(lex.concept_of(scene.things[index].category), "acts", {})
    if acts and not doing & {"holding", "hanging_from", "on"} and not _in_use(context, index):
        return pick(context.rng, acts), False
    if doing & set(POSED) or _in_use(context, index):
        return "be", False
    options = {
        "people": {"stand": 6, "be": 2, "wait": 1},
        "animals": {"stand": 4, "be": 3, "rest": 1},
        "vehicles": {"be": 3, "park": 4, "stop": 1},
        "scene": {"be": 4, "stand": 4},
    }.get(kind(scene, index), {"be": 1})
    category = scene.things[index].category
    if lex.is_a(category, "baby") or lex.is_a(category, "aircraft") or lex.is_a(category, "bird"):
        options = {"be": 1}
    elif not (lex.is_a(category, "car") or lex.is_a(category, "truck") or category in ("bus", "motorcycle", "bicycle")):
        options = {verb: weight for verb, weight in options.items() if verb not in ("park", "stop")}
    if category in ("fence", "flower", "log", "rock", "cloud", "window", "door", "mountain"):
        options = {"be": 1}
    verb = pick(context.rng, options)
    return verb, verb in ("park", "stop")


def _in_use(context: Context, index: int) -> bool:
    moved = (
        *("riding", "driving", "holding", "carrying", "throwing", "kicking", "walking", "pulling", "pushing"),
        *("playing", "chasing"),
    )
    return any(o == index and p in moved for _, p, o in context.scene.relations)


def being(context: Context, index: int, form: str, plural: bool, *rest: Tree | None) -> Tree:
    """A thing's being somewhere: *is standing next to a tree*, *is parked in the street*, *are on the left*."""
    verb, participle = posture(context, index)
    if participle:
        tense = g.BE_FORMS.get(form, form)
        return g.passive_phrase(verb, "participle" if form == "ing" else tense, plural, *rest)
    if verb == "be":
        form = g.BE_FORMS.get(form, form)
    return g.verb_phrase(verb, form, plural, *rest)


def predicate_phrase(
    context: Context, fact: Fact, form: str, plural: bool, *rest: Tree, modifiers: float = 0.0
) -> Tree:
    """The verb phrase of any relation."""
    if is_action(fact):
        return action(context, fact, form, plural, *rest, modifiers=modifiers)
    return being(context, fact[0], form, plural, place(context, fact, modifiers), *rest)


def passive(context: Context, fact: Fact, form: str, agent: Tree, *rest: Tree | None) -> Tree:
    """The verb phrase of a passive clause about the relation's object; `agent` speaks of its subject."""
    _, predicate, other = fact
    verb = pick(context.rng, lex.verbs(predicate, context.scene.things[other].category))
    context.used.add(fact)
    return g.passive_phrase(verb, form, is_plural(context.scene, other), g.by(agent), *rest)


def can_be_passive(fact: Fact) -> bool:
    return bool(lex.lexicon()["predicates"][fact[1]].get("passive"))


def alike(context: Context, a: int, b: int) -> bool:
    """Whether the name of one of two mentioned things could be the other's: a person, a man."""
    one, other = context.levels[a], context.levels[b]
    return one in lex.ancestors(other) or other in lex.ancestors(one)


def setting(context: Context, along: bool = False) -> Tree:
    """*in the park*, *down a busy street*, *on stage*."""
    entry = lex.lexicon()["settings"][context.scene.setting]
    preposition = pick(context.rng, entry["along"] if along else entry["at"])
    noun = lex.tagged(pick(context.rng, entry["nouns"]))
    if context.scene.setting == "stage" and preposition == "on" and context.chance(0.4):
        return g.node("PP", g.leaf("IN", "on"), g.noun_phrase("", noun, "S"))
    described_ = len(noun) == 1 and context.chance(context.style.opinion * 1.5)
    words = (*lex.tagged(pick(context.rng, entry["adjectives"]), "JJ"), *noun) if described_ else noun
    indefinite = (described_ or context.chance(0.3)) and noun[-1][1] != "sand"
    return g.node("PP", g.leaf("IN", preposition), g.noun_phrase("a" if indefinite else "the", words, "S"))
