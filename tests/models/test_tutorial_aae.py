import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import CONFIGS, read_config, tiny_batch, tiny_model

from jaxgen.models.tutorial_aae import update_accumulating
from jaxgen.optimization.players import Player, init_opt_states, make_update
from jaxgen.types import Batch, TrainState

TUTORIAL_KEYS = ("average_pixel_nll", "log_sigmoid_eps", "decoder_linear_layers", "accumulate_gradients")
RNG = jax.random.key(1)


def start(**changes):
    model = tiny_model("cond_aae", "tutorial,smoke", **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def loss_of(model, name, state, params):
    player = next(player for player in model.players if player.name == name)
    forward = player.shared_forward(params, state.stats, tiny_batch(), RNG)
    return player.loss(params, state.stats, tiny_batch(), forward)[0]


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def test_only_the_tutorial_presets_have_keys_for_the_tutorials_mistakes():
    for name in CONFIGS:
        assert not set(TUTORIAL_KEYS) & set(read_config(name))
    for name in ("aae", "cond_aae"):
        assert set(TUTORIAL_KEYS) < set(read_config(name, "tutorial"))


def test_the_tutorials_decoder_is_linear_after_its_second_layer():
    model, _ = start()
    assert model.networks["decoder"].linear_layers == (1,)
    assert model.update_order is update_accumulating
    assert model.prior.std == 5.0
    assert not model.conditional_critic


def test_accumulating_players_also_apply_the_gradients_of_those_before():
    def loss(params, stats, batch, rng):
        return 0.5 * jnp.sum(jnp.square(params["a"])), ({}, {})

    players = tuple(Player(name, ("a",), optax.sgd(0.1), loss) for name in ("first", "second"))
    params = {"a": jnp.full(3, 1.0)}
    state = TrainState(jnp.zeros((), jnp.int32), params, {"a": {}}, init_opt_states(players, params))
    batch = Batch(jnp.zeros((2, 1, 1, 1)), jnp.zeros(2, jnp.int32), jnp.ones(2))
    state, _ = make_update(players, update_accumulating)(state, batch, jax.random.key(0))
    # first: 1 - 0.1·1 = 0.9; second applies its own 0.9 and the first's 1: 0.9 - 0.1·1.9
    assert float(state.params["a"][0]) == pytest.approx(0.71)


def test_the_critic_loss_has_a_gradient_for_the_encoder_that_accumulates():
    """The tutorial's missing detach. In other models the routing of gradients by argument leaves it out."""
    model, state = start()
    gradient = jax.grad(lambda params: loss_of(model, "critic", state, params))(state.params)
    assert largest(gradient["encoder"]) > 0
    assert largest(gradient["decoder"]) == 0


def test_the_critic_learns_from_codes_without_dropout_and_the_others_from_codes_with_it():
    model, state = start()
    codes = {}
    for player in model.players:
        outputs, _ = player.shared_forward(state.params, state.stats, tiny_batch(), RNG)
        codes[player.name] = np.asarray(outputs.code)
    np.testing.assert_array_equal(codes["critic"], model.posterior(state.params, state.stats, tiny_batch().image).mean)
    np.testing.assert_array_equal(codes["reconstruction"], codes["adversarial"])
    assert np.abs(codes["critic"] - codes["adversarial"]).max() > 1e-3


def test_the_losses_are_logarithms_of_sigmoids_plus_eps_and_means_over_pixels():
    eps = 0.1
    model, state = start(dropout_rate=0.0, critic_dropout_rate=0.0, log_sigmoid_eps=eps)
    batch = tiny_batch()
    outputs, _ = model.shared_forward(state.params, state.stats, batch, RNG)
    logits = np.asarray(model.make_critic(state.params, state.stats, batch.label).logits(outputs.code), np.float64)
    expected = -np.log(1 / (1 + np.exp(-logits)) + eps).mean()
    assert float(loss_of(model, "adversarial", state, state.params)) == pytest.approx(expected, rel=1e-5)
    whole, _ = start(dropout_rate=0.0, critic_dropout_rate=0.0, average_pixel_nll=False)
    losses = [float(loss_of(each, "reconstruction", state, state.params)) for each in (model, whole)]
    assert losses[1] == pytest.approx(losses[0] * batch.image[0].size, rel=1e-6)


@pytest.mark.parametrize("name", ["aae", "cond_aae"])
def test_a_negative_eps_is_refused(name):
    with pytest.raises(ValueError, match=r"log_sigmoid_eps=-1.0 must be at least 0"):
        tiny_model(name, "tutorial,smoke", log_sigmoid_eps=-1.0)
