"""Claims are read strictly, judged by their intervals, and all of them reach the page."""

import copy
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crosslook import book, claims, claims_page
from crosslook.claims import CANNOT, FAILS, HOLDS, LATER, Claim, ClaimError, Condition, judge
from crosslook.models.recipes import RECIPES
from crosslook.paths import ROOT

CLAIMS = claims.read(book.CLAIMS)

ENTRY = {
    "id": "x.one",
    "source": "grounding",
    "where": "Table 1",
    "finding": "It rises.",
    "paper": "from 1 to 2",
    "notebook": "notebooks/x.ipynb",
    "models": ["emoji/ort"],
    "results": {"x.rise": "the rise", "x.fall": "the fall"},
    "same": [{"result": "x.rise", "above": 0}],
}


def result(name, low, high, value=None, **control):
    value = (low + high) / 2 if value is None else value
    control = control or {"chance": 0.0}
    return {"name": name, "value": value, "interval": [low, high], "n": 10, "control": control, "unit": "", "note": ""}


def found(*results):
    return {each["name"]: each for each in results}


def claim(*same, models=("m",), names=("x.rise", "x.fall")):
    return Claim("x", "grounding", "", "", "", "", models, dict.fromkeys(names, ""), same)


# ---------------------------------------------------------------- the file


def test_every_paper_has_its_findings_and_every_name_one_meaning():
    sources = [each.source for each in CLAIMS]
    assert {source: sources.count(source) >= 8 for source in claims.SOURCES} == dict.fromkeys(claims.SOURCES, True)
    assert sources == sorted(sources, key=list(claims.SOURCES).index), "the file follows the papers' order"
    meanings = {}
    for each in CLAIMS:
        assert each.id.startswith(f"{each.source.lower()}."), each.id
        for name, what in each.results.items():
            assert name.startswith(f"{each.source.lower()}."), name
            assert meanings.setdefault(name, what) == what, f"{name} means two things"
    twice = [each.finding for each in CLAIMS if sum(other.finding == each.finding for other in CLAIMS) > 1]
    assert twice == []


def test_models_and_references_exist():
    for each in CLAIMS:
        for model in each.models:
            kind, name = model.split("/")
            assert kind == "emoji", each.id
            assert name in RECIPES, each.id
    bibliography = (ROOT / "book" / "references.bib").read_text()
    for key in claims.SOURCES.values():
        assert f"{{{key}," in bibliography
    assert list(claims_page.TITLES) == list(claims.SOURCES)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"finding": ""}, "finding: expected a text, got ''"),
        ({"where": 3}, "where: expected a text, got 3"),
        ({"source": "nature"}, "source: expected one of grounding, .*, got 'nature'"),
        ({"models": "emoji/ort"}, "models: expected a list of texts, got 'emoji/ort'"),
        ({"result": {}}, "result: expected one of cannot, .*, got 'result'"),
        ({"results": {}}, "results: expected names, each with what it measures"),
        ({"results": {"x.rise": 1}}, "results: expected names, each with what it measures"),
        ({"same": []}, "same: expected a list of conditions"),
        ({"same": ["x.rise above 0"]}, r"same\[0\]: expected {result: NAME"),
        ({"same": [{"result": "x.rise", "above": 0, "below": 1}]}, r"same\[0\]: expected result and one of"),
        ({"same": [{"result": "x.rise"}]}, r"same\[0\]: expected result and one of"),
        (
            {"same": [{"result": "x.up", "above": 0}]},
            r"same\[0\]: expected a name that `results` describes, got 'x.up'",
        ),
        ({"same": [{"result": "x.rise", "above": None}]}, r"same\[0\]: expected above to be a number"),
        ({"same": [{"result": "x.rise", "above": True}]}, r"same\[0\]: expected above to be a number"),
        ({"same": [{"result": "x.rise", "between": [1, 0]}]}, r"same\[0\]: expected between to be two numbers"),
        ({"same": [{"order": ["x.rise"]}]}, r"same\[0\]: expected order to be a list of at least two"),
        ({"same": [{"order": ["x.rise", "x.up"]}]}, r"same\[0\]: expected names that `results` describes"),
        ({"cannot": "of reasons"}, "cannot: expected neither results nor same beside it"),
    ],
)
def test_a_bad_field_is_named_with_its_claim(tmp_path, change, field):
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump([ENTRY]))
    assert claims.read(path)[0].same == (Condition(("x.rise",), "above", 0.0),)
    entry = copy.deepcopy(ENTRY) | change
    path.write_text(yaml.safe_dump([entry]))
    with pytest.raises(ClaimError, match=f"claims.yml: claim 'x.one': field {field}"):
        claims.read(path)


def test_what_is_no_list_of_named_claims_is_an_error(tmp_path):
    path = tmp_path / "claims.yml"
    path.write_text("a: 1")
    with pytest.raises(ClaimError, match="expected a list of claims, got dict"):
        claims.read(path)
    path.write_text("- 1")
    with pytest.raises(ClaimError, match="claim 1: expected fields, got 1"):
        claims.read(path)
    path.write_text(yaml.safe_dump([{name: value for name, value in ENTRY.items() if name != "id"}]))
    with pytest.raises(ClaimError, match="claim 1: field id: expected a text, got None"):
        claims.read(path)
    path.write_text(yaml.safe_dump([ENTRY, ENTRY]))
    with pytest.raises(ClaimError, match=r"'x.one': field id: expected every id once"):
        claims.read(path)


# ---------------------------------------------------------------- the verdict


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(-5, 5), st.booleans())
def test_above_and_below_ask_for_the_whole_interval(a, b, bound, named):
    low, high = sorted((a, b))
    recorded = found(result("x.rise (m)", low, high, twin=bound))
    limit = "twin" if named else bound
    (above,) = judge(claim(Condition(("x.rise",), "above", limit)), recorded)
    (below,) = judge(claim(Condition(("x.rise",), "below", limit)), recorded)
    assert (above.status == HOLDS) == (low > bound)
    assert (below.status == HOLDS) == (high < bound)
    across = low <= bound <= high and low < high
    assert ("reaches past" in above.because + below.because) == across
    for verdict in (above, below):
        assert bool(verdict.because) == (verdict.status == FAILS)


@pytest.mark.parametrize(
    ("low", "high", "status"), [(0, 1, HOLDS), (0.2, 0.8, HOLDS), (-0.1, 1, FAILS), (0, 1.1, FAILS)]
)
def test_between_asks_for_the_whole_interval(low, high, status):
    (verdict,) = judge(claim(Condition(("x.rise",), "between", (0.0, 1.0))), found(result("x.rise (m)", low, high)))
    assert verdict.status == status


def test_an_order_needs_falling_values_and_ends_apart():
    condition = claim(Condition(("x.a", "x.b", "x.c"), "order"), models=(), names=("x.a", "x.b", "x.c"))

    def status(*intervals):
        return judge(condition, found(*(result(n, *i) for n, i in zip(("x.a", "x.b", "x.c"), intervals, strict=True))))[
            0
        ]

    assert status((4, 6), (3, 5), (1, 3)).status == HOLDS, "neighbours may overlap"
    assert status((4, 6), (1, 3), (3, 4)).because == "x.b is not above x.c"
    assert status((2, 8), (3, 5), (1, 3)).because == "the intervals of x.a and x.c overlap"


def test_every_condition_counts_and_each_failure_is_told():
    both = claim(Condition(("x.rise",), "above", 0.0), Condition(("x.fall",), "below", 0.0))
    good, bad = result("x.rise (m)", 1, 2), result("x.fall (m)", 1, 2)
    (verdict,) = judge(both, found(good, bad))
    assert (verdict.status, verdict.because) == (FAILS, "fall is not below 0")
    (verdict,) = judge(both, found(result("x.rise (m)", -1, 2), bad))
    assert verdict.because == "the interval of rise reaches past 0; fall is not below 0"
    (verdict,) = judge(both, found(good))
    assert (verdict.status, verdict.because) == (LATER, "not recorded: x.fall (m)")
    assert judge(both, {})[0] == claims.Verdict(LATER, "m", "")


def test_a_control_that_was_not_recorded_is_no_success():
    (verdict,) = judge(claim(Condition(("x.rise",), "above", "twin")), found(result("x.rise (m)", 1, 2, chance=0.0)))
    assert verdict == claims.Verdict(FAILS, "m", "rise was recorded without the control 'twin'")


def test_other_models_are_judged_too_but_do_not_decide():
    one = claim(Condition(("x.rise",), "above", 0.0))
    recorded = found(result("x.rise (m)", 1, 2), result("x.rise (untrained/m)", -1, 1), result("x.else (other)", 1, 2))
    verdicts = judge(one, recorded)
    assert [(v.model, v.status) for v in verdicts] == [("m", HOLDS), ("untrained/m", FAILS)]
    assert claims_page.overall(one, verdicts) == HOLDS


def test_one_model_that_fails_is_enough_and_missing_ones_wait():
    two = claim(Condition(("x.rise",), "above", 0.0), models=("m", "n"))
    good, bad = result("x.rise (m)", 1, 2), result("x.rise (n)", -2, -1)
    assert claims_page.overall(two, judge(two, found(good, bad))) == FAILS
    assert claims_page.overall(two, judge(two, found(good))) == HOLDS
    assert claims_page.overall(two, judge(two, {})) == LATER


# ---------------------------------------------------------------- the page


def summaries(*results, notebook="notebooks/x.ipynb"):
    return {notebook: {"results": list(results)}}


def test_the_stage_holds_every_claim_and_the_committed_page_none(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "STAGE", tmp_path / "src")
    book.stage({})
    table = (tmp_path / "src/book/claims_table.txt").read_text()
    committed = (ROOT / "book/claims.md").read_text()
    assert "```{include} claims_table.txt" in committed
    for each in CLAIMS:
        assert claims_page._plain(each.finding) in table, each.id
        assert each.finding not in committed, "it would be stale in a clone"
    counted = re.findall(r"\| \[.*?\]\(claims-\w+\) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", table)
    assert [sum(map(int, rest)) for _, *rest in counted] == [int(total) for total, *_ in counted]
    assert sum(int(total) for total, *_ in counted) == len(CLAIMS)


def test_a_row_shows_both_sides_and_links_only_to_what_ran():
    one = claims._claim(ENTRY, "")
    text = claims_page.page([one], summaries(result("x.rise (emoji/ort)", 0.1, 0.3, 0.2, chance=0.05)))
    assert "It rises.<br><small>Table 1: from 1 to 2</small>" in text
    assert "<small>**a** the rise, *counts if above 0*</small>" in text
    assert "✓ **holds** `emoji/ort`" in text
    assert r"<small>**a** **0.2** \[0.1, 0.3\], n = 10; chance 0.05</small>" in text
    in_bits = result("x.rise (emoji/ort)", 0.1, 0.3, 0.2, chance=0.05) | {"unit": "bits"}
    assert r"**0.2 bits** \[0.1" in claims_page.page([one], summaries(in_bits))
    assert "[notebook](/notebooks/x.ipynb)" in text
    assert "/notebooks/x.ipynb" not in claims_page.page([one], {})


def test_a_reason_and_several_waiting_models_are_told_once():
    why = Claim("x", "VALUE", "here", "f", "p", "n", cannot="nobody knows")
    assert "∅ **cannot be tested here**<br><small>because nobody knows</small>" in claims_page.page([why], {})
    assert judge(why, {}) == [claims.Verdict(CANNOT, "", "because nobody knows")]
    waiting = claims._claim(ENTRY | {"models": ["emoji/ort", "emoji/uniter"]}, "")
    assert "… **not yet run** `emoji/ort`, `emoji/uniter`" in claims_page.page([waiting], {})


def test_text_cannot_leave_its_cell():
    one = claims._claim(ENTRY | {"finding": "a | b\n* - *c* <d> `e` $f$"}, "")
    row = next(line for line in claims_page.page([one], {}).splitlines() if "a \\|" in line)
    assert row.startswith(r"* - a \| b \* - \*c\* \<d\> \`e\` \$f\$<br>")


def test_a_name_recorded_twice_is_an_error():
    twice = {**summaries(result("x.rise", 0, 1)), **summaries(result("x.rise", 0, 1), notebook="notebooks/y.ipynb")}
    with pytest.raises(ValueError, match=r"notebooks/y.ipynb records 'x.rise' again"):
        claims_page.collect(twice)


def test_judging_again_runs_no_notebook_again(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "ROOT", tmp_path)
    for name in (
        "lib/crosslook/code.py",
        "lib/crosslook/claims.py",
        "data/claims.yml",
        "data/x.csv",
        "constraints.txt",
        "n",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = book.digest("n", {})
    for name in ("lib/crosslook/claims.py", "data/claims.yml"):
        (tmp_path / name).write_text("2")
    assert book.digest("n", {}) == before
    (tmp_path / "data/x.csv").write_text("2")
    assert book.digest("n", {}) != before
