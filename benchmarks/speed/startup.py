"""Time from the command to the first training steps: at the first start, and at later ones.

    python -m benchmarks.speed.startup
    python -m benchmarks.speed.startup --config=cond_aae:mnist --repeats=5

The benchmark starts `launch.py` in a new workdir, with a compilation cache that is empty at the first start and kept
after it, and kills the run when it prints its first line of progress.

first_s: seconds of the first start, which compiles.
second_s, second_s_min, second_s_max: seconds of --repeats later starts: median, minimum and maximum.
All times end with the first logging interval, and so include `steps` training steps (config.log_every).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from benchmarks.common import records

COLUMNS = {
    "config": "config",
    "steps": "steps",
    "first_s": "first s",
    "second_s": "second s",
    "second_s_min": "min",
    "second_s_max": "max",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    return records.run_and_print(lambda: [run(options)], COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("speed.startup", "startup", __doc__)
    add = parser.add_argument
    add("--config", default="cond_aae", metavar="NAME[:PRESETS]", help="recipe (default: %(default)s)")
    add("--repeats", type=records.parse_count, default=5, metavar="N", help="starts after the first (default: 5)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> dict:
    """Measures the starts of a recipe and appends the row to `options.out`.

    Raises:
      ValueError: the config is unknown, a run ends before its first step, or the file cannot be written.
    """
    name, _, presets = options.config.partition(":")
    config = records.recipe(name, presets)
    records.prepare(options.out)
    with tempfile.TemporaryDirectory() as folder:
        first, *later = (measure_start(options.config, Path(folder), number) for number in range(1 + options.repeats))
    row = {
        "config": options.config,
        "steps": min(config.log_every, config.steps),
        "first_s": first,
        "second_s": statistics.median(later),
        "second_s_min": min(later),
        "second_s_max": max(later),
        **records.provenance(jax.devices()[0]),
    }
    records.append(options.out, row)
    return row


def measure_start(config: str, folder: Path, number: int) -> float:
    """Returns the seconds from the command to the first line of progress of one start.

    Args:
      config: recipe, with presets after a colon.
      folder: holds the workdirs and the compilation cache.
      number: names the workdir of this start.

    Raises:
      ValueError: the run ends before its first step.
    """
    name, colon, presets = config.partition(":")
    recipe = f"--config={records.REPOSITORY / 'configs' / name}.py{colon}{presets}"
    command = [sys.executable, str(records.REPOSITORY / "launch.py"), recipe, f"--workdir={folder / str(number)}"]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    start = time.monotonic()
    with subprocess.Popen(
        command, env={**os.environ, **cache}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        line = next((line for line in process.stderr if line.startswith(("step ", "error"))), "error: no step taken")
        seconds = time.monotonic() - start
        process.kill()
    if line.startswith("error"):
        raise ValueError(f"{config} can't be started ({line.strip().removeprefix('error: ')})")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
