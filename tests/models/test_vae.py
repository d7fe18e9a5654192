"""Variational autoencoders: their bounds against closed forms, their gradients against definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import B, K, read_config, same, tiny_batch, tiny_model

from jaxgen import models
from jaxgen.data import load_dataset, to_float_images
from jaxgen.distributed import devices
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.models.posterior import DiagonalGaussian
from jaxgen.optimization.players import make_update
from jaxgen.training import batches, loop

GAUSSIAN = {"likelihood": "gaussian", "data": {"binarization": "none"}}


def started(tokens="smoke", **changes):
    model = tiny_model("vae", tokens, **changes)
    return model, jax.jit(model.init)(jax.random.key(0))


def test_the_elbo_is_distortion_plus_kl_and_beta_weighs_the_kl():
    model, state = started(input_noise_std=0.0, beta=3.0)
    loss, (metrics, _) = model.elbo_loss(state.params, state.stats, tiny_batch(), jax.random.key(1))
    assert float(metrics["negative_elbo"]) == pytest.approx(float(metrics["distortion"] + metrics["kl"]), rel=1e-6)
    assert float(loss) == pytest.approx(float(metrics["distortion"] + 3 * metrics["kl"]), rel=1e-6)


def test_free_bits_are_the_least_that_each_dimension_counts():
    model, _ = started(free_bits=0.5)
    kl = jnp.array([[0.1, 2.0, 0.4], [0.3, 1.0, 0.8]])  # means 0.2, 1.5, 0.6
    assert float(model.kl_with_free_bits(kl)) == pytest.approx(0.5 + 1.5 + 0.6)


def test_the_mean_log_importance_weight_is_the_elbo():
    """E_q[log p(x, z) - log q(z | x)] is the ELBO; its KL has a closed form."""
    model, state = started(latent_size=3)
    batch = tiny_batch()
    log_w = model.sample_log_importance_weights(state.params, state.stats, batch, jax.random.key(3), 4_000)
    posterior = model.posterior(state.params, state.stats, batch.image, batch.label)
    noise = jax.random.normal(jax.random.key(3), (4_000, B, 3))
    code = posterior.mean + jnp.exp(posterior.log_std) * noise
    outputs = jax.lax.map(lambda z: model.decoder_output(state.params, state.stats, z, batch.label), code)
    nll = jax.lax.map(lambda o: model.pixel_nll(state.params, state.stats, o, batch.image), outputs)
    elbo = -nll.mean(0) - posterior.kl_per_dim().sum(-1)
    error = (log_w + nll).std(0) / np.sqrt(len(code))  # both use the same samples, so log p(x | z) cancels
    assert (np.abs(log_w.mean(0) - elbo) < 5 * error).all()
    assert error.max() < 0.1


def test_the_doubly_reparameterized_gradient_has_the_mean_of_the_plain_one():
    """Both estimators are unbiased for the encoder, and equal for the decoder (Tucker et al. 2019)."""
    model, state = started(
        "weighted,smoke", num_importance_samples=4, latent_size=2, input_noise_std=0.0, hidden_sizes=(6,)
    )
    batch = tiny_batch()

    def plain(params, rng):
        posterior = model.posterior(params, state.stats, batch.image, batch.label)
        noise = jax.random.normal(jax.random.fold_in(rng, 2), (4, B, 2))
        code = posterior.mean + jnp.exp(posterior.log_std) * noise
        log_w = model.log_importance_weight(params, state.stats, batch, posterior, code)
        return -jax.nn.logsumexp(log_w, axis=0).mean()

    def doubly(params, rng):
        return model.elbo_loss(params, state.stats, batch, rng)[0]

    rngs = jax.random.split(jax.random.key(5), 2000)
    means, errors = [], []
    for loss in (plain, doubly):
        every = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(state.params, rngs)
        biases = np.asarray(every["encoder"]["Dense_1"]["bias"])
        means.append(biases.mean(0))
        errors.append(biases.std(0) / np.sqrt(len(rngs)))
        decoder = np.asarray(every["decoder"]["Dense_1"]["bias"][:5])
        means.append(decoder)
    np.testing.assert_allclose(means[1], means[3], rtol=1e-3, atol=1e-5)
    assert (np.abs(means[0] - means[2]) < 5 * np.hypot(*errors) + 1e-6).all()
    assert np.abs(means[2]).max() > 10 * errors[1].max()  # far from 0, compared with the noise


@pytest.mark.slow
def test_a_learned_pixel_std_is_trained_and_a_fixed_one_is_not_a_parameter():
    model, state = started(**GAUSSIAN, learned_std=True, decoder_std=0.2)
    after, _ = make_update(model.players)(state, tiny_batch(), jax.random.key(1))
    before, now = (float(s.params["pixel_log_std"]["log"]) for s in (state, after))
    assert before == pytest.approx(np.log(0.2), rel=1e-5)
    assert now > before  # images of noise are further than 0.2 from any reconstruction
    assert "pixel_log_std" not in started(**GAUSSIAN)[1].params


@pytest.mark.slow
def test_the_learned_mean_is_subtracted_from_the_input_and_added_to_the_output():
    model, state = started(**GAUSSIAN, subtract_learned_mean=True, linear_skip=True)
    mean_image = {"tenth": jax.random.normal(jax.random.key(2), model.info.image_shape) / 100}
    params = state.params | {"learned_mean": mean_image}
    image = (0.5 + 10 * mean_image["tenth"])[None]
    label = jnp.zeros(1, jnp.int32)
    posterior = model.posterior(params, state.stats, image, label)
    np.testing.assert_allclose(posterior.mean, 0, atol=1e-5)
    twice = [model.posterior(params, state.stats, image + step, label).mean for step in (0.1, 0.2)]
    np.testing.assert_allclose(twice[1], 2 * twice[0], rtol=1e-3, atol=1e-5)  # linear until the gate opens
    code = jax.random.normal(jax.random.key(3), (1, model.latent_size))
    np.testing.assert_allclose(model.decoder_output(params, state.stats, code, label), image, atol=1e-6)
    after, _ = make_update(model.players)(state, tiny_batch(), jax.random.key(1))
    assert not same(after.params["learned_mean"], state.params["learned_mean"])


@pytest.mark.slow
def test_codes_of_the_faces_recipe_match_the_prior_after_few_steps():
    """With codes whose means lay up to 3.8 from 0 and whose std on faces was 0.2, random faces were noise."""
    config = read_config("anime_vae", "digits")
    config.steps = 300
    dataset = load_dataset(config.data)
    model, mesh = models.build_model(config, dataset.spec), devices.data_mesh(jax.devices()[:1])
    steps = devices.compile_steps(loop.make_step(model), mesh, "jit")
    state = devices.compile_init(model.init, mesh)(jax.random.key(0))
    data = devices.replicate(dataset.train, mesh)
    index = batches.training_indices(config, dataset.train.label, 0, config.steps)
    state, _ = steps(state, data, index, devices.replicate(jax.random.key(1), mesh))
    codes = TrainedModel(model, state.params, state.stats).encode(to_float_images(dataset.validation.image))
    assert np.abs(codes.mean(axis=0)).max() < 0.5
    assert codes.std(axis=0).min() > 0.6
    assert codes.std(axis=0).max() < 1.7


def test_the_kl_player_trains_only_the_encoder():
    model, state = started("separate_kl,smoke")
    elbo, kl = model.players
    assert (elbo.networks, kl.networks) == (("encoder", "decoder"), ("encoder",))
    after, _ = make_update((kl,))(state, tiny_batch(), jax.random.key(1))
    assert same(after.params["decoder"], state.params["decoder"])
    assert not same(after.params["encoder"], state.params["encoder"])


def test_the_two_players_share_one_forward_pass_and_their_gradients_add_up_to_the_elbos():
    model, state = started("separate_kl,smoke", input_noise_std=0.0)
    batch, rng = tiny_batch(), jax.random.key(1)
    elbo, kl = model.players
    assert elbo.shared_forward is kl.shared_forward is not None

    def sum_of_losses(params):
        forward = model.shared_forward(params, state.stats, batch, rng)
        return sum(player.loss(params, state.stats, batch, forward)[0] for player in (elbo, kl))

    joint, _ = jax.grad(model.elbo_loss, has_aux=True)(state.params, state.stats, batch, rng)
    separate = jax.grad(sum_of_losses)(state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), separate, joint)


def test_the_conditional_vaes_encoder_depends_on_the_label():
    model, state = started("conditional,smoke")
    batch = tiny_batch()
    codes = [model.encode_mean(state.params, state.stats, batch.image, jnp.full(B, k)) for k in range(K)]
    assert all(np.abs(codes[0] - code).max() > 1e-4 for code in codes[1:])


def test_encode_mean_is_the_posterior_mean_and_encode_samples_around_it():
    model, state = started()
    batch = tiny_batch()
    posterior: DiagonalGaussian = model.posterior(state.params, state.stats, batch.image, batch.label)
    mean = model.encode_mean(state.params, state.stats, batch.image, batch.label)
    sample = model.encode(state.params, state.stats, batch.image, batch.label, jax.random.key(4))
    np.testing.assert_array_equal(mean, posterior.mean)
    z = (sample - mean) / np.exp(posterior.log_std)
    np.testing.assert_allclose(z, jax.random.normal(jax.random.key(4), z.shape), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"likelihood": "poisson"}, 'likelihood="poisson" is unknown; choose one of bernoulli, gaussian'),
        (
            {"subtract_learned_mean": True},
            'subtract_learned_mean=True needs likelihood="gaussian"; got likelihood="bernoulli". Try',
        ),
        ({"likelihood": "gaussian"}, 'data.binarization="dynamic" makes pixels black or white; try'),
        ({"decoder_std": 0.0}, "decoder_std=0.0 must be positive; try"),
        ({"learning_rates": {"elbo": 0.0}}, "a learning rate of 0.0 must be positive"),
        ({"num_importance_samples": 0}, "num_importance_samples=0 must be at least 1"),
        ({"num_importance_samples": 5, "beta": 2.0}, "num_importance_samples=5 uses .* beta must be 1, .* got 2.0"),
        ({"free_bits": -1.0}, "free_bits=-1.0 must be at least 0"),
        ({"encoder_layers": (("cnov", 3),)}, 'encoder_layers has a layer of kind "cnov"; choose from conv, '),
    ],
)
def test_invalid_values_are_rejected(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_model("vae", **change)


def test_the_evaluation_notes_name_the_likelihood():
    assert started()[0].evaluation_notes == {"likelihood": "bernoulli"}
    assert started(**GAUSSIAN, decoder_std=0.25)[0].evaluation_notes == {"likelihood": "gaussian, std 0.25"}
    learned = started(**GAUSSIAN, learned_std=True)[0]
    assert learned.evaluation_notes == {"likelihood": "gaussian, std learned"}
    assert isinstance(learned, models.LatentVariableModel)
