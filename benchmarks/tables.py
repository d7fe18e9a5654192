"""What the benchmarks that print tables of runs share: their command line, their loop, the record of a row."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from benchmarks import records
from jaxgen.config import did_you_mean

BUDGETS = ("cpu", "paper")


def parse(program: str, doc: str, tables: Iterable[str], argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of `python -m benchmarks.PROGRAM`.

    Raises:
      ValueError: a table is unknown.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{program}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("tables", nargs="*", default=list(tables), metavar="TABLE", help=f"of {', '.join(tables)}; default: all")
    add("--budget", choices=BUDGETS, default="cpu")
    add("--seeds", type=int, default=3, metavar="N")
    add("--only", default="*", metavar="PATTERN", help="of the tables, only the rows of such names: vae*, *conv*")
    add(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value of every recipe, such as steps=100",
    )
    add("--workdir", type=Path, default=Path("runs") / program, metavar="DIR")
    add("--out", type=Path, default=records.RESULTS / f"{program}.jsonl", metavar="FILE")
    options = parser.parse_args(argv)
    if unknown := [table for table in options.tables if table not in tables]:
        raise ValueError(
            f'table "{unknown[0]}" is unknown{did_you_mean(unknown[0], tables)}; choose from {", ".join(tables)}'
        )
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
    rows = []
    try:
        for table in options.tables:
            for row in measured(table, options):
                records.append(options.out, row)
                rows.append(row)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(records.table(rows, columns))
    return 0


def chosen(rows: Iterable, options: argparse.Namespace) -> list:
    """The rows of a table whose names --only asks for."""
    return [row for row in rows if fnmatch(row.name, options.only)]


def summary(table: str, name: str, metric: str, ours: str, options: argparse.Namespace, results: Mapping) -> dict:
    """One row: the metric of every seed, and what it rests on."""
    each = results.get("of_each_seed", [results["metrics"]])
    return {
        "table": table,
        "row": name,
        "metric": metric,
        "ours": ours,
        "of_each_seed": [metrics[metric] for metrics in each],
        "budget": options.budget,
        "seeds": len(each),
        "steps": results["step"],
        "minutes": results["seconds"] / 60,
        "split": results["split"],
        "device": results["device"],
        "versions": results["versions"],  # of the run, its commit included
        "date": records.now(),
    }
