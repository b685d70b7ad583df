"""The claims page: per finding the paper's value, ours with its interval, and whether it is the same finding.

python -m crosslook.claims_page      prints it from the results of the last build
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from crosslook.claims import (
    CANNOT,
    FAILS,
    HOLDS,
    LATER,
    SOURCES,
    Claim,
    Condition,
    Found,
    Verdict,
    judge,
    read,
    with_model,
)

MARKS = {HOLDS: "✓", FAILS: "✗", CANNOT: "∅", LATER: "…"}
TITLES = {
    "grounding": "Attention as grounding",
    "structure": "The interplay of language and vision",
    "VALUE": "Behind the scene",
    "ablation": "Vision-and-language or vision-for-language",
    "supervision": "Attending self-attention",
}


def collect(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """All results of a build by name.

    Args:
        summaries: by notebook, as `crosslook.book.execute` gives them.

    Raises:
        ValueError: if two notebooks recorded a result of one name that a claim could ask for (one with a dot in it).
    """
    found: dict[str, Mapping[str, Any]] = {}
    for notebook, summary in summaries.items():
        for result in summary["results"]:
            if "." in result["name"] and result["name"] in found:
                raise ValueError(f"results: expected every name once, {notebook} records {result['name']!r} again")
            found[result["name"]] = result
    return found


def page(claims: Sequence[Claim], summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a table of counts, then for each paper a table of its findings."""
    found = collect(summaries)
    judged = [(claim, judge(claim, found)) for claim in claims]
    lines = list(_counts(judged))
    for source, key in SOURCES.items():
        mine = [(claim, verdicts) for claim, verdicts in judged if claim.source == source]
        if mine:
            lines += [
                "",
                f"(claims-{source.lower()})=",
                f"## {TITLES[source]}",
                "",
                f"{{cite:t}}`{key}`, *{source}*",
                "",
            ]
            lines += [":::{list-table}", ":header-rows: 1", ":class: crosslook-claims", ":widths: 34 34 32", ""]
            lines += _cells(["The paper"], ["Measured"], ["Here"])
            for claim, verdicts in mine:
                lines += _cells(_said(claim), _measured(claim), _here(claim, verdicts, found, summaries))
            lines += [":::"]
    return "\n".join([*lines, ""])


def _counts(judged: Sequence[tuple[Claim, Sequence[Verdict]]]) -> Iterator[str]:
    yield "| Paper | Findings | " + " | ".join(f"{mark} {status}" for status, mark in MARKS.items()) + " |"
    yield "|---|---:|" + "---:|" * len(MARKS)
    for source in SOURCES:
        mine = [overall(claim, verdicts) for claim, verdicts in judged if claim.source == source]
        if mine:
            numbers = " | ".join(str(mine.count(status)) for status in MARKS)
            yield f"| [{TITLES[source]}](claims-{source.lower()}) | {len(mine)} | {numbers} |"


def overall(claim: Claim, verdicts: Sequence[Verdict]) -> str:
    """One status for a claim: does not hold where it fails for one of its models, and holds where it does for all run.

    Models that the claim does not list are not counted.
    """
    statuses = [verdict.status for verdict in verdicts if verdict.model in (*claim.models, "")]
    return next(status for status in (FAILS, HOLDS, LATER, CANNOT) if status in statuses)


def _cells(*cells: Iterable[str]) -> list[str]:
    """A row of a list table, each cell on one line."""
    return [f"{'* -' if first else '  -'} {'<br>'.join(cell)}" for first, cell in zip((1, 0, 0), cells, strict=True)]


def _said(claim: Claim) -> Iterator[str]:
    """What the paper found, where, and what it gives."""
    yield f"{_plain(claim.finding)}"
    yield _small(f"{claim.where}: {claim.paper}")
    if claim.note:
        yield _small(claim.note)


def _measured(claim: Claim) -> Iterator[str]:
    """The results by letter, each with what it has to be."""
    if claim.cannot:
        yield ""
    for letter, (name, what) in zip(ascii_lowercase, claim.results.items(), strict=False):
        wanted = " and ".join(_wanted(each) for each in claim.same if each.results == (name,))
        yield f"<small>**{letter}** {_plain(what)}{f', *counts if {_plain(wanted)}*' if wanted else ''}</small>"
    letters = dict(zip(claim.results, ascii_lowercase, strict=False))
    for each in claim.same:
        if each.kind == "order":
            yield f"<small>*counts if {' > '.join(letters[name] for name in each.results)}*</small>"


def _here(
    claim: Claim, verdicts: Sequence[Verdict], found: Found, summaries: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """For each model the verdict and the values; those without results together."""
    together: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        alone = verdict.model if verdict.status in (HOLDS, FAILS) else ""
        together.setdefault((verdict.status, alone or verdict.because), []).append(verdict)
    for same in together.values():
        models = ", ".join(f"`{verdict.model}`" for verdict in same if verdict.model)
        because = _plain(same[0].because)
        yield f"{MARKS[same[0].status]} **{same[0].status}** {models}".rstrip()
        if because:
            yield f"<small>{because}</small>"
        for verdict in same:
            for letter, name in zip(ascii_lowercase, claim.results, strict=False):
                result = found.get(with_model(name, verdict.model))
                if result:
                    yield f"<small>**{letter}** {_value(result)}</small>"
    if claim.notebook in summaries:
        yield f"<small>[notebook](/{claim.notebook})</small>"


def _small(text: str) -> str:
    return f"<small>{_plain(text)}</small>"


def _value(result: Mapping[str, Any]) -> str:
    low, high = result["interval"]
    unit = f" {_plain(result['unit'])}" if result["unit"] else ""
    controls = ", ".join(f"{name} {value:.3g}" for name, value in result["control"].items())
    rest = f"[{low:.3g}, {high:.3g}], n = {result['n']:,}; {controls}"
    return f"**{result['value']:.3g}{unit}** {_plain(rest)}"


def _wanted(condition: Condition) -> str:
    if condition.kind == "between":
        return "between {:g} and {:g}".format(*condition.bound)
    if isinstance(condition.bound, str):
        return f"{condition.kind} its {condition.bound}"
    return f"{condition.kind} {condition.bound:g}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, also in a cell of a table."""
    return re.sub(r"([\\`*_{}\[\]<>|$~^])", r"\\\1", " ".join(text.split()))


def main() -> None:
    """Print the page from what the last build left."""
    import json

    from crosslook.book import CLAIMS, EXECUTED, notebooks

    kept = [(name, (EXECUTED / name).with_suffix(".results.json")) for name in notebooks()]
    summaries = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in kept if path.is_file()}
    print(page(read(CLAIMS), summaries))


if __name__ == "__main__":
    main()
