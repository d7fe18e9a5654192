"""Roofline of a step: the time that its arithmetic and its memory traffic need at this machine's own rates.

    python -m benchmarks.speed.roofline                            every config, under jit, on one device
    python -m benchmarks.speed.roofline --configs=cond_aae --steps=50

The step and its count of operations are those of `step_throughput`. The machine's rates are measured before and after
each row; each rate is the best of all tries, which is the machine's capability rather than its average.

matrix_gflop_per_s: rate of products of square float32 matrices, 1024 and 2048 wide.
memory_gb_per_s: bytes read and written per second by one pass over 256 MiB that changes every number in place.
matrix_ms: gflop_per_step at matrix_gflop_per_s. memory_ms: state_mb, read and written, at memory_gb_per_s.
state_mb: size of parameters, optimizer states and statistics, which a step reads once and writes once at the least.
  Activations and gradients are not counted, because caches may hold them.
floor_ms: matrix_ms + memory_ms. They do not overlap: an optimizer starts when its gradients are complete, and both
  parts use all cores. distance: the measured time of a step divided by floor_ms. distance_overlapped: the time divided
  by the larger of the two parts, as if they overlapped fully.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from benchmarks.common import processes, records
from benchmarks.common.records import parse_count, parse_words
from benchmarks.common.timing import time_call
from benchmarks.speed import step_throughput
from benchmarks.speed.step_throughput import Case
from jaxgen import models
from jaxgen.data import load_dataset

SIDES = (1024, 2048)  # widths of the matrices
PASS_BYTES = 2**28
TRIES = 5
COLUMNS = {
    "config": "config",
    "presets": "presets",
    "gflop_per_step": "GFLOP/step",
    "state_mb": "state MB",
    "matrix_gflop_per_s": "GFLOP/s",
    "memory_gb_per_s": "GB/s",
    "matrix_ms": "matrix ms",
    "memory_ms": "memory ms",
    "floor_ms": "floor ms",
    "step_ms": "step ms",
    "distance": "distance",
    "distance_overlapped": "overlapped",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    return records.run_and_print(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    usage, _, columns = __doc__.partition("The step and")
    parser = records.parser("speed.roofline", "floor", usage, epilog="The step and" + columns, allow_abbrev=False)
    add = parser.add_argument
    add("--configs", type=parse_words, metavar="A,B", help="names in configs/ (default: all of them)")
    add("--presets", type=parse_words, default=[""], metavar="A,B+C", help="as for step_throughput")
    add("--steps", type=parse_count, default=100, metavar="N", help="steps per dispatch (default: 100)")
    add("--repeats", type=parse_count, default=5, metavar="N", help="timed dispatches (default: 5)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every case and appends each row to `options.out` as soon as it is measured.

    Raises:
      ValueError: a config, a preset or the file is invalid, or jax may not use the CPU. Nothing was measured.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and "cpu" not in platforms.split(","):
        raise ValueError(
            f'JAX_PLATFORMS="{platforms}" leaves out the CPU, where a step\'s operations are counted; add it'
        )
    processes.set_up_jax(simulate=None)
    cases = [
        Case(config, step_throughput.presets_of(config, presets), "jit", 1, None, options.steps, options.repeats)
        for config in options.configs or records.recipes()
        for presets in options.presets
    ]
    return processes.measure_in_new_processes(measure_row, step_throughput.validate_cases, cases, options.out)


def measure_row(case: Case) -> dict:
    """Measures one row."""
    before = measure_machine()
    row = step_throughput.measure_row(case)
    matrix, memory = (max(pair) for pair in zip(before, measure_machine(), strict=True))
    config = step_throughput.read_config(case)
    state = state_bytes(models.build_model(config, load_dataset(config.data).spec))
    kept = ("config", "presets", "devices", "batch_size", "gflop_per_step", "device", "versions", "date")
    return {key: row[key] for key in kept if key in row} | compare_with_roofline(
        row["gflop_per_step"], state / 1e6, matrix, memory, 1e3 / row["steps_per_s"]
    )


def compare_with_roofline(
    gflop: float, state_mb: float, matrix: float, memory: float, step_ms: float
) -> dict[str, float]:
    """Returns the columns of a row: the time of arithmetic and memory traffic, and the measured step relative to it.

    Args:
      gflop: operations of a step, in GFLOP.
      state_mb: size of the state, in MB.
      matrix: the machine's rate of matrix products, in GFLOP/s.
      memory: the machine's rate of memory traffic, in GB/s.
      step_ms: measured time of a step, in ms.
    """
    matrix_ms, memory_ms = 1e3 * gflop / matrix, 2 * state_mb / memory
    return {
        "state_mb": state_mb,
        "matrix_gflop_per_s": matrix,
        "memory_gb_per_s": memory,
        "matrix_ms": matrix_ms,
        "memory_ms": memory_ms,
        "floor_ms": matrix_ms + memory_ms,
        "step_ms": step_ms,
        "distance": step_ms / (matrix_ms + memory_ms),
        "distance_overlapped": step_ms / max(matrix_ms, memory_ms),
    }


def state_bytes(model: models.GenerativeModel) -> int:
    """Returns the size of a model's parameters, optimizer states and statistics."""
    state = jax.eval_shape(model.init, jax.random.key(0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def measure_machine() -> tuple[float, float]:
    """Returns the machine's GFLOP/s of matrix products, and the GB/s of a pass over memory."""
    product = jax.jit(jnp.matmul)  # in float32 or TF32, by jax's default, as in a training step
    squares = {side: jnp.ones((side, side)) for side in SIDES}
    matrix = max(2e-9 * side**3 / fastest_seconds(lambda x=x: product(x, x)) for side, x in squares.items())
    change = jax.jit(lambda x: 1.0 - x, donate_argnums=0)
    buffer = [jnp.ones(PASS_BYTES // 4)]

    def pass_over_memory():
        buffer[0] = change(buffer[0])
        return buffer[0]

    return matrix, 2e-9 * PASS_BYTES / fastest_seconds(pass_over_memory)


def fastest_seconds(function: Callable[[], jax.Array]) -> float:
    """Returns the seconds of the fastest of several calls, after one that compiles."""
    seconds = [time_call(function)[1] for _ in range(1 + TRIES)]
    return min(seconds[1:])


if __name__ == "__main__":
    sys.exit(main())
