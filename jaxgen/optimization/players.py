"""Players and the update step that they share. No other module takes gradients of a training loss.

A player is one loss, the networks that it trains and one optax optimizer with its own state. The gradient is taken with
respect to the player's own networks, so the routing of gradients is exact without `stop_gradient`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax
from jax.custom_derivatives import SymbolicZero
from jax.interpreters import ad
from jaxtyping import Array

from jaxgen.config.errors import report_error, suggest
from jaxgen.kernels import random
from jaxgen.types import Batch, LossFn, Metrics, NetworkParams, NetworkStats, Params, TrainState

ForwardFn = Callable[[NetworkParams, NetworkStats, Batch, Array], tuple[Any, Any]]
Update = Callable[[TrainState, Batch, Array], tuple[TrainState, Metrics]]


@dataclasses.dataclass(frozen=True)
class Player:
    """One loss, the networks that it trains and one optimizer.

    Attributes:
      name: names the player's metrics and optimizer state.
      networks: the networks that it trains.
      tx: the optimizer.
      loss: maps (params, stats, batch, rng) to (loss, (metrics, replaced statistics)); see `types.LossFn`. With a
        `shared_forward`, its output (outputs, aux) takes the place of rng.
      shared_forward: maps (params, stats, batch, rng) to (outputs, aux): arrays that the loss is differentiated
        through, and constants. Players with the same function share one forward pass where they update from the same
        parameters.
    """

    name: str
    networks: tuple[str, ...]
    tx: optax.GradientTransformation
    loss: LossFn
    shared_forward: ForwardFn | None = None


Players = tuple[Player, ...]
UpdateOrder = Callable[[Players, TrainState, Batch, Array, str | None], tuple[TrainState, Metrics]]


def init_opt_states(players: Players, params: NetworkParams) -> dict[str, optax.OptState]:
    """Returns the initial optimizer state of each player, for its own networks."""
    return {player.name: player.tx.init(subset(params, player.networks)) for player in players}


def make_update(
    players: Players, update_order: str | UpdateOrder = "alternating", axis_name: str | None = None
) -> Update:
    """Builds `update(state, batch, rng) -> (state, metrics)`, one step of every player.

    Args:
      players: the players, in the order of their updates.
      update_order: a name in UPDATE_ORDERS, or a function like `update_alternating`.
      axis_name: mapped axis under pmap, over which gradients, metrics and statistics are averaged.

    Raises:
      ValueError: the update order is unknown.
    """
    if isinstance(update_order, str):
        validate_update_order(update_order)
        update_order = UPDATE_ORDERS[update_order]

    def update(state: TrainState, batch: Batch, rng: Array) -> tuple[TrainState, Metrics]:
        """Returns the state after one update of every player, and their metrics."""
        state, metrics = update_order(players, state, batch, step_rng(rng, state, axis_name), axis_name)
        return state.replace(step=state.step + 1), metrics

    return update


def step_rng(rng: Array, state: TrainState, axis_name: str | None) -> Array:
    """Returns the key of this step on this device, a function of the step number: a checkpoint needs no key."""
    rng = random.fold_in(rng, state.step)
    return rng if axis_name is None else random.fold_in(rng, jax.lax.axis_index(axis_name))


def update_alternating(
    players: Players, state: TrainState, batch: Batch, rng: Array, axis_name: str | None
) -> tuple[TrainState, Metrics]:
    """Updates the players one after another; each sees the updates before it and has a key of its own."""
    all_metrics = {}
    for player, player_rng in zip(players, random.split(rng, len(players)), strict=True):
        forward = run_forward(player, state, batch, player_rng)
        gradient, metrics, stats = player_gradient(player, player.networks, state, batch, forward, axis_name)
        state = apply_optimizer(player, gradient, state, state.params)
        state = state.replace(stats={**state.stats, **stats})
        all_metrics |= metrics
    return state, all_metrics


def update_simultaneous(
    players: Players, state: TrainState, batch: Batch, rng: Array, axis_name: str | None
) -> tuple[TrainState, Metrics]:
    """Takes every player's gradient at the same parameters with the same key, then updates all.

    Players with the same `shared_forward` share one pass: each player adds only a backward pass.
    """
    before, all_metrics, shared = state, {}, {}
    for player in players:
        if player.shared_forward not in shared:
            shared[player.shared_forward] = run_forward(player, before, batch, rng)
        forward = shared[player.shared_forward]
        gradient, metrics, stats = player_gradient(player, player.networks, before, batch, forward, axis_name)
        state = apply_optimizer(player, gradient, state, before.params)
        state = state.replace(stats={**state.stats, **stats})
        all_metrics |= metrics
    return state, all_metrics


UPDATE_ORDERS: Mapping[str, UpdateOrder] = {"alternating": update_alternating, "simultaneous": update_simultaneous}


def validate_update_order(update_order: str) -> None:
    """Reports a mistake if the update order is unknown."""
    if update_order not in UPDATE_ORDERS:
        hint = suggest(update_order, UPDATE_ORDERS)
        report_error(f'update_order="{update_order}" is unknown; choose one of {", ".join(UPDATE_ORDERS)}{hint}')


class SharedForward(NamedTuple):
    """A forward pass that several losses are differentiated through; see `run_forward`.

    Attributes:
      replay: maps the parameters to the recorded outputs, whose gradients use the recorded backward pass.
      aux: the forward pass's constants.
    """

    replay: Callable[[NetworkParams], Any]
    aux: Any

    def __call__(self, params: NetworkParams) -> tuple[Any, Any]:
        """Returns (outputs, aux), as the player's `shared_forward` at the recorded parameters."""
        return self.replay(params), self.aux


def run_forward(player: Player, state: TrainState, batch: Batch, rng: Array) -> Callable[[NetworkParams], Any]:
    """Runs a player's forward pass and returns a function of the parameters to its result.

    Losses are differentiated through that function. The backward pass skips outputs that a loss does not use, as
    `jax.grad` of one whole function would. Without a `shared_forward` the result is the key.
    """
    if player.shared_forward is None:
        return lambda _: rng

    def forward(params: NetworkParams) -> tuple[Any, Any]:
        """Returns (outputs, aux) of the player's forward pass."""
        return player.shared_forward(params, state.stats, batch, rng)

    outputs, vjp, aux = jax.vjp(forward, state.params, has_aux=True)

    @jax.custom_vjp
    def replay(_: NetworkParams) -> Any:
        """Returns the recorded outputs."""
        return outputs

    def backward(_: Any, cotangents: Any) -> Any:
        """Returns the gradients of the parameters; symbolic zeros stay symbolic, so their paths are skipped."""

        def keep_zero(leaf: Any) -> Any:
            """Returns a symbolic zero in the form that the recorded backward pass takes."""
            return ad.Zero(leaf.aval) if isinstance(leaf, SymbolicZero) else leaf

        return vjp(jax.tree.map(keep_zero, cotangents, is_leaf=lambda leaf: isinstance(leaf, SymbolicZero)))

    replay.defvjp(lambda _: (outputs, None), backward, symbolic_zeros=True)
    return SharedForward(replay, aux)


def player_gradient(
    player: Player,
    networks: tuple[str, ...],
    state: TrainState,
    batch: Batch,
    forward: Callable[[NetworkParams], Any],
    axis_name: str | None,
) -> tuple[dict[str, Params], Metrics, NetworkStats]:
    """Returns the gradient of a player's loss, its metrics as "player/name" and the statistics that it replaces.

    Args:
      player: the player.
      networks: the networks that the gradient is taken with respect to.
      state: parameters and statistics.
      batch: the examples.
      forward: the result of `run_forward` at the same state.
      axis_name: mapped axis to average over, if any.
    """

    def loss_of(own_params: dict[str, Params]) -> tuple[Array, tuple[Metrics, NetworkStats]]:
        """Returns the loss as a function of the networks that the gradient is taken for."""
        params = {**state.params, **own_params}
        loss, (metrics, stats) = player.loss(params, state.stats, batch, forward(params))
        # Averaged here and below: correct under pmap and under shard_map with either setting of its check.
        return pmean(loss, axis_name), (metrics, stats)

    gradient, (metrics, stats) = jax.grad(loss_of, has_aux=True)(subset(state.params, networks))
    gradient, metrics = pmean((gradient, metrics), axis_name)
    return gradient, {f"{player.name}/{key}": value for key, value in metrics.items()}, stats


def apply_optimizer(player: Player, gradient: dict[str, Params], state: TrainState, at: NetworkParams) -> TrainState:
    """Applies a player's optimizer to a gradient that was taken at the parameters `at`."""
    own_params = subset(state.params, player.networks)
    updates, opt_state = player.tx.update(gradient, state.opt_states[player.name], subset(at, player.networks))
    return state.replace(
        params={**state.params, **optax.apply_updates(own_params, updates)},
        opt_states={**state.opt_states, player.name: opt_state},
    )


def subset(tree: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the entries with these names."""
    return {name: tree[name] for name in names}


def pmean(tree: Any, axis_name: str | None) -> Any:
    """Averages arrays over a mapped axis, if there is one."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)
