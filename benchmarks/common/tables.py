"""What the benchmarks that print tables of runs share: their command line, their loop, the record of a row."""

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
    """One line of a table: a run and one of its measures."""

    name: str
    config: str  # with its presets
    metric: str
    target: str
    cpu_steps: int = 0  # of the CPU budget; 0: the recipe's
    paper_steps: int = 0
    overrides: Mapping[str, object] = {}
    vae: str = ""  # the config of the VAE whose outputs a colorizer is trained on
    start: "Row | None" = None  # the run whose networks this one begins with
    apart: bool = False  # every seed is a run of its own: convolutions of copies side by side are slow on a CPU


def parse(
    program: str, rows_file: str, doc: str, tables: Mapping[str, Sequence], argv: Sequence[str] | None
) -> argparse.Namespace:
    """The options of `python -m benchmarks.PROGRAM`.

    Raises:
      ValueError: a table is unknown, --only names none of its rows, or an override is no KEY=VALUE.
    """
    parser = records.parser(program, rows_file, doc)
    add = parser.add_argument
    add("tables", nargs="*", default=list(tables), metavar="TABLE", help=f"of {', '.join(tables)}; default: all")
    add("--budget", choices=BUDGETS, default="cpu")
    add("--seeds", type=records.count, default=3, metavar="N")
    add("--only", default="*", metavar="PATTERN", help="of the tables, only the rows of such names: vae*, *conv*")
    add(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value of every recipe, such as steps=100",
    )
    add("--workdir", type=Path, default=Path("runs") / rows_file, metavar="DIR")
    options = parser.parse_args(argv)
    if bare := [each for each in options.override if "=" not in each]:
        raise ValueError(f"override={bare[0]} must be KEY=VALUE; try --override=steps=100")
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
    measured: Callable[[str, argparse.Namespace], Iterable[Mapping]],
    columns: Mapping[str, str],
) -> int:
    """Measures every table that is asked for, records its rows, prints them.

    Args:
      parse: gives the options, or raises a ValueError for a user's mistake.
      measured: the rows of a table.
      columns: of the table on the screen: keys of a row, and their titles.

    Returns:
      The exit status: 2 for a user's mistake, else that of the first run that fails.
    """
    try:
        options = parse()
        records.prepare(options.out)
    except ValueError as error:  # a fault of ours, later on, keeps its traceback
        print(f"error: {error}", file=sys.stderr)
        return 2
    measured_rows = []
    try:
        for table in options.tables:
            for row in measured(table, options):
                records.append(options.out, row)
                measured_rows.append(row)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(records.table(measured_rows, columns))
    return 0


def chosen(rows: Iterable, options: argparse.Namespace) -> list:
    """The rows of a table whose names --only asks for."""
    return [row for row in rows if fnmatch(row.name, options.only)]


def rows(table: str, of: Iterable[Row], options: argparse.Namespace) -> Iterator[dict]:
    """The rows of a table, each of a run that is trained if it has not been."""
    for row in chosen(of, options):
        yield summary_of(table, row, options, finished(row, options))


def finished(row: Row, options: argparse.Namespace) -> dict:
    """What results.json says of a row's run, which is trained if it has not been."""
    if row.apart:
        return joined([finished(row._replace(apart=False), each) for each in per_seed(options)])
    if row.vae:
        vae = Row(row.vae, row.vae, "mse", "")
        finished(vae, options)
    if row.start:
        finished(row.start, options)
    return records.finished_run(row.config, folder(row, options), tuple(overrides(row, options)))


def per_seed(options: argparse.Namespace) -> list[argparse.Namespace]:
    """The options of every seed by itself; the first is 0, or what --override=seed=N says."""
    told = [each.split("=", 1) for each in options.override]
    first = int(dict(told).get("seed", 0))
    others = ["=".join(each) for each in told if each[0] != "seed"]
    return [
        argparse.Namespace(**vars(options) | {"seeds": 1, "override": [*others, f"seed={seed}"]})
        for seed in range(first, first + options.seeds)
    ]


def joined(runs: Sequence[dict]) -> dict:
    """The results of runs of one seed each as those of a run of them all; its seconds are theirs together."""
    versions = {name: distinct(run["versions"].get(name, "-") for run in runs) for name in runs[0]["versions"]}
    return {
        **runs[0],
        **over_seeds([run["metrics"] for run in runs]),
        "seconds": sum(run["seconds"] for run in runs),
        "device": distinct(run["device"] for run in runs),
        "versions": versions,
    }


def over_seeds(each: Sequence[Mapping]) -> dict:
    """The measures of every seed as results.json has those of a run of several."""
    return {"metrics": seeds.mean_over_seeds(each), "std": seeds.std_over_seeds(each), "per_seed": each}


def distinct(names: Iterable[str]) -> str:
    """Each name once, in order."""
    return ", ".join(dict.fromkeys(names))


def folder(row: Row, options: argparse.Namespace) -> Path:
    """The workdir of a row's run: rows of one run share it."""
    name, _, presets = row.config.partition(":")
    told = [*values(row, options).items(), *(each.split("=", 1) for each in options.override)]
    shown = [f"{key}={value}" for key, value in told if key not in ("data.path", "base_model_workdir")]
    marks = [mark for mark, its in (("vae", row.vae), ("started", row.start)) if its]
    return options.workdir / "-".join([name, *filter(None, presets.split(",")), *shown, *marks])


def overrides(row: Row, options: argparse.Namespace) -> list[str]:
    """KEY=VALUE of a row's recipe; a colorizer on a VAE's outputs is told where the VAE's run is."""
    changed = [*(f"{key}={value}" for key, value in values(row, options).items()), *options.override]
    if row.vae:
        changed.append(f"base_model_workdir={folder(Row(row.vae, row.vae, 'mse', ''), options)}")
    if row.start:
        changed.append(f"init_from={folder(row.start, options)}")
    return changed


def values(row: Row, options: argparse.Namespace) -> dict[str, object]:
    """What a row changes of its recipe."""
    steps = row.paper_steps if options.budget == "paper" else row.cpu_steps
    tenth = {"eval_every": steps // 10, "checkpoint_every": steps // 10} if steps else {}
    return {"num_seeds": options.seeds} | ({"steps": steps} if steps else {}) | tenth | dict(row.overrides)


def summary_of(table: str, row: Row, options: argparse.Namespace, results: Mapping) -> dict:
    """One row as `summary` has it, beside the target, and how it was measured."""
    ours = shown(results["metrics"][row.metric], results.get("std", {}).get(row.metric))
    return summary(table, row.name, row.metric, ours, options, results) | {
        "target": row.target,
        "dataset": results["dataset"],
        "protocol": results["protocol"],
        "importance_samples": results["config"]["evaluation"]["importance_samples"],
    }


def shown(mean: float, std: float | None) -> str:
    spread = "" if std is None else f" ± {std:.2g}"
    return f"{mean:.4g}{spread}"


def summary(table: str, name: str, metric: str, ours: str, options: argparse.Namespace, results: Mapping) -> dict:
    """One row: the metric of every seed, and what it rests on."""
    each = results.get("per_seed", [results["metrics"]])
    return {
        "table": table,
        "row": name,
        "metric": metric,
        "ours": ours,
        "per_seed": [metrics[metric] for metrics in each],
        "budget": options.budget,
        "seeds": len(each),
        "steps": results["step"],
        "minutes": results["seconds"] / 60,
        "split": results["split"],
        "device": results["device"],
        "versions": results["versions"],  # of the run, its commit included
        "date": records.now(),
    }
