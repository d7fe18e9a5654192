"""Fully connected networks, learned constants and the classifier against products by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.networks import MLP, ConvClassifier, LearnedImage
from jaxgen.networks.mixed_precision import Bfloat16Network

B, H, W, C, Z, K = 6, 8, 10, 3, 5, 4


@pytest.fixture
def image():
    return jnp.asarray(np.random.default_rng(0).random((B, H, W, C)), jnp.float32)


def test_an_mlp_joins_its_inputs_and_has_the_given_output_shape(image):
    network = MLP((16, 7), (H, W, C))
    variables = network.init(jax.random.key(0), image, jnp.zeros((B, K)), train=False)
    assert variables["params"]["Dense_0"]["kernel"].shape == (H * W * C + K, 16)
    assert network.apply(variables, image, jnp.zeros((B, K)), train=False).shape == (B, H, W, C)


def test_an_mlp_with_an_empty_output_shape_returns_a_scalar_per_example(image):
    network = MLP((16,), ())
    assert network.init_with_output(jax.random.key(0), image, train=False)[0].shape == (B,)


def test_an_mlp_is_the_product_of_its_matrices_and_relus(image):
    network = MLP((16,), (Z,))
    variables = network.init(jax.random.key(0), image, train=False)
    one, two = (variables["params"][f"Dense_{i}"] for i in (0, 1))
    x = np.asarray(image).reshape(B, -1)
    expected = np.maximum(x @ one["kernel"] + one["bias"], 0) @ two["kernel"] + two["bias"]
    np.testing.assert_allclose(network.apply(variables, image, train=False), expected, rtol=1e-4, atol=1e-5)


def test_a_linear_layer_passes_negative_values(image):
    rectified, linear = MLP((16,), (Z,)), MLP((16,), (Z,), linear_layers=(0,))
    variables = rectified.init(jax.random.key(0), image, train=False)
    outputs = [network.apply(variables, image, train=False) for network in (rectified, linear)]
    assert not np.allclose(*outputs)


def test_a_leaky_layer_has_its_slope_below_0(image):
    leaky, linear = MLP((16,), (Z,), negative_slope=0.25), MLP((16,), (Z,), linear_layers=(0,))
    variables = leaky.init(jax.random.key(0), image, train=False)
    one, two = (variables["params"][f"Dense_{i}"] for i in (0, 1))
    hidden = np.asarray(image).reshape(B, -1) @ one["kernel"] + one["bias"]
    expected = np.where(hidden < 0, hidden / 4, hidden) @ two["kernel"] + two["bias"]
    np.testing.assert_allclose(leaky.apply(variables, image, train=False), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(leaky.apply(variables, image, train=False), linear.apply(variables, image, train=False))


def test_film_scales_and_shifts_a_layer_by_the_second_input_before_its_relu(image):
    network, condition = MLP((16,), (Z,), film=True), jnp.asarray(np.eye(K)[[0, 1, 2, 3, 0, 1]])
    params = network.init(jax.random.key(0), image, condition, train=False)["params"]
    numbers = np.random.default_rng(1)
    film = {"kernel": numbers.normal(size=(K, 32)), "bias": numbers.normal(size=32)}
    params["FiLM_0"]["Dense_0"] = jax.tree.map(jnp.float32, film)
    x = np.concatenate([np.asarray(image).reshape(B, -1), condition], axis=1)
    scale, shift = np.split(np.asarray(condition) @ film["kernel"] + film["bias"], 2, axis=1)
    hidden = (x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]) * (1 + scale) + shift
    expected = np.maximum(hidden, 0) @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    actual = network.apply({"params": params}, image, condition, train=False)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_untrained_film_changes_nothing(image):
    plain, with_film = MLP((16,), (Z,)), MLP((16,), (Z,), film=True)
    condition = jnp.asarray(np.eye(K)[[0, 1, 2, 3, 0, 1]])
    variables = with_film.init(jax.random.key(0), image, condition, train=False)
    expected = plain.apply(plain.init(jax.random.key(0), image, condition, train=False), image, condition, train=False)
    np.testing.assert_allclose(with_film.apply(variables, image, condition, train=False), expected, rtol=1e-5)


def test_dropout_is_on_only_in_training_and_keeps_the_mean(image):
    network = MLP((1000,), (), dropout=0.25)
    variables = network.init(jax.random.key(0), image, train=False)
    expected = network.apply(variables, image, train=False)
    noisy = jnp.stack(
        [network.apply(variables, image, train=True, rngs={"dropout": jax.random.key(i)}) for i in range(300)]
    )
    assert float(noisy.std(0).min()) > 0
    np.testing.assert_allclose(noisy.mean(0), expected, atol=4 * float(noisy.std(0).max()) / np.sqrt(300))


def test_the_torch_initializer_is_uniform_within_one_over_the_root_of_the_fan_in(image):
    network = MLP((2000,), (), kernel_init="torch")
    kernel = network.init(jax.random.key(0), image, train=False)["params"]["Dense_0"]["kernel"]
    bound = 1 / np.sqrt(H * W * C)  # torch.nn.Linear: kaiming_uniform_ with a = √5
    assert float(jnp.abs(kernel).max()) <= bound
    np.testing.assert_allclose(float(kernel.std()), bound / np.sqrt(3), rtol=0.01)


def test_he_initialization_compensates_for_relus_except_in_the_last_layer(image):
    network = MLP((2000,), (2000,), kernel_init="he_normal")
    params = network.init(jax.random.key(0), image, train=False)["params"]
    np.testing.assert_allclose(float(params["Dense_0"]["kernel"].std()), np.sqrt(2 / (H * W * C)), rtol=0.01)
    np.testing.assert_allclose(float(params["Dense_1"]["kernel"].std()), np.sqrt(1 / 2000), rtol=0.01)


def test_the_classifier_returns_a_logit_per_class(image):
    network = ConvClassifier(K)
    assert network.init_with_output(jax.random.key(0), image, train=False)[0].shape == (B, K)


def test_a_shortcut_is_a_linear_map_to_the_first_outputs_plus_the_gated_network():
    x = jax.random.normal(jax.random.key(0), (B, H, W, C))
    network = MLP((7,), (2, 3), shortcut=3)
    params = network.init(jax.random.key(1), x, train=False)["params"]
    rest = {name: value for name, value in params.items() if name != "Shortcut_0"}
    without = MLP((7,), (2, 3)).apply({"params": rest}, x, train=False)
    linear = x.reshape(B, -1) @ params["Shortcut_0"]["Dense_0"]["kernel"]
    initial = network.apply({"params": params}, x, train=False)
    np.testing.assert_allclose(initial[:, 0], linear, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(initial[:, 1], 0)
    opened = network.apply(
        {"params": rest | {"Shortcut_0": params["Shortcut_0"] | {"gate": jnp.float32(2)}}}, x, train=False
    )
    np.testing.assert_allclose(opened[:, 0], 2 * without[:, 0] + linear, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(opened[:, 1], 2 * without[:, 1], rtol=1e-6)


def test_a_learned_image_starts_gray_and_changes_by_ten_times_its_parameter():
    network = LearnedImage((H, W, C))
    params = network.init(jax.random.key(0), train=False)["params"]
    np.testing.assert_array_equal(network.apply({"params": params}, train=False), np.full((H, W, C), 0.5))
    moved = jax.tree.map(lambda value: value + 0.01, params)
    np.testing.assert_allclose(network.apply({"params": moved}, train=False), np.full((H, W, C), 0.6), rtol=1e-6)


def test_the_gradient_of_a_shortcuts_gate_is_summed_in_float32_in_a_bfloat16_network():
    network = MLP((16,), (Z,), shortcut=2)
    x = jnp.ones((5000, 3))
    params = network.init(jax.random.key(0), x, train=False)["params"]
    params["Dense_1"]["bias"] = jnp.full(Z, 3.0)

    def total(params, network):
        return jnp.sum(network.apply({"params": params}, x, train=False))

    gates = [jax.grad(total)(params, net)["Shortcut_0"]["gate"] for net in (Bfloat16Network(network), network)]
    assert float(gates[0]) == pytest.approx(float(gates[1]), rel=0.02)
