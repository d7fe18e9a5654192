"""The tables of Makhzani et al. 2016 (arXiv 1511.05644): our results beside the published ones.

    python -m benchmarks.quality.aae_paper                                  every table, with the CPU budget
    python -m benchmarks.quality.aae_paper semi_supervised clustering       two of them
    python -m benchmarks.quality.aae_paper likelihood --budget=paper        the full budget: hours on a CPU, for a GPU

Every row is one run of `launch.py` with --config.num_seeds seeds, in a workdir of its own below --workdir. A run that
was interrupted resumes; a run that has finished is only read. Figures come from results.json: MNIST's test split, used
once, at the end of a run; mean ± standard deviation (n - 1) over seeds. Each seed has its own labels and initial
networks.
The CPU budget has few steps, and networks of half the published width (a sixth for the clusters). The full budget has
100,000 steps and 1,000 units a layer.
Published figures are as printed in the paper; "(recalled)" marks a figure that was not checked against the paper.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.common import records, tables
from benchmarks.common.tables import Row

PAPER_STEPS, PAPER_WIDTH = 100_000, 1000  # of the full budget


def row(name: str, config: str, metric: str, published: str, cpu_steps: int, **overrides: object) -> Row:
    """Returns a line whose target is the published figure."""
    return Row(name, config, metric, published, cpu_steps, PAPER_STEPS, overrides)


TABLES = {
    "likelihood": [
        row("AAE, z 8", "aae:mnist,likelihood", "parzen_log_likelihood", "340 ± 2 nats", 10_000),
    ],
    "semi_supervised": [
        row("AAE, 100 labels", "semi_aae:mnist", "test_error", "1.90 ± 0.10%", 3_500, num_labeled=100),
        row("AAE, 1,000 labels", "semi_aae:mnist", "test_error", "1.60 ± 0.08% (recalled)", 3_500),
        row("AAE, all labels", "semi_aae:mnist", "test_error", "0.85 ± 0.02%", 3_500, num_labeled=-1),
        row(
            "plain net, 100 labels",
            "semi_aae:mnist,plain",
            "test_error",
            "25.80% (recalled)",
            3_500,
            num_labeled=100,
        ),
        row("plain net, 1,000 labels", "semi_aae:mnist,plain", "test_error", "8.73% (recalled)", 3_500),
    ],
    "clustering": [
        row("AAE, 16 clusters", "cluster_aae:mnist", "cluster_error", "9.55 ± 2.05%", 6_000, num_clusters=16),
        row("AAE, 30 clusters", "cluster_aae:mnist", "cluster_error", "4.10 ± 1.13%", 6_000),
    ],
    "labeled_priors": [
        row(
            "10 Gaussians, 10,000 labels",
            "aae:mnist,mixture,labeled",
            "prior_component_accuracy",
            "not printed",
            8_000,
        ),
        row(
            "swiss roll, 10,000 labels",
            "aae:mnist,swiss_roll,labeled",
            "prior_component_accuracy",
            "not printed",
            1_500,
        ),
    ],
    "separation": [
        row("content", "cond_aae:mnist", "content_accuracy", "not printed", 8_000),
        row("swapped styles", "cond_aae:mnist", "swap_accuracy", "not printed", 8_000),
        row("leakage", "cond_aae:mnist", "style_leakage", "not printed", 8_000),
    ],
}
COLUMNS = {"table": "table", "row": "row", "ours": "ours", "published": "published", "budget": "budget"}
COLUMNS |= {"seeds": "seeds", "steps": "steps", "minutes": "minutes"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    return tables.run(lambda: parse(argv), measure_rows, COLUMNS)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    return tables.parse("quality.aae_paper", "paper_tables", __doc__, TABLES, argv)


def measure_rows(table: str, options: argparse.Namespace) -> Iterator[dict]:
    """Yields the recorded rows of a table."""
    for line in tables.select_rows(TABLES[table], options):
        yield record(table, line, options, tables.load_or_run(with_width(line, options), options))


def with_width(line: Row, options: argparse.Namespace) -> Row:
    """Returns the line with the published width of networks, if the budget is the paper's."""
    if options.budget != "paper":
        return line
    return line._replace(overrides=published_widths(line) | dict(line.overrides))


def published_widths(line: Row) -> dict[str, str]:
    """Returns the recipe's number of hidden layers, each of the published width."""
    recipe = records.recipe(*line.config.partition(":")[::2])
    layers = {name: (PAPER_WIDTH,) * len(recipe[name]) for name in ("hidden_sizes", "critic_hidden_sizes")}
    return {name: str(widths).replace(" ", "") for name, widths in layers.items()}


def record(table: str, line: Row, options: argparse.Namespace, results: Mapping) -> dict:
    """Returns a recorded row: `tables.summarize`, with the published figure."""
    ours = format_result(results["metrics"][line.metric], results.get("std", {}).get(line.metric), line.metric)
    return tables.summarize(table, line, ours, options, results) | {"published": line.target}


def format_result(mean: float, std: float | None, metric: str) -> str:
    """Formats a log-likelihood in nats, and other metrics in percent."""
    unit, factor = (" nats", 1) if metric == "parzen_log_likelihood" else ("%", 100)
    spread = "" if std is None else f" ± {factor * std:.2f}"
    return f"{factor * mean:.2f}{spread}{unit}"


if __name__ == "__main__":
    sys.exit(main())
