"""How the examples of a training step reach it: gathered from data that are on the devices, or streamed there."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from jaxgen.data import (
    ImageStream,
    batch_indices,
    insert_labeled_examples,
    keep_labels,
    steps_per_transfer,
    stream_batches,
)
from jaxgen.distributed import devices
from jaxgen.optimization import seeds
from jaxgen.optimization.seeds import seed_range
from jaxgen.training import batches
from jaxgen.types import Metrics, Split, TrainState

RunSteps = Callable[[TrainState, int, int], tuple[TrainState, Metrics]]


def make_step_runner(compiled: Callable, seen: Split, config, mesh: devices.Mesh, start: int) -> RunSteps:
    """`take(state, step, stop)`: the steps step, …, stop - 1, and their metrics, [S] each.

    Args:
      compiled: by `parallel.compile_steps`.
      seen: the training split, its images in memory or a `Stream`, with the labels that training is told.
      config: of the run.
      mesh: the devices.
      start: the first step; streamed steps have to be taken in order.
    """
    rng = devices.replicate(seeds.seed_keys(config, draw=1), mesh)
    made = streaming_runner if isinstance(seen.image, ImageStream) else resident_runner
    return made(compiled, seen, config, mesh, rng, start)


def resident_runner(compiled, seen, config, mesh, rng, start) -> RunSteps:
    del start
    data = devices.replicate(seen, mesh)

    def take(state, step, stop):
        index = training_indices(config, seen.label, step, stop)[:, devices.process_slice(config.batch_size)]
        return compiled(state, data, devices.place_batches(index, mesh, config.parallel), rng)

    return take


def streaming_runner(compiled, seen, config, mesh, rng, start) -> RunSteps:
    own = devices.process_slice(config.batch_size)
    bytes_of_step = config.batch_size * config.num_seeds * int(np.prod(seen.image.shape[1:]))
    coming = stream_batches(
        seen,
        lambda step: training_indices(config, seen.label, step, step + 1)[0, own],
        range(start, config.steps),
        steps_per_transfer(config.log_every, bytes_of_step),
        lambda chunk: devices.place_batches(chunk, mesh, config.parallel),
    )

    def take(state, step, stop):
        found = []
        while step < stop:
            chunk = next(coming)
            step += len(chunk.label)
            state, metrics = compiled(state, None, chunk, rng)
            found.append(metrics)
        return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *found)

    return take


def training_indices(config, label: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Which training examples the steps start, …, stop - 1 see: [S, B], or [S, B, seeds] of several copies."""

    def of_one(seed: int, label: np.ndarray) -> np.ndarray:
        index = batch_indices(seed, start, stop, config.batch_size, len(label))
        return (
            insert_labeled_examples(index, label, config.labeled_every_n, seed, start)
            if config.labeled_every_n
            else index
        )

    return batches.indices_per_seed(of_one, label, config)


def training_labels_per_seed(train: Split, config, num_classes: int) -> Split:
    """The training split with the labels that each copy is told: [N], or [seeds, N] of several copies."""
    labels = [keep_labels(train, config.num_labeled, num_classes, seed).label for seed in seed_range(config)]
    return Split(train.image, labels[0] if config.num_seeds == 1 else np.stack(labels))


def indices_per_seed(
    one: Callable[[int, np.ndarray], Int32[np.ndarray, "S B"]], label: np.ndarray, config
) -> np.ndarray:
    """`one(seed, its labels)` of each copy: [S, B], or [S, B, seeds] of several."""
    if config.num_seeds == 1:
        return one(config.seed, label)
    return np.stack([one(seed, its) for seed, its in zip(seed_range(config), label, strict=True)], axis=-1)
