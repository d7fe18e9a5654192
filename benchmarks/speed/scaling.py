"""How a training step scales over devices: 1, 2, 4, … of them, under jit and under pmap.

    python -m benchmarks.speed.scaling                          all devices that jax sees
    python -m benchmarks.speed.scaling --simulate=8 --batch_size=104    8 CPU devices simulated on this machine's cores
    python -m benchmarks.speed.scaling --configs=cond_aae,dcgan --devices=1,8 --ways=jit

Two ways to grow: strong, where the batch of the config is shared out over the devices, and weak, where each device has
such a batch. All cases of a config take turns in one process, --steps steps each, and a turn's ratio is taken to one
device's under jit within the turn, so that whatever else the machine does falls on both.

speedup: images a second over one device's, the median of --repeats turns; speedup_min, speedup_max. Of n real devices
  n at best. Simulated devices share the cores that one device has to itself: 1 at best, and under strong growth
  1 - speedup is what sharing out costs; nothing simulated tells how fast real devices are.
collective_bytes: what the devices exchange a step, by the collective operations in the program compiled by jit; of a
  step that only averages metrics and gradients, little more than gradient_bytes, beside it: of every player's gradient.
  Where a network sees two batches, as a critic does, XLA may exchange the two parts of its gradient one by one.
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

from benchmarks.common import records
from benchmarks.common.records import count, words
from benchmarks.common.timing import timed
from benchmarks.speed import step_throughput
from jaxgen import models
from jaxgen.data import Augmentation, load_dataset
from jaxgen.distributed import devices
from jaxgen.optimization.players import subset
from jaxgen.training import batches

COLUMNS = {"config": "config", "growth": "growth", "way": "way", "devices": "devices", "simulated": "simulated"}
COLUMNS |= {"batch_size": "batch", "images_per_s": "images/s", "speedup": "speedup", "speedup_min": "min"}
COLUMNS |= {"speedup_max": "max", "collective_bytes": "exchanged bytes", "gradient_bytes": "of gradients"}
GROWTHS = ("strong", "weak")
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


class Case(NamedTuple):
    """One row."""

    growth: str
    way: str
    devices: int


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    step_throughput.set_up_jax(options.simulate)
    simulated = step_throughput.is_simulated()
    note = "; simulated devices share the cores of one: overheads, no speeds" if simulated else ""
    return records.main(lambda: run(options), COLUMNS, options.out, note)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = records.parser("speed.scaling", "scaling", __doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--configs", type=words, default=["cond_aae"], metavar="A,B", help="names in configs/ (default: cond_aae)")
    add("--presets", default="", metavar="A,B", help="of each config")
    add("--ways", type=words, default=list(devices.PARALLEL_MODES), metavar="A,B", help="jit, pmap (default: both)")
    add("--growths", type=words, default=list(GROWTHS), metavar="A,B", help="strong, weak (default: both)")
    add("--devices", type=words, metavar="A,B", help="how many (default: 1, 2, 4, … all)")
    add(
        "--batch_size",
        type=count,
        metavar="N",
        help="of one device, or of all under strong growth (default: the config's)",
    )
    add("--simulate", type=count, metavar="N", help="simulate N CPU devices; the rows say so")
    add("--steps", type=count, default=20, metavar="N", help="a turn (default: 20)")
    add("--repeats", type=count, default=7, metavar="N", help="turns (default: 7)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """The rows of every config, each added to `options.out` as soon as those of its config are there.

    Raises:
      ValueError: as `cases_of` and `config_of`; or the file can't be written.
    """
    cases = cases_of(options)
    configs = {name: config_of(name, cases, options) for name in options.configs}
    records.prepare(options.out)
    rows = []
    for name, config in configs.items():
        for row in measured(name, config, cases, options):
            records.append(options.out, row)
            rows.append(row)
    return rows


def cases_of(options: argparse.Namespace) -> list[Case]:
    """What is measured of every config; first what the others are set against.

    Raises:
      ValueError: a way or a growth is unknown, or there are not so many devices.
    """
    for name, told, known in (("ways", options.ways, devices.PARALLEL_MODES), ("growths", options.growths, GROWTHS)):
        if unknown := [each for each in told if each not in known]:
            raise ValueError(f'{name}="{unknown[0]}" is unknown; choose from {", ".join(known)}')
    there = len(jax.devices())
    counts = options.devices or [str(n) for n in sorted({*(2**k for k in range(there.bit_length())), there})]
    for each in counts:
        if not each.isdecimal() or not 1 <= int(each) <= there:
            raise ValueError(f"devices={each} must be 1 to {there}, as many as jax sees; on a CPU, try --simulate=8")
    asked = [Case(growth, way, int(n)) for growth in options.growths for n in counts for way in options.ways]
    return list(dict.fromkeys([Case("strong", "jit", 1), *asked]))


def config_of(name: str, cases: Sequence[Case], options: argparse.Namespace) -> ConfigDict:
    """A recipe with the batch that is asked for.

    Raises:
      ValueError: no such config, or its batch can't be shared out in all cases.
    """
    config = records.recipe(name, step_throughput.told(name, options.presets))
    config.batch_size = options.batch_size or config.batch_size
    for case in cases:
        devices.validate_parallelism(batch_of(config, case), case.way, mesh_of(case))
    return config


def batch_of(config: ConfigDict, case: Case) -> int:
    """The images of a step."""
    return config.batch_size * (case.devices if case.growth == "weak" else 1)


def mesh_of(case: Case) -> jax.sharding.Mesh:
    return devices.data_mesh(jax.devices()[: case.devices])


def measured(name: str, config: ConfigDict, cases: Sequence[Case], options: argparse.Namespace) -> list[dict]:
    """The rows of a config."""
    dataset = load_dataset(config.data)
    model = models.build_model(config, dataset.spec)
    turns, exchanged, batches = [], [], []
    for case in cases:
        batch_size, mesh = batch_of(config, case), mesh_of(case)
        turn, of_step = prepared(model, dataset, config, batch_size, mesh, case.way, options.steps)
        turns.append(turn), exchanged.append(of_step), batches.append(batch_size)
    seconds = np.array([[turn(number) for turn in turns] for number in range(1 + options.repeats)])[1:]
    rates = options.steps * np.array(batches) / seconds  # [turns, cases]
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    moved = [subset(params, player.networks) for player in model.players]
    return [
        {
            "config": name,
            "presets": options.presets,
            **case._asdict(),
            "simulated": step_throughput.is_simulated(),
            "batch_size": batches[i],
            "images_per_s": statistics.median(rates[:, i]),
            **{
                f"speedup{behind}": float(of(rates[:, i] / rates[:, 0]))
                for behind, of in (("", np.median), ("_min", np.min), ("_max", np.max))
            },
            "collective_bytes": exchanged[i],
            "gradient_bytes": sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(moved)),
            **records.provenance(jax.devices()[0]),
        }
        for i, case in enumerate(cases)
    ]


def prepared(model, dataset, config, batch_size, mesh, way, steps) -> tuple[Callable[[int], float], int | None]:
    """`turn(number)`, which takes the program's own steps and gives their seconds; what a step of jit's exchanges."""
    config = config.copy_and_resolve_references()
    config.batch_size = batch_size
    augment = Augmentation.from_config(config)
    compiled, state, data, rng = step_throughput.ready(model, dataset.train, mesh, way, augment)
    index = batches.training_indices(config, dataset.train.label, 0, steps)
    exchanged = None
    if way == "jit":
        exchanged = bytes_of_collectives(compiled.lower(state, data, index, rng).compile().as_text())

    def turn(number: int) -> float:
        nonlocal state
        index = batches.training_indices(config, dataset.train.label, number * steps, (number + 1) * steps)
        (state, _), seconds = timed(compiled, state, data, index, rng)
        return seconds

    return turn, exchanged


def bytes_of_collectives(program: str) -> int:
    """What the collective operations of a compiled program give out, in bytes; in a loop, of one pass.

    Of one in two parts, which begins and is waited for, the latter: some begin with their operand beside the result.
    """
    total = 0
    for shapes in re.findall(rf"= (.+?) (?:{'|'.join(COLLECTIVES)})(?:-done)?\(", program):
        for kind, sides in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            size = 1 if kind == "pred" else int(re.search(r"\d+", kind)[0]) // 8
            total += size * math.prod(int(side) for side in sides.split(",") if side)
    return total


if __name__ == "__main__":
    sys.exit(main())
