"""Optimisers and learning-rate schedules, from plain numbers."""

import jax
import jax.numpy as jnp
import optax


def learning_rate_schedule(
    rate: float, steps: int, schedule: str, final: float = 0.02, boundaries: tuple[int, ...] = ()
) -> optax.ScalarOrSchedule:
    """A learning rate over `steps`: "constant", "cosine" down to `final` times the rate, or "step": a tenth after each boundary.

    Raises:
      ValueError: the rate is not positive or the decay is unknown.
    """
    if not rate > 0:
        raise ValueError(f"a learning rate of {rate} must be positive; see the config's `learning_rates`")
    if schedule == "constant":
        return rate
    if schedule == "cosine":
        return optax.cosine_decay_schedule(rate, steps, alpha=final)
    if schedule == "step":
        return optax.piecewise_constant_schedule(rate, dict.fromkeys(boundaries, 0.1))
    raise ValueError(f'lr_schedule="{schedule}" is unknown; choose "constant", "cosine" or "step"')


def make_optimizer(kind: str, rate: optax.ScalarOrSchedule, b1: float, momentum: float) -> optax.GradientTransformation:
    """Adam with that b1, RMSProp, or gradient descent, both with that momentum.

    Raises:
      ValueError: the kind is none of "adam", "rmsprop" and "sgd", or the momentum is outside [0, 1).
    """
    for name, value in (("b1", b1), ("momentum", momentum)):
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value} must lie in [0, 1); see the config's `{name}`")
    if kind == "adam":
        return optax.adam(rate, b1=b1)
    if kind == "rmsprop":
        return optax.rmsprop(rate, decay=0.99, momentum=momentum or None)
    if kind == "sgd":
        return optax.sgd(rate, momentum=momentum)
    raise ValueError(f'optimizer="{kind}" is unknown; choose "adam", "rmsprop" or "sgd"')


def skip_zero_gradients(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same, but at rest where the gradient is 0 everywhere: no parameter moves, no statistic of it decays."""

    def update(gradient, state, params=None):
        moves = jnp.stack([jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradient)]).any()
        updates, after = tx.update(gradient, state, params)
        updates = jax.tree.map(lambda step: jnp.where(moves, step, 0), updates)
        return updates, jax.tree.map(lambda new, old: jnp.where(moves, new, old), after, state)

    return optax.GradientTransformation(tx.init, update)
