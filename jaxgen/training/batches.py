"""Feeds examples to training steps: gathered from data on the devices, or streamed to them."""

import itertools
from collections.abc import Callable, Iterator

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
from jaxgen.types import Metrics, Split, TrainState

RunSteps = Callable[[TrainState, int, int], tuple[TrainState, Metrics]]


def make_step_runner(compiled: Callable, train_data: Split, config, mesh: devices.Mesh, start: int) -> RunSteps:
    """Returns `run_steps(state, step, stop)`, which takes the steps step, …, stop - 1.

    It returns the state and the metrics, of shape [S] each.

    Args:
      compiled: the result of `devices.compile_steps`.
      train_data: the training split, with images in memory or as an `ImageStream`, and the labels used in training.
      config: of the run.
      mesh: the devices.
      start: the first step; streamed steps must be taken in order.
    """
    rng = devices.replicate(seeds.seed_keys(config, draw=1), mesh)
    make_runner = streaming_runner if isinstance(train_data.image, ImageStream) else resident_runner
    return make_runner(compiled, train_data, config, mesh, rng, start)


def resident_runner(compiled, train_data, config, mesh, rng, start) -> RunSteps:
    """Returns a runner that keeps all training data on the devices; see `make_step_runner`."""
    del start
    data = devices.replicate(train_data, mesh)

    def run_steps(state, step, stop):
        index = training_indices(config, train_data.label, step, stop)[:, devices.process_slice(config.batch_size)]
        return compiled(state, data, devices.place_batches(index, mesh, config.parallel), rng)

    return run_steps


def streaming_runner(compiled, train_data, config, mesh, rng, start) -> RunSteps:
    """Returns a runner that reads and transfers the examples of later steps in the background."""
    own_slice = devices.process_slice(config.batch_size)
    bytes_per_step = config.batch_size * config.num_seeds * int(np.prod(train_data.image.shape[1:]))
    aligned = min(next_dispatch(start, config.log_every), config.steps)

    def stream_range(steps: range, steps_per_dispatch: int) -> Iterator[Split]:
        yield from stream_batches(
            train_data,
            lambda step: training_indices(config, train_data.label, step, step + 1)[0, own_slice],
            steps,
            steps_per_transfer(steps_per_dispatch, bytes_per_step),
            lambda chunk: devices.place_batches(chunk, mesh, config.parallel),
        )

    # Chunks end where dispatches end, also if the run resumes between two multiples of log_every.
    parts = [(range(start, aligned), aligned - start)] if start % config.log_every else []
    parts.append((range(parts[0][0].stop if parts else start, config.steps), config.log_every))
    chunks = itertools.chain.from_iterable(stream_range(*part) for part in parts)

    def run_steps(state, step, stop):
        parts = []
        while step < stop:
            chunk = next(chunks)
            step += len(chunk.label)
            state, metrics = compiled(state, None, chunk, rng)
            parts.append(metrics)
        return state, jax.tree.map(lambda *values: jnp.concatenate(values), *parts)

    return run_steps


def next_dispatch(step: int, log_every: int) -> int:
    """Returns the multiple of `log_every` after a step, where the dispatch that begins at the step ends."""
    return step - step % log_every + log_every


def training_indices(config, label: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Returns the indices of the training examples of the steps start, …, stop - 1.

    Args:
      config: of the run.
      label: of the training examples, [N], or [seeds, N] for several seeds; -1 if not labeled.
      start: the first step.
      stop: the step after the last.

    Returns:
      Indices [S, B], or [S, B, seeds] for several seeds.
    """

    def indices_of_seed(seed: int, label: np.ndarray) -> np.ndarray:
        index = batch_indices(seed, start, stop, config.batch_size, len(label))
        if not config.labeled_every_n:
            return index
        return insert_labeled_examples(index, label, config.labeled_every_n, seed, start)

    return indices_per_seed(indices_of_seed, label, config)


def training_labels_per_seed(train: Split, config, num_classes: int) -> Split:
    """Returns the training split with the labels that each seed uses: [N], or [seeds, N] for several seeds."""
    labels = [keep_labels(train, config.num_labeled, num_classes, seed).label for seed in seed_range(config)]
    return Split(train.image, labels[0] if config.num_seeds == 1 else np.stack(labels))


def indices_per_seed(
    indices_of_seed: Callable[[int, np.ndarray], Int32[np.ndarray, "S B"]], label: np.ndarray, config
) -> np.ndarray:
    """Returns `indices_of_seed(seed, label)`, [S, B], or the results of several seeds, [S, B, seeds].

    Args:
      indices_of_seed: returns the indices of one seed.
      label: [N], or [seeds, N] for several seeds.
      config: of the run.
    """
    if config.num_seeds == 1:
        return indices_of_seed(config.seed, label)
    per_seed = zip(seed_range(config), label, strict=True)
    return np.stack([indices_of_seed(seed, seed_label) for seed, seed_label in per_seed], axis=-1)
