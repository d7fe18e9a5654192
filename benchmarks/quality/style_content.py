"""The separation table: style apart from content, our recipe beside the literal published one, over several seeds.

    python -m benchmarks.quality.style_content                          bundled digits: ours and tutorial, three seeds each
    python -m benchmarks.quality.style_content --presets=mnist           ours on MNIST
    python -m benchmarks.quality.style_content --presets= --overrides=kl_weight=0.3 --seeds=0
    python -m benchmarks.quality.style_content --draw=docs/trade_off.png        reconstruction against leakage, of all rows so far

Every run is `python launch.py --config=configs/cond_aae.py:PRESETS --config.seed=SEED` in a workdir of its own
below --workdir, so that a run cut off resumes and a finished one is only read. Figures are those of results.json, of
the test split, used once, or with --split=validation of that one, to choose a recipe by; mean ± standard deviation
(n - 1) over the seeds.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import records
from benchmarks.common.records import words
from jaxgen import plotting

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
    """Runs the command line; returns the exit status, that of the first run which fails."""
    parser = records.parser("quality.style_content", "separation", __doc__)
    add = parser.add_argument
    add("--presets", type=words, default=["", "tutorial"], metavar="A,B+C", help="variants; + joins presets of one")
    add("--overrides", type=words, default=[], metavar="KEY=VALUE,…", help="values of the recipe to change")
    add("--seeds", type=words, default=["0", "1", "2"], metavar="0,1,2")
    add("--split", choices=("test", "validation"), default="test", help="which the runs are judged by")
    add("--workdir", type=Path, default=Path("runs/separation"), metavar="DIR")
    add("--draw", type=Path, metavar="FILE", help="trains nothing: draws the trade-off of all rows in --out")
    options = parser.parse_args(argv)
    if options.draw:
        if not options.out.exists():
            print(f"error: out={options.out} has no rows to draw; measure some without --draw", file=sys.stderr)
            return 2
        plotting.write_png(options.draw, trade_off(newest([json.loads(line) for line in options.out.open()])))
        return 0
    records.prepare(options.out)
    overrides = options.overrides + ([] if options.split == "test" else [f"evaluation.split={options.split}"])
    rows = []
    for presets in options.presets:
        try:
            results = [run(presets, seed, overrides, options.workdir) for seed in options.seeds]
        except subprocess.CalledProcessError as error:
            return error.returncode
        rows.append(summary(presets, options.overrides, options.seeds, results))
        records.append(options.out, rows[-1])
    print(records.table([row | shown(row) for row in rows], COLUMNS))
    return 0


def run(presets: str, seed: str, overrides: Sequence[str], workdir: Path) -> dict:
    """What results.json says of one run, which is trained if it has not been."""
    folder = workdir / "-".join(["cond_aae", *filter(None, presets.split("+")), *overrides, f"seed{seed}"])
    return records.finished_run(f"cond_aae:{presets.replace('+', ',')}", folder, (*overrides, f"seed={seed}"))


def summary(presets: str, overrides: Sequence[str], seeds: Sequence[str], results: Sequence[dict]) -> dict:
    """One row: every metric's value by seed."""
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
        "versions": results[0]["versions"],  # of the run, its commit included
        "date": records.now(),
    }


def newest(rows: Sequence[dict]) -> list[dict]:
    """The last row of each recipe, data set and split: a row replaces those before it."""
    return list({tuple(row[key] for key in ("dataset", "split", "presets", "overrides")): row for row in rows}.values())


def trade_off(rows: Sequence[dict]) -> plotting.Picture:
    """Reconstruction error against leakage, a panel a data set and split; rows of one recipe are joined by a line."""
    panels = sorted({(row["dataset"], row["split"]) for row in rows})
    figure = plotting.new_figure(5.5 * len(panels), 4.2)
    for number, panel in enumerate(panels, start=1):
        inside = sorted((row for row in rows if (row["dataset"], row["split"]) == panel), key=place)
        axes = figure.add_subplot(1, len(panels), number, title="{}, {} split".format(*panel))
        axes.axhline(0.1, color=plotting.PRIOR_GRAY, zorder=0)
        axes.set(xlabel="reconstruction MSE", ylabel="style leakage (gray: chance)", ylim=(0, 1.15))
        for color, presets in zip(plotting.PALETTE, dict.fromkeys(row["presets"] for row in inside), strict=False):
            points = (place(row) for row in inside if row["presets"] == presets)
            axes.plot(*zip(*points, strict=True), "o-", color=color)
        axes.margins(x=0.2)
        middle = sum(axes.get_xlim()) / 2
        for row in inside:
            at = place(row)
            # Towards the middle, where there is room, or above a point that a line comes to from the left.
            side, shift = ("center", (0, 20)) if at[0] > middle else ("left", (7, 9))
            axes.annotate(caption(row), at, shift, textcoords="offset points", ha=side, va="center", fontsize=8)
    return plotting.render_figure(figure)


def place(row: dict) -> tuple[float, float]:
    """Error and leakage, mean over the seeds."""
    return statistics.mean(row["mse"]), statistics.mean(row["style_leakage"])


def caption(row: dict) -> str:
    """What tells a row from others: its presets, what was changed but for the run's length, how far it is a style."""
    lengths = ("steps", "eval_every", "checkpoint_every")
    changed = [override for override in row["overrides"].split() if override.partition("=")[0] not in lengths]
    name = " ".join([row["presets"] or "default", *changed])
    return f"{name}\nconsistency {statistics.mean(row['style_consistency']):.2f}"


def shown(row: dict) -> dict[str, str]:
    """Each metric as "mean ± std", the mean alone for one seed."""
    return {name: mean_and_std(row[name]) for name in METRICS}


def mean_and_std(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4g}{spread}"


if __name__ == "__main__":
    sys.exit(main())
