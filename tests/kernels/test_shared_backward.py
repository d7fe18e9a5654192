"""One way back through a piecewise linear critic gives what losses, penalty and encoder have for gradients apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import tiny_batch, tiny_model

from jaxgen.kernels import shared_backward
from jaxgen.losses import adversarial, regularizers
from jaxgen.models.aae import AAE
from jaxgen.models.categorical_aae import CategoricalAAE
from jaxgen.networks import MLP
from jaxgen.optimization.players import make_update

B, N = 6, 5


@pytest.fixture(params=[0.0, 0.2])
def critic(request):
    net = MLP((7, 8), (), negative_slope=request.param)
    params = net.init(jax.random.key(0), jnp.zeros((1, N)), train=False)
    params = jax.tree.map(lambda x: x + 0.1, params)  # biases that are something
    return params, lambda params: lambda x, one=None: net.apply(params, x, train=False, one=one)


@pytest.fixture
def codes():
    return jax.random.normal(jax.random.key(1), (2, B, N))


def test_a_network_is_linear_in_its_input_and_in_what_its_biases_are_times(critic, codes):
    params, of = critic
    x, one = codes[0], jnp.linspace(0.5, 2, B)
    np.testing.assert_allclose(of(params)(x, jnp.ones(B)), of(params)(x), rtol=1e-5)
    np.testing.assert_allclose(of(params)(one[:, None] * x, one), one * of(params)(x), rtol=1e-5)


def test_a_critic_moves_as_by_its_loss_and_its_penalty(critic, codes):
    params, of = critic

    def apart(params):
        loss = adversarial.binary_critic_loss(of(params)(codes[0]), of(params)(codes[1])).mean()
        return regularizers.add_gradient_penalty(loss, of(params), *codes, 3.0)

    def together(params):
        return shared_backward.critic_loss_with_penalty(of(params), *codes, 3.0)

    (value, metrics), gradient = jax.value_and_grad(together, has_aux=True)(params)
    (expected, others), its_gradient = jax.value_and_grad(apart, has_aux=True)(params)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), metrics, others)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradient, its_gradient)


def test_an_encoder_moves_as_by_its_own_way_back(critic, codes):
    params, of = critic
    found = jax.value_and_grad(lambda fake: shared_backward.generator_loss_from_slope(of(params), codes[0], fake))(
        codes[1]
    )
    expected = jax.value_and_grad(lambda fake: adversarial.non_saturating_loss(of(params)(fake)).mean())(codes[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), found, expected)


@pytest.mark.parametrize(
    ("family", "name", "saved"),
    # Of products of 2B rows with the middle layer: the critics' way back and one of two for its gradient, and, of B
    # rows, the encoder's way back: 2.5 of 6.5 a critic.
    [(AAE, "cond_aae", 1), (AAE, "aae", 1), (CategoricalAAE, "semi_aae", 2), (CategoricalAAE, "cluster_aae", 2)],
)
def test_a_step_in_a_loop_takes_the_ways_back_once_and_moves_as_if_they_were_apart(monkeypatch, family, name, saved):
    width = 64

    def steps():
        model = tiny_model(
            name, "smoke", hidden_sizes=(8,), critic_hidden_sizes=(width, width), update_order="simultaneous"
        )
        update = make_update(model.players, model.update_order)

        def run(state, batches, rng):
            return jax.lax.scan(lambda state, batch: update(state, batch, rng), state, batches)

        batches = jax.tree.map(lambda x: jnp.stack([x, x[::-1]]), tiny_batch())
        inputs = jax.jit(model.init)(jax.random.key(0)), batches, jax.random.key(0)
        compiled = jax.jit(run).lower(*inputs).compile()
        return *compiled(*inputs), compiled.cost_analysis()["flops"]

    once, metrics, flops = steps()
    monkeypatch.setattr(family, "one_way_back", False)
    apart, others, more = steps()
    rows = len(tiny_batch().label)
    assert more - flops > 0.9 * saved * 2.5 * (2 * 2 * rows * width * width)
    for found, expected in zip(jax.tree.leaves(once.params), jax.tree.leaves(apart.params), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), metrics, others)


@pytest.mark.parametrize(
    "options", [{"update_order": "alternating"}, {"critic_dropout_rate": 0.2}, {"r1_r2_weight": 0.0}]
)
def test_ways_back_stay_apart_where_one_would_not_do(options):
    assert not tiny_model("aae", "smoke", **options).shares_critic_backward
