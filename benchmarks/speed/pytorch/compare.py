"""Training speed of jaxgen and PyTorch: the same mathematics, on the same device, in one process.

    pip install 'jaxgen[torch]'
    python -m benchmarks.speed.pytorch.compare                            every case
    python -m benchmarks.speed.pytorch.compare --configs=dcgan32 --out=FILE

jaxgen's step is the program's own, `distributed.devices.compile_steps(training.loop.make_step(model), mesh, "jit")`;
PyTorch's step is in this package. Both start with the same weights. Before anything is timed, the metrics of the first
steps, on the same images and random numbers, must agree. Then the two alternate in rounds. A round has --steps steps,
by default the number that jaxgen takes in a second (10 at least); shorter rounds measure other load on the machine. A
round's ratio is jaxgen's steps per second divided by those of PyTorch's fastest form, the form with the highest median.
The time includes everything in a step, also gathering the batch and sampling codes. It excludes compiling, logging and
checkpoints. Both libraries compute on the device that jax finds. On a GPU, PyTorch also replays the whole step, with
its optimizers, as one CUDA graph, and both libraries compute products in TF32.

ratio, ratio_min, ratio_max: median, minimum and maximum of --repeats rounds. forms: median steps per second.
"""

import argparse
import contextlib
import importlib
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from types import ModuleType
from unittest import mock

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.common import records
from benchmarks.common.timing import time_call
from benchmarks.speed import step_throughput
from benchmarks.speed.pytorch.cases import CASES, Case
from jaxgen import models
from jaxgen.config.base import suggest
from jaxgen.distributed import devices
from jaxgen.types import DatasetSpec, Split

COLUMNS = {"config": "config", "ratio": "ratio", "ratio_min": "min", "ratio_max": "max", "forms": "steps/s"}
# Largest relative difference of the metrics in each of the first steps, on the same images and random numbers. Adam
# turns the rounding of a small gradient into a full step: a penalty differed by 1.4e-3 at the third step and by 1e-7 at
# the first (Intel Xeon).
ROUNDING = (1e-5, 5e-4, 2e-3)
WARM_UP = 2  # rounds that are not timed
MIN_STEPS = 10  # of a round without --steps
IMAGES, CLASSES = 1000, 10  # of the noise that serves as data; its content does not affect the speed


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 after a user's mistake."""
    options = parse(argv)
    return records.run_and_print(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = records.parser("speed.pytorch.compare", "peers", __doc__)
    add = parser.add_argument
    add("--configs", default=",".join(CASES), metavar="A,B", help="names of cases (default: %(default)s)")
    steps = "steps per round (default: those of a second, 10 at least)"
    add("--steps", type=records.parse_count, metavar="N", help=steps)
    add("--repeats", type=records.parse_count, default=7, metavar="N", help="rounds (default: 7)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every requested case and appends its row to `options.out`.

    Raises:
      ValueError: a case is unknown, PyTorch is missing or cannot use jax's device, the metrics differ, or the file
        cannot be written.
    """
    names = options.configs.split(",")
    if unknown := [name for name in names if name not in CASES]:
        raise ValueError(f'case "{unknown[0]}" is unknown{suggest(unknown[0], CASES)}; choose from {", ".join(CASES)}')
    try:
        import torch
    except ImportError as error:
        raise ValueError("PyTorch is not installed; try: pip install 'jaxgen[torch]'") from error
    torch_device()  # raises before minutes are spent
    records.prepare(options.out)
    rows = []
    for name in names:
        row = {"config": name, **measure_case(CASES[name], options), **records.provenance(jax.devices()[0])}
        row["versions"] = {**row["versions"], "torch": torch.__version__}
        records.append(options.out, row)
        rows.append(row)
    return rows


def torch_device() -> str:
    """Returns PyTorch's name of the device that jax computes on.

    Raises:
      ValueError: PyTorch cannot compute on that device; the ratio would compare devices.
    """
    import torch

    platform = jax.default_backend()
    if platform == "cpu":
        return "cpu"
    if platform == "gpu" and torch.cuda.is_available():
        return "cuda"
    raise ValueError(
        f"jax computes on a {platform}, where this PyTorch can't; install one that can, or hide it: JAX_PLATFORMS=cpu"
    )


def measure_case(case: Case, options: argparse.Namespace) -> dict:
    """Measures a case: the ratio, and the steps per second of every form."""
    peer = importlib.import_module(f"benchmarks.speed.pytorch.{case.peer}")
    data, forms = make_noise(case.image_shape), available_forms(peer)
    check_agreement(peer, *build_model(case._replace(changes=case.changes | case.checked)), data, case.tolerance)
    model, config = build_model(case)
    params = initial_params(model)
    rounds = {"jaxgen": make_jaxgen_round(model, data)}
    for form in forms:
        rounds[form] = make_torch_round(make_peer_step(peer, model, params, config, data, form))
    with set_tf32(torch_device() == "cuda"):
        steps = options.steps or steps_per_second(rounds["jaxgen"], config.batch_size)
        rates = measure_rates(rounds, steps, options.repeats, config.batch_size)
    medians = {form: statistics.median(values) for form, values in rates.items()}
    fastest = max(forms, key=medians.get)
    ratios = [ours / theirs for ours, theirs in zip(rates["jaxgen"], rates[fastest], strict=True)]
    return {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios), "forms": medians}


def measure_rates(rounds: dict[str, Callable], steps: int, repeats: int, batch_size: int) -> dict[str, list[float]]:
    """Returns the steps per second of every form in every round; the forms alternate.

    Args:
      rounds: the function that runs a round, by form.
      steps: steps per round.
      repeats: timed rounds.
      batch_size: images per step.
    """
    rates: dict[str, list[float]] = {form: [] for form in rounds}
    rng = np.random.default_rng(0)
    for number in range(WARM_UP + repeats):
        index = rng.integers(0, IMAGES, (steps, batch_size)).astype(np.int32)
        for form, run_round in rounds.items():
            _, seconds = time_call(run_round, index)
            if number >= WARM_UP:  # the first round compiles; on a GPU it also captures
                rates[form].append(steps / seconds)
    return rates


def steps_per_second(run_round: Callable, batch_size: int) -> int:
    """Returns about the number of steps in a second, at least `MIN_STEPS`."""
    index = np.random.default_rng(2).integers(0, IMAGES, (MIN_STEPS, batch_size)).astype(np.int32)
    seconds = min(time_call(run_round, index)[1] for _ in range(2))  # the first call compiles
    return max(MIN_STEPS, round(MIN_STEPS / seconds))


def available_forms(peer: ModuleType) -> tuple[str, ...]:
    """Returns the forms of a peer that jax's device supports."""
    from benchmarks.speed.pytorch.common import GRAPH

    return tuple(form for form in peer.FORMS if torch_device() == "cuda" or not form.endswith(GRAPH))


def build_model(case: Case) -> tuple[models.GenerativeModel, ConfigDict]:
    """Returns the model of a case, and its config."""
    name, _, presets = case.config.partition(":")
    config = records.recipe(name, presets)
    config.update_from_flattened_dict(case.changes)
    return models.build_model(config, DatasetSpec("noise", case.image_shape, CLASSES)), config


def make_noise(image_shape: tuple[int, int, int]) -> Split:
    """Returns images of noise with random classes."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (IMAGES, *image_shape), dtype=np.uint8)
    return Split(image, rng.integers(0, CLASSES, IMAGES).astype(np.int32))


def make_jaxgen_round(model: models.GenerativeModel, data: Split) -> Callable[[np.ndarray], dict]:
    """Returns `run_round(index [S, B])`, which takes S steps and returns their metrics, fetched."""
    one_device = devices.data_mesh(jax.devices()[:1])  # PyTorch uses one device
    steps, state, placed, rng = step_throughput.prepare_steps(model, data, one_device, "jit")

    def run_round(index: np.ndarray) -> dict:
        nonlocal state
        state, metrics = jax.block_until_ready(steps(state, placed, index, rng))
        return jax.device_get(metrics)

    return run_round


def initial_params(model: models.GenerativeModel) -> dict:
    """Returns the parameters that jaxgen's rounds start with, for PyTorch to start with."""
    return jax.device_get(jax.jit(model.init)(jax.random.key(0)).params)


def make_peer_step(
    peer: ModuleType, model: models.GenerativeModel, params: dict, config: ConfigDict, data: Split, form: str
) -> Callable:
    """Returns a peer's step, with its networks and images on jax's device."""
    import torch

    with torch.device(torch_device()):
        return peer.make_step(model, params, config, *data, form)


def make_torch_round(step: Callable) -> Callable[[np.ndarray], list]:
    """Returns `run_round(index [S, B])` of a PyTorch step, which fetches all metrics once, at the end, like jaxgen."""
    import torch

    device = torch_device()
    normal = partial(torch.randn, device=device)

    def run_round(index: np.ndarray) -> list:
        batches = torch.as_tensor(index.astype(np.int64), device=device)
        # `stack` copies: the next replay of a CUDA graph overwrites the metrics.
        metrics = [torch.stack(list(step(batch, normal).values())) for batch in batches]
        return torch.stack(metrics).tolist()

    return run_round


def check_agreement(
    peer: ModuleType, model: models.GenerativeModel, config: ConfigDict, data: Split, tolerance: float = 1.0
) -> None:
    """Takes the first steps in every form on the same images, with the same random numbers, and compares the metrics.

    Products are in full float32 here. Timed products on a GPU are in TF32, for both libraries.

    Args:
      peer: the PyTorch module.
      model: the model in jaxgen.
      config: the model's config.
      data: the images.
      tolerance: factor of `ROUNDING`.

    Raises:
      ValueError: a metric differs, so that the mathematics is not the same.
    """
    import torch

    index = np.random.default_rng(1).integers(0, IMAGES, (len(ROUNDING), config.batch_size)).astype(np.int32)
    params = initial_params(model)
    with (
        mock.patch("jaxgen.kernels.random.normal", fixed_jax_normal),
        mock.patch("jaxgen.kernels.random.randint", fixed_jax_integers),
        jax.default_matmul_precision("highest"),
    ):
        ours = make_jaxgen_round(model, data)(index)

    @cache  # a captured graph keeps the tensor
    def place(make: Callable, *arguments):
        return torch.as_tensor(make(*arguments), device=torch_device())

    for form in available_forms(peer):
        step = make_peer_step(peer, model, params, config, data, form)
        fixed_randint = mock.patch("torch.randint", lambda *arguments, **_: place(fixed_integers, *arguments))
        with set_tf32(False), fixed_randint:
            batches = torch.as_tensor(index.astype(np.int64), device=torch_device())
            metrics = (step(batch, lambda shape: place(fixed_normal, shape)) for batch in batches)
            steps = [{name: float(value) for name, value in step_metrics.items()} for step_metrics in metrics]
        for name in steps[0]:
            theirs = [step_metrics[name] for step_metrics in steps]
            if not np.all(np.abs(ours[name] - theirs) <= tolerance * np.abs(theirs) * ROUNDING):
                raise ValueError(
                    f"the first steps differ: {name} is {ours[name].tolist()} in jaxgen, {theirs} in PyTorch, {form}"
                )


@contextlib.contextmanager
def set_tf32(enabled: bool) -> Iterator[None]:
    """Sets whether PyTorch computes float32 products in TF32 where a GPU can, as jax does by default."""
    import torch

    matrices, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matrices)
        torch.backends.cudnn.allow_tf32 = convolutions


def fixed_jax_normal(key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """Replaces `jaxgen.kernels.random.normal` by `fixed_normal`."""
    del key
    return jax.numpy.asarray(fixed_normal(shape))


def fixed_jax_integers(key: jax.Array, shape: tuple[int, ...], minval: int, maxval: int) -> jax.Array:
    """Replaces `jaxgen.kernels.random.randint` by `fixed_integers`."""
    del key
    return jax.numpy.asarray(fixed_integers(minval, maxval, shape), np.int32)


def fixed_integers(low: int, high: int, shape: Sequence[int]) -> np.ndarray:
    """Returns integers from low to high - 1 that depend only on the shape."""
    return np.random.default_rng(list(shape)).integers(low, high, shape)


def fixed_normal(shape: Sequence[int]) -> np.ndarray:
    """Returns standard normal numbers that depend only on the shape."""
    return np.random.default_rng(list(shape)).normal(size=shape).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
