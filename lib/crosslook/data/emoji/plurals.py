"""Sentences about several things at once: *a man and a dog ...*, *two people ...*."""

from crosslook.data.emoji import clauses as c
from crosslook.data.emoji import grammar as g
from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.facts import count
from crosslook.data.emoji.lexicon import pick
from crosslook.data.emoji.mentions import Context, kind, mark
from crosslook.data.emoji.telling import append, choose, tense
from crosslook.data.emoji.trees import Tree


def together(context: Context) -> list[Tree] | None:
    """A man and a woman are standing next to a tree; ... are next to each other; ... are in the park."""
    scene = context.scene
    who = [i for i in range(len(scene.things)) if kind(scene, i) in ("people", "animals")]
    pairs = [(a, b) for a in who for b in who if a < b]
    if not pairs:
        return None
    a, b = pairs[int(context.rng.random() * len(pairs))]
    if set(lex.ancestors(lex.concept_of(scene.things[a].category))) >= {lex.concept_of(scene.things[b].category)}:
        return None
    shared = [(f, (b, f[1], f[2])) for f in scene.relations if f[0] == a and (b, f[1], f[2]) in scene.relations]
    beside = [f for f in scene.relations if f[1] in ("next_to", "near") and {f[0], f[2]} == {a, b}]
    form = tense(context)
    order = (a, b) if context.chance(0.5) else (b, a)
    subject = g.coordinate("NP", [c.described(context, i, context.style.modifiers * 0.4, most=1) for i in order])
    if c.alike(context, a, b):  # "a person and another person"
        return None
    if shared and not context.used & set(shared[0]):
        context.used.add(shared[0][1])
        return [subject, append(c.predicate_phrase(context, shared[0][0], form, True), [])]
    if beside:
        context.used.add(beside[0])
        preposition = pick(context.rng, lex.lexicon()["predicates"][beside[0][1]]["prep"])
        other = g.node("NP", g.leaf("DT", "each"), g.leaf("JJ", "other"))
        verb = g.verb_phrase(
            "be", "past" if form.startswith("past") else "present", True, g.prepositional(preposition, other)
        )
        return [subject, append(verb, [c.setting(context)] if context.chance(context.style.setting) else [])]
    verb = g.verb_phrase("be", "past" if form.startswith("past") else "present", True, c.setting(context))
    return [subject, verb]


def group(context: Context) -> list[Tree] | None:
    """Two people are in the park, and one of them is riding a bicycle."""
    scene = context.scene
    for concept in ("person", "animal", "vehicle"):
        members = [i for i, thing in enumerate(scene.things) if lex.is_a(thing.category, concept)]
        number = sum(count(scene, i) for i in members)
        if len(members) > 1 and number <= 6 and context.chance(0.7):
            break
    else:
        return None
    special = (
        "child"
        if concept == "person" and all(lex.is_a(scene.things[i].category, "child") for i in members)
        else concept
    )
    form = "past" if tense(context).startswith("past") else "present"
    noun = lex.tagged(pick(context.rng, lex.nouns(special, True)), "NNS")
    exact = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}[number]
    numeral = "several" if number > 2 and context.chance(0.4) else exact
    phrase = g.noun_phrase(numeral, noun, mark(*members))
    if context.chance(0.3):
        parts = [g.there(), g.verb_phrase("be", form, True, phrase, c.setting(context))]
    else:
        parts = [phrase, g.verb_phrase("be", form, True, c.setting(context))]
    singles = [i for i in members if count(scene, i) == 1]
    facts = [f for f in scene.relations if f[0] in singles and f[1] != "has" and f[2] not in members]
    fact = choose(context, facts)
    if fact is None or context.chance(0.3):
        return parts
    them = g.node("PP", g.leaf("IN", "of"), g.pronoun_phrase("them", mark(*members)))
    one = g.node("NP", Tree("NP", (g.leaf("CD", "one"),), None, mark(fact[0])), them)
    context.names[fact[0]], context.levels[fact[0]] = (("NN", concept),), concept
    clause = g.node("S", one, c.predicate_phrase(context, fact, context.form, False))
    return [g.node("S", *parts), g.leaf(",", ","), g.leaf("CC", "and"), clause]
