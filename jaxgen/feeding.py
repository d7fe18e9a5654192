"""How the examples of a training step reach it: gathered from data that are on the devices, or streamed there."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import copies, parallel
from jaxgen.data import Stream, batch_indices, chunks, steps_of_chunk, with_labelled
from jaxgen.types import Data, Metrics, TrainState

Take = Callable[[TrainState, int, int], tuple[TrainState, Metrics]]


def feeder(compiled: Callable, seen: Data, config, mesh: parallel.Mesh, start: int) -> Take:
    """`take(state, step, stop)`: the steps step, …, stop - 1, and their metrics, [S] each.

    Args:
      compiled: by `parallel.compile_steps`.
      seen: the training split, its images in memory or a `Stream`, with the labels that training is told.
      config: of the run.
      mesh: the devices.
      start: the first step; streamed steps have to be taken in order.
    """
    rng = parallel.replicate(copies.keys(config, draw=1), mesh)
    made = streamed if isinstance(seen.image, Stream) else resident
    return made(compiled, seen, config, mesh, rng, start)


def resident(compiled, seen, config, mesh, rng, start) -> Take:
    del start
    data = parallel.replicate(seen, mesh)

    def take(state, step, stop):
        index = training_indices(config, seen.label, step, stop)[:, parallel.own_share(config.batch_size)]
        return compiled(state, data, parallel.place_batches(index, mesh, config.parallel), rng)

    return take


def streamed(compiled, seen, config, mesh, rng, start) -> Take:
    own = parallel.own_share(config.batch_size)
    bytes_of_step = config.batch_size * config.seeds * int(np.prod(seen.image.shape[1:]))
    coming = chunks(
        seen,
        lambda step: training_indices(config, seen.label, step, step + 1)[0, own],
        range(start, config.steps),
        steps_of_chunk(config.log_every, bytes_of_step),
        lambda chunk: parallel.place_batches(chunk, mesh, config.parallel),
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
        return with_labelled(index, label, config.labelled_every, seed, start) if config.labelled_every else index

    return copies.indices(of_one, label, config)
