"""The tables of Makhzani et al. 2016 (arXiv 1511.05644), ours beside the published.

    python -m benchmarks.quality.aae_paper                                  every table, with the CPU budget
    python -m benchmarks.quality.aae_paper semi_supervised clustering       two of them
    python -m benchmarks.quality.aae_paper likelihood --budget=paper        the full budget: hours on a CPU, for a GPU

Every row is one run of `launch.py` with --config.num_seeds copies in a workdir of its own below --workdir: what was cut off
resumes, what is finished is only read. Figures are those of results.json: MNIST's test split, used once, at the end of
a run; mean ± standard deviation (n - 1) over the seeds, each of which draws its own labels and starts its own nets.
The CPU budget is few steps of the recipes' nets, half the published width (the clusters': a sixth); the full one is
100,000 steps at 1,000 units a layer.
Published figures as printed in the paper; "(recalled)" marks one that was not checked against it.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.common import records, tables


class Row(NamedTuple):
    """One line of a table."""

    name: str
    config: str  # with its presets
    metric: str
    published: str
    cpu_steps: int  # of the CPU budget
    overrides: Mapping[str, object] = {}


PAPER_STEPS, PAPER_WIDTH = 100_000, 1000  # of the full budget
TABLES = {
    "likelihood": [
        Row("AAE, z 8", "aae:mnist,likelihood", "parzen_log_likelihood", "340 ± 2 nats", 10_000),
    ],
    "semi_supervised": [
        Row("AAE, 100 labels", "semi_aae:mnist", "test_error", "1.90 ± 0.10%", 3_500, {"num_labeled": 100}),
        Row("AAE, 1,000 labels", "semi_aae:mnist", "test_error", "1.60 ± 0.08% (recalled)", 3_500),
        Row("AAE, all labels", "semi_aae:mnist", "test_error", "0.85 ± 0.02%", 3_500, {"num_labeled": -1}),
        Row(
            "plain net, 100 labels",
            "semi_aae:mnist,plain",
            "test_error",
            "25.80% (recalled)",
            3_500,
            {"num_labeled": 100},
        ),
        Row("plain net, 1,000 labels", "semi_aae:mnist,plain", "test_error", "8.73% (recalled)", 3_500),
    ],
    "clustering": [
        Row("AAE, 16 clusters", "cluster_aae:mnist", "cluster_error", "9.55 ± 2.05%", 6_000, {"num_clusters": 16}),
        Row("AAE, 30 clusters", "cluster_aae:mnist", "cluster_error", "4.10 ± 1.13%", 6_000),
    ],
    "labeled_priors": [
        Row(
            "10 Gaussians, 10,000 labels",
            "aae:mnist,mixture,labeled",
            "prior_component_accuracy",
            "not printed",
            8_000,
        ),
        Row(
            "swiss roll, 10,000 labels",
            "aae:mnist,swiss_roll,labeled",
            "prior_component_accuracy",
            "not printed",
            1_500,
        ),
    ],
    "separation": [
        Row("content", "cond_aae:mnist", "content_accuracy", "not printed", 8_000),
        Row("swapped styles", "cond_aae:mnist", "swap_accuracy", "not printed", 8_000),
        Row("leakage", "cond_aae:mnist", "style_leakage", "not printed", 8_000),
    ],
}
COLUMNS = {"table": "table", "row": "row", "ours": "ours", "published": "published", "budget": "budget"}
COLUMNS |= {"seeds": "seeds", "steps": "steps", "minutes": "minutes"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return tables.run(lambda: parse(argv), measured, COLUMNS)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    return tables.parse("quality.aae_paper", "paper_tables", __doc__, TABLES, argv)


def measured(table: str, options: argparse.Namespace) -> Iterator[dict]:
    """The rows of a table."""
    for row in tables.chosen(TABLES[table], options):
        yield summary(table, row, options, run(row, options))


def run(row: Row, options: argparse.Namespace) -> dict:
    """What results.json says of a row's run, which is trained if it has not been."""
    overrides = [*(f"{key}={value}" for key, value in values(row, options).items()), *options.override]
    name, _, presets = row.config.partition(":")
    folder = options.workdir / "-".join([name, *filter(None, presets.split(",")), *overrides])
    return records.finished_run(row.config, folder, tuple(overrides))


def values(row: Row, options: argparse.Namespace) -> dict[str, object]:
    """What a row changes of its recipe."""
    full = options.budget == "paper"
    steps = PAPER_STEPS if full else row.cpu_steps
    widths = widened(row) if full else {}
    tenth = steps // 1000 * 100  # nearly, in hundreds: the log's intervals
    common = {"num_seeds": options.seeds, "steps": steps, "eval_every": tenth, "checkpoint_every": tenth}
    return common | widths | dict(row.overrides)


def widened(row: Row) -> dict[str, str]:
    """As many hidden layers as the recipe has, each of the published width."""
    recipe = records.recipe(*row.config.partition(":")[::2])
    layers = {name: (PAPER_WIDTH,) * len(recipe[name]) for name in ("hidden_sizes", "critic_hidden_sizes")}
    return {name: str(widths).replace(" ", "") for name, widths in layers.items()}


def summary(table: str, row: Row, options: argparse.Namespace, results: dict) -> dict:
    """One row: ours, as `tables.summary` has it, beside the published figure."""
    ours = shown(results["metrics"][row.metric], results.get("std", {}).get(row.metric), row.metric)
    return tables.summary(table, row.name, row.metric, ours, options, results) | {"published": row.published}


def shown(mean: float, std: float | None, metric: str) -> str:
    """A log-likelihood in nats, everything else in per cent."""
    unit, factor = (" nats", 1) if metric == "parzen_log_likelihood" else ("%", 100)
    spread = "" if std is None else f" ± {factor * std:.2f}"
    return f"{factor * mean:.2f}{spread}{unit}"


if __name__ == "__main__":
    sys.exit(main())
