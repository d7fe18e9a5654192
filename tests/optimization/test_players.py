import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.optimization.players import Player, init_opt_states, make_update
from jaxgen.types import Batch, TrainState

RATE = 0.1


def quadratic(names, target):
    """½ Σ (θ - target)² over the networks named: its gradient is θ - target."""

    def loss(params, stats, batch, rng):
        value = sum(0.5 * jnp.sum(jnp.square(params[name] - target)) for name in names)
        return value, ({"value": value}, stats)

    return loss


@pytest.fixture
def batch():
    return Batch(jnp.zeros((2, 1, 1, 1)), jnp.zeros(2, jnp.int32), jnp.ones(2))


def player(name, moves, target, sees=None):
    return Player(name, moves, optax.sgd(RATE), quadratic(sees or moves, target))


def start(players):
    params = {"a": jnp.full(3, 1.0), "b": jnp.full(3, 2.0)}
    stats = {name: {} for name in params}
    return TrainState(jnp.zeros((), jnp.int32), params, stats, init_opt_states(players, params))


def moved(players, schedule, batch):
    state, _ = make_update(players, schedule)(start(players), batch, jax.random.key(0))
    return {name: float(value[0]) for name, value in state.params.items()}


def test_alternating_players_see_the_moves_before_theirs(batch):
    players = (player("first", ("a",), 0.0), player("second", ("a",), 0.0))
    assert moved(players, "alternating", batch)["a"] == pytest.approx(1.0 * 0.9 * 0.9)


def test_simultaneous_players_all_move_from_the_same_point(batch):
    players = (player("first", ("a",), 0.0), player("second", ("a",), 0.0))
    assert moved(players, "simultaneous", batch)["a"] == pytest.approx(1.0 - 0.1 - 0.1)


def test_accumulating_players_also_apply_the_gradients_of_those_before(batch):
    players = (player("first", ("a",), 0.0), player("second", ("a",), 0.0))
    # first: 1 - .1·1 = .9; second applies its own .9 and the first's 1: .9 - .1·1.9
    assert moved(players, "accumulating", batch)["a"] == pytest.approx(0.71)


@pytest.mark.parametrize("schedule", ["alternating", "simultaneous", "accumulating"])
def test_a_player_leaves_the_networks_it_only_sees_untouched(schedule, batch):
    players = (player("only", ("a",), 0.0, sees=("a", "b")),)
    result = moved(players, schedule, batch)
    assert result["b"] == 2.0
    assert result["a"] == pytest.approx(0.9)


def test_every_player_keeps_an_optimiser_state_of_its_own_over_its_own_networks(batch):
    adam = optax.adam(RATE)
    players = (Player("one", ("a", "b"), adam, quadratic("ab", 0.0)), Player("two", ("b",), adam, quadratic("b", 5.0)))
    state, _ = make_update(players)(start(players), batch, jax.random.key(0))
    assert set(state.opt_states["one"][0].mu) == {"a", "b"}
    assert set(state.opt_states["two"][0].mu) == {"b"}
    # Adam's first moment after one step is (1 - b1) times the gradient: 2 for one, about 1.9 - 5 for two.
    chex.assert_trees_all_close(state.opt_states["one"][0].mu["b"], jnp.full(3, 0.2), rtol=1e-5)
    chex.assert_trees_all_close(state.opt_states["two"][0].mu["b"], jnp.full(3, -0.31), rtol=1e-5)


def test_noise_is_a_function_of_the_step_alone(batch):
    def noisy(params, stats, batch, rng):
        noise = jax.random.normal(rng, ())
        return jnp.sum(params["a"]) * 0.0, ({"noise": noise}, stats)

    players = (Player("noisy", ("a",), optax.sgd(RATE), noisy),)
    update, state = make_update(players), start(players)
    one, first = update(state, batch, jax.random.key(0))
    _, second = update(one, batch, jax.random.key(0))
    _, again = update(state.replace(step=jnp.asarray(1)), batch, jax.random.key(0))
    assert float(first["noisy/noise"]) != float(second["noisy/noise"]) == float(again["noisy/noise"])


def test_the_update_counts_the_step_and_names_metrics_by_player(batch):
    players = (player("first", ("a",), 0.0),)
    state, metrics = make_update(players)(start(players), batch, jax.random.key(0))
    assert int(state.step) == 1
    np.testing.assert_allclose(metrics["first/value"], 1.5)


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match='schedule="altrnating" is unknown; choose one of alternating'):
        make_update((), "altrnating")
