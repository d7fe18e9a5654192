"""How fast jaxgen trains beside PyTorch: the same mathematics, in one run.

    pip install 'jaxgen[torch]'
    python -m benchmarks.peers                            every case
    python -m benchmarks.peers --configs=dcgan32 --out=FILE

jaxgen's step is the program's own (`parallel.compile_steps(training.make_step(algorithm), mesh, "jit")`); PyTorch's is
written beside it (`benchmarks/torch_gan.py`). Both begin with the same weights; the losses of the first steps, on the
same images and codes, have to agree before anything is timed. Then the two take turns, --steps steps at a time, and a
turn's ratio is jaxgen's steps a second over those of PyTorch's fastest form in it. Timed is all that a step does,
the gathering of the batch and the drawing of codes included; not timed are compiling, logging and checkpoints.

ratio, ratio_min, ratio_max: the median, least and most of --repeats turns. forms: steps a second, medians.
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import records
from jaxgen import algorithms, parallel, training
from jaxgen.config import did_you_mean
from jaxgen.distributions import Gaussian
from jaxgen.types import Data, Info

COLUMNS = {"config": "config", "ratio": "ratio", "ratio_min": "min", "ratio_max": "max", "forms": "steps/s"}
CHECKED = 3  # steps, on the same images and codes
IMAGES = 1000  # of noise: what they show costs nothing


class Case(NamedTuple):
    """What is measured: a config with changes, on images of a shape."""

    config: str
    changes: dict
    image_shape: tuple[int, int, int]


PLAIN = {"batch_size": 64, "r1": 0.0, "average": 0.0, "schedule": "simultaneous", "decay": "none", "dense": 0}
CASES = {
    f"dcgan{width}": Case(
        "dcgan", {**PLAIN, "width": width, "rates.critic": 2e-4, "rates.generator": 2e-4}, (32, 32, 3)
    )
    for width in (32, 64)
}


@dataclasses.dataclass(frozen=True)
class Fixed(Gaussian):
    """A prior that always draws the same codes, [B, Z]."""

    codes: np.ndarray | None = None

    def sample(self, rng, count):
        del rng
        return jax.numpy.asarray(self.codes[:count])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    try:
        rows = run(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(records.table(rows, COLUMNS))
    print(f"{rows[0]['device']}; {len(rows)} rows added to {options.out}")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--configs", default=",".join(CASES), metavar="A,B", help="which cases (default: %(default)s)")
    add("--steps", type=int, default=10, metavar="N", help="a turn (default: 10)")
    add("--repeats", type=int, default=7, metavar="N", help="turns (default: 7)")
    add("--out", type=Path, default=records.RESULTS / "peers.jsonl", metavar="FILE")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every case that is asked for, adding its row to `options.out`.

    Raises:
      ValueError: a case is unknown, a count below 1, PyTorch is missing, or losses differ; the file can't be written.
    """
    names = options.configs.split(",")
    if unknown := [name for name in names if name not in CASES]:
        raise ValueError(
            f'case "{unknown[0]}" is unknown{did_you_mean(unknown[0], CASES)}; choose from {", ".join(CASES)}'
        )
    if min(options.steps, options.repeats) < 1:
        raise ValueError(f"steps={options.steps} and repeats={options.repeats} must be at least 1")
    try:
        import torch
    except ImportError as error:
        raise ValueError("PyTorch is not installed; try: pip install 'jaxgen[torch]'") from error
    records.prepare(options.out)
    rows = []
    for name in names:
        row = {"config": name, **measured(CASES[name], options), **records.provenance(jax.devices()[0])}
        row["versions"] = {**row["versions"], "torch": torch.__version__}
        records.append(options.out, row)
        rows.append(row)
    return rows


def measured(case: Case, options: argparse.Namespace) -> dict:
    """The ratio of a case and the steps a second behind it."""
    from benchmarks import torch_gan

    config = records.recipe(case.config)
    config.update_from_flattened_dict(case.changes)
    numbers = np.random.default_rng(0)
    images = numbers.integers(0, 256, (IMAGES, *case.image_shape), dtype=np.uint8)
    algorithm = algorithms.build(config, Info("noise", case.image_shape, 1))
    check(algorithm, config, images)
    params = jax.device_get(jax.jit(algorithm.init)(jax.random.key(0)).params)
    turns = {"jaxgen": jaxgen_turn(algorithm, images)}
    for form in torch_gan.FORMS:
        turns[form] = torch_turn(torch_gan.stepper(algorithm, params, config, images, form))
    rates: dict[str, list[float]] = {form: [] for form in turns}
    for turn in range(1 + options.repeats):
        index = numbers.integers(0, IMAGES, (options.steps, config.batch_size)).astype(np.int32)
        for form, take in turns.items():
            began = time.perf_counter()
            take(index)
            if turn:  # the first compiles
                rates[form].append(options.steps / (time.perf_counter() - began))
    peers = zip(*(rates[form] for form in torch_gan.FORMS), strict=True)
    ratios = [ours / max(theirs) for ours, theirs in zip(rates["jaxgen"], peers, strict=True)]
    forms = {form: statistics.median(each) for form, each in rates.items()}
    return {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios), "forms": forms}


def jaxgen_turn(algorithm, images: np.ndarray) -> Callable[[np.ndarray], dict]:
    """`take(index [S, B])`: so many steps, finished when it returns their metrics."""
    mesh = parallel.data_mesh()
    steps = parallel.compile_steps(training.make_step(algorithm), mesh, "jit")
    state = parallel.compile_init(algorithm.init, mesh)(jax.random.key(0))
    data = parallel.replicate(Data(images, np.zeros(len(images), np.int32)), mesh)
    rng = parallel.replicate(jax.random.key(1), mesh)

    def take(index: np.ndarray) -> dict:
        nonlocal state
        state, metrics = jax.block_until_ready(steps(state, data, index, rng))
        return metrics

    return take


def torch_turn(step: Callable) -> Callable[[np.ndarray], list]:
    """The same, of a PyTorch step: losses are fetched once, at the end, as ours are."""
    import torch

    def take(index: np.ndarray) -> list:
        losses = [step(torch.from_numpy(each)) for each in index.astype(np.int64)]
        return torch.tensor([[float(loss) for loss in each] for each in losses]).tolist()

    return take


def check(algorithm, config, images: np.ndarray) -> None:
    """Takes the first steps on the same images and codes in every form.

    Raises:
      ValueError: losses differ, so that the two are not the same mathematics.
    """
    import torch

    from benchmarks import torch_gan

    numbers = np.random.default_rng(1)
    index = numbers.integers(0, IMAGES, (CHECKED, config.batch_size)).astype(np.int32)
    codes = numbers.normal(size=(config.batch_size, algorithm.latent_size)).astype(np.float32)
    fixed = dataclasses.replace(algorithm, prior=Fixed(algorithm.latent_size, codes=codes))
    params = jax.device_get(jax.jit(algorithm.init)(jax.random.key(0)).params)
    metrics = jax.device_get(jaxgen_turn(fixed, images)(index))
    ours = np.stack([metrics["critic/loss"], metrics["generator/loss"]], axis=1)
    for form in torch_gan.FORMS:
        step = torch_gan.stepper(algorithm, params, config, images, form)
        theirs = [
            [float(x) for x in step(torch.from_numpy(i.astype(np.int64)), torch.from_numpy(codes))] for i in index
        ]
        if not np.allclose(ours, theirs, rtol=1e-3):
            raise ValueError(f"losses of the first steps differ: jaxgen {ours.tolist()}, PyTorch {form} {theirs}")


if __name__ == "__main__":
    sys.exit(main())
