"""Scaling of a training step over devices: 1, 2, 4, … of them, under jit and under pmap.

    python -m benchmarks.speed.scaling                                  all devices that jax sees
    python -m benchmarks.speed.scaling --simulate=8 --batch_size=104    8 CPU devices, simulated on this machine
    python -m benchmarks.speed.scaling --configs=cond_aae,dcgan --devices=1,8 --ways=jit

Two kinds of growth: under strong growth the devices share the config's batch; under weak growth each device has a batch
of that size. All cases of a config run in one process and alternate in rounds of --steps steps. A round's speedup is
relative to one device under jit in the same round, so that other load on the machine affects both.

speedup, speedup_min, speedup_max: images per second relative to one device: median, minimum and maximum of --repeats
  rounds. At best n for n real devices. Simulated devices share the cores that one device has to itself, so that the
  best is 1, and 1 - speedup under strong growth is the overhead of sharding. Simulation does not show the speed of real
  devices.
collective_bytes: bytes that the devices exchange per step, by the collective operations in the program that jit
  compiles. A step that averages only metrics and gradients exchanges little more than gradient_bytes, the size of all
  players' gradients. If a network receives two batches, as a critic does, XLA may exchange the two parts of its
  gradient separately.
"""

import argparse
import math
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.common import processes, records
from benchmarks.common.records import parse_count, parse_words
from benchmarks.common.timing import time_call
from benchmarks.speed import step_throughput
from jaxgen import models
from jaxgen.data import Augmentation, Dataset, load_dataset
from jaxgen.distributed import devices
from jaxgen.optimization.players import subset
from jaxgen.training import batches

COLUMNS = {"config": "config", "growth": "growth", "way": "way", "devices": "devices", "simulated": "simulated"}
COLUMNS |= {"batch_size": "batch", "images_per_s": "images/s", "speedup": "speedup", "speedup_min": "min"}
COLUMNS |= {"speedup_max": "max", "collective_bytes": "exchanged bytes", "gradient_bytes": "gradient bytes"}
GROWTHS = ("strong", "weak")
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


class Case(NamedTuple):
    """One row to be measured."""

    growth: str
    way: str
    devices: int


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    processes.set_up_jax(options.simulate)
    simulated = processes.is_simulated()
    note = "; simulated devices share the cores of one: they show overheads, not speeds" if simulated else ""
    return records.run_and_print(lambda: run(options), COLUMNS, options.out, note)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("speed.scaling", "scaling", __doc__, allow_abbrev=False)
    add, modes = parser.add_argument, list(devices.PARALLEL_MODES)
    add(
        "--configs", type=parse_words, default=["cond_aae"], metavar="A,B", help="names in configs/ (default: cond_aae)"
    )
    add("--presets", default="", metavar="A,B", help="presets of each config")
    add("--ways", type=parse_words, default=modes, metavar="A,B", help="jit, pmap (default: both)")
    add("--growths", type=parse_words, default=list(GROWTHS), metavar="A,B", help="strong, weak (default: both)")
    add("--devices", type=parse_words, metavar="A,B", help="numbers of devices (default: 1, 2, 4, … all)")
    batch = "images per step; under weak growth, of each device (default: the config's)"
    add("--batch_size", type=parse_count, metavar="N", help=batch)
    add("--simulate", type=parse_count, metavar="N", help="simulate N CPU devices; the rows say so")
    add("--steps", type=parse_count, default=20, metavar="N", help="steps per round (default: 20)")
    add("--repeats", type=parse_count, default=7, metavar="N", help="rounds (default: 7)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every config and appends its rows to `options.out` as soon as they are measured.

    Raises:
      ValueError: from `make_cases` or `read_config`, or the file cannot be written.
    """
    cases = make_cases(options)
    configs = {name: read_config(name, cases, options) for name in options.configs}
    records.prepare(options.out)
    rows = []
    for name, config in configs.items():
        for row in measure_rows(name, config, cases, options):
            records.append(options.out, row)
            rows.append(row)
    return rows


def make_cases(options: argparse.Namespace) -> list[Case]:
    """Returns the cases of every config; the first is the reference, one device under jit.

    Raises:
      ValueError: a way or a growth is unknown, or jax has fewer devices.
    """
    for name, values, known in (("ways", options.ways, devices.PARALLEL_MODES), ("growths", options.growths, GROWTHS)):
        if unknown := [value for value in values if value not in known]:
            raise ValueError(f'{name}="{unknown[0]}" is unknown; choose from {", ".join(known)}')
    available = len(jax.devices())
    powers = {2**k for k in range(available.bit_length())}
    counts = options.devices or [str(count) for count in sorted({*powers, available})]
    for count in counts:
        if not count.isdecimal() or not 1 <= int(count) <= available:
            raise ValueError(
                f"devices={count} must be 1 to {available}, the number that jax sees; on a CPU, try --simulate=8"
            )
    requested = [
        Case(growth, way, int(count)) for growth in options.growths for count in counts for way in options.ways
    ]
    return list(dict.fromkeys([Case("strong", "jit", 1), *requested]))


def read_config(name: str, cases: Sequence[Case], options: argparse.Namespace) -> ConfigDict:
    """Returns a recipe with the requested batch size.

    Raises:
      ValueError: the config is unknown, or the devices of a case do not divide its batch.
    """
    config = records.recipe(name, step_throughput.presets_of(name, options.presets))
    config.batch_size = options.batch_size or config.batch_size
    for case in cases:
        devices.validate_parallelism(images_per_step(config, case), case.way, make_mesh(case))
    return config


def images_per_step(config: ConfigDict, case: Case) -> int:
    """Returns the number of images of a step on all devices."""
    return config.batch_size * (case.devices if case.growth == "weak" else 1)


def make_mesh(case: Case) -> jax.sharding.Mesh:
    """Returns a mesh of the first devices."""
    return devices.data_mesh(jax.devices()[: case.devices])


def measure_rows(name: str, config: ConfigDict, cases: Sequence[Case], options: argparse.Namespace) -> list[dict]:
    """Measures the rows of a config."""
    dataset = load_dataset(config.data)
    model = models.build_model(config, dataset.spec)
    rounds, exchanged, batch_sizes = [], [], []
    for case in cases:
        batch_size, mesh = images_per_step(config, case), make_mesh(case)
        run_round, step_bytes = prepare_rounds(model, dataset, config, batch_size, mesh, case.way, options.steps)
        rounds.append(run_round), exchanged.append(step_bytes), batch_sizes.append(batch_size)
    seconds = np.array([[run_round(number) for run_round in rounds] for number in range(1 + options.repeats)])[1:]
    rates = options.steps * np.array(batch_sizes) / seconds  # [rounds, cases]
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    trained = [subset(params, player.networks) for player in model.players]
    return [
        {
            "config": name,
            "presets": options.presets,
            **case._asdict(),
            "simulated": processes.is_simulated(),
            "batch_size": batch_sizes[i],
            "images_per_s": statistics.median(rates[:, i]),
            **{
                f"speedup{suffix}": float(summarize(rates[:, i] / rates[:, 0]))
                for suffix, summarize in (("", np.median), ("_min", np.min), ("_max", np.max))
            },
            "collective_bytes": exchanged[i],
            "gradient_bytes": sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(trained)),
            **records.provenance(jax.devices()[0]),
        }
        for i, case in enumerate(cases)
    ]


def prepare_rounds(
    model: models.GenerativeModel,
    dataset: Dataset,
    config: ConfigDict,
    batch_size: int,
    mesh: jax.sharding.Mesh,
    way: str,
    steps: int,
) -> tuple[Callable[[int], float], int | None]:
    """Compiles the program's own steps.

    Args:
      model: the model to train.
      dataset: the data set to train on.
      config: gives everything but the batch size.
      batch_size: images per step on all devices.
      mesh: the devices.
      way: jit or pmap.
      steps: steps per round.

    Returns:
      `run_round(number)`, which trains for one round and returns its seconds; the bytes that a step exchanges, None
      under pmap.
    """
    config = config.copy_and_resolve_references()
    config.batch_size = batch_size
    augment = Augmentation.from_config(config)
    compiled, state, data, rng = step_throughput.prepare_steps(model, dataset.train, mesh, way, augment)
    index = batches.training_indices(config, dataset.train.label, 0, steps)
    exchanged = None
    if way == "jit":
        exchanged = collective_bytes(compiled.lower(state, data, index, rng).compile().as_text())

    def run_round(number: int) -> float:
        nonlocal state
        index = batches.training_indices(config, dataset.train.label, number * steps, (number + 1) * steps)
        (state, _), seconds = time_call(compiled, state, data, index, rng)
        return seconds

    return run_round, exchanged


def collective_bytes(program: str) -> int:
    """Returns the size of all outputs of a compiled program's collective operations; a loop's body counts once.

    An asynchronous operation has a start and a done part. Only the done part counts, because the result of some start
    parts also contains the operand.
    """
    total = 0
    for shapes in re.findall(rf"= (.+?) (?:{'|'.join(COLLECTIVES)})(?:-done)?\(", program):
        for kind, sides in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            size = 1 if kind == "pred" else int(re.search(r"\d+", kind)[0]) // 8
            total += size * math.prod(int(side) for side in sides.split(",") if side)
    return total


if __name__ == "__main__":
    sys.exit(main())
