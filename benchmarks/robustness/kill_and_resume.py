"""Robustness: a run that is killed many times and resumed, compared with a run that was never interrupted.

    python -m benchmarks.robustness.kill_and_resume                  100 kills
    python -m benchmarks.robustness.kill_and_resume --kills=10 --seed=1

A short run of cond_aae saves a checkpoint every few steps. The benchmark kills the run (SIGKILL) at a random moment,
from its start to its last figure, and gives the same command again until the run finishes. Then another run begins,
until --kills kills have been made. Each run that finished is compared with an uninterrupted one.

kills, runs: their numbers.
identical: number of runs that finished with the same parameters bit for bit, the same results, and the same line of
  metrics for every step, none missing and none repeated.
unreadable: files in the run folders, at the end of each run, that cannot be read or are incomplete.
moments: number of kills by what the run was doing, as its files show.
"""

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import jaxgen
from benchmarks.common import records
from jaxgen.io.checkpoint_files import list_checkpoints

STEPS = 400
RUN = (
    "--config.hidden_sizes=(32,32)",
    "--config.critic_hidden_sizes=(32,32)",
    f"--config.steps={STEPS}",
    "--config.log_every=10",
    "--config.checkpoint_every=20",
    "--config.eval_every=200",
)
COLUMNS = {"kills": "kills", "runs": "runs", "identical": "identical", "unreadable": "unreadable", "moments": "moments"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 1 if a run differs or has an unreadable file."""
    options = parse(argv)
    try:
        records.prepare(options.out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        row = kill_and_compare(options.kills, random.Random(options.seed), Path(folder))
    row |= {"seed": options.seed, **records.provenance(jax.devices()[0])}
    records.append(options.out, row)
    printed = {**row, "unreadable": len(row["unreadable"]), "moments": json.dumps(row["moments"])}
    print(records.format_table([printed], COLUMNS))
    for name in row["unreadable"]:
        print(f"unreadable: {name}")
    return 0 if row["identical"] == row["runs"] and not row["unreadable"] else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("robustness.kill_and_resume", "endurance", __doc__)
    add = parser.add_argument
    add("--kills", type=records.parse_count, default=100, metavar="N", help="number of kills (default: 100)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the random moments (default: 0)")
    return parser.parse_args(argv)


def kill_and_compare(kills: int, rng: random.Random, folder: Path) -> dict:
    """Returns the row, without its provenance.

    Args:
      kills: number of kills.
      rng: gives the moments of the kills.
      folder: for the workdirs.
    """
    start = time.monotonic()
    finish(folder / "uninterrupted")
    duration, expected = time.monotonic() - start, read_outcome(folder / "uninterrupted")
    moments: Counter = Counter()
    identical, unreadable, runs = 0, [], 0
    while moments.total() < kills:
        runs += 1
        workdir = folder / f"run_{runs}"
        while moments.total() < kills and start_and_kill(workdir, rng.uniform(0, duration), moments):
            print(f"{moments.total()} of {kills} kills", end="\r", file=sys.stderr, flush=True)
        finish(workdir)
        identical += read_outcome(workdir) == expected
        unreadable += find_unreadable_files(workdir)
    return {
        "kills": moments.total(),
        "runs": runs,
        "identical": identical,
        "unreadable": unreadable,
        "moments": dict(moments),
    }


def start_run(workdir: Path) -> subprocess.Popen:
    """Starts or resumes a run."""
    command = [sys.executable, str(records.REPOSITORY / "launch.py"), f"--workdir={workdir}"]
    command += [f"--config={records.REPOSITORY}/configs/cond_aae.py:smoke", *RUN]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(workdir: Path) -> None:
    """Starts or resumes a run and waits until it finishes.

    Raises:
      RuntimeError: the run fails; the message ends with its output.
    """
    process = start_run(workdir)
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{workdir.name} can't be resumed: {output[-2000:]}")


def start_and_kill(workdir: Path, after: float, moments: Counter) -> bool:
    """Starts or resumes a run and kills it; returns False if the run finished first.

    Args:
      workdir: workdir of the run.
      after: seconds from the start to the kill.
      moments: number of kills by moment, to which this kill is added.

    Raises:
      RuntimeError: the run fails.
    """
    process = start_run(workdir)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        moments[find_moment(workdir)] += 1
        return True
    if process.returncode:
        raise RuntimeError(f"{workdir.name} can't be resumed: exit status {process.returncode}")
    return False


def find_moment(workdir: Path) -> str:
    """Returns what a killed run was doing, as its files show."""
    steps = list_checkpoints(workdir / "checkpoints")
    if [*(workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*")]:
        return "saving"
    if not steps:
        return "before the first checkpoint"
    return "training" if max(steps) < STEPS else "after the last step"


def read_outcome(workdir: Path) -> dict:
    """Returns the parts of a finished run that every run of the recipe must share."""
    trained, lines = jaxgen.load(workdir), (workdir / "metrics.jsonl").read_text().splitlines()
    leaves = jax.tree.leaves(jax.device_get((trained.params, trained.stats)))
    return {
        "step": trained.step,
        "state": hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest(),
        "lines": [{key: value for key, value in json.loads(line).items() if not is_timing(key)} for line in lines],
        "metrics": json.loads((workdir / "results.json").read_text())["metrics"],
    }


def is_timing(key: str) -> bool:
    """Returns whether a value in a line of metrics is a time, a duration or a rate."""
    return key in ("time", "seconds", "images_per_s")


def find_unreadable_files(workdir: Path) -> list[str]:
    """Returns the files of a run that are incomplete or cannot be read, and the checkpoints that cannot be loaded."""
    bad = [str(path) for path in workdir.rglob("*tmp*")]
    for path in sorted(path for path in workdir.rglob("*") if path.is_file() and "checkpoints" not in path.parts):
        try:
            read_file(path)
        except (OSError, ValueError, SyntaxError) as error:
            bad.append(f"{path}: {error}")
    for step in list_checkpoints(workdir / "checkpoints"):
        try:
            jaxgen.load(workdir, step=step)
        except ValueError as error:
            bad.append(f"{workdir}, step {step}: {error}")
    return bad


def read_file(path: Path) -> None:
    """Reads a file in the format that its suffix names.

    Raises:
      OSError, ValueError or SyntaxError: the content is not in that format.
    """
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".jsonl":
        [json.loads(line) for line in path.read_text().splitlines()]
    elif path.suffix in (".png", ".gif"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".npy":
        np.load(path, allow_pickle=False)
    else:
        path.read_bytes()


if __name__ == "__main__":
    sys.exit(main())
