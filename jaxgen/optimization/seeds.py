"""Several copies of a model that differ in their seed, trained in one compiled update and measured one by one.

A lone copy is trained as it is; several have one more axis in front of every array of the state.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.types import EvaluationMetrics, Split, TrainState


def seed_range(config) -> range:
    """The seed of each copy."""
    return range(config.seed, config.seed + config.num_seeds)


def vmap_init(init_one: Callable[[jax.Array], TrainState], count: int) -> Callable[[jax.Array], TrainState]:
    """Maps the copies' keys, [count] (a lone one's key as it is), to their state."""
    return init_one if count == 1 else jax.vmap(init_one)


def vmap_step(step_one: Callable, count: int, at_once: int) -> Callable:
    """The same step for `count` copies, `at_once` of them side by side (0: all)."""
    if count == 1:
        return step_one

    def step_all(state, data, index, rng):
        def one(its):
            state, label, index, rng = its
            return step_one(state, data and Split(data.image, label), index, rng)

        index = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), index)
        each = (state, data and data.label, index, rng)
        batch_size = None if at_once == 1 else at_once or count  # a batch of one is a tenth slower than none
        return jax.lax.map(one, each, batch_size=batch_size)

    return step_all


def seed_keys(config, draw: int | None = None) -> jax.Array:
    """The key of each copy, [seeds]; a lone one's without that axis. `draw` folds a number into each."""
    made = [jax.random.key(seed) for seed in seed_range(config)]
    made = made if draw is None else [jax.random.fold_in(key, draw) for key in made]
    return made[0] if config.num_seeds == 1 else jnp.stack(made)


def unstack_seeds(state: TrainState, count: int) -> list[TrainState]:
    """The copies one by one."""
    return [state] if count == 1 else [jax.tree.map(operator.itemgetter(i), state) for i in range(count)]


def stack_seeds(copies: Sequence) -> Any:
    """What `split` takes apart, of any trees."""
    return copies[0] if len(copies) == 1 else jax.tree.map(lambda *each: jnp.stack(each), *copies)


def mean_over_seeds(metrics: Sequence[EvaluationMetrics]) -> EvaluationMetrics:
    """The mean over copies, by name."""
    return {name: np.mean([each[name] for each in metrics], axis=0).tolist() for name in metrics[0]}


def std_over_seeds(metrics: Sequence[EvaluationMetrics]) -> EvaluationMetrics:
    """The standard deviation (n - 1) over copies, by name; {} of a lone one."""
    if len(metrics) == 1:
        return {}
    return {name: np.std([each[name] for each in metrics], axis=0, ddof=1).tolist() for name in metrics[0]}
