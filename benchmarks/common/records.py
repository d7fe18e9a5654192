"""The parts that all benchmarks share: recipes, command line, recorded rows, and the table on the screen.

A benchmark appends each row to a file of JSON lines in `benchmarks/results/` as soon as it is measured. Rows are never
changed or removed; `benchmarks.pages` shows the newest row of each key.
"""

import argparse
import functools
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import jax
from ml_collections import ConfigDict

from jaxgen.config.base import suggest
from jaxgen.io import versions, workdir

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"


def recipes() -> dict[str, Callable[[str], ConfigDict]]:
    """Returns the function `get_config(presets)` of every file in configs/, by the file's name."""
    return {path.stem: _load_get_config(path) for path in sorted((REPOSITORY / "configs").glob("*.py"))}


def recipe(name: str, presets: str = "") -> ConfigDict:
    """Returns the config of a recipe with these presets.

    Args:
      name: name of a file in configs/, without `.py`.
      presets: comma-separated; "" for none.

    Raises:
      ValueError: the config or one of the presets is unknown.
    """
    known = recipes()
    if name not in known:
        raise ValueError(f'config "{name}" is unknown{suggest(name, known)}; choose from {", ".join(known)}')
    return known[name](presets)


def _load_get_config(path: Path) -> Callable[[str], ConfigDict]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config


@functools.cache
def load_or_run(config: str, folder: Path, overrides: tuple[str, ...]) -> dict:
    """Returns the results.json of a run of launch.py; trains or resumes the run if it has not finished.

    The result is cached: within a process, launch.py is started once for each run.

    Args:
      config: name of a recipe, with presets after a colon.
      folder: workdir of the run.
      overrides: KEY=VALUE for `--config.KEY=VALUE`.

    Raises:
      subprocess.CalledProcessError: the run failed, and printed the reason.
    """
    name, _, presets = config.partition(":")
    command = [sys.executable, str(REPOSITORY / "launch.py"), f"--config={REPOSITORY}/configs/{name}.py:{presets}"]
    command += [f"--workdir={folder}", *(f"--config.{override}" for override in overrides)]
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True)
    return json.loads((folder / "results.json").read_text())


def provenance(device: jax.Device) -> dict:
    """Returns the device, the versions (with the commit) and the date, which every row ends with."""
    return {"device": device_name(device), "versions": versions.collect_versions(), "date": now()}


def device_name(device: jax.Device) -> str:
    """Returns the manufacturer's name of a device; for a CPU, with its family, model and number of cores.

    jax only names a CPU "cpu".
    """
    if device.platform != "cpu":
        return device.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpuinfo = Path("/proc/cpuinfo")
    return f"{processor_name(cpuinfo.read_text() if cpuinfo.exists() else '')}, {cores} cores"


def processor_name(cpuinfo: str) -> str:
    """Returns the name of the first processor in the text of /proc/cpuinfo, with its family and model.

    On a virtual machine the name may be only the brand. Family and model tell designs of one brand apart, and one
    design may multiply matrices twice as fast as the one before it.
    """
    first, *_ = cpuinfo.split("\n\n")
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = fields.get("model name") or platform.processor() or platform.machine()
    return f"{name} (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else name


def parser(program: str, rows_file: str, doc: str, **options) -> argparse.ArgumentParser:
    """Returns a benchmark's argument parser, which already has `--out`.

    Args:
      program: module of the benchmark, relative to `benchmarks`.
      rows_file: name of the file of rows in results/, without `.jsonl`.
      doc: text of --help, shown as it is: the module's docstring.
      **options: further arguments of `argparse.ArgumentParser`.
    """
    form = argparse.RawDescriptionHelpFormatter
    result = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{program}", description=doc, formatter_class=form, **options
    )
    rows = "file of JSON lines to append to (default: %(default)s)"
    result.add_argument("--out", type=Path, default=RESULTS / f"{rows_file}.jsonl", metavar="FILE", help=rows)
    return result


def parse_words(text: str) -> list[str]:
    """Returns the comma-separated words of an option."""
    return text.split(",")


def parse_count(text: str) -> int:
    """Returns the number in an option.

    Raises:
      argparse.ArgumentTypeError: the text is no whole number, or below 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be a whole number, at least 1")
    return int(text)


def run_and_print(run: Callable[[], list[dict]], columns: Mapping[str, str], out: Path, note: str = "") -> int:
    """Runs a benchmark and prints its rows as a table.

    Args:
      run: measures the rows and appends them to `out`; raises a ValueError for a user's mistake.
      columns: title of each column, by the row's key.
      out: the file of rows.
      note: appended to the last line that is printed.

    Returns:
      The exit status: 0, or 2 after a user's mistake, which is printed as one line.
    """
    try:
        rows = run()
    except ValueError as error:
        print(f"error: {error}".replace("--config.batch_size", "--batch_size"), file=sys.stderr)
        return 2
    print(format_table(rows, columns))
    print(f"{rows[0]['device']}; {len(rows)} rows added to {out}{note}")
    return 0


def now() -> str:
    """Returns the date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def prepare(path: str | Path) -> Path:
    """Creates the file of rows if it is missing, so that an unwritable path is found before anything is measured.

    Raises:
      ValueError: the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise ValueError(f"out={path} cannot be written ({error.strerror}); try another --out=FILE") from error
    return path


def append(path: str | Path, row: Mapping) -> None:
    """Appends a row to a file of JSON lines, which is created if it is missing; NaN and infinity become null."""
    with prepare(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(workdir.to_json_types(row), ensure_ascii=False, allow_nan=False) + "\n")


def format_table(rows: Iterable[Mapping], columns: Mapping[str, str]) -> str:
    """Formats rows as aligned text.

    Args:
      rows: the rows; each has all keys of `columns`.
      columns: title of each column, by the row's key, in order.
    """
    rows = list(rows)
    lines = [list(columns.values()), *([format_cell(row[key]) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    is_text = [all(isinstance(row[key], str) for row in rows) for key in columns]
    return "\n".join(
        "  ".join(
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(line, widths, is_text, strict=True)
        )
        for line in lines
    )


def format_cell(value) -> str:
    """Formats a value for a table: numbers with four significant digits, or with all digits before the point."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_cell(part)}" for name, part in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < math.inf else f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
