"""Players and the update that they make together: the only place that takes a gradient.

A player is one loss, the networks that it moves and one optax optimiser with its own state. What a player must not
move is an argument that no gradient is taken for, so routing is exact without any `stop_gradient`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxgen.types import Batch, LossFn, Metrics, Params, Stats, TrainState

SCHEDULES = ("alternating", "simultaneous", "accumulating")
Update = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


@dataclasses.dataclass(frozen=True)
class Player:
    """One optimiser, the networks that it moves and the loss that it descends.

    `loss(params, stats, batch, draws)` sees every network and returns (scalar, (metrics, new stats)); its draws are an
    rng, unless the update is told what to draw.
    """

    name: str
    networks: tuple[str, ...]
    tx: optax.GradientTransformation
    loss: LossFn


def init_opt_states(players: tuple[Player, ...], params: dict[str, Params]) -> dict[str, optax.OptState]:
    """The optimiser state of each player, over its own networks alone."""
    return {player.name: player.tx.init(select(params, player.networks)) for player in players}


def make_update(
    players: tuple[Player, ...],
    schedule: str = "alternating",
    axis_name: str | None = None,
    draw: Callable[[Batch, jax.Array], Any] | None = None,
) -> Update:
    """Builds `update(state, batch, rng) -> (state, metrics)`, one move of every player.

    Schedules:
      alternating: players move in turn, each seeing the moves before.
      simultaneous: every gradient is taken at the same point, with the same draws, and then all move. Players that
        need the same forward pass (same network, input and draws) share it: the compiler merges the two.
      accumulating: alternating, but every loss is differentiated for every network and gradients add up over the
        players of a step, as in a PyTorch loop that calls zero_grad once a step. A mistake, kept to be measured.

    Args:
      players: who moves, in order.
      schedule: one of SCHEDULES.
      axis_name: the mapped axis over which gradients, metrics and statistics are averaged, under pmap.
      draw: makes, of a batch and an rng, what losses get in the rng's place. The draw of an array is a loop, of which
        the compiler does not merge two; what a shared forward pass begins with has to be drawn here. None: the rng.

    Raises:
      ValueError: the schedule is unknown.
    """
    check_schedule(schedule)
    turn = {"alternating": alternate, "simultaneous": simultaneous, "accumulating": accumulate}[schedule]

    def update(state: TrainState, batch: Batch, rng: jax.Array) -> tuple[TrainState, Metrics]:
        rng = rng_of_step(rng, state, axis_name)
        state, metrics = turn(players, state, batch, rng, axis_name, draw or the_rng)
        return state.replace(step=state.step + 1), metrics

    return update


def the_rng(batch: Batch, rng: jax.Array) -> jax.Array:
    del batch
    return rng


def rng_of_step(rng: jax.Array, state: TrainState, axis_name: str | None) -> jax.Array:
    """The key of this step, on this device: the step alone says which noise comes, so there is nothing to save."""
    rng = jax.random.fold_in(rng, state.step)
    return rng if axis_name is None else jax.random.fold_in(rng, jax.lax.axis_index(axis_name))


def check_schedule(schedule: str) -> None:
    """Raises a ValueError where the schedule is unknown."""
    if schedule not in SCHEDULES:
        raise ValueError(f'schedule="{schedule}" is unknown; choose one of {", ".join(SCHEDULES)}')


def alternate(players, state, batch, rng, axis_name, draw):
    metrics = {}
    for player, player_rng in zip(players, jax.random.split(rng, len(players)), strict=True):
        gradient, its_metrics, stats = gradient_of(
            player, player.networks, state, batch, draw(batch, player_rng), axis_name
        )
        state = step_down(player, gradient, state, state.params).replace(stats=stats)
        metrics |= its_metrics
    return state, metrics


def simultaneous(players, state, batch, rng, axis_name, draw):
    before, metrics, draws = state, {}, draw(batch, rng)
    for player in players:
        gradient, its_metrics, stats = gradient_of(player, player.networks, before, batch, draws, axis_name)
        changed = {name: new for name, new in stats.items() if new is not before.stats[name]}
        state = step_down(player, gradient, state, before.params)
        state = state.replace(stats={**state.stats, **changed})
        metrics |= its_metrics
    return state, metrics


def accumulate(players, state, batch, rng, axis_name, draw):
    metrics, accumulated = {}, jax.tree.map(jax.numpy.zeros_like, state.params)
    for player, player_rng in zip(players, jax.random.split(rng, len(players)), strict=True):
        names = tuple(state.params)
        gradient, its_metrics, stats = gradient_of(player, names, state, batch, draw(batch, player_rng), axis_name)
        accumulated = jax.tree.map(jax.numpy.add, accumulated, gradient)
        state = step_down(player, select(accumulated, player.networks), state, state.params).replace(stats=stats)
        metrics |= its_metrics
    return state, metrics


def gradient_of(
    player: Player, networks: tuple[str, ...], state: TrainState, batch: Batch, draws: Any, axis_name: str | None
) -> tuple[dict[str, Params], Metrics, dict[str, Stats]]:
    """The gradient of the player's loss with respect to `networks`, its metrics by "player/name", the new stats."""

    def loss_of(mine):
        loss, (metrics, stats) = player.loss({**state.params, **mine}, state.stats, batch, draws)
        # Averaged inside as well as outside: right under pmap and under either check of shard_map.
        return mean_over(loss, axis_name), (metrics, stats)

    gradient, (metrics, stats) = jax.grad(loss_of, has_aux=True)(select(state.params, networks))
    gradient, metrics = mean_over((gradient, metrics), axis_name)
    return gradient, {f"{player.name}/{key}": value for key, value in metrics.items()}, stats


def step_down(player: Player, gradient: dict[str, Params], state: TrainState, at: dict[str, Params]) -> TrainState:
    """Applies the player's optimiser to a gradient taken at the parameters `at`; no other array changes."""
    mine = select(state.params, player.networks)
    updates, opt_state = player.tx.update(gradient, state.opt_states[player.name], select(at, player.networks))
    return state.replace(
        params={**state.params, **optax.apply_updates(mine, updates)},
        opt_states={**state.opt_states, player.name: opt_state},
    )


def select(tree: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: tree[name] for name in names}


def mean_over(tree, axis_name: str | None):
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)
