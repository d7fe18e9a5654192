"""Optimisers and learning-rate schedules, from plain numbers."""

import jax
import jax.numpy as jnp
import optax


def decayed(
    rate: float, steps: int, decay: str, final: float = 0.02, drops: tuple[int, ...] = ()
) -> optax.ScalarOrSchedule:
    """A learning rate over `steps`: "none", "cosine" down to `final` times itself, or "drops" to a tenth at each step.

    Raises:
      ValueError: the rate is not positive or the decay is unknown.
    """
    if not rate > 0:
        raise ValueError(f"a learning rate of {rate} must be positive; see the config's `rates`")
    if decay == "none":
        return rate
    if decay == "cosine":
        return optax.cosine_decay_schedule(rate, steps, alpha=final)
    if decay == "drops":
        return optax.piecewise_constant_schedule(rate, dict.fromkeys(drops, 0.1))
    raise ValueError(f'decay="{decay}" is unknown; choose "none", "cosine" or "drops"')


def descent(kind: str, rate: optax.ScalarOrSchedule, momentum: float) -> optax.GradientTransformation:
    """Adam with that b1, RMSProp, or gradient descent, both with that momentum.

    Raises:
      ValueError: the kind is none of "adam", "rmsprop" and "sgd", or the momentum is outside [0, 1).
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"a momentum of {momentum} must lie in [0, 1); see the config's `momentum`")
    if kind == "adam":
        return optax.adam(rate, b1=momentum)
    if kind == "rmsprop":
        return optax.rmsprop(rate, decay=0.99, momentum=momentum or None)
    if kind == "sgd":
        return optax.sgd(rate, momentum=momentum)
    raise ValueError(f'optimizer="{kind}" is unknown; choose "adam", "rmsprop" or "sgd"')


def resting(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same, but at rest where the gradient is 0 everywhere: no parameter moves, no statistic of it decays."""

    def update(gradient, state, params=None):
        moves = jnp.stack([jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradient)]).any()
        updates, after = tx.update(gradient, state, params)
        updates = jax.tree.map(lambda step: jnp.where(moves, step, 0), updates)
        return updates, jax.tree.map(lambda new, old: jnp.where(moves, new, old), after, state)

    return optax.GradientTransformation(tx.init, update)
