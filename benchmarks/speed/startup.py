"""How long a run takes from the command to its first steps: the first time, and again.

    python -m benchmarks.speed.startup
    python -m benchmarks.speed.startup --config=cond_aae:mnist --repeats=5

`launch.py` is started in a workdir of its own, with a compilation cache that is empty the first time and kept after it,
and killed when it shows its first line of progress.

first_s: of the first start, which compiles. second_s, second_s_min, second_s_max: of --repeats later ones, the median,
  least and most. All to the end of the first log interval, so `steps` steps (config.log_every) are in it.
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
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    return records.main(lambda: [run(options)], COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = records.parser("speed.startup", "startup", __doc__)
    add = parser.add_argument
    add("--config", default="cond_aae", metavar="NAME[:PRESETS]", help="which recipe (default: %(default)s)")
    add("--repeats", type=records.count, default=5, metavar="N", help="starts after the first (default: 5)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> dict:
    """Starts the recipe again and again; its row is added to `options.out`.

    Raises:
      ValueError: the config is unknown, a run ends before its first step; the file can't be written.
    """
    name, _, presets = options.config.partition(":")
    config = records.recipe(name, presets)
    records.prepare(options.out)
    with tempfile.TemporaryDirectory() as folder:
        first, *later = (seconds(options.config, Path(folder), number) for number in range(1 + options.repeats))
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


def seconds(config: str, folder: Path, number: int) -> float:
    """From the command to the first line of progress of one start."""
    name, colon, presets = config.partition(":")
    recipe = f"--config={records.REPOSITORY / 'configs' / name}.py{colon}{presets}"
    command = [sys.executable, str(records.REPOSITORY / "launch.py"), recipe, f"--workdir={folder / str(number)}"]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    began = time.monotonic()
    with subprocess.Popen(
        command, env={**os.environ, **cache}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        said = next((line for line in process.stderr if line.startswith(("step ", "error"))), "error: no step taken")
        took = time.monotonic() - began
        process.kill()
    if said.startswith("error"):
        raise ValueError(f"{config} can't be started ({said.strip().removeprefix('error: ')})")
    return took


if __name__ == "__main__":
    sys.exit(main())
