"""One backward pass through a ReLU critic gives the losses and gradients of separate backward passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import tiny_batch, tiny_model

from jaxgen.kernels import shared_backward
from jaxgen.losses import regularizers
from jaxgen.losses.adversarial import GAN_LOSSES
from jaxgen.models.aae import AAE
from jaxgen.models.categorical_aae import CategoricalAAE
from jaxgen.networks import MLP
from jaxgen.networks.mixed_precision import Bfloat16Network
from jaxgen.optimization.players import make_update

B, Z, K = 6, 5, 4
GAN_LOSS = GAN_LOSSES["non_saturating"]
FORMS = (shared_backward.shared_critic_losses, shared_backward.separate_critic_losses)


def condition_inputs(codes, label):
    """A code, its one-hot label and their products: affine in the code."""
    one_hot = jax.nn.one_hot(label, K)
    return codes, one_hot, codes[:, None] * one_hot[:, :, None]


INPUTS = {"code": lambda codes, label: (codes,), "code, label and products": condition_inputs}


def make_critic(inputs=INPUTS["code, label and products"], negative_slope=0.0, wrap=lambda network: network):
    """A function of parameters to a critic, and the parameters; every bias differs from 0."""
    network = wrap(MLP((7, 8), (), negative_slope=negative_slope))
    label = jnp.arange(B) % K
    params = network.init(jax.random.key(0), *inputs(jnp.zeros((B, Z)), label), train=False)
    params = jax.tree.map(lambda x: x + 0.1, params)

    def apply(params, *inputs, rng=None):
        del rng
        return network.apply(params, *inputs, train=False)

    return lambda params: shared_backward.Critic(apply, params, inputs, label), params


@pytest.fixture
def codes():
    return jax.random.normal(jax.random.key(1), (2, B, Z))


def assert_close(found, expected, rtol=1e-5, atol=1e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), found, expected)


def test_scaled_biases_make_the_logit_linear_in_input_and_scale(codes):
    network = MLP((7, 8), ())
    params = jax.tree.map(lambda x: x + 0.1, network.init(jax.random.key(0), codes[0], train=False))
    scale = jnp.linspace(0.5, 2, B)
    logits = network.apply(params, codes[0], train=False)
    with shared_backward.scale_biases(scale):
        scaled = network.apply(params, scale[:, None] * codes[0], train=False)
    np.testing.assert_allclose(scaled, scale * logits, rtol=1e-5)
    np.testing.assert_array_equal(network.apply(params, codes[0], train=False), logits)  # the context has ended


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("name", "inputs", "negative_slope"),
    [
        *((name, "code, label and products", 0.0) for name in sorted(GAN_LOSSES)),
        ("non_saturating", "code, label and products", 0.2),
        ("non_saturating", "code", 0.0),
    ],
)
def test_the_fused_losses_equal_the_separate_ones_in_value_and_gradient(codes, name, inputs, negative_slope):
    critic, params = make_critic(INPUTS[inputs], negative_slope)

    def losses(form, params, fake):
        return form(GAN_LOSSES[name], critic(params), codes[0], fake, 3.0)

    for player, argument in (("critic", 0), ("generator", 1)):

        def loss(params, fake, form, player=player):
            return getattr(losses(form, params, fake), player)

        found, expected = (jax.value_and_grad(loss, argument)(params, codes[1], form) for form in FORMS)
        assert_close(found, expected, rtol=1e-5, atol=1e-5)
    fast, separate = (losses(form, params, codes[1]) for form in FORMS)
    assert_close(fast.metrics, separate.metrics)


def test_the_separate_critic_loss_is_the_gan_loss_plus_r1_and_r2(codes):
    critic, params = make_critic()
    score = critic(params).logits
    losses = shared_backward.critic_losses(GAN_LOSS, critic(params), *codes, 3.0, fused=False)
    loss = GAN_LOSS.critic(score(codes[0]), score(codes[1])).mean()
    penalty = (regularizers.r1_penalty(score, codes[0]) + regularizers.r1_penalty(score, codes[1])).mean()
    np.testing.assert_allclose(losses.critic, loss + 3 * penalty, rtol=1e-6)
    np.testing.assert_allclose(losses.metrics["r1_r2"], penalty, rtol=1e-6)
    np.testing.assert_allclose(losses.generator, GAN_LOSS.generator(score(codes[1])).mean(), rtol=1e-6)


def test_players_train_their_own_side_alone_in_the_fused_form(codes, monkeypatch):
    monkeypatch.setenv("JAXGEN_REFERENCE_KERNELS", "0")
    critic, params = make_critic()

    def losses(params, fake):
        return shared_backward.shared_critic_losses(GAN_LOSS, critic(params), codes[0], fake, 3.0)

    by_fake = jax.grad(lambda fake: losses(params, fake).critic)(codes[1])
    by_params = jax.grad(lambda params: losses(params, codes[1]).generator)(params)
    assert all(float(jnp.abs(leaf).max()) == 0 for leaf in jax.tree.leaves((by_fake, by_params)))


@pytest.mark.slow
def test_bfloat16_critics_get_the_gradients_of_separate_passes_up_to_their_rounding(codes):
    critic, params = make_critic(wrap=Bfloat16Network)
    found, expected = (
        jax.grad(lambda params, form=form: form(GAN_LOSS, critic(params), *codes, 3.0).critic)(params) for form in FORMS
    )
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    assert_close(found, expected, rtol=0.05, atol=0.03 * scale)


FAMILIES = [(AAE, "cond_aae", 1), (AAE, "aae", 1), (CategoricalAAE, "semi_aae", 2), (CategoricalAAE, "cluster_aae", 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "name", "critics"), FAMILIES)
def test_a_step_costs_fewer_products_with_the_fused_form_and_updates_alike(monkeypatch, family, name, critics):
    width = 64
    monkeypatch.setenv("JAXGEN_REFERENCE_KERNELS", "0")

    def steps():
        sizes = {"hidden_sizes": (8,), "critic_hidden_sizes": (width, width)}
        model = tiny_model(name, "smoke", update_order="simultaneous", **sizes)
        update = make_update(model.players, model.update_order)

        def run(state, batches, rng):
            return jax.lax.scan(lambda state, batch: update(state, batch, rng), state, batches)

        batches = jax.tree.map(lambda x: jnp.stack([x, x[::-1]]), tiny_batch())
        inputs = jax.jit(model.init)(jax.random.key(0)), batches, jax.random.key(0)
        compiled = jax.jit(run).lower(*inputs).compile()
        return *compiled(*inputs), compiled.cost_analysis()["flops"]

    fused, metrics, flops = steps()
    monkeypatch.setattr(family, "shares_critic_backward", False)
    separate, separate_metrics, separate_flops = steps()
    # Products with the middle layer's kernel that are saved for each critic: of 2B rows, its backward pass and one of
    # two for its gradient; of B rows, the encoder's backward pass.
    assert separate_flops - flops > 0.9 * critics * 2.5 * (2 * 2 * len(tiny_batch().label) * width * width)
    assert_close(fused.params, separate.params, rtol=1e-4, atol=1e-5)
    assert_close(metrics, separate_metrics, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"update_order": "alternating"}, {"critic_dropout_rate": 0.2}, {"r1_r2_weight": 0.0}]
)
def test_backward_passes_stay_separate_where_one_would_not_be_exact(options):
    assert not tiny_model("aae", "smoke", **options).shares_critic_backward
