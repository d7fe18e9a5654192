"""Where the time of a step goes: what its arithmetic and its memory would take at this machine's own rates.

    python -m benchmarks.speed.roofline                            every config, under jit, on one device
    python -m benchmarks.speed.roofline --configs=cond_aae --steps=50

The step and its count of operations are those of `step_throughput`. The machine's rates are measured around each row,
the best of all tries: they are what it can do, not what it does on a busy day.

matrix_gflop_per_s: of products of square float32 matrices, 1024 and 2048 wide.
memory_gb_per_s: bytes read and written by one pass over 256 MiB that changes every number in its place.
matrix_ms: gflop_per_step at the former rate. memory_ms: state_mb at the latter.
state_mb: what a step reads once and writes once at the least: parameters, optimizers' states, statistics. Not counted:
  activations and gradients, which caches may hold.
floor_ms: their sum, one after the other: an optimizer begins when its gradients are there, and all cores take part in
  either. distance: the measured step over it. distance_overlapped: over the larger of the two alone, were they to
  overlap wholly.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from benchmarks.common import records
from benchmarks.common.records import count, words
from benchmarks.common.timing import timed
from benchmarks.speed import step_throughput
from benchmarks.speed.step_throughput import Case
from jaxgen import models
from jaxgen.data import load_dataset

SIDES = (1024, 2048)  # of the matrices
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
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    return records.main(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    usage, _, meaning = __doc__.partition("The step and")
    parser = records.parser("speed.roofline", "floor", usage, epilog="The step and" + meaning, allow_abbrev=False)
    add = parser.add_argument
    add("--configs", type=words, metavar="A,B", help="names in configs/ (default: all of them)")
    add("--presets", type=words, default=[""], metavar="A,B+C", help="as of step_throughput")
    add("--steps", type=count, default=100, metavar="N", help="steps a dispatch (default: 100)")
    add("--repeats", type=count, default=5, metavar="N", help="timed dispatches (default: 5)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every case, adding each row to `options.out` as soon as it is there.

    Raises:
      ValueError: a config, a token or the file does not fit, or jax is kept from the CPU; nothing was measured.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and "cpu" not in platforms.split(","):
        raise ValueError(
            f'JAX_PLATFORMS="{platforms}" leaves out the CPU, where a step\'s operations are counted; add it'
        )
    step_throughput.set_up_jax(simulate=None)
    cases = [
        Case(config, step_throughput.told(config, presets), "jit", 1, None, options.steps, options.repeats)
        for config in options.configs or records.recipes()
        for presets in options.presets
    ]
    return step_throughput.each_by_itself(benchmark, cases, options.out)


def benchmark(case: Case) -> dict:
    """One row."""
    before = rates()
    row = step_throughput.benchmark(case)
    matrix, memory = (max(pair) for pair in zip(before, rates(), strict=True))
    config = step_throughput.read_config(case)
    state = state_bytes(models.build_model(config, load_dataset(config.data).spec))
    kept = ("config", "presets", "devices", "batch_size", "gflop_per_step", "device", "versions", "date")
    return {key: row[key] for key in kept if key in row} | shares(
        row["gflop_per_step"], state / 1e6, matrix, memory, 1e3 / row["steps_per_s"]
    )


def shares(gflop: float, state_mb: float, matrix: float, memory: float, step_ms: float) -> dict[str, float]:
    """What a step's two needs take at the machine's rates, in ms, and how far the measured step is from it."""
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
    """Of a model's parameters, optimizers' states and statistics."""
    state = jax.eval_shape(model.init, jax.random.key(0))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def rates() -> tuple[float, float]:
    """The machine's GFLOP/s of matrix products, and the GB/s of a pass over memory."""
    product = jax.jit(jnp.matmul)  # of whole float32 numbers or of TF32, as a step's are here
    squares = {side: jnp.ones((side, side)) for side in SIDES}
    matrix = max(2e-9 * side**3 / least(lambda x=x: product(x, x)) for side, x in squares.items())
    change = jax.jit(lambda x: 1.0 - x, donate_argnums=0)
    passed = [jnp.ones(PASS_BYTES // 4)]

    def once():
        passed[0] = change(passed[0])
        return passed[0]

    return matrix, 2e-9 * PASS_BYTES / least(once)


def least(work: Callable[[], jax.Array]) -> float:
    """Seconds of the fastest of some tries, after one that compiles."""
    seconds = [timed(work)[1] for _ in range(1 + TRIES)]
    return min(seconds[1:])


if __name__ == "__main__":
    sys.exit(main())
