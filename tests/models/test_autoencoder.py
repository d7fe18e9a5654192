"""Plain, denoising and hashing autoencoders: their losses, corruptions and codes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import B, C, H, W, tiny_batch, tiny_model

from jaxgen.data.transforms import add_gaussian_noise, mask_pixels


def started(name, tokens="smoke", **changes):
    model = tiny_model(name, tokens, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def test_the_tutorial_loss_is_the_squared_error_of_pixels_in_minus_1_to_1():
    model, state = started("deep_ae", "tutorial,smoke")
    batch = tiny_batch()
    loss, (metrics, _) = model.reconstruction_loss(state.params, state.stats, batch, jax.random.key(1))
    code = model.apply_network("encoder", state.params, state.stats, 2 * batch.image - 1)
    output = jnp.tanh(model.apply_network("decoder", state.params, state.stats, code))
    assert float(loss) == pytest.approx(float(jnp.square(output - (2 * batch.image - 1)).mean()), rel=1e-5)
    assert float(metrics["mse"]) == pytest.approx(float(loss) / 4, rel=1e-5)


def test_a_saturated_black_pixel_has_a_gradient_from_cross_entropy_and_none_from_squared_error():
    """With the squared error, two of five seeds of conv_ae on MNIST stayed all black, at an MSE of 0.114."""
    gradients = {}
    for pixel_loss in ("bce", "mse"):
        model, state = started("ae", pixel_loss=pixel_loss)
        params = jax.tree.map(jnp.zeros_like, state.params)
        params["decoder"]["Dense_2"]["bias"] -= 40.0
        gradient, _ = jax.grad(model.reconstruction_loss, has_aux=True)(
            params, state.stats, tiny_batch(), jax.random.key(1)
        )
        gradients[pixel_loss] = float(np.abs(gradient["decoder"]["Dense_2"]["bias"]).max())
    assert gradients["mse"] < 1e-12
    assert gradients["bce"] > 0.1 / (H * W * C)  # the mean gray value over the number of pixels


def test_the_cross_entropy_takes_gray_pixels_as_probabilities_and_averages_over_pixels():
    model, state = started("ae", input_noise_std=0.0)
    batch = tiny_batch()
    loss, (metrics, _) = model.reconstruction_loss(state.params, state.stats, batch, jax.random.key(1))
    code = model.apply_network("encoder", state.params, state.stats, batch.image)
    decoded = model.decode(state.params, state.stats, code, batch.label)
    x, p = np.asarray(batch.image, np.float64), np.asarray(decoded, np.float64)
    assert float(loss) == pytest.approx(-(x * np.log(p) + (1 - x) * np.log(1 - p)).mean(), rel=1e-4)
    assert float(metrics["mse"]) == pytest.approx(np.square(x - p).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_loss": "l1"}, 'pixel_loss="l1" is unknown; choose one of bce, mse'),
        ({"pixel_range": "-1_1"}, 'pixel_range="-1_1" needs pixel_loss="mse"; got pixel_loss="bce". Try'),
    ],
)
def test_invalid_losses_are_rejected(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("ae", **change)


def test_weight_decay_is_an_l2_penalty_in_the_gradient():
    """PyTorch's Adam(weight_decay=w) is Adam on the gradient plus w times the parameters."""
    model, state = started("deep_ae", weight_decay=0.3, learning_rates={"reconstruction": 1e-3})
    tx, params = model.optimizers["reconstruction"], {"w": jnp.array([2.0, -1.0])}
    gradient = {"w": jnp.array([0.1, 0.5])}
    updates, _ = tx.update(gradient, tx.init(params), params)
    penalized = jax.tree.map(lambda g, w: g + 0.3 * w, gradient, params)
    adam = optax.adam(1e-3)
    expected, _ = adam.update(penalized, adam.init(params), params)
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-3)
    del state


def test_a_hash_consists_of_bits_with_a_straight_through_gradient():
    model, state = started("hash_ae", latent_noise_std=0.0)
    code = model.encode(state.params, state.stats, tiny_batch().image, jnp.zeros(B, jnp.int32), jax.random.key(0))
    assert set(np.unique(code)) == {0.0, 1.0}
    logits = jnp.array([[0.5, -2.0]])
    assert np.array_equal(model.training_latent(logits, jax.random.key(0)), [[1.0, 0.0]])
    gradient = jax.grad(lambda x: model.training_latent(x, jax.random.key(0)).sum())(logits)
    p = jax.nn.sigmoid(logits)
    np.testing.assert_allclose(gradient, p * (1 - p), rtol=1e-6)


def test_the_reference_prior_of_hashes_samples_fair_bits():
    model, _ = started("hash_ae")
    bits = np.asarray(model.sample_prior(jax.random.key(0), 4000))
    assert set(np.unique(bits)) == {0.0, 1.0}
    np.testing.assert_allclose(bits.mean(0), 0.5, atol=0.04)


def test_noise_stays_in_the_range_of_pixels_and_masking_zeroes_all_channels():
    image = jnp.full((50, 6, 7, 3), 0.5)
    noisy = np.asarray(add_gaussian_noise(image, jax.random.key(0), 0.2))
    assert noisy.min() >= 0
    assert noisy.max() <= 1
    assert noisy.std() == pytest.approx(0.2, abs=0.01)  # 2.5 std to the limits, so hardly clipped
    masked = np.asarray(mask_pixels(image, jax.random.key(0), 0.25))
    assert set(np.unique(masked)) == {0.0, 0.5}
    assert (masked == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert ((masked == 0).all(-1) == (masked == 0).any(-1)).all()


def test_each_image_gets_noise_or_masking_if_both_are_on():
    model, _ = started("denoising_ae", input_noise_std=0.3, mask_ratio=0.5)
    image = jnp.full((200, H, W, C), 0.5)
    corrupted = np.asarray(model.corrupt(image, jax.random.key(0)))
    only_masked = np.isin(corrupted, (0.0, 0.5)).reshape(200, -1).all(1)
    assert only_masked.mean() == pytest.approx(0.5, abs=0.12)
    noise = (corrupted[~only_masked] > 0.5).mean()
    assert noise == pytest.approx(0.5, abs=0.03)


def test_a_denoising_model_reconstructs_the_clean_image():
    model, state = started("denoising_ae", input_noise_std=0.3, mask_ratio=0.0)
    batch = tiny_batch()
    _, (metrics, _) = model.reconstruction_loss(state.params, state.stats, batch, jax.random.key(1))
    corrupted = model.corrupt(batch.image, jax.random.split(jax.random.key(1), 4)[0])
    assert np.abs(corrupted - batch.image).max() > 0.1
    code = model.apply_network("encoder", state.params, state.stats, corrupted)
    decoded = jax.nn.sigmoid(model.apply_network("decoder", state.params, state.stats, code))
    assert float(metrics["mse"]) == pytest.approx(float(jnp.square(decoded - batch.image).mean()), rel=1e-5)


def test_a_denoising_model_without_noise_is_rejected():
    with pytest.raises(
        ValueError,
        match=r"input_noise_std=0.0 must be positive for a denoising model; try --config.input_noise_std=0.3",
    ):
        tiny_model("denoising_ae", input_noise_std=0.0)
