"""Several seeds of one config, trained in one compiled step under vmap and evaluated one by one.

With one seed, arrays have no seed axis. With several, every array of the state has one in front.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxgen.types import SEED_STD, EvaluationMetrics, Split, TrainState


def seed_range(config: Any) -> range:
    """Returns the seeds of a run."""
    return range(config.seed, config.seed + config.num_seeds)


def vmap_init(init_one: Callable[[Array], TrainState], num_seeds: int) -> Callable[[Array], TrainState]:
    """Maps an initializer over keys [num_seeds]; one seed has a key without an axis."""
    return init_one if num_seeds == 1 else jax.vmap(init_one)


def vmap_step(step_one: Callable, num_seeds: int, seeds_per_vmap: int) -> Callable:
    """Maps a training step over seeds.

    Args:
      step_one: maps (state, data, index, rng) to (state, metrics), for one seed.
      num_seeds: number of seeds.
      seeds_per_vmap: number of seeds computed side by side; 0 for all.
    """
    if num_seeds == 1:
        return step_one

    def step_all(state: TrainState, data: Any, index: Any, rng: jax.Array) -> Any:
        """Returns the states and metrics of all seeds, with a leading seed axis."""

        def step(inputs: tuple) -> Any:
            """Returns the state and metrics of one seed."""
            state, label, index, rng = inputs
            return step_one(state, data and Split(data.image, label), index, rng)

        index = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), index)
        inputs = (state, data and data.label, index, rng)
        # A vmap over one seed is a tenth slower than none.
        batch_size = None if seeds_per_vmap == 1 else seeds_per_vmap or num_seeds
        return jax.lax.map(step, inputs, batch_size=batch_size)

    return step_all


def seed_keys(config: Any, draw: int | None = None) -> Array:
    """Returns the key of each seed, [num_seeds] or without an axis for one seed; `draw` is folded into each."""
    keys = [jax.random.key(seed) for seed in seed_range(config)]
    keys = keys if draw is None else [jax.random.fold_in(key, draw) for key in keys]
    return keys[0] if config.num_seeds == 1 else jnp.stack(keys)


def unstack_seeds(state: TrainState, num_seeds: int) -> list[TrainState]:
    """Returns the state of each seed."""
    return [state] if num_seeds == 1 else [jax.tree.map(operator.itemgetter(i), state) for i in range(num_seeds)]


def stack_seeds(trees: Sequence[Any]) -> Any:
    """Returns one tree with a seed axis, the inverse of `unstack_seeds`; one tree stays without the axis."""
    return trees[0] if len(trees) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def mean_over_seeds(metrics: Sequence[EvaluationMetrics]) -> EvaluationMetrics:
    """Returns each metric's mean over seeds, of the metrics that every seed has."""
    return {name: np.mean([values[name] for values in metrics], axis=0).tolist() for name in _shared_names(metrics)}


def std_over_seeds(metrics: Sequence[EvaluationMetrics]) -> EvaluationMetrics:
    """Returns each metric's standard deviation (n - 1) over seeds; {} for one seed."""
    if len(metrics) == 1:
        return {}
    return {
        name: np.std([values[name] for values in metrics], axis=0, ddof=1).tolist() for name in _shared_names(metrics)
    }


def mean_and_spread(metrics: Sequence[EvaluationMetrics]) -> EvaluationMetrics:
    """Returns each metric's mean over seeds and, for several seeds, its standard deviation as NAME_seed_std."""
    spread = {f"{name}{SEED_STD}": value for name, value in std_over_seeds(metrics).items()}
    return {**mean_over_seeds(metrics), **spread}


def _shared_names(metrics: Sequence[EvaluationMetrics]) -> list[str]:
    """Returns the names of the metrics that every seed has; a metric may be omitted for a seed."""
    return [name for name in metrics[0] if all(name in values for values in metrics)]
