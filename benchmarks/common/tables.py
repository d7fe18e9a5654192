"""Tables of runs of launch.py: their command line, the runs behind their rows, and the recorded rows."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import records
from jaxgen.config.base import suggest
from jaxgen.optimization import seeds

BUDGETS = ("cpu", "paper")
COLUMNS = {"table": "table", "row": "row", "metric": "metric", "ours": "ours", "target": "target"}
COLUMNS |= {"seeds": "seeds", "steps": "steps", "minutes": "minutes"}


class Row(NamedTuple):
    """One line of a table: a run, one of its metrics, and what the metric is compared with."""

    name: str
    config: str  # recipe, with presets after a colon
    metric: str
    target: str  # published or required value, or a note
    cpu_steps: int = 0  # steps of the CPU budget; 0 for the recipe's own
    paper_steps: int = 0  # steps of the paper's budget; 0 for the recipe's own
    overrides: Mapping[str, object] = {}
    vae: str = ""  # config of the VAE whose outputs a colorizer is trained on
    start: "Row | None" = None  # run whose networks initialize this one
    separate_seeds: bool = False  # each seed is a run of its own: convolutions vmapped over seeds are slow on a CPU


def parse(
    program: str, rows_file: str, doc: str, tables: Mapping[str, Sequence[Row]], argv: Sequence[str] | None
) -> argparse.Namespace:
    """Parses the command line of `python -m benchmarks.PROGRAM`.

    Args:
      program: module of the benchmark, relative to `benchmarks`.
      rows_file: name of the file of rows, without `.jsonl`.
      doc: text of --help.
      tables: rows of each table, by the table's name.
      argv: the arguments; None for those of the process.

    Raises:
      ValueError: a table is unknown, --only matches none of the rows, or an override is not KEY=VALUE.
    """
    parser = records.parser(program, rows_file, doc)
    add = parser.add_argument
    add("tables", nargs="*", default=list(tables), metavar="TABLE", help=f"any of {', '.join(tables)}; default: all")
    add("--budget", choices=BUDGETS, default="cpu", help="number of training steps (default: cpu)")
    add("--seeds", type=records.parse_count, default=3, metavar="N", help="number of seeds (default: 3)")
    add("--only", default="*", metavar="PATTERN", help="run only rows with matching names, such as vae* or *conv*")
    override = "a value for every recipe, such as steps=100"
    add("--override", action="append", default=[], metavar="KEY=VALUE", help=override)
    add("--workdir", type=Path, default=Path("runs") / rows_file, metavar="DIR", help="folder of all workdirs")
    options = parser.parse_args(argv)
    if incomplete := [override for override in options.override if "=" not in override]:
        raise ValueError(f"override={incomplete[0]} must be KEY=VALUE; try --override=steps=100")
    if unknown := [table for table in options.tables if table not in tables]:
        raise ValueError(
            f'table "{unknown[0]}" is unknown{suggest(unknown[0], tables)}; choose from {", ".join(tables)}'
        )
    names = list(dict.fromkeys(row.name for table in options.tables for row in tables[table]))
    if not any(fnmatch(name, options.only) for name in names):
        raise ValueError(f"only={options.only} names no row of {', '.join(options.tables)}; choose from {names}")
    return options


def run(
    parse: Callable[[], argparse.Namespace],
    measure_rows: Callable[[str, argparse.Namespace], Iterable[Mapping]],
    columns: Mapping[str, str],
    format_row: Callable[[Mapping], Mapping] = dict,
) -> int:
    """Measures every requested table, records its rows and prints them.

    Args:
      parse: returns the options; raises a ValueError for a user's mistake.
      measure_rows: yields the rows of a table.
      columns: title of each printed column, by the row's key.
      format_row: returns a row with its values as they are printed.

    Returns:
      The exit status: 0; 2 after a user's mistake; the status of the first run that fails.
    """
    try:
        options = parse()
        records.prepare(options.out)
    except ValueError as error:  # only these two calls: a bug in the measurement keeps its traceback
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = []
    try:
        for table in options.tables:
            for row in measure_rows(table, options):
                records.append(options.out, row)
                rows.append(row)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(records.format_table([format_row(row) for row in rows], columns))
    return 0


def select_rows(rows: Iterable[Row], options: argparse.Namespace) -> list[Row]:
    """Returns the rows whose names match --only."""
    return [row for row in rows if fnmatch(row.name, options.only)]


def measure_rows(table: str, rows: Iterable[Row], options: argparse.Namespace) -> Iterator[dict]:
    """Yields the recorded rows of a table; trains the runs that have not finished."""
    for row in select_rows(rows, options):
        yield record(table, row, options, load_or_run(row, options))


def load_or_run(row: Row, options: argparse.Namespace) -> dict:
    """Returns the results of a row's run; trains the run, and those it depends on, if they have not finished."""
    if row.separate_seeds:
        single = row._replace(separate_seeds=False)
        return join_runs([load_or_run(single, seed_options) for seed_options in options_per_seed(options)])
    if row.vae:
        load_or_run(vae_row(row), options)
    if row.start:
        load_or_run(row.start, options)
    return records.load_or_run(row.config, workdir_of(row, options), tuple(overrides_of(row, options)))


def vae_row(row: Row) -> Row:
    """Returns the row of the VAE that a colorizer is trained on."""
    return Row(row.vae, row.vae, "mse", "")


def options_per_seed(options: argparse.Namespace) -> list[argparse.Namespace]:
    """Returns the options of a run of each seed alone; the first seed is 0, or that of --override=seed=N."""
    overrides = [override.split("=", 1) for override in options.override]
    first = int(dict(overrides).get("seed", 0))
    others = [f"{key}={value}" for key, value in overrides if key != "seed"]
    return [
        argparse.Namespace(**vars(options) | {"seeds": 1, "override": [*others, f"seed={seed}"]})
        for seed in range(first, first + options.seeds)
    ]


def join_runs(runs: Sequence[dict]) -> dict:
    """Joins the results of runs of one seed each into those of one run of all seeds; `seconds` is their sum."""
    versions = {name: join_names(run["versions"].get(name, "-") for run in runs) for name in runs[0]["versions"]}
    return {
        **runs[0],
        **summarize_seeds([run["metrics"] for run in runs]),
        "seconds": sum(run["seconds"] for run in runs),
        "device": join_names(run["device"] for run in runs),
        "versions": versions,
    }


def summarize_seeds(metrics: Sequence[Mapping]) -> dict:
    """Returns the metrics of several seeds under the keys that results.json uses."""
    return {"metrics": seeds.mean_over_seeds(metrics), "std": seeds.std_over_seeds(metrics), "per_seed": metrics}


def join_names(names: Iterable[str]) -> str:
    """Joins the distinct names, in order."""
    return ", ".join(dict.fromkeys(names))


def workdir_of(row: Row, options: argparse.Namespace) -> Path:
    """Returns the workdir of a row's run; rows of the same run share a workdir."""
    name, _, presets = row.config.partition(":")
    changes = [*config_changes(row, options).items(), *(override.split("=", 1) for override in options.override)]
    named = [f"{key}={value}" for key, value in changes if key not in ("data.path", "base_model_workdir")]
    marks = [mark for mark, is_set in (("vae", row.vae), ("started", row.start)) if is_set]
    return options.workdir / "-".join([name, *filter(None, presets.split(",")), *named, *marks])


def overrides_of(row: Row, options: argparse.Namespace) -> list[str]:
    """Returns KEY=VALUE of everything that a run changes in its recipe, with the workdirs of the runs it depends on."""
    overrides = [*(f"{key}={value}" for key, value in config_changes(row, options).items()), *options.override]
    if row.vae:
        overrides.append(f"base_model_workdir={workdir_of(vae_row(row), options)}")
    if row.start:
        overrides.append(f"init_from={workdir_of(row.start, options)}")
    return overrides


def config_changes(row: Row, options: argparse.Namespace) -> dict[str, object]:
    """Returns the values that a row changes in its recipe.

    A run is evaluated and saved about ten times, at multiples of 100 steps, the logging interval of the recipes.
    """
    steps = row.paper_steps if options.budget == "paper" else row.cpu_steps
    tenth = steps // 1000 * 100
    lengths = {"steps": steps, "eval_every": tenth, "checkpoint_every": tenth} if steps else {}
    return {"num_seeds": options.seeds} | lengths | dict(row.overrides)


def record(table: str, row: Row, options: argparse.Namespace, results: Mapping) -> dict:
    """Returns a recorded row: `summarize`, with the target and how the metric was measured."""
    ours = format_mean_and_std(results["metrics"][row.metric], results.get("std", {}).get(row.metric))
    return summarize(table, row, ours, options, results) | {
        "target": row.target,
        "dataset": results["dataset"],
        "protocol": results["protocol"],
        "importance_samples": results["config"]["evaluation"]["importance_samples"],
    }


def format_mean_and_std(mean: float, std: float | None) -> str:
    """Formats a mean, with its standard deviation over seeds if there is one."""
    spread = "" if std is None else f" ± {std:.2g}"
    return f"{mean:.4g}{spread}"


def summarize(table: str, row: Row, ours: str, options: argparse.Namespace, results: Mapping) -> dict:
    """Returns the part of a recorded row that all tables have: the metric of every seed, and its provenance.

    Args:
      table: name of the table.
      row: the line of the table.
      ours: the formatted mean and standard deviation.
      options: the options of the command line.
      results: results.json of the run.
    """
    per_seed = results.get("per_seed", [results["metrics"]])
    return {
        "table": table,
        "row": row.name,
        "metric": row.metric,
        "ours": ours,
        "per_seed": [metrics[row.metric] for metrics in per_seed],
        "budget": options.budget,
        "seeds": len(per_seed),
        "steps": results["step"],
        "minutes": results["seconds"] / 60,
        "split": results["split"],
        "device": results["device"],
        "versions": results["versions"],  # those of the run, with its commit
        "date": records.now(),
    }
