"""Several copies of a model that differ in their seed, trained in one compiled update and measured one by one.

A lone copy is trained as it is; several have one more axis in front of every array of the state.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from jaxgen.data import hide_labels
from jaxgen.types import Data, Measures, TrainState


def seeds_of(config) -> range:
    """The seed of each copy."""
    return range(config.seed, config.seed + config.seeds)


def init(init_one: Callable[[jax.Array], TrainState], count: int) -> Callable[[jax.Array], TrainState]:
    """Maps the copies' keys, [count] (a lone one's key as it is), to their state."""
    return init_one if count == 1 else jax.vmap(init_one)


def step(step_one: Callable, count: int, at_once: int) -> Callable:
    """The same step for `count` copies, `at_once` of them side by side (0: all)."""
    if count == 1:
        return step_one

    def step_all(state, data, index, rng):
        def one(its):
            state, label, index, rng = its
            return step_one(state, data and Data(data.image, label), index, rng)

        index = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), index)
        each = (state, data and data.label, index, rng)
        batch_size = None if at_once == 1 else at_once or count  # a batch of one is a tenth slower than none
        return jax.lax.map(one, each, batch_size=batch_size)

    return step_all


def keys(config, draw: int | None = None) -> jax.Array:
    """The key of each copy, [seeds]; a lone one's without that axis. `draw` folds a number into each."""
    made = [jax.random.key(seed) for seed in seeds_of(config)]
    made = made if draw is None else [jax.random.fold_in(key, draw) for key in made]
    return made[0] if config.seeds == 1 else jnp.stack(made)


def seen(train: Data, config, num_classes: int) -> Data:
    """The training split with the labels that each copy is told: [N], or [seeds, N] of several copies."""
    labels = [hide_labels(train, config.labels, num_classes, seed).label for seed in seeds_of(config)]
    return Data(train.image, labels[0] if config.seeds == 1 else np.stack(labels))


def indices(one: Callable[[int, np.ndarray], Int32[np.ndarray, "S B"]], label: np.ndarray, config) -> np.ndarray:
    """`one(seed, its labels)` of each copy: [S, B], or [S, B, seeds] of several."""
    if config.seeds == 1:
        return one(config.seed, label)
    return np.stack([one(seed, its) for seed, its in zip(seeds_of(config), label, strict=True)], axis=-1)


def split(state: TrainState, count: int) -> list[TrainState]:
    """The copies one by one."""
    return [state] if count == 1 else [jax.tree.map(operator.itemgetter(i), state) for i in range(count)]


def join(copies: Sequence) -> Any:
    """What `split` takes apart, of any trees."""
    return copies[0] if len(copies) == 1 else jax.tree.map(lambda *each: jnp.stack(each), *copies)


def mean(metrics: Sequence[Measures]) -> Measures:
    """The mean over copies, by name."""
    return {name: np.mean([each[name] for each in metrics], axis=0).tolist() for name in metrics[0]}


def std(metrics: Sequence[Measures]) -> Measures:
    """The standard deviation (n - 1) over copies, by name; {} of a lone one."""
    if len(metrics) == 1:
        return {}
    return {name: np.std([each[name] for each in metrics], axis=0, ddof=1).tolist() for name in metrics[0]}
