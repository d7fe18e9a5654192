"""Variational autoencoders: their bounds against closed forms, their gradients against definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import B, K, read_config, same, tiny_algorithm, tiny_batch

from jaxgen import algorithms, feeding, parallel, training
from jaxgen.algorithms.posterior import Posterior
from jaxgen.algorithms.vae import weight_again
from jaxgen.data import as_images, load_dataset
from jaxgen.model import Model
from jaxgen.players import make_update

GAUSSIAN = {"likelihood": "gaussian", "data": {"binarisation": "none"}}


def started(tokens="smoke", **changes):
    algorithm = tiny_algorithm("vae", tokens, **changes)
    return algorithm, jax.jit(algorithm.init)(jax.random.key(0))


def test_the_elbo_is_its_two_parts_and_beta_weighs_the_kl():
    algorithm, state = started(input_noise=0.0, beta=3.0)
    loss, (metrics, _) = algorithm.bound(state.params, state.stats, tiny_batch(), jax.random.key(1))
    assert float(metrics["negative_elbo"]) == pytest.approx(float(metrics["distortion"] + metrics["kl"]), rel=1e-6)
    assert float(loss) == pytest.approx(float(metrics["distortion"] + 3 * metrics["kl"]), rel=1e-6)


def test_free_bits_charge_no_dimension_less_than_them():
    algorithm, _ = started(free_bits=0.5)
    kl = jnp.array([[0.1, 2.0, 0.4], [0.3, 1.0, 0.8]])  # means .2, 1.5, .6
    assert float(algorithm.counted(kl)) == pytest.approx(0.5 + 1.5 + 0.6)


def test_a_weight_of_one_draw_averages_to_the_elbo():
    """E_q[log p(x, z) - log q(z | x)] is the ELBO, whose KL is known in closed form."""
    algorithm, state = started(latent_size=3)
    batch = tiny_batch()
    log_w = algorithm.log_weights(state.params, state.stats, batch, jax.random.key(3), 4_000)
    posterior = algorithm.posterior(state.params, state.stats, batch.image, batch.label)
    noise = jax.random.normal(jax.random.key(3), (4_000, B, 3))
    code = posterior.mean + jnp.exp(posterior.log_std) * noise
    outputs = jax.lax.map(lambda z: algorithm.output(state.params, state.stats, z, batch.label), code)
    nll = jax.lax.map(lambda o: algorithm.pixel_nll(state.params, state.stats, o, batch.image), outputs)
    elbo = -nll.mean(0) - posterior.kl_by_dimension().sum(-1)
    error = (log_w + nll).std(0) / np.sqrt(len(code))  # the same draws: log p(x | z) cancels
    assert (np.abs(log_w.mean(0) - elbo) < 5 * error).all()
    assert error.max() < 0.1


def test_weights_tap_multiplies_the_gradient_by_the_draws_share_whatever_the_losss_scale():
    code, weight = jnp.arange(12.0).reshape(3, 2, 2), jnp.array([[0.2, 0.5], [0.3, 0.1], [0.5, 0.4]])

    def loss(code, scale):
        code, tap = weight_again(code, jnp.zeros((3, 2)))
        return scale * ((weight * jnp.square(code).sum(-1)).sum() + (weight * tap).sum())

    for scale in (1.0, -0.25):
        gradient = jax.grad(loss)(code, scale)
        np.testing.assert_allclose(gradient, scale * 2 * code * jnp.square(weight)[..., None], rtol=1e-6)


def test_the_doubly_reparameterised_gradient_is_that_of_the_bound_on_average():
    """Both estimators are unbiased for the encoder, and the decoder's is the same in each draw (Tucker et al. 2019)."""
    algorithm, state = started("weighted,smoke", draws=4, latent_size=2, input_noise=0.0, hidden=(6,))
    batch = tiny_batch()

    def plain(params, rng):
        posterior = algorithm.posterior(params, state.stats, batch.image, batch.label)
        noise = jax.random.normal(jax.random.fold_in(rng, 2), (4, B, 2))
        code = posterior.mean + jnp.exp(posterior.log_std) * noise
        log_w = algorithm.log_weight(params, state.stats, batch, posterior, code)
        return -jax.nn.logsumexp(log_w, axis=0).mean()

    def doubly(params, rng):
        return algorithm.bound(params, state.stats, batch, rng)[0]

    rngs = jax.random.split(jax.random.key(5), 2000)
    means, spreads = [], []
    for loss in (plain, doubly):
        every = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(state.params, rngs)
        biases = np.asarray(every["encoder"]["Dense_1"]["bias"])
        means.append(biases.mean(0))
        spreads.append(biases.std(0) / np.sqrt(len(rngs)))
        decoder = np.asarray(every["decoder"]["Dense_1"]["bias"][:5])
        means.append(decoder)
    np.testing.assert_allclose(means[1], means[3], rtol=1e-3, atol=1e-5)
    assert (np.abs(means[0] - means[2]) < 5 * np.hypot(*spreads) + 1e-6).all()
    assert np.abs(means[2]).max() > 10 * spreads[1].max()  # a gradient, not noise around 0


def test_the_learnt_pixel_std_is_moved_and_the_fixed_one_is_no_parameter():
    algorithm, state = started(**GAUSSIAN, learned_std=True, pixel_std=0.2)
    after, _ = make_update(algorithm.players)(state, tiny_batch(), jax.random.key(1))
    before, now = (float(s.params["pixel_log_std"]["log"]) for s in (state, after))
    assert before == pytest.approx(np.log(0.2), rel=1e-5)
    assert now > before  # noise images are further than .2 from any reconstruction
    assert "pixel_log_std" not in started(**GAUSSIAN)[1].params


def test_a_centred_vae_codes_the_distance_from_its_centre_and_an_untrained_one_draws_the_centre():
    algorithm, state = started(**GAUSSIAN, centred=True, shortcut=True)
    centre = {"tenth": jax.random.normal(jax.random.key(2), algorithm.info.image_shape) / 100}
    params = state.params | {"centre": centre}
    image = (0.5 + 10 * centre["tenth"])[None]
    label = jnp.zeros(1, jnp.int32)
    posterior = algorithm.posterior(params, state.stats, image, label)
    np.testing.assert_allclose(posterior.mean, 0, atol=1e-5)
    twice = [algorithm.posterior(params, state.stats, image + step, label).mean for step in (0.1, 0.2)]
    np.testing.assert_allclose(twice[1], 2 * twice[0], rtol=1e-3, atol=1e-5)  # linear, until the gate opens
    code = jax.random.normal(jax.random.key(3), (1, algorithm.latent_size))
    np.testing.assert_allclose(algorithm.output(params, state.stats, code, label), image, atol=1e-6)
    after, _ = make_update(algorithm.players)(state, tiny_batch(), jax.random.key(1))
    assert not same(after.params["centre"], state.params["centre"])


def test_codes_of_the_faces_recipe_lie_where_the_prior_does_after_few_steps():
    """Random faces were noise: the codes' means lay up to 3.8 from 0, and on faces their std was .2."""
    config = read_config("anime_vae", "digits")
    config.steps = 300
    dataset = load_dataset(config.data)
    algorithm, mesh = algorithms.build(config, dataset.info), parallel.data_mesh(jax.devices()[:1])
    steps = parallel.compile_steps(training.make_step(algorithm), mesh, "jit")
    state = parallel.compile_init(algorithm.init, mesh)(jax.random.key(0))
    data = parallel.replicate(dataset.train, mesh)
    index = feeding.training_indices(config, dataset.train.label, 0, config.steps)
    state, _ = steps(state, data, index, parallel.replicate(jax.random.key(1), mesh))
    codes = Model(algorithm, state.params, state.stats).encode(as_images(dataset.validation.image))
    assert np.abs(codes.mean(axis=0)).max() < 0.5
    assert codes.std(axis=0).min() > 0.6
    assert codes.std(axis=0).max() < 1.7


def test_the_kl_as_a_player_moves_the_encoder_alone():
    algorithm, state = started("separate_kl,smoke")
    elbo, kl = algorithm.players
    assert (elbo.networks, kl.networks) == (("encoder", "decoder"), ("encoder",))
    after, _ = make_update((kl,))(state, tiny_batch(), jax.random.key(1))
    assert same(after.params["decoder"], state.params["decoder"])
    assert not same(after.params["encoder"], state.params["encoder"])


def test_the_conditional_vaes_encoder_sees_the_label():
    algorithm, state = started("conditional,smoke")
    batch = tiny_batch()
    codes = [algorithm.mean_code(state.params, state.stats, batch.image, jnp.full(B, k)) for k in range(K)]
    assert all(np.abs(codes[0] - code).max() > 1e-4 for code in codes[1:])


def test_the_mean_code_is_the_posteriors_mean_and_encode_draws_around_it():
    algorithm, state = started()
    batch = tiny_batch()
    posterior: Posterior = algorithm.posterior(state.params, state.stats, batch.image, batch.label)
    mean = algorithm.mean_code(state.params, state.stats, batch.image, batch.label)
    drawn = algorithm.encode(state.params, state.stats, batch.image, batch.label, jax.random.key(4))
    np.testing.assert_array_equal(mean, posterior.mean)
    z = (drawn - mean) / np.exp(posterior.log_std)
    np.testing.assert_allclose(z, jax.random.normal(jax.random.key(4), z.shape), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"likelihood": "poisson"}, 'likelihood="poisson" is unknown; choose one of bernoulli, gaussian'),
        ({"centred": True}, 'centred=True needs likelihood="gaussian", here "bernoulli"; try'),
        ({"likelihood": "gaussian"}, 'data.binarisation="dynamic" makes pixels black or white; try'),
        ({"pixel_std": 0.0}, "pixel_std=0.0 must be positive; try"),
        ({"rates": {"elbo": 0.0}}, "a learning rate of 0.0 must be positive"),
        ({"draws": 0}, "draws=0 must be at least 1"),
        ({"draws": 5, "beta": 2.0}, "draws=5 bounds .* beta must be 1, here 2.0"),
        ({"free_bits": -1.0}, "free_bits=-1.0 must be at least 0"),
        ({"encoder_layers": (("cnov", 3),)}, 'encoder_layers has a layer of kind "cnov"; choose from conv, '),
    ],
)
def test_values_that_no_model_can_be_built_with_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_algorithm("vae", **change)


def test_the_protocol_names_the_likelihood():
    assert started()[0].protocol == {"likelihood": "bernoulli"}
    assert started(**GAUSSIAN, pixel_std=0.25)[0].protocol == {"likelihood": "gaussian, std 0.25"}
    learnt = started(**GAUSSIAN, learned_std=True)[0]
    assert learnt.protocol == {"likelihood": "gaussian, std learnt"}
    assert isinstance(learnt, algorithms.Algorithm)
