"""Training speed: steps and images per second of every config, under jit and under pmap.

    python -m benchmarks.speed.step_throughput                              every config, jit and pmap, all devices
    python -m benchmarks.speed.step_throughput --configs=cond_aae --presets=,tutorial
    python -m benchmarks.speed.step_throughput --simulate=8 --batch_size=800
                                                                            8 CPU devices, simulated on this machine

The step is the program's own, `distributed.devices.compile_steps(training.loop.make_step(model), mesh, parallel)`, with
the config's data set, networks and batch size. Each row is measured in a new process, since the peak memory of a
process never decreases.

steps_per_s, images_per_s: median of --repeats timed dispatches of --steps steps each; steps_per_s_min and
  steps_per_s_max: minimum and maximum. The time of a dispatch ends with `block_until_ready`. It includes the transfer
  of the batches' indices and the work on the devices, with the gathering of batches. It excludes computing the order
  of examples, fetching and logging metrics, checkpoints, and evaluation. As in training, the state is donated and each
  dispatch starts from the state of the one before it.
compile_s: time of the first dispatch minus the median of the later ones: tracing, lowering and compiling, without a
  compilation cache.
gflop_per_step: XLA's count for one step of the whole batch on one device. It is always compiled for the CPU, because
  other compilers put matrix products into library calls that count as nothing. A shared forward pass counts once.
peak_memory_mib, in the meaning of peak_memory_of:
  device: the largest memory in use at one time on any device, including the whole data set.
  compiled: memory that the compiled steps hold on a device: arguments, results and temporaries, a donated state once.
  process: the process's largest resident set, including Python, the compiler and all simulated devices.
final_loss: metrics of the last step, which reveal a step that is fast because it is broken.
"""

import argparse
import resource
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks.common import processes, records
from benchmarks.common.records import parse_count, parse_words
from benchmarks.common.timing import time_call
from jaxgen import models
from jaxgen.data import Augmentation, load_dataset
from jaxgen.distributed import devices
from jaxgen.models import GenerativeModel
from jaxgen.training import batches, loop
from jaxgen.types import Split

COLUMNS = {
    "config": "config",
    "presets": "presets",
    "parallel": "way",
    "devices": "devices",
    "simulated": "simulated",
    "batch_size": "batch",
    "steps_per_s": "steps/s",
    "steps_per_s_min": "min",
    "steps_per_s_max": "max",
    "images_per_s": "images/s",
    "compile_s": "compile s",
    "gflop_per_step": "GFLOP/step",
    "gflop_per_s": "GFLOP/s",
    "peak_memory_mib": "peak MiB",
    "peak_memory_of": "of",
    "final_loss": "final losses",
}


class Case(NamedTuple):
    """One row to be measured."""

    config: str
    presets: str  # comma-separated, as after the colon of --config
    parallel: str
    devices: int | None  # None for all
    batch_size: int | None  # None for the config's
    steps: int
    repeats: int

    def __str__(self) -> str:
        return f"{self.config}:{self.presets} under {self.parallel}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    return records.run_and_print(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    usage, _, columns = __doc__.partition("The step is")
    parser = records.parser(
        "speed.step_throughput", "step_throughput", usage, epilog="The step is" + columns, allow_abbrev=False
    )
    add = parser.add_argument
    add("--configs", type=parse_words, metavar="A,B", help="names in configs/ (default: all of them)")
    add("--presets", type=parse_words, default=[""], metavar="A,B+C",
        help="comma-separated variants of each config. + joins the presets of one variant; an empty variant is the "
        "config itself: --presets=,tutorial,mnist+tutorial are three (default: the config itself; digits for a config "
        "that reads a folder of images)")  # fmt: skip
    modes = list(devices.PARALLEL_MODES)
    add("--parallel", type=parse_words, default=modes, metavar="A,B", help="jit, pmap (default: both)")
    add("--devices", type=parse_count, metavar="N", help="use the first N devices (default: all)")
    add("--simulate", type=parse_count, metavar="N", help="simulate N CPU devices; the rows say so")
    add("--batch_size", type=parse_count, metavar="N", help="images per step on all devices (default: the config's)")
    add("--steps", type=parse_count, default=100, metavar="N", help="steps per dispatch (default: 100)")
    add("--repeats", type=parse_count, default=5, metavar="N", help="timed dispatches (default: 5)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every case and appends each row to `options.out` as soon as it is measured.

    Raises:
      ValueError: a config, a preset, --parallel, the batch, the devices or the file is invalid. Nothing was measured.
    """
    processes.set_up_jax(options.simulate)
    settings = (options.devices, options.batch_size, options.steps, options.repeats)
    cases = [
        Case(config, presets_of(config, presets), parallel, *settings)
        for config in options.configs or records.recipes()
        for presets in options.presets
        for parallel in options.parallel
    ]
    return processes.measure_in_new_processes(measure_row, validate_cases, cases, options.out)


def presets_of(config: str, presets: str) -> str:
    """Returns presets as after the colon of --config: "digits", without presets, for a config that reads a folder."""
    if not presets and records.recipe(config).data.source == "folder":
        return "digits"
    return presets.replace("+", ",")


def validate_cases(cases: Sequence[Case]) -> None:
    """Raises a ValueError for the first case that cannot be measured."""
    for case in cases:
        devices.validate_parallelism(read_config(case).batch_size, case.parallel, make_mesh(case.devices))


def read_config(case: Case) -> ConfigDict:
    """Returns the config of a case."""
    config = records.recipe(case.config, case.presets)
    config.parallel = case.parallel
    config.batch_size = case.batch_size or config.batch_size
    return config


def make_mesh(count: int | None) -> jax.sharding.Mesh:
    """Returns a mesh of the first `count` devices; None for all.

    Raises:
      ValueError: jax has fewer devices.
    """
    available = jax.devices()
    if count and count > len(available):
        raise ValueError(
            f"devices={count} is more than the {len(available)} that jax sees; on a CPU, try --simulate={count}"
        )
    return devices.data_mesh(available[:count])


def measure_row(case: Case) -> dict:
    """Measures one row."""
    config, mesh = read_config(case), make_mesh(case.devices)
    dataset = load_dataset(config.data)
    model = models.build_model(config, dataset.spec)
    train = batches.training_labels_per_seed(dataset.train, config, dataset.num_classes)
    measured = measure_steps(model, train, config, mesh, case)
    gflop = gflop_per_step(model, dataset.train, config.batch_size)
    return {
        "config": case.config,
        "presets": case.presets,
        "parallel": case.parallel,
        "devices": mesh.size,
        "simulated": processes.is_simulated(),
        "batch_size": config.batch_size,
        **{key: measured[key] for key in ("steps_per_s", "steps_per_s_min", "steps_per_s_max", "images_per_s")},
        "compile_s": measured["compile_s"],
        "gflop_per_step": gflop,
        "gflop_per_s": gflop and gflop * measured["steps_per_s"],
        **{key: measured[key] for key in ("peak_memory_mib", "peak_memory_of", "final_loss")},
        **records.provenance(mesh.devices.flat[0]),
    }


def measure_steps(
    model: GenerativeModel, data: Split, config: ConfigDict, mesh: jax.sharding.Mesh, case: Case
) -> dict[str, object]:
    """Compiles the program's steps and times 1 + `case.repeats` dispatches of them, the first for compiling."""
    labels, augment = data.label, Augmentation.from_config(config)
    steps, state, data, rng = prepare_steps(model, jax.tree.map(np.asarray, data), mesh, case.parallel, augment)
    jax.block_until_ready((state, data, rng))
    seconds = []
    for start in range(0, (1 + case.repeats) * case.steps, case.steps):
        index = batches.training_indices(config, labels, start, start + case.steps)
        (state, metrics), dispatch_seconds = time_call(steps, state, data, index, rng)
        seconds.append(dispatch_seconds)
    first, *later = seconds
    peak, meaning = peak_memory(steps, (state, data, index, rng), mesh)
    rates = [case.steps / dispatch_seconds for dispatch_seconds in later]
    return {
        "steps_per_s": statistics.median(rates),
        "steps_per_s_min": min(rates),
        "steps_per_s_max": max(rates),
        "images_per_s": statistics.median(rates) * config.batch_size,
        "compile_s": max(first - statistics.median(later), 0.0),
        "peak_memory_mib": peak / 2**20,
        "peak_memory_of": meaning,
        "final_loss": {name: float(values[-1]) for name, values in jax.device_get(metrics).items()},
    }


def prepare_steps(
    model: GenerativeModel,
    data: Split,
    mesh: jax.sharding.Mesh,
    parallel: str,
    augment: Augmentation | None = None,
) -> tuple:
    """Returns the program's compiled steps, and their arguments except the indices: state, data and rng."""
    steps = devices.compile_steps(loop.make_step(model, augment=augment), mesh, parallel)
    state = devices.compile_init(model.init, mesh)(jax.random.key(0))
    return steps, state, devices.replicate(data, mesh), devices.replicate(jax.random.key(1), mesh)


def peak_memory(steps: Callable, arguments: tuple, mesh: jax.sharding.Mesh) -> tuple[int, str]:
    """Returns bytes and their meaning, the best that the device and the way of compiling can report."""
    in_use = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in mesh.devices.flat]
    if all(in_use):
        return max(in_use), "device"
    if hasattr(steps, "lower"):  # the dispatched program is cached, so that nothing compiles again
        analysis = steps.lower(*arguments).compile().memory_analysis()
        total = analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes
        return total - analysis.alias_size_in_bytes, "compiled"
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in KiB; on macOS in bytes
    return resident * (1 if sys.platform == "darwin" else 1024), "process"


def gflop_per_step(model: GenerativeModel, data: Split, batch_size: int) -> float | None:
    """Returns XLA's count of operations for one step, in GFLOP; None if JAX_PLATFORMS excludes the CPU.

    It is counted on a single step: XLA counts the body of the scan over steps once, for any number of steps.
    """
    try:
        cpu = jax.devices("cpu")[0]
    except RuntimeError:
        return None
    with jax.default_device(cpu):
        rng = jax.eval_shape(lambda: jax.random.key(0))
        state, index = jax.eval_shape(model.init, rng), jax.ShapeDtypeStruct((batch_size,), jnp.int32)
        data = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), data)
        step = jax.jit(loop.make_step(model)(None))
        return step.lower(state, data, index, rng).compile().cost_analysis()["flops"] / 1e9


if __name__ == "__main__":
    sys.exit(main())
