"""Questions: answers looked up again in the scene, by other means."""

import re
from collections import Counter

import pytest

from crosslook.data.emoji.lexicon import lexicon
from crosslook.data.emoji.questions import Question, questions
from crosslook.data.emoji.scene import Scene, Thing, sample_scene
from crosslook.data.emoji.world import WIDTH

ING = {
    "sitting on": "sitting_on",
    "sitting in": "sitting_on",
    "standing on": "standing_on",
    "lying on": "lying_on",
    "looking at": "looking_at",
    "leaning against": "leaning_on",
    "leading": "walking",
}
PLACES = {"next to": "next_to", "behind": "behind", "in front of": "in_front_of", "on": "on", "above": "above"}
PLACES |= {"under": "under", "in": "in"}


@pytest.fixture(scope="module")
def asked(scenes) -> list[tuple[Scene, Question]]:
    return [(scene, question) for scene in scenes[150:270] for question in questions(scene)]


def concepts_of(category: str) -> list[str]:
    """A category's concept and all above it, read from the file."""
    concept = lexicon()["categories"].get(category, category)
    found = []
    while concept:
        found.append(concept)
        concept = lexicon()["concepts"][concept].get("is")
    return found


def called(scene: Scene, phrase: str) -> list[int]:
    """Indices of all things that a noun, with or without a determiner, can be said of."""
    words = re.sub(r"^(the |an? |any )?(one |two |three |four |five |six )?", "", phrase)
    for key, entry in lexicon()["concepts"].items():
        for noun in entry.get("nouns", {}):
            if words in [re.sub(r"_[A-Z]+", "", form) for form in noun.split("/")]:
                return [i for i, thing in enumerate(scene.things) if key in concepts_of(thing.category)]
    raise AssertionError(f"no noun: {phrase}")


def the(scene: Scene, phrase: str) -> int:
    """The one thing that a definite phrase can mean; *the man's hair* is a part of his."""
    owner, _, part = phrase.partition("'s ")
    if part:
        (index,) = [i for i in called(scene, part) if scene.things[i].part_of == the(scene, owner)]
        return index
    (index,) = called(scene, phrase)
    number = len(scene.things[index].boxes)
    assert (number == 1) != bool(re.search(r"\b(two|three|four|five|six)\b", phrase)) or number > 1
    return index


def test_kinds_and_balance(asked):
    kinds = Counter(question.kind for _, question in asked)
    assert set(kinds) == {"yes/no", "number", "colour", "object", "location"}
    assert min(kinds.values()) > 100
    for identity in {scene.id for scene, _ in asked}:
        own = [question for scene, question in asked if scene.id == identity]
        answers = Counter(question.answer for question in own if question.kind == "yes/no")
        assert answers["yes"] == answers["no"]
        assert len({question.question for question in own}) == len(own)
    numbers = Counter(question.answer for _, question in asked if question.kind == "number")
    assert numbers.most_common(1)[0][1] < 0.6 * sum(numbers.values())


def test_every_question_is_understood_and_its_answer_is_true(asked):
    seen = Counter()
    for scene, (question, answer, kind) in asked:
        form, truth = next(
            (form, check(scene, answer, *match.groups()))
            for form, (pattern, check) in CHECKS.items()
            if (match := re.fullmatch(pattern, question))
        )
        assert truth, (question, answer, scene)
        seen[form, kind] += 1
    assert {form for form, _ in seen} == set(CHECKS)


def there_is(scene: Scene, answer: str, what: str) -> bool:
    return (answer == "yes") == bool(called(scene, what))


def how_many(scene: Scene, answer: str, what: str) -> bool:
    return int(answer) == sum(len(scene.things[i].boxes) for i in called(scene, what))


def what_colour(scene: Scene, answer: str, who: str) -> bool:
    return scene.things[the(scene, who)].colour == answer


def has_colour(scene: Scene, answer: str, who: str, colour: str) -> bool:
    return (scene.things[the(scene, who)].colour == colour) == (answer == "yes")


def does(scene: Scene, answer: str, who: str, doing: str, colour: str | None, what: str) -> bool:
    doing, whose = ING.get(doing, doing), the(scene, who)
    objects = [scene.things[o] for o in called(scene, what) if (whose, doing, o) in scene.relations]
    if colour:
        objects = [thing for thing in objects if thing.colour == colour]
    return bool(objects) == (answer == "yes")


def what_does(scene: Scene, answer: str, who: str, doing: str) -> bool:
    doing, whose = ING.get(doing, doing), the(scene, who)
    objects = [o for s, p, o in scene.relations if s == whose and p == doing]
    return len(objects) == 1 and objects[0] in called(scene, answer)


def who_does(scene: Scene, answer: str, doing: str, what: str) -> bool:
    doing, whom = ING.get(doing, doing), the(scene, what)
    subjects = [s for s, p, o in scene.relations if o == whom and p == doing]
    return len(subjects) == 1 and subjects[0] in called(scene, answer)


def what_place(scene: Scene, answer: str, who: str, where: str) -> bool:
    return any((the(scene, who), PLACES[where], o) in scene.relations for o in called(scene, answer))


def where_is(scene: Scene, answer: str, who: str) -> bool:
    where, _, what = answer.partition(" the ")
    return what_place(scene, what, who, where)


def which_side(scene: Scene, answer: str, who: str) -> bool:
    middles = [(x1 + x2) / 2 for x1, _, x2, _ in scene.things[the(scene, who)].boxes]
    return all(m < WIDTH / 2 for m in middles) if answer == "left" else all(m > WIDTH / 2 for m in middles)


_COLOUR = "red|orange|yellow|green|blue|purple|pink|brown|black|white|gray"
_DOING = r"\w+ing(?: on| in| at| against)?"
CHECKS = {
    "there is": (r"(?:Is|Are) there (.*) in the picture\?", there_is),
    "how many": (r"How many (.*) are there\?", how_many),
    "what colour": (r"What color (?:is|are) (the .*)\?", what_colour),
    "setting": (r"Where was this picture taken\?", lambda scene, answer: answer == scene.setting),
    "side": (r"On which side of the picture (?:is|are) (the .*)\?", which_side),
    "where": (r"Where (?:is|are) (the .*)\?", where_is),
    "has colour": (rf"(?:Is|Are) (the .*) ({_COLOUR})\?", has_colour),
    "does": (rf"(?:Is|Are) (the .*?) ({_DOING}) (?:an? )?(?:({_COLOUR}) )?(.*)\?", does),
    "who does": (rf"(?:Who|What) is ({_DOING}) (the .*)\?", who_does),
    "what does": (rf"(?:Who|What) (?:is|are) (the .*?) ({_DOING})\?", what_does),
    "what place": (rf"What (?:is|are) (the .*?) ({'|'.join(PLACES)})\?", what_place),
}


def test_by_hand():
    things = (
        Thing("man", None, "medium", ((10, 60, 60, 200),)),
        Thing("cap", "red", "medium", ((20, 60, 50, 80),)),
        Thing("dog", "brown", "medium", ((200, 150, 240, 200), (250, 150, 290, 200))),
        Thing("cup", "blue", "small", ((50, 120, 64, 134),)),
    )
    scene = Scene("hand", 4, "park", things, ((0, "wearing", 1), (0, "holding", 3), (2, "looking_at", 0)))
    found = {q.question: q.answer for q in questions(scene)}
    assert found["Where was this picture taken?"] == "park"
    assert found["How many dogs are there?"] == "2"
    assert found["What color are the two dogs?"] == "brown"
    assert found["What is the man holding?"] == "cup"
    assert found["Who is holding the cup?"] == "man"
    assert found["Who are the two dogs looking at?"] == "man"
    assert "What is the man wearing?" not in found  # he is drawn with trousers too


def test_two_men_are_never_the_man():
    things = tuple(Thing(c, None, "medium", ((10, 60, 60, 200),)) for c in ("man", "old_man", "guitar"))
    scene = Scene("twins", 1, "stage", things, ((0, "playing", 2),))
    assert not any("the man " in q.question for q in questions(scene))
    assert questions(Scene("none", 1, "stage", (), ()))[-1] == Question(
        "Where was this picture taken?", "stage", "location"
    )


def test_deterministic():
    assert questions(sample_scene("one", 7)) == questions(sample_scene("other", 7))
