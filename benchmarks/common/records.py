"""What every benchmark shares: the recipes to measure, the record of a row, the table on the screen. No timing here."""

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
    """`get_config(presets)` of every file in configs/, by the file's name."""
    return {path.stem: _get_config(path) for path in sorted((REPOSITORY / "configs").glob("*.py"))}


def recipe(name: str, presets: str = "") -> ConfigDict:
    """The config of that name with those presets.

    Raises:
      ValueError: no such config, or one of the presets is unknown to it.
    """
    known = recipes()
    if name not in known:
        raise ValueError(f'config "{name}" is unknown{suggest(name, known)}; choose from {", ".join(known)}')
    return known[name](presets)


def _get_config(path: Path) -> Callable[[str], ConfigDict]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config


@functools.cache
def finished_run(config: str, folder: Path, overrides: tuple[str, ...]) -> dict:
    """What results.json says of a run of launch.py, which is trained or resumed if it has not ended; asked for once.

    Args:
      config: a config's name, and its presets after a colon.
      folder: its workdir.
      overrides: KEY=VALUE of the config.

    Raises:
      subprocess.CalledProcessError: the run fails; it has said why.
    """
    name, _, presets = config.partition(":")
    command = [sys.executable, str(REPOSITORY / "launch.py"), f"--config={REPOSITORY}/configs/{name}.py:{presets}"]
    command += [f"--workdir={folder}", *(f"--config.{override}" for override in overrides)]
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True)
    return json.loads((folder / "results.json").read_text())


def provenance(device: jax.Device) -> dict:
    """What makes a number more than an anecdote: the device, the versions, the commit among them, and the date."""
    return {"device": device_name(device), "versions": versions.versions(), "date": now()}


def device_name(device: jax.Device) -> str:
    """The device as its maker calls it; for a CPU, which jax calls "cpu", also its design and its number of cores."""
    if device.platform != "cpu":
        return device.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpuinfo = Path("/proc/cpuinfo")
    return f"{processor(cpuinfo.read_text() if cpuinfo.exists() else '')}, {cores} cores"


def processor(cpuinfo: str) -> str:
    """The first processor that /proc/cpuinfo tells of.

    A virtual machine may be told no more of the name than the brand, where one design multiplies matrices twice as fast
    as the one before it: family and model say which it is.
    """
    first, *_ = cpuinfo.split("\n\n")
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = told.get("model name") or platform.processor() or platform.machine()
    return f"{name} (family {told['cpu family']}, model {told['model']})" if "cpu family" in told else name


def parser(program: str, rows_file: str, doc: str, **options) -> argparse.ArgumentParser:
    """What reads a benchmark's command line, --out already; its --help is the module's docstring as it stands."""
    form = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{program}", description=doc, formatter_class=form, **options
    )
    rows = "the JSON lines to add to (default: %(default)s)"
    made.add_argument("--out", type=Path, default=RESULTS / f"{rows_file}.jsonl", metavar="FILE", help=rows)
    return made


def words(text: str) -> list[str]:
    """An option's words, between which are commas."""
    return text.split(",")


def count(text: str) -> int:
    """An option's number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be a whole number, at least 1")
    return int(text)


def main(run: Callable[[], list[dict]], columns: Mapping[str, str], out: Path, note: str = "") -> int:
    """Runs a benchmark, which adds its rows to `out`, and shows them; the exit status, 2 for a user's mistake."""
    try:
        rows = run()
    except ValueError as error:
        print(f"error: {error}".replace("--config.batch_size", "--batch_size"), file=sys.stderr)
        return 2
    print(table(rows, columns))
    print(f"{rows[0]['device']}; {len(rows)} rows added to {out}{note}")
    return 0


def now() -> str:
    """The date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def prepare(path: str | Path) -> Path:
    """Makes the file of rows if it is missing, before minutes are spent on what can't be written.

    Raises:
      ValueError: it can't be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise ValueError(f"out={path} cannot be written ({error.strerror}); try another --out=FILE") from error
    return path


def append(path: str | Path, row: Mapping) -> None:
    """Adds a row to a file of JSON lines, which is made if it is missing."""
    with prepare(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(workdir.to_json_types(row), ensure_ascii=False, allow_nan=False) + "\n")


def table(rows: Iterable[Mapping], columns: Mapping[str, str]) -> str:
    """Rows as aligned text. `columns`: the key of each column and its title, in order."""
    rows = list(rows)
    lines = [list(columns.values()), *([cell(row[key]) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    words = [all(isinstance(row[key], str) for row in rows) for key in columns]
    return "\n".join(
        "  ".join(
            text.ljust(width) if is_word else text.rjust(width)
            for text, width, is_word in zip(line, widths, words, strict=True)
        )
        for line in lines
    )


def cell(value) -> str:
    """A value as a table shows it: four digits, or all those before the point."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {cell(each)}" for name, each in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < math.inf else f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
