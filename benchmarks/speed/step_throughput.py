"""How fast the program trains: steps and images a second of every config, under jit and under pmap.

    python -m benchmarks.speed.step_throughput                                      every config, jit and pmap, all devices
    python -m benchmarks.speed.step_throughput --configs=cond_aae --presets=,tutorial
    python -m benchmarks.speed.step_throughput --simulate=8 --batch_size=800        8 CPU devices of one machine's cores

The step is the program's own: `parallel.compile_steps(training.make_step(algorithm), mesh, how)`, on the config's data
set, its networks and batch size. Each row is measured in a process of its own, since peak memory never goes down.

steps_per_s, images_per_s: the median, least and most of --repeats timed dispatches of --steps steps each. Timed is one
  dispatch until `block_until_ready`: the transfer of the batches' indices and the work on the devices, the gathering
  of the batches included. Not timed: drawing the order, fetching and logging metrics, checkpoints, evaluation. The
  state is donated and carried on, as in training.
compile_s: the first dispatch less a median later one: tracing, lowering and compiling, without a compilation cache.
gflop_per_step: XLA's count for one step of the whole batch on one device, compiled for the CPU whatever the device is,
  as other compilers hide matrix products in library calls that count as nothing. A shared forward counts once.
peak_memory_mib, by peak_memory_of:
  device: the most that the fullest device had in use at a time, the whole data set included.
  compiled: what the compiled steps hold on a device: arguments, results and temporaries, a donated state once.
  process: the process's largest resident set, Python, compiler and all simulated devices included.
final_loss: the metrics of the last step, so that a step that is fast because it is broken shows.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import records
from benchmarks.common.records import count, words
from benchmarks.common.timing import timed
from jaxgen import models
from jaxgen.data import Augmentation, load_dataset
from jaxgen.distributed import devices
from jaxgen.io.atomic import cache_dir
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
    """What one row measures."""

    config: str
    presets: str  # comma-separated, as behind the config's name
    parallel: str
    devices: int | None  # None: all
    batch_size: int | None  # None: the config's
    steps: int
    repeats: int


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    return records.main(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    usage, _, meaning = __doc__.partition("The step is")
    parser = records.parser(
        "speed.step_throughput", "step_throughput", usage, epilog="The step is" + meaning, allow_abbrev=False
    )
    add = parser.add_argument
    add("--configs", type=words, metavar="A,B", help="names in configs/ (default: all of them)")
    add("--presets", type=words, default=[""], metavar="A,B+C",
        help="variants of each config: comma-separated, an empty one is the config itself, + joins the presets of one, "
        "so --presets=,tutorial,mnist+tutorial are three (default: the config itself; of a folder: digits)")  # fmt: skip
    add("--parallel", type=words, default=list(devices.PARALLEL_MODES), metavar="A,B", help="jit, pmap (default: both)")
    add("--devices", type=count, metavar="N", help="use the first N devices (default: all)")
    add("--simulate", type=count, metavar="N", help="simulate N CPU devices; the rows say so")
    add("--steps", type=count, default=100, metavar="N", help="steps a dispatch (default: 100)")
    add("--repeats", type=count, default=5, metavar="N", help="timed dispatches (default: 5)")
    add("--batch_size", type=count, metavar="N", help="images a step, all devices together (default: the config's)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every case, adding each row to `options.out` as soon as it is there.

    Raises:
      ValueError: a config, a token, a way, a batch, the devices or the file does not fit; nothing was measured.
    """
    set_up_jax(options.simulate)
    cases = [
        Case(config, told(config, presets), way, options.devices, options.batch_size, options.steps, options.repeats)
        for config in options.configs or records.recipes()
        for presets in options.presets
        for way in options.parallel
    ]
    return each_by_itself(benchmark, cases, options.out)


def each_by_itself(measure: Callable[[Case], dict], cases: Sequence[Case], out: Path) -> list[dict]:
    """The row of every case, measured in a process of its own and added to `out` as soon as it is there.

    Raises:
      ValueError: a case or the file does not fit; nothing was measured.
    """
    in_new_process(check, cases)
    records.prepare(out)
    rows = []
    for case in cases:
        print(f"measuring {case.config}:{case.presets} under {case.parallel} …", file=sys.stderr, flush=True)
        row = in_new_process(measure, case)
        records.append(out, row)
        rows.append(row)
    return rows


def told(config: str, presets: str) -> str:
    """Tokens as behind the config's name; the bundled digits where a folder of images would have to be at hand."""
    if not presets and records.recipe(config).data.source == "folder":
        return "digits"
    return presets.replace("+", ",")


def set_up_jax(simulate: int | None) -> None:
    """Sets the environment of the processes that measure."""
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # or compile_s would be the time to read a file
    if simulate:
        flags = [os.environ.get("XLA_FLAGS", ""), f"--xla_force_host_platform_device_count={simulate}"]
        os.environ |= {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    devices.configure_jax(cache_dir("compiled"))


def in_new_process(function: Callable, *arguments):
    """The function's result, or its exception, from a process that starts jax anew; this one never starts it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def check(cases: Sequence[Case]) -> None:
    """Refuses what can't be measured before anything is; a ValueError says why."""
    for case in cases:
        devices.validate_parallelism(read_config(case).batch_size, case.parallel, mesh_of(case.devices))


def read_config(case: Case):
    config = records.recipe(case.config, case.presets)
    config.parallel = case.parallel
    config.batch_size = case.batch_size or config.batch_size
    return config


def mesh_of(count: int | None) -> jax.sharding.Mesh:
    available = jax.devices()
    if count and count > len(available):
        raise ValueError(
            f"devices={count} is more than the {len(available)} that jax sees; on a CPU, try --simulate={count}"
        )
    return devices.data_mesh(available[:count])


def benchmark(case: Case) -> dict:
    """One row, but for its date."""
    config, mesh = read_config(case), mesh_of(case.devices)
    dataset = load_dataset(config.data)
    model = models.build_model(config, dataset.spec)
    seen = batches.training_labels_per_seed(dataset.train, config, dataset.num_classes)
    measured = measure(model, seen, config, mesh, case)
    gflop = gflop_per_step(model, dataset.train, config.batch_size)
    return {
        "config": case.config,
        "presets": case.presets,
        "parallel": case.parallel,
        "devices": mesh.size,
        "simulated": is_simulated(),
        "batch_size": config.batch_size,
        **{key: measured[key] for key in ("steps_per_s", "steps_per_s_min", "steps_per_s_max", "images_per_s")},
        "compile_s": measured["compile_s"],
        "gflop_per_step": gflop,
        "gflop_per_s": gflop and gflop * measured["steps_per_s"],
        **{key: measured[key] for key in ("peak_memory_mib", "peak_memory_of", "final_loss")},
        **records.provenance(mesh.devices.flat[0]),
    }


def measure(model: GenerativeModel, data: Split, config, mesh: jax.sharding.Mesh, case: Case) -> dict:
    """Compiles the program's steps, takes 1 + `case.repeats` dispatches of them and times each."""
    labels, augment = data.label, Augmentation.from_config(config)
    steps, state, data, rng = ready(model, jax.tree.map(np.asarray, data), mesh, case.parallel, augment)
    jax.block_until_ready((state, data, rng))
    seconds = []
    for start in range(0, (1 + case.repeats) * case.steps, case.steps):
        index = batches.training_indices(config, labels, start, start + case.steps)
        (state, metrics), its_seconds = timed(steps, state, data, index, rng)
        seconds.append(its_seconds)
    first, *later = seconds
    peak, of = peak_memory(steps, (state, data, index, rng), mesh)
    rates = [case.steps / each for each in later]
    return {
        "steps_per_s": statistics.median(rates),
        "steps_per_s_min": min(rates),
        "steps_per_s_max": max(rates),
        "images_per_s": statistics.median(rates) * config.batch_size,
        "compile_s": max(first - statistics.median(later), 0.0),
        "peak_memory_mib": peak / 2**20,
        "peak_memory_of": of,
        "final_loss": {name: float(values[-1]) for name, values in jax.device_get(metrics).items()},
    }


def ready(model: GenerativeModel, data: Split, mesh: jax.sharding.Mesh, way: str, augment: Augmentation | None = None):
    """The program's own steps, compiled, and what they are called with beside the indices: state, data and rng."""
    steps = devices.compile_steps(loop.make_step(model, augment=augment), mesh, way)
    state = devices.compile_init(model.init, mesh)(jax.random.key(0))
    return steps, state, devices.replicate(data, mesh), devices.replicate(jax.random.key(1), mesh)


def peak_memory(steps: Callable, arguments: tuple, mesh: jax.sharding.Mesh) -> tuple[int, str]:
    """Bytes, and what they are of: the best that this device and this way of compiling can tell."""
    in_use = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in mesh.devices.flat]
    if all(in_use):
        return max(in_use), "device"
    if hasattr(steps, "lower"):  # what was dispatched is cached: nothing compiles again
        held = steps.lower(*arguments).compile().memory_analysis()
        total = held.argument_size_in_bytes + held.output_size_in_bytes + held.temp_size_in_bytes
        return total - held.alias_size_in_bytes, "compiled"
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * (1 if sys.platform == "darwin" else 1024), "process"


def gflop_per_step(model: GenerativeModel, data: Split, batch_size: int) -> float | None:
    """XLA's count for one step; None where JAX_PLATFORMS leaves out the CPU.

    Of a single step, not of the scan over steps: a loop's body counts once, whatever its length.
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


def is_simulated() -> bool:
    asked = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    return jax.default_backend() == "cpu" and (asked or "JAX_NUM_CPU_DEVICES" in os.environ)


if __name__ == "__main__":
    sys.exit(main())
