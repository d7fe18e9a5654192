"""Whether a run that is killed, over and over, ends as one that was left in peace.

    python -m benchmarks.robustness.kill_and_resume                  100 kills
    python -m benchmarks.robustness.kill_and_resume --kills=10 --seed=1

A short run of cond_aae that saves every few steps is killed (SIGKILL) at a random moment of its life, from its start to
its last figure, and the same command is given again, until it has come to its end in spite of it; then another begins,
until so many kills have been made. Each run that ends is set against one that was left in peace.

kills, runs: how many. identical: of the runs, how many ended with the same parameters, bit for bit, the same line of
  metrics for every step, none twice and none missing, and the same results. unreadable: files, of all that lay in the
  folders at the end, that could not be read or were half written. moments: what the kills hit, by the files there were.
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
    *(
        "--config.hidden_sizes=(32,32)",
        "--config.critic_hidden_sizes=(32,32)",
        f"--config.steps={STEPS}",
        "--config.log_every=10",
    ),
    *("--config.checkpoint_every=20", "--config.eval_every=200"),
)
COLUMNS = {"kills": "kills", "runs": "runs", "identical": "identical", "unreadable": "unreadable", "moments": "moments"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 1 where a run did not end as it should."""
    options = parse(argv)
    try:
        records.prepare(options.out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        row = endured(options.kills, random.Random(options.seed), Path(folder))
    row |= {"seed": options.seed, **records.provenance(jax.devices()[0])}
    records.append(options.out, row)
    shown = {**row, "unreadable": len(row["unreadable"]), "moments": json.dumps(row["moments"])}
    print(records.table([shown], COLUMNS))
    for name in row["unreadable"]:
        print(f"unreadable: {name}")
    return 0 if row["identical"] == row["runs"] and not row["unreadable"] else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = records.parser("robustness.kill_and_resume", "endurance", __doc__)
    add = parser.add_argument
    add("--kills", type=records.count, default=100, metavar="N", help="(default: 100)")
    add("--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)")
    return parser.parse_args(argv)


def endured(kills: int, numbers: random.Random, folder: Path) -> dict:
    """The row, but for where it was made."""
    began = time.monotonic()
    finish(folder / "peace")
    life, expected = time.monotonic() - began, ending(folder / "peace")
    moments: Counter = Counter()
    identical, unreadable, runs = 0, [], 0
    while moments.total() < kills:
        runs += 1
        workdir = folder / f"run_{runs}"
        while moments.total() < kills and killed(workdir, numbers.uniform(0, life), moments):
            print(f"{moments.total()} of {kills} kills", end="\r", file=sys.stderr, flush=True)
        finish(workdir)
        identical += ending(workdir) == expected
        unreadable += unreadable_files(workdir)
    return {
        "kills": moments.total(),
        "runs": runs,
        "identical": identical,
        "unreadable": unreadable,
        "moments": dict(moments),
    }


def started(workdir: Path) -> subprocess.Popen:
    command = [sys.executable, str(records.REPOSITORY / "launch.py"), f"--workdir={workdir}"]
    command += [f"--config={records.REPOSITORY}/configs/cond_aae.py:smoke", *RUN]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(workdir: Path) -> None:
    """Lets a run come to its end.

    Raises:
      RuntimeError: it fails; what it said.
    """
    process = started(workdir)
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{workdir.name} can't be resumed: {said[-2000:]}")


def killed(workdir: Path, after: float, moments: Counter) -> bool:
    """Gives the command and kills it after so many seconds; False where the run ended before."""
    process = started(workdir)
    try:
        process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        moments[moment(workdir)] += 1
        return True
    if process.returncode:
        raise RuntimeError(f"{workdir.name} can't be resumed: exit status {process.returncode}")
    return False


def moment(workdir: Path) -> str:
    """What a run was about, by the files that it left."""
    steps = list_checkpoints(workdir / "checkpoints")
    if [*(workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*")]:
        return "saving"
    if not steps:
        return "before the first checkpoint"
    return "training" if max(steps) < STEPS else "after the last step"


def ending(workdir: Path) -> dict:
    """What two runs of one recipe have to share."""
    model, lines = jaxgen.load(workdir), (workdir / "metrics.jsonl").read_text().splitlines()
    leaves = jax.tree.leaves(jax.device_get((model.params, model.stats)))
    return {
        "step": model.step,
        "state": hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest(),
        "lines": [{key: value for key, value in json.loads(line).items() if not timed(key)} for line in lines],
        "metrics": json.loads((workdir / "results.json").read_text())["metrics"],
    }


def timed(key: str) -> bool:
    """Whether a value of a line of metrics says when it was, or how long it took."""
    return key in ("time", "seconds", "images_per_s")


def unreadable_files(workdir: Path) -> list[str]:
    """The files of a run that are half written or can't be read; of checkpoints, whatever is no whole one."""
    bad = [str(path) for path in workdir.rglob("*tmp*")]
    for path in sorted(path for path in workdir.rglob("*") if path.is_file() and "checkpoints" not in path.parts):
        try:
            read(path)
        except (OSError, ValueError, SyntaxError) as error:
            bad.append(f"{path}: {error}")
    for step in list_checkpoints(workdir / "checkpoints"):
        try:
            jaxgen.load(workdir, step=step)
        except ValueError as error:
            bad.append(f"{workdir}, step {step}: {error}")
    return bad


def read(path: Path) -> None:
    """Reads a file as what its name says it is; an error where it is none."""
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
