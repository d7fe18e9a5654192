import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.models.tutorial_aae import update_accumulating
from jaxgen.optimization.players import Player, init_opt_states, make_update
from jaxgen.types import Batch, TrainState

RATE = 0.1
UPDATE_ORDERS = ["alternating", "simultaneous", update_accumulating]


def quadratic(names, target):
    """½ Σ (θ - target)² over the named networks: its gradient is θ - target."""

    def loss(params, stats, batch, rng):
        value = sum(0.5 * jnp.sum(jnp.square(params[name] - target)) for name in names)
        return value, ({"value": value}, {})

    return loss


@pytest.fixture
def batch():
    return Batch(jnp.zeros((2, 1, 1, 1)), jnp.zeros(2, jnp.int32), jnp.ones(2))


def player(name, networks, target, used=None):
    return Player(name, networks, optax.sgd(RATE), quadratic(used or networks, target))


def start(players):
    params = {"a": jnp.full(3, 1.0), "b": jnp.full(3, 2.0)}
    stats = {name: {} for name in params}
    return TrainState(jnp.zeros((), jnp.int32), params, stats, init_opt_states(players, params))


def updated(players, update_order, batch):
    state, _ = make_update(players, update_order)(start(players), batch, jax.random.key(0))
    return {name: float(value[0]) for name, value in state.params.items()}


def test_alternating_players_see_the_updates_before_theirs(batch):
    players = (player("first", ("a",), 0.0), player("second", ("a",), 0.0))
    assert updated(players, "alternating", batch)["a"] == pytest.approx(1.0 * 0.9 * 0.9)


def test_simultaneous_players_all_update_from_the_same_parameters(batch):
    players = (player("first", ("a",), 0.0), player("second", ("a",), 0.0))
    assert updated(players, "simultaneous", batch)["a"] == pytest.approx(1.0 - 0.1 - 0.1)


@pytest.mark.parametrize("update_order", UPDATE_ORDERS)
def test_a_player_leaves_networks_that_it_only_uses_unchanged(update_order, batch):
    players = (player("only", ("a",), 0.0, used=("a", "b")),)
    result = updated(players, update_order, batch)
    assert result["b"] == 2.0
    assert result["a"] == pytest.approx(0.9)


def test_every_player_has_an_optimizer_state_of_its_own_for_its_own_networks(batch):
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
        return jnp.sum(params["a"]) * 0.0, ({"noise": noise}, {})

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


def test_an_unknown_update_order_is_named():
    with pytest.raises(ValueError, match='update_order="altrnating" is unknown; choose one of alternating'):
        make_update((), "altrnating")


def counting_forward():
    """A forward pass of both networks with noise, and the list of keys that it was called with."""
    calls = []

    def forward(params, stats, batch, rng):
        calls.append(rng)
        noise = jax.random.normal(rng, ())
        return {"a": jnp.square(params["a"]) + noise, "b": params["b"] * params["a"]}, noise

    return forward, calls


def forward_losses():
    """Losses through the outputs: of one, of both, and of an output together with parameters."""

    def first(params, stats, batch, forward):
        outputs, noise = forward
        loss = jnp.sum(jnp.square(outputs["a"] - 3))
        return loss, ({"noise": noise}, {})

    def second(params, stats, batch, forward):
        outputs, noise = forward
        loss = jnp.sum(outputs["a"] * outputs["b"]) + noise * jnp.sum(params["b"])
        return loss, ({"noise": noise}, {})

    return first, second


def test_simultaneous_players_with_the_same_function_share_one_forward_pass(batch):
    (first, second), (forward, calls), (other, other_calls) = forward_losses(), counting_forward(), counting_forward()
    sgd = optax.sgd(RATE)
    players = [Player("first", ("a",), sgd, first, forward), Player("second", ("a", "b"), sgd, second, forward)]
    players.append(Player("third", ("b",), sgd, second, other))
    players = tuple(players)
    make_update(players, "simultaneous")(start(players), batch, jax.random.key(0))
    assert (len(calls), len(other_calls)) == (1, 1)
    make_update(players, "alternating")(start(players), batch, jax.random.key(0))
    assert (len(calls), len(other_calls)) == (3, 2)  # each from parameters of its own


def test_gradients_through_a_shared_forward_pass_are_those_of_the_whole_loss(batch):
    (first, second), (forward, _) = forward_losses(), counting_forward()
    networks = {"first": ("a",), "second": ("a", "b")}
    losses = {"first": first, "second": second}
    players = tuple(Player(name, networks[name], optax.sgd(RATE), losses[name], forward) for name in networks)
    before = start(players)
    after, metrics = jax.jit(make_update(players, "simultaneous"))(before, batch, jax.random.key(0))
    rng = jax.random.fold_in(jax.random.key(0), 0)

    def whole(params, name):
        return losses[name](params, before.stats, batch, forward(params, before.stats, batch, rng))[0]

    gradients = {name: jax.grad(whole)(before.params, name) for name in networks}
    expected = {
        "a": before.params["a"] - RATE * (gradients["first"]["a"] + gradients["second"]["a"]),
        "b": before.params["b"] - RATE * gradients["second"]["b"],
    }
    chex.assert_trees_all_close(after.params, expected, rtol=1e-6)
    assert float(metrics["first/noise"]) == float(metrics["second/noise"])


def test_the_backward_pass_skips_outputs_that_a_loss_does_not_use(batch):
    width = 64

    def forward(params, stats, batch, rng):
        x = jnp.ones((width, width))
        return (x @ params["a"], (x @ params["a"]) @ params["b"]), None

    def loss(params, stats, batch, forward):
        (used, _), _ = forward
        return jnp.sum(used), ({}, {})

    def flops(players):
        params = {name: jnp.ones((width, width)) for name in "ab"}
        state = TrainState(jnp.zeros((), jnp.int32), params, {}, init_opt_states(players, params))
        update = jax.jit(make_update(players, "simultaneous"))
        return update.lower(state, batch, jax.random.key(0)).compile().cost_analysis()["flops"]

    one_product = 2 * width**3
    assert flops((Player("only", ("a",), optax.sgd(RATE), loss, forward),)) < 2.5 * one_product  # of a's two products


def test_simultaneous_players_each_keep_the_statistics_that_they_replace(batch):
    def replacing(name, value):
        def loss(params, stats, batch, rng):
            return jnp.sum(params["a"]), ({}, {name: {"value": stats[name]["value"] + value}})

        return loss

    players = tuple(Player(name, ("a",), optax.sgd(RATE), replacing(name, 1.0)) for name in "ab")
    stats = {name: {"value": jnp.zeros(())} for name in "abc"}
    state, _ = make_update(players, "simultaneous")(start(players).replace(stats=stats), batch, jax.random.key(0))
    assert {name: float(state.stats[name]["value"]) for name in "abc"} == {"a": 1.0, "b": 1.0, "c": 0.0}
