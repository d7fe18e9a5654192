"""Networks spelled out as layers: published sizes, values of each layer, invalid layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import read_config

from jaxgen.networks import LayerStack
from jaxgen.networks.layers import depth_to_space, space_to_depth, validate_layers
from jaxgen.networks.mixed_precision import Bfloat16Network


def shape_after(layers, output_shape, image_shape, inputs):
    stack = LayerStack(layers, output_shape, image_shape)
    variables = jax.eval_shape(lambda rng: stack.init(rng, inputs, train=False), jax.random.key(0))
    out = jax.eval_shape(lambda v: stack.apply(v, inputs, train=False), variables)
    return out.shape, variables["params"]


def test_the_tutorial_preset_of_conv_ae_has_the_published_code_of_8_by_2_by_2():
    config = read_config("conv_ae", "tutorial")
    shape, params = shape_after(tuple(config.encoder_layers), (32,), (28, 28, 1), jnp.zeros((5, 28, 28, 1)))
    assert shape == (5, 32)
    assert set(params) == {"Conv_0", "Conv_1"}  # no dense layer: the last image is the code
    shape, params = shape_after(tuple(config.decoder_layers), (28, 28, 1), (28, 28, 1), jnp.zeros((5, 32)))
    assert shape == (5, 28, 28, 1)
    assert [params[f"ConvTranspose_{i}"]["kernel"].shape for i in range(3)] == [
        (3, 3, 8, 16),
        (5, 5, 16, 8),
        (2, 2, 8, 1),
    ]


@pytest.mark.parametrize("end", [("relu",), ("leaky_relu", 0.2), ("group_norm", 8), ("batch_norm",), ("dropout", 0.5)])
def test_an_output_never_ends_in_an_activation_or_normalization(end):
    """After a ReLU a code could have no negative mean and no std below 1."""
    shape, params = shape_after((("dense", 8), end), (2, 4), (4, 4, 1), jnp.zeros((3, 4, 4, 1)))
    assert shape == (3, 2, 4)
    assert {"Dense_0", "Dense_1"} <= set(params)


def test_depth_to_space_inverts_space_to_depth():
    image = np.arange(2 * 6 * 9 * 2, dtype=np.float32).reshape(2, 6, 9, 2)
    blocks = np.asarray(space_to_depth(jnp.asarray(image), 3))
    assert blocks.shape == (2, 2, 3, 18)
    np.testing.assert_array_equal(blocks[1, 1, 2].reshape(3, 3, 2), image[1, 3:6, 6:9])
    np.testing.assert_array_equal(depth_to_space(jnp.asarray(blocks), 3), image)


def test_space_to_depth_pads_with_zeros():
    blocks = space_to_depth(jnp.ones((1, 7, 5, 1)), 4)
    assert blocks.shape == (1, 2, 2, 16)
    assert float(blocks.sum()) == 35


def test_a_transposed_convolution_has_pytorchs_output_size():
    shape, _ = shape_after((("conv_transpose", 3, 6, 3, 0),), (27, 27, 3), (27, 27, 3), jnp.zeros((2, 8, 8, 4)))
    assert shape == (2, 27, 27, 3)  # (8 - 1) 3 + 6


def test_layers_that_end_below_the_image_size_are_rejected():
    with pytest.raises(
        ValueError, match=r"end in images of \(6, 6, 1\), which do not cover \(7, 6, 1\); .* try --config"
    ):
        shape_after((("conv", 1, 3, 1, 1),), (7, 6, 1), (7, 6, 1), jnp.zeros((1, 6, 6, 1)))


def test_a_shortcut_adds_a_linear_map_to_the_first_outputs():
    x = jax.random.normal(jax.random.key(0), (5, 6, 8, 1))
    layers = (("conv", 3, 3, 2, 1), ("relu",))
    stack = LayerStack(layers, (2, 3), (6, 8, 1), shortcut=3)
    params = stack.init(jax.random.key(1), x, train=False)["params"]
    rest = {name: value for name, value in params.items() if name != "Shortcut_0"}
    without = LayerStack(layers, (2, 3), (6, 8, 1)).apply({"params": rest}, x, train=False)
    with_it = stack.apply(
        {"params": rest | {"Shortcut_0": params["Shortcut_0"] | {"gate": jnp.float32(1)}}}, x, train=False
    )
    linear = x.reshape(5, -1) @ params["Shortcut_0"]["Dense_0"]["kernel"]
    np.testing.assert_allclose(with_it[:, 0], without[:, 0] + linear, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(with_it[:, 1], without[:, 1])


def apply_in_training(layer, x, rng=0):
    stack = LayerStack((layer,), None, x.shape[1:])
    variables = stack.init(jax.random.key(0), x, train=False)
    return stack.apply(variables, x, train=True, rngs={"dropout": jax.random.key(rng)}, mutable=["batch_stats"])[0]


def test_minibatch_std_appends_the_std_over_the_batch_of_all_devices():
    x = jax.random.normal(jax.random.key(0), (6, 4, 4, 3))
    out = apply_in_training(("minibatch_std",), x)
    np.testing.assert_array_equal(out[..., :3], x)
    np.testing.assert_allclose(out[..., 3], x.std(0).mean(), rtol=1e-5)
    mapped = jax.vmap(lambda part: apply_in_training(("minibatch_std",), part), axis_name="data")(
        x.reshape(2, 3, 4, 4, 3)
    )
    np.testing.assert_allclose(mapped.reshape(out.shape), out, rtol=1e-5)


def test_minibatch_std_after_training_is_its_running_mean_for_any_batch():
    x = 3 * jax.random.normal(jax.random.key(0), (40, 4, 4, 3))
    stack = LayerStack((("minibatch_std",),), None, (4, 4, 3))
    variables = stack.init(jax.random.key(0), x, train=True)
    for _ in range(400):
        _, variables = stack.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(stack.apply(variables, x, train=False)[..., 3], x.std(0).mean(), rtol=0.03)
    alone = stack.apply(variables, x[:1], train=False)
    np.testing.assert_array_equal(alone, stack.apply(variables, x, train=False)[:1])


def test_minibatch_std_is_computed_in_float32_for_bfloat16_inputs():
    x = 30 + 0.1 * jax.random.normal(jax.random.key(0), (64, 2, 2, 3))
    out = apply_in_training(("minibatch_std",), x.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    rounded = x.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_allclose(out[..., 3].astype(jnp.float32), rounded.std(0).mean(), rtol=0.02)


def test_minibatch_std_of_identical_images_has_a_finite_gradient():
    gradient = jax.grad(lambda x: apply_in_training(("minibatch_std",), x).sum())(jnp.ones((4, 2, 2, 1)))
    assert np.isfinite(gradient).all()


def test_shift_pads_with_zeros_and_cutout_zeroes_a_square_of_its_share():
    x = jnp.full((60, 8, 8, 3), 0.5)
    assert set(np.unique(apply_in_training(("shift", 2), x))) == {0.0, 0.5}
    out = np.asarray(apply_in_training(("cutout", 0.5), x))
    assert set(np.unique(out)) == {0.0, 0.5}
    zeroed = (out == 0).all(-1).sum((1, 2))
    assert zeroed.max() == 4 * 4
    assert zeroed.min() == 2 * 2  # around a corner


@pytest.mark.parametrize("layer", [("shift", 2), ("cutout", 0.5)])
def test_augmentation_differs_by_image_and_key_and_is_off_after_training(layer):
    x = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, 8, 8, 3)), (20, 8, 8, 3))
    out = apply_in_training(layer, x)
    assert not np.array_equal(out[0], out[1]) or not np.array_equal(out[1], out[2])
    assert not np.array_equal(out, apply_in_training(layer, x, rng=1))
    np.testing.assert_array_equal(LayerStack((layer,), None, (8, 8, 3)).apply({}, x, train=False), x)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (("dense", 8), r"must be a tuple of layers, such as .*; got 'dense'"),
        (((),), r"must be a tuple of layers"),
        ((("pol", 2),), r'of kind "pol"; choose from conv, '),
        ((("conv",),), r"has \('conv',\); the form is \('conv', 'features', 'size', 'stride', 'padding'\)"),
        ((("relu", 3),), r"has \('relu', 3\); the form is \('relu',\)"),
        ((("conv", 8.0, 3, 1, 1),), r"features must be an integer of at least 1"),
        ((("conv", 8, 3, 0, 1),), r"stride must be an integer of at least 1"),
        ((("conv", 8, 1, 2, 0),), r"stride must be at most size"),
        ((("conv_transpose", 16, 4, 2, 1, 2),), r"extra must be below stride"),
        ((("blur_conv_transpose", 8, 1, 1, 0),), r"size must be an integer of at least 2"),
        ((("shift", -1),), r"most must be an integer of at least 0"),
        ((("cutout", 1.0),), r"share must be at least 0 and below 1"),
        ((("dropout", -0.5),), r"share must be at least 0 and below 1"),
    ],
)
def test_invalid_layers_are_rejected_in_one_line(layers, message):
    with pytest.raises(ValueError, match=message) as error:
        validate_layers("critic_layers", layers)
    assert str(error.value).startswith("critic_layers ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((("dense", 8), ("shift", 2)), r'a layer "shift" needs images \[H, W, C\] as its input; got \(8,\)'),
        ((("conv", 4, 9, 1, 0),), "a window of 9 pixels is larger than its input of 6 pixels"),
        ((("pool", 7, 1),), "a window of 7 pixels"),
        ((("pool", 3, 3), ("conv_transpose", 4, 2, 2, 2)), "padding 2 turns 2 pixels into 0; choose a smaller"),
        ((("depth_to_space", 3),), "needs a multiple of 9 input channels; got 2"),
        ((("dense", 7), ("group_norm", 8)), "of 7 features normalizes each alone"),
    ],
)
def test_layers_that_do_not_fit_their_input_are_rejected(layers, message):
    with pytest.raises(ValueError, match=message):
        shape_after(layers, (1,), (6, 6, 2), jnp.zeros((2, 6, 6, 2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "layers",
    [
        (("conv", 8, 3, 1, 1),),
        (("conv", 8, 4, 2, 1), ("relu",), ("dense", 8)),
        (("conv_transpose", 8, 4, 2, 1),),
        (("blur_conv_transpose", 8, 4, 2, 1),),
        (("conv", 8, 3, 1, 1), ("average_pool", 2, 2), ("group_norm", 4), ("relu",)),
        (("conv", 8, 3, 1, 1), ("batch_norm",), ("relu",)),
    ],
)
def test_gradients_in_bfloat16_are_summed_in_float32(layers):
    """Each is a sum over 16,384 pixels; a bfloat16 sum stops growing after a few hundred."""
    x = jax.random.uniform(jax.random.key(0), (64, 16, 16, 3))
    network = LayerStack(layers, None, (16, 16, 3))
    variables = network.init(jax.random.key(1), x, train=True)

    def loss(params, network):
        out, _ = network.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return jnp.mean(out + jnp.square(out))

    gradients, expected = (jax.grad(loss)(variables["params"], net) for net in (Bfloat16Network(network), network))
    jax.tree.map(lambda a, b: np.testing.assert_array_less(relative_distance(a, b), 0.1), gradients, expected)


def relative_distance(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)
