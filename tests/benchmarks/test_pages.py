"""README.md and docs/: tables show the newest recorded rows, links are valid, pages are short, commands exist."""

import functools
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.pages.__main__ import ROOT, main, update_pages
from benchmarks.pages.lines import Goal, Result, Target
from benchmarks.pages.markdown import Table, find_pages, rewrite
from benchmarks.pages.numbers import format_number, format_seeds
from benchmarks.pages.rows import Rows, Source
from benchmarks.pages.tables import TABLES

PAGES = find_pages(ROOT)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
README_LINES, README_WORDS, PAGE_LINES = 150, 1800, 200
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
RECIPE = re.compile(r"configs/(\w+)\.py(?::(?!\d)([\w,]+))?")  # digits after the colon are lines
MODULE = re.compile(r"python -m (benchmarks(?:\.\w+)+)")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A repository of one page, and one file of two rows for the same key."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("Before.\n\n<!-- table: accuracy -->\n<!-- end table -->\n\nAfter.\n")
    rows = [recorded_row([0.5, 0.6], "aaaaaaa"), recorded_row([0.90, 0.94], "bbbbbbb")]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def recorded_row(per_seed: list[float], commit: str) -> dict:
    common = {
        "row": "net",
        "metric": "content_accuracy",
        "seeds": 2,
        "steps": 1000,
        "minutes": 1.25,
        "device": "1 × cpu",
    }
    return common | {"per_seed": per_seed, "versions": {"commit": commit}, "date": "2026-11-29T01:02:03+00:00"}


def table(target: Target | str = "") -> Table:
    source = Source("scores", "content_accuracy", {"row": "net"})
    columns = ("What", "Metric", "jaxgen", "Target", "Reached", "Seeds", "Steps", "Minutes", "Device", "Commit", "Date")
    line = Result("net", source, target)
    return Table("accuracy", columns, lambda rows: [line.cells(rows)], "python -m benchmarks.x", "scores", "A note.")


def test_no_table_is_stale():
    stale = [str(page.relative_to(ROOT)) for page in update_pages(ROOT, Rows(), write=False)]
    assert not stale, f"run python -m benchmarks.pages, which rewrites {', '.join(stale)}"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_lines_and_stands_on_a_page(name):
    assert TABLES[name].render(Rows()).count("\n|") >= 2
    assert any(f"<!-- table: {name} -->" in page.read_text() for page in PAGES), f"no page shows {name}"


@pytest.mark.parametrize(
    ("program", "file"),
    [("aae_paper", "paper_tables"), ("autoencoders", "autoencoder_tables"), ("gans", "sample_tables")],
)
def test_programs_record_rows_under_the_names_that_tables_look_for(program, file):
    tables = importlib.import_module(f"benchmarks.quality.{program}").TABLES
    measured = {(row.name, row.metric) for lines in tables.values() for row in lines}
    recorded = {(row["row"], row["metric"]) for row in Rows()[file]}
    assert {(name, metric) for name, metric in recorded - measured if "all faces" not in name} <= {
        ("10 principal components", "mse")  # of no run
    }


def test_the_newest_row_of_a_key_is_shown_with_where_it_comes_from(site):
    text = table(Target("≥", 90)).render(Rows(site))
    assert "| net | `content_accuracy` | 92.0 ± 2.8% | ≥ 90% | reached | 2 | 1,000 | 1.2 | 1 × cpu | bbbbbbb |" in text
    assert "A note. `python -m benchmarks.x`; rows in `benchmarks/results/scores.jsonl`." in text
    old = Source("scores", "content_accuracy", {"row": "net", "commit": "aaaaaaa"})
    assert old.values(Rows(site)) == [0.5, 0.6]


def test_a_missed_target_is_marked(site):
    rows, source = Rows(site), Source("scores", "content_accuracy", {"row": "net"})
    above_itself = Target("≥", source, "itself + 1 point", offset=1)
    assert "≥ 93%, itself + 1 point | **missed**" in table(above_itself).render(rows)
    assert Goal(source, Target("<", 90)).text(rows) == "92.0 ± 2.8% (< 90%: **missed**)"
    assert Goal(source, Target("≤", 92)).text(rows).endswith("(≤ 92%: reached)")
    assert "| measured beside |" in table("measured beside").render(rows)


def test_the_caption_names_what_all_lines_share(site):
    source = Source("scores", "content_accuracy", {"row": "net"})
    both = [Result(name, source, "") for name in ("first", "second")]
    columns = ("What", "Metric", "jaxgen", "Target", "Reached", "Seeds", "Steps", "Minutes", "Device", "Commit", "Date")
    text = Table("accuracy", columns, lambda rows: [line.cells(rows) for line in both], "run", "scores").render(
        Rows(site)
    )
    assert "| What | Metric | jaxgen |\n" in text
    assert "Seeds: 2; Steps: 1,000; Minutes: 1.2; Device: 1 × cpu; Commit: bbbbbbb; Date: 2026-11-29. `run`" in text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.9907, 0.9933, 0.989], "0.9910 ± 0.0022"),
        ([8.1, 11.9, 40.1], "20 ± 17"),
        ([88.72], "88.72"),
        ([22.0], "22"),
        ([10.0, 10.0], "10 ± 0"),
        ([0.027226, 0.027234], "0.02723 ± 0.00001"),
        ([1662.0, 1664.0], "1663 ± 1"),
        ([0.0], "0"),
    ],
)
def test_a_number_has_the_digits_that_its_spread_leaves(values, text):
    assert format_seeds(values) == text


def test_numbers_have_separators_and_no_trailing_zeros():
    assert [format_number(value) for value in (1713.0, 0.5, -94.92, 12345.678)] == ["1,713", "0.5", "-94.92", "12,346"]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- table: acuracy -->\n<!-- end table -->\n", r'table "acuracy" is unknown \(did you mean "accuracy"\?\)'),
        ("<!-- table: accuracy -->\n| a |\n", "table: accuracy --> has no counterpart"),
        ("<!-- end table -->\n", "end table --> has no counterpart"),
    ],
)
def test_a_mistake_in_a_page_is_refused(site, page, message):
    with pytest.raises(ValueError, match=message):
        rewrite(page, {"accuracy": table()}, Rows(site))


def test_a_table_without_rows_is_refused(site, tmp_path):
    with pytest.raises(ValueError, match=r"scores\.jsonl has no row with .'row': 'net'"):
        table().render(Rows(tmp_path / "docs"))
    empty = Table("accuracy", ("What",), lambda rows: list(rows["scores"]), "python -m benchmarks.x", "scores")
    with pytest.raises(ValueError, match=r'table "accuracy" is empty; run python -m benchmarks\.x'):
        empty.render(Rows(tmp_path / "docs"))


def test_the_command_rewrites_what_it_finds_stale(site, monkeypatch, capsys):
    monkeypatch.setitem(TABLES, "accuracy", table())
    where = [f"--root={site}", f"--results={site}"]
    assert main(["--check", *where]) == 1
    assert "README.md: stale" in capsys.readouterr().out
    assert main(where) == 0
    assert capsys.readouterr().out == "README.md: rewritten\n"
    assert main(["--check", *where]) == 0
    text = (site / "README.md").read_text()
    assert text.startswith("Before.\n\n<!-- table: accuracy -->\n| What |")
    assert text.endswith("<!-- end table -->\n\nAfter.\n")
    (site / "docs" / "x.md").write_text("<!-- table: unheard -->\n<!-- end table -->\n")
    assert main(where) == 2
    assert 'error: docs/x.md: table "unheard" is unknown' in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    text = CODE.sub("", page.read_text())
    for link in (a or b for a, b in LINK.findall(text)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: {target.name} has no such heading"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_pages_are_short(page):
    text = page.read_text()
    lines, words = len(text.splitlines()), len(text.split())
    if page.name == "README.md" and page.parent == ROOT:
        assert lines <= README_LINES
        assert words <= README_WORDS
    assert lines <= PAGE_LINES


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_name_modules_recipes_presets_and_keys_that_exist(page):
    text = page.read_text().replace("\\\n", " ")
    for module in set(MODULE.findall(text)):
        assert importlib.util.find_spec(module), f"python -m {module} does not exist"
    for line in text.splitlines():
        for name, presets in RECIPE.findall(line):
            if name == "x":  # stands for the reader's own model
                continue
            config = recipe(name, presets)
            for key in re.findall(r"--config\.([\w.]+)=", line):
                value = config
                for part in key.split("."):
                    assert part in value, f"configs/{name}.py has no {key}"
                    value = value[part]


@functools.cache
def recipe(name: str, presets: str) -> Mapping:
    """The config of a recipe, which refuses an unknown preset; PRESETS stands for any."""
    path = ROOT / "configs" / f"{name}.py"
    assert path.exists(), f"configs/{name}.py does not exist"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config("" if presets.isupper() else presets)
