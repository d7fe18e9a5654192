"""Players and the update that they make together: the only place that takes a gradient.

A player is one loss, the networks that it moves and one optax optimiser with its own state. What a player must not
move is an argument that no gradient is taken for, so routing is exact without any `stop_gradient`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from jaxgen.kernels import random
from jaxgen.types import Batch, LossFn, Metrics, Params, Stats, TrainState

UPDATE_ORDERS = ("alternating", "simultaneous", "accumulating")
Update = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


@dataclasses.dataclass(frozen=True)
class Player:
    """One optimiser, the networks that it moves and the loss that it descends.

    `loss(params, stats, batch, rng)` sees every network and returns (scalar, (metrics, new stats)).

    Players that need the same forward pass have the same `look(params, stats, batch, rng)`. It returns a pair, which
    their losses get in the rng's place: what the networks make, through which the losses are differentiated, and what
    else there is to hand on.
    """

    name: str
    networks: tuple[str, ...]
    tx: optax.GradientTransformation
    loss: LossFn
    shared_forward: Callable[..., tuple[Any, Any]] | None = None


def init_opt_states(players: tuple[Player, ...], params: dict[str, Params]) -> dict[str, optax.OptState]:
    """The optimiser state of each player, over its own networks alone."""
    return {player.name: player.tx.init(subset(params, player.networks)) for player in players}


def make_update(players: tuple[Player, ...], schedule: str = "alternating", axis_name: str | None = None) -> Update:
    """Builds `update(state, batch, rng) -> (state, metrics)`, one move of every player.

    Schedules:
      alternating: players move in turn, each seeing the moves before.
      simultaneous: every gradient is taken at the same point, with the same rng, and then all move. Players that
        need the same forward pass share it: one `look` is taken once. Where there is none, the compiler merges passes
        of the same network, input and rng, as long as that comes of `prng`: jax derives keys in loops on a CPU, which
        are never merged.
      accumulating: alternating, but every loss is differentiated for every network and gradients add up over the
        players of a step, as in a PyTorch loop that calls zero_grad once a step. A mistake, kept to be measured.

    Args:
      players: who moves, in order.
      schedule: one of SCHEDULES.
      axis_name: the mapped axis over which gradients, metrics and statistics are averaged, under pmap.

    Raises:
      ValueError: the schedule is unknown.
    """
    validate_update_order(schedule)
    turn = {
        "alternating": update_alternating,
        "simultaneous": update_simultaneous,
        "accumulating": update_accumulating,
    }[schedule]

    def update(state: TrainState, batch: Batch, rng: jax.Array) -> tuple[TrainState, Metrics]:
        rng = step_rng(rng, state, axis_name)
        state, metrics = turn(players, state, batch, rng, axis_name)
        return state.replace(step=state.step + 1), metrics

    return update


def step_rng(rng: jax.Array, state: TrainState, axis_name: str | None) -> jax.Array:
    """The key of this step, on this device: the step alone says which noise comes, so there is nothing to save."""
    rng = random.fold_in(rng, state.step)
    return rng if axis_name is None else random.fold_in(rng, jax.lax.axis_index(axis_name))


def validate_update_order(schedule: str) -> None:
    """Raises a ValueError where the schedule is unknown."""
    if schedule not in UPDATE_ORDERS:
        raise ValueError(f'schedule="{schedule}" is unknown; choose one of {", ".join(UPDATE_ORDERS)}')


def update_alternating(players, state, batch, rng, axis_name):
    metrics = {}
    for player, player_rng in zip(players, random.split(rng, len(players)), strict=True):
        gradient, its_metrics, stats = player_gradient(player, player.networks, state, batch, player_rng, axis_name)
        state = apply_optimizer(player, gradient, state, state.params).replace(stats=stats)
        metrics |= its_metrics
    return state, metrics


def update_simultaneous(players, state, batch, rng, axis_name):
    before, metrics, sights = state, {}, {}
    for player in players:
        if player.shared_forward is None:
            found = player_gradient(player, player.networks, before, batch, rng, axis_name)
        else:
            if id(player.shared_forward) not in sights:
                sights[id(player.shared_forward)] = SharedForward.run(player.shared_forward, before, batch, rng)
            found = gradient_through_shared_forward(player, sights[id(player.shared_forward)], before, batch, axis_name)
        gradient, its_metrics, stats = found
        state = apply_optimizer(player, gradient, state, before.params)
        state = state.replace(stats={**state.stats, **updated_stats(before.stats, stats)})
        metrics |= its_metrics
    return state, metrics


def updated_stats(before: dict[str, Stats], after: dict[str, Stats]) -> dict[str, Stats]:
    """Those statistics that a loss has put others in the place of. Its trees are rebuilt on the way; arrays are not."""

    def same(name: str) -> bool:
        pairs = zip(jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True)
        return all(old is new for old, new in pairs)

    return {name: new for name, new in after.items() if not same(name)}


def update_accumulating(players, state, batch, rng, axis_name):
    metrics, accumulated = {}, jax.tree.map(jax.numpy.zeros_like, state.params)
    for player, player_rng in zip(players, random.split(rng, len(players)), strict=True):
        names = tuple(state.params)
        gradient, its_metrics, stats = player_gradient(player, names, state, batch, player_rng, axis_name)
        accumulated = jax.tree.map(jax.numpy.add, accumulated, gradient)
        state = apply_optimizer(player, subset(accumulated, player.networks), state, state.params).replace(stats=stats)
        metrics |= its_metrics
    return state, metrics


def player_gradient(
    player: Player, networks: tuple[str, ...], state: TrainState, batch: Batch, rng: jax.Array, axis_name: str | None
) -> tuple[dict[str, Params], Metrics, dict[str, Stats]]:
    """The gradient of the player's loss with respect to `networks`, its metrics by "player/name", the new stats."""

    def loss_of(mine):
        params = {**state.params, **mine}
        seen = player.shared_forward(params, state.stats, batch, rng) if player.shared_forward else rng
        loss, (metrics, stats) = player.loss(params, state.stats, batch, seen)
        # Averaged inside as well as outside: right under pmap and under either check of shard_map.
        return pmean(loss, axis_name), (metrics, stats)

    gradient, (metrics, stats) = jax.grad(loss_of, has_aux=True)(subset(state.params, networks))
    gradient, metrics = pmean((gradient, metrics), axis_name)
    return gradient, {f"{player.name}/{key}": value for key, value in metrics.items()}, stats


class SharedForward(NamedTuple):
    """A forward pass that has been made, for every player that looks at it."""

    outputs: Any  # by the networks
    aux: Any  # what else was handed on
    vjp: Callable[[Any], tuple[dict[str, Params]]]  # gradients by what was made, to gradients by the parameters

    @classmethod
    def run(cls, look: Callable, state: TrainState, batch: Batch, rng: jax.Array) -> "SharedForward":
        made, pull, beside = jax.vjp(lambda params: look(params, state.stats, batch, rng), state.params, has_aux=True)
        return cls(made, beside, pull)


def gradient_through_shared_forward(
    player: Player, sight: SharedForward, state: TrainState, batch: Batch, axis_name: str | None
) -> tuple[dict[str, Params], Metrics, dict[str, Stats]]:
    """As `gradient_of`, by a pass that is there: the player's share is only the way back. Unused parts fall away."""

    def loss_of(params, made):
        loss, (metrics, stats) = player.loss(params, state.stats, batch, (made, sight.aux))
        return pmean(loss, axis_name), (metrics, stats)

    (direct, by_made), (metrics, stats) = jax.grad(loss_of, (0, 1), has_aux=True)(state.params, sight.outputs)
    (through,) = sight.vjp(by_made)
    gradient = jax.tree.map(jax.numpy.add, subset(direct, player.networks), subset(through, player.networks))
    gradient, metrics = pmean((gradient, metrics), axis_name)
    return gradient, {f"{player.name}/{key}": value for key, value in metrics.items()}, stats


def apply_optimizer(
    player: Player, gradient: dict[str, Params], state: TrainState, at: dict[str, Params]
) -> TrainState:
    """Applies the player's optimiser to a gradient taken at the parameters `at`; no other array changes."""
    mine = subset(state.params, player.networks)
    updates, opt_state = player.tx.update(gradient, state.opt_states[player.name], subset(at, player.networks))
    return state.replace(
        params={**state.params, **optax.apply_updates(mine, updates)},
        opt_states={**state.opt_states, player.name: opt_state},
    )


def subset(tree: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: tree[name] for name in names}


def pmean(tree, axis_name: str | None):
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)
