"""Separation of style and content: our recipe beside the literal published one, over several seeds.

    python -m benchmarks.quality.style_content                      bundled digits: ours and tutorial, three seeds each
    python -m benchmarks.quality.style_content --presets=mnist      ours on MNIST
    python -m benchmarks.quality.style_content --presets= --overrides=kl_weight=0.3 --seeds=0
    python -m benchmarks.quality.style_content --draw=docs/trade_off.png
                                                                    plots reconstruction against leakage, of all rows

Every run is `python launch.py --config=configs/cond_aae.py:PRESETS --config.seed=SEED`, in a workdir of its own below
--workdir. A run that was interrupted resumes; a run that has finished is only read. Figures come from results.json: the
test split, used once, or with --split=validation the validation split, to choose a recipe by. Printed are mean ±
standard deviation (n - 1) over seeds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import records, tables
from benchmarks.common.records import parse_words
from jaxgen import plotting
from jaxgen.io.atomic import write_bytes_atomic

METRICS = (
    "content_accuracy",
    "swap_accuracy",
    "style_leakage",
    "style_consistency",
    "mse",
    "nll",
    "prior_mmd",
    "code_std_min",
    "code_std_max",
    "classifier_accuracy",
)
COLUMNS = {name: name for name in ("presets", "overrides", "split", "seeds", "steps", "minutes", *METRICS)}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 2 after a mistake, else the failed run's status."""
    options = parse(argv)
    if options.draw:
        return draw(options)
    return tables.run(lambda: options, measure_rows, COLUMNS, format_row)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("quality.style_content", "separation", __doc__)
    add = parser.add_argument
    add(
        "--presets",
        dest="tables",
        type=parse_words,
        default=["", "tutorial"],
        metavar="A,B+C",
        help="variants of the recipe, a row each; + joins the presets of one",
    )
    add("--overrides", type=parse_words, default=[], metavar="KEY=VALUE,…", help="values of the recipe to change")
    add("--seeds", type=parse_words, default=["0", "1", "2"], metavar="0,1,2", help="seeds (default: 0,1,2)")
    add("--split", choices=("test", "validation"), default="test", help="split on which the runs are evaluated")
    add("--workdir", type=Path, default=Path("runs/separation"), metavar="DIR", help="folder of all workdirs")
    add("--draw", type=Path, metavar="FILE", help="trains nothing: plots the trade-off of all rows in --out")
    return parser.parse_args(argv)


def draw(options: argparse.Namespace) -> int:
    """Writes the figure of all recorded rows; returns the exit status."""
    if not options.out.exists():
        print(f"error: out={options.out} has no rows to draw; measure some without --draw", file=sys.stderr)
        return 2
    rows = [json.loads(line) for line in options.out.open()]
    write_bytes_atomic(options.draw, plotting.encode_png(plot_trade_off(newest_rows(rows))))
    return 0


def measure_rows(presets: str, options: argparse.Namespace) -> Iterator[dict]:
    """Yields the one row of a variant; trains the runs that have not finished."""
    overrides = options.overrides + ([] if options.split == "test" else [f"evaluation.split={options.split}"])
    results = [load_or_run(presets, seed, overrides, options.workdir) for seed in options.seeds]
    yield record(presets, options.overrides, options.seeds, results)


def load_or_run(presets: str, seed: str, overrides: Sequence[str], workdir: Path) -> dict:
    """Returns the results of one run; trains it if it has not finished."""
    folder = workdir / "-".join(["cond_aae", *filter(None, presets.split("+")), *overrides, f"seed{seed}"])
    return records.load_or_run(f"cond_aae:{presets.replace('+', ',')}", folder, (*overrides, f"seed={seed}"))


def record(presets: str, overrides: Sequence[str], seeds: Sequence[str], results: Sequence[dict]) -> dict:
    """Returns a recorded row: the value of every metric for each seed, and its provenance."""
    return {
        "presets": presets.replace("+", ","),
        "overrides": " ".join(overrides),
        "dataset": results[0]["dataset"],
        "split": results[0]["split"],
        "seeds": len(seeds),
        "steps": results[0]["step"],
        "minutes": statistics.mean(result["seconds"] for result in results) / 60,
        **{name: [result["metrics"][name] for result in results] for name in METRICS},
        "device": results[0]["device"],
        "versions": results[0]["versions"],  # those of the run, with its commit
        "date": records.now(),
    }


def newest_rows(rows: Sequence[dict]) -> list[dict]:
    """Returns the last row of each recipe, data set and split."""
    return list({tuple(row[key] for key in ("dataset", "split", "presets", "overrides")): row for row in rows}.values())


def plot_trade_off(rows: Sequence[dict]) -> plotting.Picture:
    """Plots reconstruction error against style leakage, one panel per data set and split, one line per recipe."""
    panels = sorted({(row["dataset"], row["split"]) for row in rows})
    figure = plotting.new_figure(5.5 * len(panels), 4.2)
    for number, panel in enumerate(panels, start=1):
        inside = sorted((row for row in rows if (row["dataset"], row["split"]) == panel), key=error_and_leakage)
        axes = figure.add_subplot(1, len(panels), number, title="{}, {} split".format(*panel))
        axes.axhline(0.1, color=plotting.PRIOR_GRAY, zorder=0)
        axes.set(
            xlabel="reconstruction error (MSE, pixels in [0, 1])",
            ylabel="style leakage (gray line: chance)",
            ylim=(0, 1.15),
        )
        for color, presets in zip(plotting.PALETTE, dict.fromkeys(row["presets"] for row in inside), strict=False):
            points = (error_and_leakage(row) for row in inside if row["presets"] == presets)
            axes.plot(*zip(*points, strict=True), "o-", color=color)
        axes.margins(x=0.2)
        middle = sum(axes.get_xlim()) / 2
        for row in inside:
            at = error_and_leakage(row)
            # Captions are right of points in the left half. In the right half, where lines arrive from the left and the
            # margin is near, they are above.
            side, shift = ("center", (0, 20)) if at[0] > middle else ("left", (7, 9))
            axes.annotate(format_caption(row), at, shift, textcoords="offset points", ha=side, va="center", fontsize=8)
    for _ in range(5):  # each widening moves the points, and with them their captions
        plotting.render_figure(figure)
        for axes in figure.axes:
            widen_to_captions(axes)
    return plotting.render_figure(figure)


def widen_to_captions(axes: Any) -> None:
    """Widens the x-axis of a rendered panel until its captions lie inside of the frame."""
    frame, (low, high) = axes.get_window_extent(), axes.get_xlim()
    boxes = [text.get_window_extent() for text in axes.texts]
    left = max(0, frame.x0 + 6 - min(box.x0 for box in boxes)) / frame.width
    right = max(0, max(box.x1 for box in boxes) - frame.x1 + 6) / frame.width
    axes.set_xlim(low - 1.5 * left * (high - low), high + 1.5 * right * (high - low))


def error_and_leakage(row: Mapping) -> tuple[float, float]:
    """Returns the mean over seeds of reconstruction error and style leakage."""
    return statistics.mean(row["mse"]), statistics.mean(row["style_leakage"])


def format_caption(row: Mapping) -> str:
    """Returns the presets, the overrides except those of the run's length, and the style consistency of a row."""
    lengths = ("steps", "eval_every", "checkpoint_every")
    changed = [override for override in row["overrides"].split() if override.partition("=")[0] not in lengths]
    name = " ".join([row["presets"] or "default", *changed])
    return f"{name}\nconsistency {statistics.mean(row['style_consistency']):.2f}"


def format_row(row: Mapping) -> dict:
    """Returns a row with each metric formatted."""
    return {**row, **{name: format_seeds(row[name]) for name in METRICS}}


def format_seeds(values: Sequence[float]) -> str:
    """Formats the values of all seeds as "mean ± std"; a single one as it is."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return tables.format_mean_and_std(statistics.mean(values), std)


if __name__ == "__main__":
    sys.exit(main())
