"""Optimizers and learning-rate schedules, from the numbers of a config."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxgen.config.errors import report_error, suggest

SCHEDULES = ("constant", "cosine", "step")
OPTIMIZERS = ("adam", "rmsprop", "sgd")


def learning_rate_schedule(
    rate: float, steps: int, schedule: str, final: float = 0.02, boundaries: tuple[int, ...] = ()
) -> optax.ScalarOrSchedule:
    """Returns a learning rate over a training run.

    Args:
      rate: initial rate.
      steps: length of the run.
      schedule: "constant", "cosine" (down to `final` times the rate) or "step" (a tenth after each boundary).
      final: last rate of "cosine", relative to the first.
      boundaries: steps at which "step" lowers the rate.

    Raises:
      ValueError: the rate is not positive or the schedule is unknown.
    """
    if not rate > 0:
        report_error(f"a learning rate of {rate} must be positive; see the config's `learning_rates`")
    if schedule == "constant":
        return rate
    if schedule == "cosine":
        return optax.cosine_decay_schedule(rate, steps, alpha=final)
    if schedule == "step":
        return optax.piecewise_constant_schedule(rate, dict.fromkeys(boundaries, 0.1))
    hint = suggest(schedule, SCHEDULES)
    report_error(f'lr_schedule="{schedule}" is unknown; choose "constant", "cosine" or "step"{hint}')
    return rate


def make_optimizer(kind: str, rate: optax.ScalarOrSchedule, b1: float, momentum: float) -> optax.GradientTransformation:
    """Returns Adam with `b1`, or RMSProp or gradient descent with `momentum`.

    Args:
      kind: "adam", "rmsprop" or "sgd".
      rate: learning rate or schedule.
      b1: decay of Adam's first moment, in [0, 1).
      momentum: momentum of the others, in [0, 1).

    Raises:
      ValueError: the kind is unknown, or b1 or the momentum is outside [0, 1).
    """
    for name, value in (("b1", b1), ("momentum", momentum)):
        if not 0 <= value < 1:
            report_error(f"{name}={value} must lie in [0, 1); see the config's `{name}`")
    if kind == "adam":
        return optax.adam(rate, b1=b1)
    if kind == "rmsprop":
        return optax.rmsprop(rate, decay=0.99, momentum=momentum or None)
    if kind == "sgd":
        return optax.sgd(rate, momentum=momentum)
    report_error(f'optimizer="{kind}" is unknown; choose "adam", "rmsprop" or "sgd"{suggest(kind, OPTIMIZERS)}')
    return optax.sgd(rate)


def skip_zero_gradients(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """Returns the optimizer with steps skipped where the whole gradient is 0: no parameter and no moment changes.

    `optax.conditionally_mask` is similar, but decides by the step or extra arguments instead of the gradient.
    """

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Returns (updates, state), both unchanged where the whole gradient is 0."""
        is_active = jnp.stack([jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradient)]).any()
        updates, new_state = tx.update(gradient, state, params)
        updates = jax.tree.map(lambda leaf: jnp.where(is_active, leaf, 0), updates)
        return updates, jax.tree.map(lambda new, old: jnp.where(is_active, new, old), new_state, state)

    return optax.GradientTransformation(tx.init, update)
