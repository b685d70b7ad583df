"""Tables of published numbers: complete, readable, and equal to their source."""

import csv

import pytest

from crosslook import published


def test_every_table_is_described():
    said = (published.FOLDER / "README.md").read_text(encoding="utf-8")
    tables = sorted(published.FOLDER.glob("*.csv"))
    assert tables
    for path in tables:
        assert f"`{path.name}`" in said
        assert all(isinstance(row["value"], float) for row in published.read(path.stem))


def test_the_numbers_that_the_ablation_paper_prints():
    rows = published.read("frank2021")
    words = published.find(rows, metric="MLM", subset="all", seed=None)
    # Section 5: "The language-only BERT model has a loss of 7.44 bits ..., which drops to 5.39 bits".
    assert [round(row["value"], 2) for row in published.find(words, ablation="text-only (no image)")] == [7.44, 5.39]
    # Figure 4 and section 5: without the image up to 25% worse.
    growth = {}
    for model in ("UNITER", "VisualBERT", "VL-BERT", "LXMERT", "ViLBERT"):
        (none,), (gone,) = (published.find(words, model=model, ablation=name) for name in ("None", "All"))
        growth[model] = gone["value"] / none["value"] - 1
    assert max(growth.values()) == pytest.approx(0.26, abs=0.01)
    # Section 5: MRC-KL grows by 1% to 10% without text, least in LXMERT, most in ViLBERT (Figure 2: means of seeds).
    regions = [row for row in published.find(rows, metric="MRC-KL", subset="all") if row["seed"] is not None]
    growth = {}
    for model in ("UNITER", "VisualBERT", "VL-BERT", "LXMERT", "ViLBERT"):
        none, gone = (published.find(regions, model=model, ablation=name) for name in ("None", "All"))
        growth[model] = sum(row["value"] for row in gone) / sum(row["value"] for row in none) - 1
    assert min(growth, key=growth.get) == "LXMERT"
    assert max(growth, key=growth.get) == "ViLBERT"
    assert growth["LXMERT"] == pytest.approx(0.01, abs=0.002)
    assert growth["ViLBERT"] == pytest.approx(0.10, abs=0.01)


def test_ten_seeds_of_five_models_at_eleven_conditions():
    rows = published.read("frank2021")
    seeded = [row for row in published.find(rows, metric="MLM") if row["seed"] is not None]
    assert len({(row["model"], row["seed"]) for row in seeded}) == 50
    names = [tuple(row[key] for key in row if key not in ("value", "where")) for row in rows]
    assert len(set(names)) == len(names) == 1_068


@pytest.mark.realdata
def test_all_published_values_of_the_ablation_paper_were_carried_over(shared):
    with open(shared / "data" / "frank2021" / "frank2021_results.csv", encoding="utf-8", newline="") as file:
        source = [float(row["value"]) for row in csv.DictReader(file)]
    assert [row["value"] for row in published.read("frank2021")] == source


def test_cells_are_typed(tmp_path):
    (tmp_path / "one.csv").write_text("name,value,n,seed,threshold\na,1.50,12,,0.5\nb,-2,,3,\n", encoding="utf-8")
    assert published.read("one", tmp_path) == [
        {"name": "a", "value": 1.5, "n": 12, "seed": None, "threshold": 0.5},
        {"name": "b", "value": -2.0, "n": None, "seed": 3, "threshold": None},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,n\na,1\n", "expected a column value, got name, n"),
        ("", "expected a column value, got $"),
        ("name,value\na,1\nb,much\n", r"one.csv:3: value: expected a number, got 'much'"),
        ("name,value\na,\n", r"one.csv:2: value: expected a number, got ''"),
        ("name,value\na,nan\n", r"one.csv:2: value: expected a number, got 'nan'"),
        ("name,value,n\na,1,1.5\n", r"one.csv:2: n: expected a number, got '1.5'"),
        ("name,value\na\n", r"one.csv:2: expected 2 cells"),
        ("name,value\na,1,2\n", r"one.csv:2: expected 2 cells"),
    ],
)
def test_a_broken_table_is_refused_with_its_place(tmp_path, text, message):
    (tmp_path / "one.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        published.read("one", tmp_path)


def test_unknown_tables_and_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name: expected one of frank2021"):
        published.read("nothing")
    rows = published.read("frank2021")
    with pytest.raises(ValueError, match=r"wanted: expected columns .*, got colour"):
        published.find(rows, colour="red")
    assert published.find([], colour="red") == []
