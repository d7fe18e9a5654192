"""VAE/GAN: which loss trains which network, skipped updates, standardized latents, the published networks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import B, read_config, same

from jaxgen import models
from jaxgen.data.transforms import rgb_to_opponent
from jaxgen.models.builders import build_vaegan_networks, num_upsamplings
from jaxgen.models.gan import EMA
from jaxgen.models.posterior import (
    DiagonalGaussian,
    aggregate_posterior_moments,
    diagonal_gaussian_from_output,
    dip_vae_penalty,
    standardize_posterior,
)
from jaxgen.models.vaegan import LATENT_MOMENTS, VAEGANForward
from jaxgen.networks.normalization import MOMENTUM
from jaxgen.optimization.players import make_update
from jaxgen.types import DATA_AXIS, Batch, DatasetSpec

INFO = DatasetSpec("tiny", (16, 24, 3), 4)  # the smallest with a pixel left after four halvings
BATCH = Batch(jax.random.uniform(jax.random.key(9), (B, 16, 24, 3)), jnp.zeros(B, jnp.int32), jnp.ones(B))
ZEROS = jnp.zeros(B)


def started(**changes):
    config = read_config("vaegan")
    config.update({"base_channels": 2, "dense_units": 8, "latent_size": 5, **changes})
    model = models.build_model(config, INFO)
    return model, jax.jit(model.init)(jax.random.key(0))


def train_step(model, state):
    update = jax.jit(make_update(model.players, model.update_order))
    return update(state, BATCH, jax.random.key(1))[0]


def with_critic(state, change):
    return state.replace(params={**state.params, "critic": jax.tree.map(change, state.params["critic"])})


def test_the_gan_loss_does_not_train_the_encoder():
    model, state = started()
    one, other = (train_step(model, each) for each in (state, with_critic(state, lambda x: 3 * x + 1)))
    assert same(one.params["encoder"], other.params["encoder"])
    assert not same(one.params["encoder"], state.params["encoder"])
    assert not same(one.params["decoder"], other.params["decoder"])


def test_the_feature_nll_does_not_train_the_critic_or_its_features():
    one, other = (
        train_step(*started(gamma=gamma, beta=beta, feature_std=std)) for gamma, beta, std in [(0, 1, 1), (1, 2, 0.1)]
    )
    assert same(
        [one.params[name] for name in ("features", "critic")], [other.params[n] for n in ("features", "critic")]
    )
    assert not same(one.params["decoder"], other.params["decoder"])
    assert not same(one.params["encoder"], other.params["encoder"])


@pytest.mark.slow
def test_the_decoder_trains_on_the_gan_loss_alone_with_gamma_0():
    model, state = started(gamma=0.0)
    assert not same(train_step(model, state).params["decoder"], state.params["decoder"])


@pytest.mark.parametrize(
    ("real", "fake", "critic", "decoder"),
    [
        (0.0, 0.0, 1, 1),  # both cross-entropies log 2 = 0.69: at equilibrium
        (2.0, -0.5, 0, 1),  # real 0.13 < 0.28, fake 0.47: the critic is far ahead
        (-0.9, -0.9, 1, 0),  # real 1.24 > 1.08, fake 0.34: the decoder is
        (5.0, 5.0, 1, 1),  # real 0.007, fake 5: both seem ahead, so both update
    ],
)
def test_a_player_that_is_far_ahead_skips_its_update(real, fake, critic, decoder):
    model, _ = started(margin=0.4)
    outputs = VAEGANForward(ZEROS, ZEROS, ZEROS[0], ZEROS + real, ZEROS + fake, ZEROS + fake, ZEROS[0])
    assert [float(gate) for gate in model.update_gates(outputs)] == [critic, decoder]


@pytest.mark.slow
def test_a_skipped_update_changes_neither_parameters_nor_optimizer_state():
    model, state = started(margin=0.4)
    state = with_critic(train_step(model, state), jnp.zeros_like)  # so that the optimizer has momentum
    state.params["critic"]["Dense_1"]["bias"] = jnp.full(1, -0.9)  # the decoder is ahead, as above
    after = train_step(model, state)
    assert same(after.params["decoder"], state.params["decoder"])
    assert same(after.opt_states["decoder"], state.opt_states["decoder"])
    assert not same(after.params["critic"], state.params["critic"])
    assert not same(after.params["encoder"], state.params["encoder"])


def test_the_feature_nll_is_half_the_squared_distance_in_stds():
    model, _ = started(feature_std=0.5)
    distance = model.feature_nll(jnp.full((B, 2, 3, 4), 2.0), jnp.zeros((B, 2, 3, 4)))
    np.testing.assert_allclose(distance, 0.5 * 24 * 2.0**2 / 0.5**2)


def test_with_the_batchs_own_std_the_scale_of_the_features_does_not_matter():
    model, _ = started(feature_std=0.0)
    features = jax.random.normal(jax.random.key(0), (B, 24))
    small, large = (model.feature_nll(scale * features, jnp.zeros((B, 24))) for scale in (0.1, 10.0))
    np.testing.assert_allclose(small, large, rtol=1e-4)
    assert float(small.mean()) == pytest.approx(24 / 2, rel=1e-4)


def test_the_published_preset_has_the_papers_sizes():
    model = models.build_model(read_config("vaegan", "faces,published"), DatasetSpec("faces", (64, 64, 3), 1))
    state = jax.eval_shape(model.init, jax.random.key(0))
    params = state.params
    assert params["encoder"]["Dense_0"]["kernel"].shape == (8 * 8 * 256, 1024)
    assert params["decoder"]["Dense_0"]["kernel"].shape == (128, 8 * 8 * 256)
    assert params["critic"]["Dense_0"]["kernel"].shape == (8 * 8 * 256, 512)
    assert params["decoder"]["Conv_0"]["kernel"].shape == (5, 5, 32, 3)
    decoded = jax.eval_shape(model.decode, params, state.stats, jnp.zeros((2, 128)), jnp.zeros(2, jnp.int32))
    assert decoded.shape == (2, 64, 64, 3)


def test_the_vae_preset_has_the_same_encoder_and_decoder():
    made = {}
    for tokens in ("faces", "faces,vae"):
        model = models.build_model(read_config("vaegan", tokens), DatasetSpec("faces", (64, 64, 3), 1))
        made[tokens] = jax.eval_shape(model.init, jax.random.key(0)).params
    for name in ("encoder", "decoder"):
        assert made["faces"][name] == made["faces,vae"][name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": float("nan")}, r"gamma=nan must be at least 0"),
        (
            {"gan_loss": "wasserstein", "r1_weight": 0.0},
            r'="wasserstein" needs a limit on the gradient .* --config.r1_weight=1.0',
        ),
        (
            {"margin": 0.4, "gan_loss": "hinge"},
            r'margin=0.4 compares cross-entropies, which gan_loss="hinge" does not have',
        ),
        ({"gamma": -1.0}, r"gamma=-1.0 must be at least 0; try"),
        (
            {"margin": 0.4, "update_order": "alternating"},
            r"margin=0.4 compares the players at one forward pass .* Try --config.margin=0.0",
        ),
        ({"optimizer": "adamw"}, r'optimizer="adamw" is unknown; choose "adam", "rmsprop" or "sgd"'),
        (
            {"standardize_latents": False, "dip_vae_weight": 1.0},
            r"dip_vae_weight=1.0 needs standardized latents; try --config.standardize_latents=true",
        ),
        (
            {"opponent_color_gains": (3.0,)},
            r"opponent_color_gains=\(3.0,\) must be two positive numbers, for images of 3 channels",
        ),
        ({"base_channels": 0}, r"base_channels=0 must be at least 1; try --config.base_channels=32"),
        ({"dense_units": -1}, r"dense_units=-1 must be at least 0; try --config.dense_units=0$"),
    ],
)
def test_invalid_values_are_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        started(**changes)


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3)])
@pytest.mark.parametrize("dense", [0, 8])
def test_the_default_features_end_at_the_critics_last_convolution(shape, dense):
    config = read_config("vaegan")
    config.update({"base_channels": 2, "dense_units": dense})
    networks = build_vaegan_networks(config, shape)
    halvings = num_upsamplings(shape[0])
    assert networks["features"].layers[-1] == ("conv", 2 * 2 ** (halvings - 1), 4, 2, 1)
    critic_kinds = [kind for kind, *_ in networks["critic"].layers]
    assert critic_kinds == ["leaky_relu", "dense", "leaky_relu"][: 3 if dense else 1]
    kinds = [kind for kind, *_ in networks["decoder"].layers]
    assert kinds.count("conv_transpose") == halvings


def test_the_faces_recipe_has_no_normalization_in_the_critic_and_keeps_latent_moments():
    model = models.build_model(read_config("vaegan", "faces"), DatasetSpec("faces", (64, 64, 3), 1))
    made = jax.eval_shape(model.init, jax.random.key(0))
    assert "batch_stats" not in made.stats["features"]
    assert set(made.stats["critic"]["batch_stats"]) == {"MinibatchStd_0"}
    assert made.stats[LATENT_MOMENTS].mean.shape == (128,)


@pytest.mark.slow
def test_an_image_and_its_reconstruction_get_the_same_augmentation():
    augmentation = (("shift", 2), ("cutout", 0.5), ("dropout", 0.5))
    layers = {"feature_layers": (*augmentation, ("conv", 2, 4, 2, 1)), "decoder_layers": (("dense", 16 * 24 * 3),)}
    model, state = started(**layers)
    dense = state.params["decoder"]["Dense_0"]
    black = {name: jnp.zeros_like(x) - 20.0 * (name == "bias") for name, x in dense.items()}
    params = {**state.params, "decoder": {"Dense_0": black}}
    batch = BATCH._replace(image=jnp.zeros_like(BATCH.image))
    outputs, aux = model.shared_forward(params, state.stats, batch, jax.random.key(0))
    assert float(outputs.feature_mse) == pytest.approx(0.0, abs=1e-10)
    rngs, image = (aux.rng, jax.random.key(5)), 2 * batch.image - 1
    features = [model.critic_features_and_logits(params, state.stats, image, rng)[0] for rng in rngs]
    assert float(jnp.abs(features[0] - features[1]).max()) > 0.01  # another key would have made a difference


@pytest.mark.slow
def test_the_critic_gets_opponent_colors():
    model, state = started(opponent_color_gains=(3.0, 6.0), r1_weight=1.0)
    opponent = rgb_to_opponent(2 * BATCH.image - 1, 3.0, 6.0)
    outputs, aux = model.shared_forward(state.params, state.stats, BATCH, jax.random.key(0))
    _, logits, _ = model.critic_features_and_logits(state.params, state.stats, opponent, aux.rng)
    np.testing.assert_allclose(outputs.real_logits, logits, rtol=1e-5, atol=1e-6)
    features = model.apply_network("features", state.params, state.stats, opponent)
    logits = model.apply_network("critic", state.params, state.stats, features)[:, 0]
    metrics = model.per_example_metrics(state.params, state.stats, BATCH, jax.random.key(0))
    np.testing.assert_allclose(metrics["d_real"], jax.nn.sigmoid(logits), rtol=1e-5)


@pytest.mark.slow
def test_standardized_latents_have_the_priors_moments_for_any_encoder():
    model, state = started(standardize_latents=True)
    bias = next(name for name in state.params["encoder"] if name.startswith("Dense") and name != "Dense_0")
    encoder = state.params["encoder"]
    shifted = encoder | {bias: encoder[bias] | {"bias": encoder[bias]["bias"].at[: model.latent_size].add(3.0)}}
    forwards = [
        model.shared_forward({**state.params, "encoder": each}, state.stats, BATCH, jax.random.key(0))[0]
        for each in (encoder, shifted)
    ]
    np.testing.assert_allclose(forwards[0].kl, forwards[1].kl, rtol=1e-3)
    logits = [outputs.reconstruction_logits for outputs in forwards]
    np.testing.assert_allclose(*logits, rtol=1e-3, atol=1e-4)
    raw = DiagonalGaussian(
        jax.random.normal(jax.random.key(1), (B, 5)) * 3 + 2, jax.random.normal(jax.random.key(2), (B, 5))
    )
    mean, square, covariance = aggregate_posterior_moments(raw)
    standardized = standardize_posterior(raw, mean, square)
    again = aggregate_posterior_moments(standardized)
    np.testing.assert_allclose(again.mean, 0, atol=1e-5)
    np.testing.assert_allclose(again.second_moment, 1, atol=1e-5)
    np.testing.assert_allclose(covariance, again.covariance, atol=1e-5)
    expected = np.cov(standardized.mean.T, bias=True)
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(covariance, expected, atol=1e-5)


def test_the_dip_vae_penalty_is_that_of_the_running_covariance_with_a_gradient_for_the_batchs():
    generator = np.random.default_rng(0)
    running, now = (jnp.asarray(each + each.T) for each in generator.normal(size=(2, 5, 5)))
    value, gradient = jax.value_and_grad(
        lambda now: dip_vae_penalty(optax.incremental_update(now, running, 1 - MOMENTUM), now)
    )(now)
    off_diagonal = np.array(MOMENTUM * running + (1 - MOMENTUM) * now)
    np.fill_diagonal(off_diagonal, 0)
    assert float(value) == pytest.approx(np.square(off_diagonal).sum(), rel=1e-5)
    np.testing.assert_allclose(gradient, 2 * off_diagonal, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_dip_vae_penalty_trains_only_the_encoder():
    # The weight 1e-30 instead of 0 gives the same program twice, which rounds alike.
    one, other = (train_step(*started(standardize_latents=True, dip_vae_weight=weight)) for weight in (1e-30, 100.0))
    moved = {name for name in one.params if not same(one.params[name], other.params[name])}
    assert moved == {"encoder"}


@pytest.mark.slow
def test_after_training_latents_are_standardized_by_running_moments():
    model, state = started(standardize_latents=True)
    moved = train_step(model, state)
    raw = diagonal_gaussian_from_output(model.apply_network("encoder", state.params, state.stats, 2 * BATCH.image - 1))
    batch_moments = aggregate_posterior_moments(raw)
    np.testing.assert_allclose(
        moved.stats[LATENT_MOMENTS].mean, (1 - MOMENTUM) * batch_moments.mean, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        moved.stats[LATENT_MOMENTS].second_moment, MOMENTUM + (1 - MOMENTUM) * batch_moments.second_moment, rtol=1e-4
    )
    stats = {**state.stats, LATENT_MOMENTS: batch_moments}
    codes = model.encode_mean(state.params, stats, BATCH.image, BATCH.label)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-4)
    assert set(state.stats[EMA]) == {"decoder"}  # the running moments would not fit an EMA of the encoder


def test_the_aggregate_moments_are_those_of_all_devices():
    raw = DiagonalGaussian(jax.random.normal(jax.random.key(1), (8, 5)), jax.random.normal(jax.random.key(2), (8, 5)))
    parts = jax.tree.map(lambda x: x.reshape(2, 4, 5), raw)
    for whole, of_parts in zip(
        aggregate_posterior_moments(raw),
        jax.vmap(aggregate_posterior_moments, axis_name=DATA_AXIS)(parts),
        strict=True,
    ):
        np.testing.assert_allclose(of_parts, jnp.stack([whole, whole]), rtol=1e-5)


@pytest.mark.slow
def test_every_player_updates_its_own_statistics():
    """The decoder player updates the EMA and the decoder's batch statistics, the critic those of the critic."""
    norm_layers = (("conv", 8, 4, 2, 1), ("batch_norm",), ("relu",))
    own = {"ema_decay": 0.5, "standardize_latents": False, "dip_vae_weight": 0.0}
    model, state = started(**own, critic_layers=norm_layers, encoder_layers=norm_layers)
    once = train_step(model, state)
    twice = train_step(model, once)
    moved = {name for name in twice.stats if not same(twice.stats[name], once.stats[name])}
    assert moved == {"encoder", "decoder", "critic", "ema"}
    expected = jax.tree.map(lambda a, b: 0.5 * a + 0.5 * b, state.params["decoder"], once.params["decoder"])
    jax.tree.map(np.testing.assert_allclose, twice.stats["ema"]["decoder"], expected)


@pytest.mark.slow
def test_a_critic_with_batch_norm_gets_each_kind_of_image_in_its_own_batch():
    """With one joint batch the critic won, and the samples of faces collapsed."""
    norm_layers = (("batch_norm",), ("leaky_relu", 0.2), ("conv", 8, 4, 2, 1), ("batch_norm",), ("leaky_relu", 0.2))
    model, state = started(critic_layers=norm_layers)
    louder = {**state.params, "decoder": jax.tree.map(lambda x: 3 * x, state.params["decoder"])}
    one, other = (
        jax.jit(model.shared_forward)(params, state.stats, BATCH, jax.random.key(1))[0]
        for params in (state.params, louder)
    )
    np.testing.assert_array_equal(one.real_logits, other.real_logits)
    assert not np.allclose(one.sample_logits, other.sample_logits)
