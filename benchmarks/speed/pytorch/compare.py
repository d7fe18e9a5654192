"""How fast jaxgen trains beside PyTorch: the same mathematics, in one run.

    pip install 'jaxgen[torch]'
    python -m benchmarks.speed.pytorch.compare                            every case
    python -m benchmarks.speed.pytorch.compare --configs=dcgan32 --out=FILE

jaxgen's step is the program's own (`parallel.compile_steps(training.make_step(algorithm), mesh, "jit")`); PyTorch's is
written beside it (`benchmarks/torch_*.py`). Both begin with the same weights; what the first steps measure, on the same
images and random numbers, has to agree before anything is timed. Then the two take turns, --steps steps at a time, or
as many as jaxgen takes in a second (10 at least): what else a machine does decides shorter turns. A turn's ratio is
jaxgen's steps a second over those of PyTorch's fastest form, the one with the highest median. Timed is all that a step
does, the gathering of the batch and the drawing of codes included; not timed are compiling, logging and checkpoints.
Both compute on the device that jax finds; on a GPU PyTorch also replays the whole step, its optimizers included, as one
CUDA graph, and both sides take products in TF32.

ratio, ratio_min, ratio_max: the median, least and most of --repeats turns. forms: steps a second, medians.
"""

import argparse
import contextlib
import importlib
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from unittest import mock

import jax
import numpy as np

from benchmarks.common import records
from benchmarks.common.timing import timed
from benchmarks.speed import step_throughput
from benchmarks.speed.pytorch.cases import CASES, Case
from jaxgen import models
from jaxgen.config.base import suggest
from jaxgen.distributed import devices
from jaxgen.types import DatasetSpec, Split

COLUMNS = {"config": "config", "ratio": "ratio", "ratio_min": "min", "ratio_max": "max", "forms": "steps/s"}
# How far apart each of the first steps may be, on the same images and random numbers: Adam makes of the rounding of a
# small gradient a whole step (a penalty was 1.4e-3 apart at the third on an Intel Xeon, 1e-7 at the first).
ROUNDING = (1e-5, 5e-4, 2e-3)
WARM_UP = 2  # turns that are not timed
FEWEST = 10  # steps of a turn that nobody gave a number
IMAGES, CLASSES = 1000, 10  # of noise: what they show costs nothing


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, 2 for a user's mistake."""
    options = parse(argv)
    return records.main(lambda: run(options), COLUMNS, options.out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = records.parser("speed.pytorch.compare", "peers", __doc__)
    add = parser.add_argument
    add("--configs", default=",".join(CASES), metavar="A,B", help="which cases (default: %(default)s)")
    add("--steps", type=records.count, metavar="N", help="a turn (default: those of a second, 10 at least)")
    add("--repeats", type=records.count, default=7, metavar="N", help="turns (default: 7)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> list[dict]:
    """Measures every case that is asked for, adding its row to `options.out`.

    Raises:
      ValueError: a case is unknown, PyTorch is missing or can't compute where jax does, or losses
        differ; the file can't be written.
    """
    names = options.configs.split(",")
    if unknown := [name for name in names if name not in CASES]:
        raise ValueError(f'case "{unknown[0]}" is unknown{suggest(unknown[0], CASES)}; choose from {", ".join(CASES)}')
    try:
        import torch
    except ImportError as error:
        raise ValueError("PyTorch is not installed; try: pip install 'jaxgen[torch]'") from error
    torch_device()  # which refuses, before minutes are spent
    records.prepare(options.out)
    rows = []
    for name in names:
        row = {"config": name, **measured(CASES[name], options), **records.provenance(jax.devices()[0])}
        row["versions"] = {**row["versions"], "torch": torch.__version__}
        records.append(options.out, row)
        rows.append(row)
    return rows


def torch_device() -> str:
    """PyTorch's name of the device that jax computes on.

    Raises:
      ValueError: PyTorch can't compute there: a ratio would be one of devices.
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


def measured(case: Case, options: argparse.Namespace) -> dict:
    """The ratio of a case and the steps a second behind it."""
    peer = importlib.import_module(f"benchmarks.speed.pytorch.{case.peer}")
    data, forms = noise(case.image_shape), forms_of(peer)
    check(peer, *built(case._replace(changes=case.changes | case.checked)), data, case.rounding)
    model, config = built(case)
    params = first_params(model)
    turns = {"jaxgen": jaxgen_turn(model, data)}
    for form in forms:
        turns[form] = torch_turn(stepper(peer, model, params, config, data, form))
    with products_in_tf32(torch_device() == "cuda"):
        steps = options.steps or in_a_second(turns["jaxgen"], config.batch_size)
        rates = taking_turns(turns, steps, options.repeats, config.batch_size)
    medians = {form: statistics.median(each) for form, each in rates.items()}
    fastest = max(forms, key=medians.get)
    ratios = [ours / theirs for ours, theirs in zip(rates["jaxgen"], rates[fastest], strict=True)]
    return {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios), "forms": medians}


def taking_turns(turns: dict[str, Callable], steps: int, repeats: int, batch_size: int) -> dict[str, list[float]]:
    """Steps a second of every form in every turn."""
    rates: dict[str, list[float]] = {form: [] for form in turns}
    numbers = np.random.default_rng(0)
    for turn in range(WARM_UP + repeats):
        index = numbers.integers(0, IMAGES, (steps, batch_size)).astype(np.int32)
        for form, take in turns.items():
            _, seconds = timed(take, index)
            if turn >= WARM_UP:  # the first compile, a GPU also captures
                rates[form].append(steps / seconds)
    return rates


def in_a_second(take: Callable, batch_size: int) -> int:
    """About so many steps a second are taken; `FEWEST` at least."""
    index = np.random.default_rng(2).integers(0, IMAGES, (FEWEST, batch_size)).astype(np.int32)
    seconds = min(timed(take, index)[1] for _ in range(2))  # the first compiles
    return max(FEWEST, round(FEWEST / seconds))


def forms_of(peer) -> tuple[str, ...]:
    """The forms of a peer that there are where jax computes."""
    from benchmarks.speed.pytorch.common import GRAPH

    return tuple(form for form in peer.FORMS if torch_device() == "cuda" or not form.endswith(GRAPH))


def built(case: Case):
    """The algorithm, and its config."""
    name, _, presets = case.config.partition(":")
    config = records.recipe(name, presets)
    config.update_from_flattened_dict(case.changes)
    return models.build_model(config, DatasetSpec("noise", case.image_shape, CLASSES)), config


def noise(image_shape: tuple[int, int, int]) -> Split:
    """Images that show nothing, of random classes."""
    numbers = np.random.default_rng(0)
    image = numbers.integers(0, 256, (IMAGES, *image_shape), dtype=np.uint8)
    return Split(image, numbers.integers(0, CLASSES, IMAGES).astype(np.int32))


def jaxgen_turn(model, data: Split) -> Callable[[np.ndarray], dict]:
    """`take(index [S, B])`: so many steps, finished when it returns their metrics, which it fetches."""
    one_device = devices.data_mesh(jax.devices()[:1])  # as PyTorch has
    steps, state, placed, rng = step_throughput.ready(model, data, one_device, "jit")

    def take(index: np.ndarray) -> dict:
        nonlocal state
        state, metrics = jax.block_until_ready(steps(state, placed, index, rng))
        return jax.device_get(metrics)

    return take


def first_params(model) -> dict:
    """What jaxgen's turn begins with, for PyTorch to begin with too."""
    return jax.device_get(jax.jit(model.init)(jax.random.key(0)).params)


def stepper(peer, model, params: dict, config, data: Split, form: str) -> Callable:
    """A peer's step, its networks and images placed where jax computes."""
    import torch

    with torch.device(torch_device()):
        return peer.stepper(model, params, config, *data, form)


def torch_turn(step: Callable) -> Callable[[np.ndarray], list]:
    """The same, of a PyTorch step: what it measures is fetched once, at the end, as ours is."""
    import torch

    device = torch_device()
    normal = partial(torch.randn, device=device)

    def take(index: np.ndarray) -> list:
        # Stacked at once: the next replay of a CUDA graph writes where this one has written.
        batches = torch.as_tensor(index.astype(np.int64), device=device)
        found = [torch.stack(list(step(each, normal).values())) for each in batches]
        return torch.stack(found).tolist()

    return take


def check(peer, model, config, data: Split, rounding: float = 1.0) -> None:
    """Takes the first steps in every form, on the same images, with the same numbers wherever one draws any.

    Products are of whole float32 numbers here, where a GPU shortens them to TF32 when it is timed, both sides alike.

    Raises:
      ValueError: what they measure differs, so that the two are not the same mathematics.
    """
    import torch

    index = np.random.default_rng(1).integers(0, IMAGES, (len(ROUNDING), config.batch_size)).astype(np.int32)
    params = first_params(model)
    with (
        mock.patch("jaxgen.prng.normal", fixed_normal),
        mock.patch("jaxgen.prng.randint", fixed_integers),
        jax.default_matmul_precision("highest"),
    ):
        ours = jaxgen_turn(model, data)(index)
    placed = cache(lambda make, *its: torch.as_tensor(make(*its), device=torch_device()))  # once: graphs hold it
    for form in forms_of(peer):
        step = stepper(peer, model, params, config, data, form)
        with products_in_tf32(False), mock.patch("torch.randint", lambda *its, **_: placed(integers, *its)):
            batches = torch.as_tensor(index.astype(np.int64), device=torch_device())
            found = (step(batch, lambda shape: placed(fixed, shape)) for batch in batches)
            steps = [{name: float(value) for name, value in each.items()} for each in found]
        for name in steps[0]:
            theirs = [each[name] for each in steps]
            if not np.all(np.abs(ours[name] - theirs) <= rounding * np.abs(theirs) * ROUNDING):
                raise ValueError(
                    f"the first steps differ: {name} is {ours[name].tolist()} in jaxgen, {theirs} in PyTorch, {form}"
                )


@contextlib.contextmanager
def products_in_tf32(short: bool):
    """Whether PyTorch's products of float32 numbers are of TF32, where a GPU has it, as jax's are unless told."""
    import torch

    matrices, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if short else "highest")
    torch.backends.cudnn.allow_tf32 = short
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matrices)
        torch.backends.cudnn.allow_tf32 = convolutions


def fixed_normal(rng, shape=()):
    """In the place of `jaxgen.prng.normal`."""
    del rng
    return jax.numpy.asarray(fixed(shape))


def fixed_integers(key, shape, low, high):
    """In the place of `jaxgen.prng.randint`."""
    del key
    return jax.numpy.asarray(integers(low, high, shape), np.int32)


def integers(low: int, high: int, shape: Sequence[int]) -> np.ndarray:
    """Numbers from low to high - 1, always the same of a shape."""
    return np.random.default_rng(list(shape)).integers(low, high, shape)


def fixed(shape: Sequence[int]) -> np.ndarray:
    """Normal numbers, always the same of a shape."""
    return np.random.default_rng(list(shape)).normal(size=shape).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
