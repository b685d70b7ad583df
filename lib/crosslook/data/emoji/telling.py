"""What the kinds of sentence share: choosing what to tell, and adding where it happens."""

from dataclasses import replace

from crosslook.data.emoji import clauses as c
from crosslook.data.emoji import grammar as g
from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.clauses import Fact
from crosslook.data.emoji.facts import is_background, is_plural, side
from crosslook.data.emoji.lexicon import pick
from crosslook.data.emoji.mentions import Context, Style, kind
from crosslook.data.emoji.trees import Tree


def weigh(context: Context, fact: Fact) -> float:
    """How much a relation catches the eye: actions of people and animals before places, things before scenery."""
    subject, predicate, _ = fact
    animate = kind(context.scene, subject) in ("people", "animals")
    if predicate == "has":
        return 0.15
    if predicate == "wearing":
        return 1.5
    if predicate == "looking_at":
        return 6
    if c.is_action(fact):
        return 14 if animate else 5
    return 5 if animate else 1.2


def choose(context: Context, facts: list[Fact]) -> Fact | None:
    """One of the facts, by weight; None when there is none."""
    if not facts:
        return None
    at = pick(context.rng, {str(i): weigh(context, fact) for i, fact in enumerate(facts)})
    return facts[int(at)]


def fresh(context: Context) -> list[Fact]:
    """Relations not told yet whose two things were not mentioned yet."""
    named = context.names
    return [f for f in context.scene.relations if f not in context.used and f[0] not in named and f[2] not in named]


def tense(context: Context) -> str:
    """A verb form from the describer's habits; later clauses of the sentence keep its tense."""
    context.form = pick(context.rng, context.style.forms)
    return context.form


def simple_tense(context: Context) -> str:
    return "past" if tense(context).startswith("past") else "present"


def extras(context: Context, fact: Fact) -> list[Tree]:
    """Perhaps where it happens: another relation of the subject, the setting."""
    found = []
    moves = lex.lexicon()["predicates"][fact[1]].get("moves", False)
    more = [f for f in c.subject_facts(context, fact[0]) if not c.is_action(f) and c.clear(context, f) and f != fact]
    if more and c.is_action(fact) and context.chance(context.style.extras):
        found.append(c.place(context, more[0]))
    if context.chance(context.style.setting * (0.5 if found else 1)):
        found.append(c.setting(context, along=moves and context.chance(0.6)))
    return found


def append(phrase: Tree, more: list[Tree]) -> Tree:
    """The verb phrase with phrases added at the end of its innermost verb's complements."""
    if not more:
        return phrase
    last = phrase.children[-1]
    if last.label == "VP" and phrase.children[0].word in ("is", "are", "was", "were", "being", "be", "can"):
        return Tree("VP", (*phrase.children[:-1], append(last, more)))
    return Tree("VP", (*phrase.children, *more))


def append_last(phrase: Tree, more: list[Tree]) -> Tree:
    """Phrases added to the last of coordinated verb phrases."""
    return Tree("VP", (*phrase.children[:-1], append(phrase.children[-1], more)))


def append_outer(verb: Tree, clause: Tree) -> Tree:
    return Tree("VP", (*verb.children, clause))


def modified(context: Context, fact: Fact) -> Tree:
    """A noun phrase that tells the fact: *a man playing a guitar*, *a cat under a table*, *a girl who is ...*."""
    plural = is_plural(context.scene, fact[0])
    subject = c.described(context, fact[0], context.style.modifiers, most=1)
    if subject.children[-1].label in ("SBAR", "VP") or fact in context.used:
        return subject
    if not c.is_action(fact):
        where = c.place(context, fact, context.style.modifiers)
        doing = c.being(context, fact[0], "ing", plural, where)
        told = context.chance(0.3) and doing.children[0].word != "being"
        return g.node("NP", subject, doing if told else where)
    if context.chance(0.12):
        pronoun = "who" if kind(context.scene, fact[0]) == "people" else "that"
        form = (
            "past_progressive"
            if context.form.startswith("past")
            else pick(context.rng, {"present": 1, "progressive": 2})
        )
        return g.relative(subject, pronoun, c.action(context, fact, form, plural))
    return g.node("NP", subject, append(c.action(context, fact, "ing", plural), extras(context, fact)))


def without_setting(style: Style) -> Style:
    """The same habits, but for saying where it all happens."""
    return replace(style, setting=0.0)


def where_in_image(context: Context, index: int) -> str | None:
    """left, right, middle or background, for what can well be introduced by it."""
    if kind(context.scene, index) in ("clothing", "bodyparts") or any(
        o == index and p in ("holding", "carrying", "wearing", "playing", "reading")
        for _, p, o in context.scene.relations
    ):
        return None
    if is_background(context.scene, index):
        return "background"
    return side(context.scene, index)


def spot_phrase(name: str) -> Tree:
    """*on the left*, *in the background*."""
    return g.node("PP", g.leaf("IN", "on" if name in ("left", "right") else "in"), g.simple(f"the {name}", "0"))
