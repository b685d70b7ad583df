"""What the papers found, and whether it was found again: `data/claims.yml` read, judged and written as a page.

A claim names results that notebooks record (`crosslook.report`) and the conditions under which they count as the same
finding: a direction, an order, a range; not equal numbers, since data and models differ. `crosslook.claims_page` writes
it all down; what does not hold stays.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

SOURCES = {
    "grounding": "ilinykh-dobnik-2022-grounding",
    "structure": "ilinykh-2022-interplay",
    "VALUE": "cao-2020-value",
    "ablation": "frank-2021-ablation",
    "supervision": "samaran-2021-supervision",
}
"""The five papers, and their keys in `book/references.bib`."""

HOLDS, FAILS, CANNOT, LATER = "holds", "does not hold", "cannot be tested here", "not yet run"

TEXTS = ("id", "source", "where", "finding", "paper", "notebook")
FIELDS = {*TEXTS, "note", "models", "results", "same", "cannot"}

Found = Mapping[str, Mapping[str, Any]]
"""Recorded results by name."""


@dataclass(frozen=True)
class Condition:
    """One thing that must be true of recorded results.

    `results`: one name, or several for an order. `kind`: "above" or "below" (the whole interval lies on that side of
    the number `bound`, or of the result's control of that name), "between" (the whole interval lies in that range), or
    "order" (values fall from the first name to the last, and the intervals of these two do not overlap).
    """

    results: tuple[str, ...]
    kind: str
    bound: float | str | tuple[float, float] | None = None


@dataclass(frozen=True)
class Claim:
    """A finding. `results` says of each name what number it is; `models` are those it is measured on (none: no model).

    `paper` is what the paper gives, `where` in it; `cannot` says why it cannot be tested here, if it cannot.
    """

    id: str
    source: str
    where: str
    finding: str
    paper: str
    notebook: str
    models: tuple[str, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    same: tuple[Condition, ...] = ()
    cannot: str = ""
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds for a model ("" where there is none), and why in a few words."""

    status: str
    model: str
    because: str


class ClaimError(ValueError):
    """A claim that cannot be read: the message names the claim, the field, what was expected and what came."""


def read(path: Path) -> list[Claim]:
    """All claims of a file, in its order.

    Raises:
        ClaimError: naming the first claim and field that are wrong.
    """
    import yaml

    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list):
        raise ClaimError(f"{path.name}: expected a list of claims, got {type(entries).__name__}")
    claims = [_claim(entry, f"{path.name}: claim {place}") for place, entry in enumerate(entries, 1)]
    ids = [claim.id for claim in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise ClaimError(f"{path.name}: claim {name!r}: field id: expected every id once, got it twice")
    return claims


def _claim(entry: Any, place: str) -> Claim:
    if not isinstance(entry, dict):
        raise ClaimError(f"{place}: expected fields, got {entry!r}")
    if isinstance(entry.get("id"), str):
        place = f"{place.rsplit(' ', 1)[0]} {entry['id']!r}"

    def need(field: str, right: bool, expected: str, got: Any) -> None:
        if not right:
            raise ClaimError(f"{place}: field {field}: expected {expected}, got {got!r}")

    for name in entry:
        need(str(name), name in FIELDS, f"one of {', '.join(sorted(FIELDS))}", name)
    for name in TEXTS:
        need(name, isinstance(entry.get(name), str) and entry[name].strip() != "", "a text", entry.get(name))
    need("source", entry["source"] in SOURCES, f"one of {', '.join(SOURCES)}", entry["source"])
    need("note", isinstance(entry.get("note", ""), str), "a text", entry.get("note"))
    models = entry.get("models", [])
    listed = isinstance(models, list) and all(isinstance(model, str) for model in models)
    need("models", listed, "a list of texts", models)
    if "cannot" in entry:
        reason = entry["cannot"]
        need("cannot", isinstance(reason, str) and reason.strip() != "", "a reason", reason)
        need("cannot", not {"results", "same"} & set(entry), "neither results nor same beside it", sorted(entry))
        return Claim(**{**entry, "models": tuple(models)})
    results = entry.get("results")
    described = isinstance(results, dict) and results and all(isinstance(what, str) for what in results.values())
    need("results", bool(described), "names, each with what it measures", results)
    same = entry.get("same")
    need("same", isinstance(same, list) and bool(same), "a list of conditions", same)
    conditions = tuple(_condition(each, results, partial(need, f"same[{place}]")) for place, each in enumerate(same))
    return Claim(**{**entry, "models": tuple(models), "same": conditions})


def _condition(given: Any, results: Mapping[str, str], need: Callable[..., None]) -> Condition:
    number = (int, float)
    need(isinstance(given, dict), "{result: NAME, above: NUMBER}, below, between, or {order: [NAMES]}", given)
    if set(given) == {"order"}:
        names = given["order"]
        need(isinstance(names, list) and len(names) > 1, "order to be a list of at least two results", names)
        unknown = [name for name in names if name not in list(results)]
        need(not unknown, "names that `results` describes", unknown)
        return Condition(tuple(names), "order")
    kinds = [kind for kind in ("above", "below", "between") if kind in given]
    need(len(given) == 2 and "result" in given and len(kinds) == 1, "result and one of above, below, between", given)
    need(given["result"] in list(results), "a name that `results` describes", given["result"])
    (kind,) = kinds
    bound = given[kind]
    if kind == "between":
        pair = isinstance(bound, list) and len(bound) == 2 and all(type(end) in number for end in bound)
        need(pair and bound[0] < bound[1], "between to be two numbers, the lower one first", bound)
        return Condition((given["result"],), kind, (float(bound[0]), float(bound[1])))
    need(type(bound) in (*number, str), f"{kind} to be a number or the name of a control", bound)
    return Condition((given["result"],), kind, bound if isinstance(bound, str) else float(bound))


def with_model(name: str, model: str) -> str:
    """The full name of a result: `NAME (MODEL)`, or the name alone where there is no model."""
    return f"{name} ({model})" if model else name


def judge(claim: Claim, found: Found) -> list[Verdict]:
    """What the recorded results say about a claim, for each of its models and for others that they were recorded for.

    A claim holds when all its conditions do. It does not hold when one fails, also where this is only because an
    interval is too wide to tell; the reason says which.

    Args:
        claim: the claim.
        found: recorded results by their full names.
    """
    if claim.cannot:
        return [Verdict(CANNOT, "", f"because {claim.cannot}")]
    return [_judge(claim, model, found) for model in _models(claim, found)]


def _models(claim: Claim, found: Found) -> list[str]:
    if not claim.models:
        return [""]
    needed = {name for condition in claim.same for name in condition.results}
    pattern = re.compile(r"(.+) \(([^()]+)\)")
    seen = [match.groups() for match in map(pattern.fullmatch, found) if match]
    others = dict.fromkeys(model for name, model in seen if name in needed and model not in claim.models)
    return [*claim.models, *others]


def _judge(claim: Claim, model: str, found: Found) -> Verdict:
    names = dict.fromkeys(with_model(name, model) for each in claim.same for name in each.results)
    missing = [name for name in names if name not in found]
    if missing:
        partly = "" if len(missing) == len(names) else f"not recorded: {', '.join(missing)}"
        return Verdict(LATER, model, partly)
    failed = []
    for condition in claim.same:
        told = _against(condition, [found[with_model(name, model)] for name in condition.results])
        if told:
            failed.append(told)
    return Verdict(FAILS if failed else HOLDS, model, "; ".join(failed))


def _against(condition: Condition, results: Sequence[Mapping[str, Any]]) -> str:
    """What speaks against a condition, "" if nothing does."""
    if condition.kind == "order":
        return _disorder(results)
    (result,) = results
    low, high = result["interval"]
    name, bound = condition.results[0].split(".", 1)[-1], condition.bound
    if isinstance(bound, tuple):
        inside = bound[0] <= low and high <= bound[1]
        return "" if inside else f"{name} is not wholly between {bound[0]:g} and {bound[1]:g}"
    if isinstance(bound, str):
        if bound not in result["control"]:
            return f"{name} was recorded without the control {bound!r}"
        limit, said = result["control"][bound], f"its {bound}"
    else:
        limit, said = bound, f"{bound:g}"
    # Told apart, since the first only asks for more examples: an interval across the limit, and one beyond it.
    wholly, partly = (low > limit, high > limit) if condition.kind == "above" else (high < limit, low < limit)
    if wholly:
        return ""
    return f"the interval of {name} reaches past {said}" if partly else f"{name} is not {condition.kind} {said}"


def _disorder(results: Sequence[Mapping[str, Any]]) -> str:
    for one, other in pairwise(results):
        if not one["value"] > other["value"]:
            return f"{one['name']} is not above {other['name']}"
    first, last = results[0], results[-1]
    apart = first["interval"][0] > last["interval"][1]
    return "" if apart else f"the intervals of {first['name']} and {last['name']} overlap"
