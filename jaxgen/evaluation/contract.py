"""What the functions of a model return, checked by tracing them before training: losses and metrics."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.models import GenerativeModel
from jaxgen.optimization.players import Player, run_forward
from jaxgen.types import Batch, TrainState

RESERVED = ("step", "split", "time", "images_per_s")  # keys of a line of metrics.jsonl


def validate_per_example_metrics(model: GenerativeModel, metrics: Any) -> None:
    """Raises a ValueError unless the traced metrics of one example are a dict of arrays [1] with usable names."""
    place = f"{type(model).__name__}.per_example_metrics"
    if not isinstance(metrics, dict) or not metrics:
        raise ValueError(
            f'{place} must return a dict such as {{"mse": array of shape [B]}}; got {type(metrics).__name__}'
        )
    for name, value in metrics.items():
        if getattr(value, "shape", None) != (1,):
            raise ValueError(
                f'{place} must return one number per example; "{name}" has shape {getattr(value, "shape", None)} for a '
                "batch of 1 image; average over all axes but the first"
            )
        if name in RESERVED:
            raise ValueError(f'{place} returns "{name}", a key that metrics.jsonl reserves; rename the metric')


def validate_losses(model: GenerativeModel, state: TrainState, batch: Batch) -> None:
    """Traces the loss of each player of a model outside of this package, whose losses are tested elsewhere.

    Raises:
      ValueError: a loss does not return (scalar, (metrics, stats)).
    """
    if type(model).__module__.startswith("jaxgen."):
        return
    for player in model.players:
        _validate_loss(type(model).__name__, player, state, batch)


def _validate_loss(model_name: str, player: Player, state: TrainState, batch: Batch) -> None:
    place = f'the loss of the player "{player.name}" of {model_name}'

    def compute_loss(state: TrainState, batch: Batch, rng: jax.Array) -> Any:
        """Returns what the loss returns."""
        return player.loss(state.params, state.stats, batch, run_forward(player, state, batch, rng)(state.params))

    output = jax.eval_shape(compute_loss, state, batch, jax.random.key(0))
    form = "(loss, (metrics, stats))"
    if not (isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], tuple) and len(output[1]) == 2):
        raise ValueError(f"{place} must return {form}; without metrics and batch statistics, return loss, ({{}}, {{}})")
    loss, (metrics, stats) = output
    if not hasattr(loss, "shape") or loss.shape != () or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise ValueError(f"{place} must return a scalar as the first value of {form}; got {loss!r:.80}; try .mean()")
    for name, value in metrics.items():
        if getattr(value, "shape", ()) != ():
            raise ValueError(f'{place} must return scalar metrics; "{name}" has shape {value.shape}; try .mean()')
    if unknown := sorted(set(stats) - set(state.stats)):
        raise ValueError(f'{place} replaces statistics of "{unknown[0]}", which the state lacks; return {{}} if none')
