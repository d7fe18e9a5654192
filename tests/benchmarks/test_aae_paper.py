"""benchmarks.quality.aae_paper: every row names an existing recipe, and rows show the values of results.json."""

import ast

import pytest

from benchmarks.common import records, tables
from benchmarks.quality import aae_paper
from benchmarks.quality.aae_paper import TABLES
from jaxgen.config.base import validate_config

ROWS = [pytest.param(row, id=f"{table}: {row.name}") for table, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize("budget", tables.BUDGETS)
@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_valid_recipe(row, budget):
    name, _, presets = row.config.partition(":")
    config = records.recipe(name, presets)
    assert config.data.name == "mnist"
    options = aae_paper.parse(["--budget", budget])
    changes = tables.config_changes(aae_paper.with_width(row, options), options)
    typed = {key: ast.literal_eval(value) if isinstance(value, str) else value for key, value in changes.items()}
    config.update(typed)  # locked: an unknown key raises
    validate_config(config)


def test_an_unknown_table_is_refused_in_one_line(capsys):
    assert aae_paper.main(["clusterin"]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: table "clusterin" is unknown (did you mean "clustering"?); choose from')
    assert len(error.splitlines()) == 1


def test_a_row_shows_mean_and_std_over_its_seeds():
    results = {
        "metrics": {"test_error": 0.02},
        "std": {"test_error": 0.001},
        "per_seed": [{"test_error": 0.019}, {"test_error": 0.021}],
        "step": 10,
        "seconds": 90.0,
        "split": "test",
        "device": "1 × cpu",
        "versions": {"commit": "abc"},
    }
    row = aae_paper.record("semi_supervised", TABLES["semi_supervised"][0], aae_paper.parse([]), results)
    assert row["ours"] == "2.00 ± 0.10%"
    assert row["per_seed"] == [0.019, 0.021]
    assert (row["seeds"], row["minutes"]) == (2, 1.5)


def test_a_single_seed_has_no_std_and_likelihoods_are_in_nats():
    assert aae_paper.format_result(0.1234, None, "test_error") == "12.34%"
    assert aae_paper.format_result(301.5, 2.0, "parzen_log_likelihood") == "301.50 ± 2.00 nats"
