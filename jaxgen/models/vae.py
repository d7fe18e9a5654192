"""Variational autoencoders (Kingma & Welling 2014): weighted, with free bits, conditional, importance-weighted."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.kernels import random
from jaxgen.losses import reconstruction
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_encoder_decoder
from jaxgen.models.posterior import DiagonalGaussian, diagonal_gaussian_from_output
from jaxgen.models.priors import Gaussian, Prior
from jaxgen.networks import LearnedImage, LearnedLogScale
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec

LIKELIHOODS = ("bernoulli", "gaussian")
INPUT_GAIN = 4.0  # what the encoder sees times this has a std of about 1, and so have its first codes
LATENT_FIGURES = ("reconstructions", "interpolation", "interpolation_spherical", "traversal")  # pictures
CONFIG_FIELDS = ("update_order", "likelihood", "beta", "free_bits", "num_importance_samples", "input_noise_std")


@dataclasses.dataclass(frozen=True)
class VAE(LatentVariableModel):
    """Variational autoencoder; `ConditionalVAE` also tells encoder and decoder the label.

    One player, elbo, moves encoder and decoder up the bound on log p(x), in nats per image: the evidence lower bound,
    or with several `draws` the importance-weighted one (Burda et al. 2016, eq. 8), whose encoder then gets the doubly
    reparameterised gradient (Tucker et al. 2019, eq. 7): the plain one loses its signal as the draws grow.

    Attributes:
      likelihood: of the pixels: "bernoulli", whose mean the decoder gives as logits, or "gaussian".
      pixel_std: the Gaussian's standard deviation, pixels in [0, 1]; None: one for all pixels, learnt with the decoder.
      beta: weight of the KL (Higgins et al. 2017); 1 is the bound.
      free_bits: nats of KL, batch mean, that each dimension may cost before it is counted (Kingma et al. 2016, eq. 15).
      draws: codes drawn for each image in training.
      input_noise: std of the noise on the pixels that the encoder sees in training.

    A `centred` one has a third network, "learned_mean", an image: the encoder sees an image's distance from it, the decoder's
    output is added to it, so that codes need tell no more than what differs from image to image.
    """

    info: DatasetSpec
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    likelihood: str
    decoder_std: float | None
    beta: float
    free_bits: float
    num_importance_samples: int
    input_noise_std: float

    is_conditional = False

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "VAE":
        validate_config(config)
        prior = Gaussian(config.latent_size)
        networks = dict(build_encoder_decoder(config, info.image_shape, (2, prior.size)))
        if config.subtract_learned_mean:
            networks["learned_mean"] = LearnedImage(info.image_shape)
        learnt = config.likelihood == "gaussian" and config.learned_std
        if learnt:
            networks["pixel_log_std"] = LearnedLogScale(config.decoder_std)
        optimizers = {
            name: optax.adam(learning_rate_schedule(rate, config.steps, config.lr_schedule))
            for name, rate in config.learning_rates.items()
            if rate or name != "kl"
        }
        options = {name: config[name] for name in CONFIG_FIELDS}
        return cls(info, prior, networks, optimizers, decoder_std=None if learnt else config.decoder_std, **options)

    @property
    def evaluators(self):
        return (
            *("reconstruction", "likelihood", "image_quality", "prior_mmd"),
            *("sample_quality", "reconstruction_quality"),
        )

    @property
    def figures(self):
        first = ("latent_manifold",) if self.latent_size == 2 else ()
        return (*first, *LATENT_FIGURES, "samples_25", "samples_100", "codes_vs_prior")

    @property
    def evaluation_notes(self) -> dict[str, str]:
        """What a likelihood of this model rests on, beside the data."""
        if self.likelihood == "bernoulli":
            return {"likelihood": "bernoulli"}
        return {"likelihood": f"gaussian, std {self.decoder_std or 'learnt'}"}

    @property
    def players(self) -> tuple[Player, ...]:
        drawn_by = tuple(name for name in self.networks if name != "encoder")
        if "kl" not in self.optimizers:
            return (Player("elbo", ("encoder", *drawn_by), self.optimizers["elbo"], self.elbo_loss),)
        return (
            Player("elbo", ("encoder", *drawn_by), self.optimizers["elbo"], self.distortion_loss),
            Player("kl", ("encoder",), self.optimizers["kl"], self.kl_loss),
        )

    def example_inputs(self):
        image, code, label = self.example_image(), jnp.zeros((1, self.latent_size)), jnp.zeros(1, jnp.int32)
        learnt = {name: () for name in ("learned_mean", "pixel_log_std") if name in self.networks}
        return learnt | {"encoder": (image, *self.label_inputs(label)), "decoder": (code, *self.label_inputs(label))}

    # The losses.

    def elbo_loss(self, params, stats, batch, rng):
        if self.num_importance_samples > 1:
            return self.iwae_loss(params, stats, batch, rng)
        distortion, posterior = self.distortion_and_posterior(params, stats, batch, rng)
        kl = posterior.kl_per_dim()
        loss = distortion.mean() + self.beta * self.kl_with_free_bits(kl)
        metrics = {"negative_elbo": distortion.mean() + kl.sum(-1).mean(), "distortion": distortion.mean()}
        return loss, (metrics | {"kl": kl.sum(-1).mean()}, stats)

    def distortion_loss(self, params, stats, batch, rng):
        distortion, _ = self.distortion_and_posterior(params, stats, batch, rng)
        return distortion.mean(), ({"distortion": distortion.mean()}, stats)

    def kl_loss(self, params, stats, batch, rng):
        kl = self.posterior(params, stats, self.add_input_noise(batch.image, rng), batch.label, rng).kl_per_dim()
        return self.beta * self.kl_with_free_bits(kl), ({"kl": kl.sum(-1).mean()}, stats)

    def iwae_loss(self, params, stats, batch, rng):
        posterior = self.posterior(params, stats, self.add_input_noise(batch.image, rng), batch.label, rng)
        code = posterior.sample(random.fold_in(rng, 2), self.num_importance_samples)
        code, tap = doubly_reparameterize(code, jnp.zeros(code.shape[:2]))
        log_weight = self.log_importance_weight(
            params, stats, batch, jax.lax.stop_gradient(posterior), code, random.fold_in(rng, 3)
        )
        weight = jax.lax.stop_gradient(jax.nn.softmax(log_weight, axis=0))
        bound = (jax.nn.logsumexp(log_weight, axis=0) - jnp.log(self.num_importance_samples)).mean()
        surrogate = (weight * log_weight).sum(0).mean() + (weight * tap).sum()
        return -surrogate, ({"negative_bound": -bound, "negative_elbo": -log_weight.mean()}, stats)

    def distortion_and_posterior(self, params, stats, batch, rng) -> tuple[Float[Array, " B"], DiagonalGaussian]:
        """-log p(x | z) of each example for one draw of z, in nats, and q(z | x)."""
        posterior = self.posterior(params, stats, self.add_input_noise(batch.image, rng), batch.label, rng)
        code = posterior.sample(random.fold_in(rng, 2))
        output = self.decoder_output(params, stats, code, batch.label, random.fold_in(rng, 3))
        return self.pixel_nll(params, stats, output, batch.image), posterior

    def kl_with_free_bits(self, kl: Float[Array, "B Z"]) -> Float[Array, ""]:
        """The KL in nats, batch mean, less the free bits."""
        return jnp.maximum(kl.mean(0), self.free_bits).sum() if self.free_bits else kl.sum(-1).mean()

    def log_importance_weight(self, params, stats, batch, posterior, code, rng=None) -> Float[Array, "S B"]:
        """Log p(x, z) - log q(z | x) of codes [S, B, Z], in nats."""
        draws, count, _ = code.shape
        label = jnp.tile(batch.label, draws)
        output = self.decoder_output(params, stats, code.reshape(draws * count, -1), label, rng)
        output = output.reshape(draws, count, *self.info.image_shape)
        nll = jax.vmap(lambda one: self.pixel_nll(params, stats, one, batch.image))(output)
        prior = jax.vmap(self.prior.log_prob)(code)
        q = reconstruction.gaussian_log_prob(code, posterior.mean, posterior.log_std)
        return prior - q - nll

    # The networks' parts. Where an rng comes, dropout is on.

    def label_inputs(self, label) -> tuple[Array, ...]:
        """What the networks see of the label."""
        return (self.one_hot(label),) if self.is_conditional else ()

    def add_input_noise(self, image, rng):
        if not self.input_noise_std:
            return image
        return image + self.input_noise_std * random.normal(random.fold_in(rng, 0), image.shape)

    def posterior(self, params, stats, image, label, rng=None) -> DiagonalGaussian:
        """q(z | x) of each example."""
        rng = None if rng is None else random.fold_in(rng, 1)
        seen = INPUT_GAIN * (image - self.learned_mean(params, stats)) if "learned_mean" in self.networks else image
        output = self.apply_network("encoder", params, stats, seen, *self.label_inputs(label), rng=rng)
        return diagonal_gaussian_from_output(output)

    def decoder_output(self, params, stats, code, label, rng=None) -> Float[Array, "B H W C"]:
        """What the decoder says of codes [B, Z]: logits of the pixels, or their means."""
        drawn = self.apply_network("decoder", params, stats, code, *self.label_inputs(label), rng=rng)
        return drawn + self.learned_mean(params, stats) if "learned_mean" in self.networks else drawn

    def learned_mean(self, params, stats) -> Float[Array, "H W C"]:
        return self.apply_network("learned_mean", params, stats)

    def pixel_nll(self, params, stats, output, image) -> Float[Array, " B"]:
        """-log p(x | z) of each example, in nats."""
        if self.likelihood == "bernoulli":
            return reconstruction.bernoulli_nll(output, image)
        std = (
            jnp.exp(self.apply_network("pixel_log_std", params, stats))
            if self.decoder_std is None
            else self.decoder_std
        )
        return reconstruction.gaussian_nll(output, image, std)

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label, rng):
        return self.posterior(params, stats, image, label).sample(rng)

    def encode_mean(self, params, stats, image, label):
        return self.posterior(params, stats, image, label).mean

    def decode(self, params, stats, code, label):
        output = self.decoder_output(params, stats, code, label)
        return jax.nn.sigmoid(output) if self.likelihood == "bernoulli" else jnp.clip(output, 0, 1)

    def sample_log_importance_weights(self, params, stats, batch, rng, draws: int) -> Float[Array, "{draws} B"]:
        """Log importance weights in nats: log p(x, z) - log q(z | x) of codes drawn from q(z | x)."""
        posterior = self.posterior(params, stats, batch.image, batch.label)
        return self.log_importance_weight(params, stats, batch, posterior, posterior.sample(rng, draws))

    def per_example_metrics(self, params, stats, batch, rng):
        """The ELBO's two parts for one draw of z, and the `mse` of what is decoded from q(z | x)'s mean."""
        posterior = self.posterior(params, stats, batch.image, batch.label)
        output = self.decoder_output(params, stats, posterior.sample(rng), batch.label)
        distortion, kl = self.pixel_nll(params, stats, output, batch.image), posterior.kl_per_dim().sum(-1)
        mean = self.decode(params, stats, posterior.mean, batch.label)
        mse = reconstruction.squared_error(mean, batch.image)
        return {"negative_elbo": distortion + kl, "distortion": distortion, "kl": kl, "mse": mse}


@dataclasses.dataclass(frozen=True)
class ConditionalVAE(VAE):
    """Variational autoencoder of p(x | y): encoder and decoder are told the label (Sohn et al. 2015)."""

    figures = ("prior_styles", "image_styles", *LATENT_FIGURES, "codes_vs_prior")
    is_conditional = True


@jax.custom_vjp
def doubly_reparameterize(code: Float[Array, "S B Z"], tap: Float[Array, "S B"]) -> tuple[Array, Array]:
    """Codes and taps as they are; backwards, a code's gradient is multiplied by its tap's share of its example's.

    Where the loss holds the draws' normalised weights times their taps, which are 0, the code of weight w so passes on
    w times the gradient that reaches it: the second w of the doubly reparameterised gradient's w², without a second
    forward pass to learn the weights before. The share makes it independent of how the loss is scaled.
    """
    return code, tap


def _weight_again_forward(code, tap):
    return (code, tap), None


def _weight_again_backward(_, gradients):
    of_code, of_tap = gradients
    share = of_tap / of_tap.sum(0)
    return share[..., None] * of_code, jnp.zeros_like(of_tap)


doubly_reparameterize.defvjp(_weight_again_forward, _weight_again_backward)


def validate_config(config) -> None:
    """Refuses values that no model could be built with, or that would be ignored.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.require_layer_sizes(config, "hidden_sizes")
    checks.require_fraction(config, "dropout_rate")
    checks.require_nonnegative(config, "beta", "free_bits", "input_noise_std")
    checks.require_choice(config, "likelihood", LIKELIHOODS)
    if config.likelihood == "gaussian" and config.data.binarization != "none":
        raise ValueError(
            f'likelihood="gaussian" is a density of greys, and data.binarisation="{config.data.binarization}" makes '
            "pixels black or white; try --config.data.binarization=none"
        )
    if config.subtract_learned_mean and config.likelihood != "gaussian":
        raise ValueError(
            f'centred=True needs likelihood="gaussian", here "{config.likelihood}"; try --config.subtract_learned_mean=false'
        )
    if not config.decoder_std > 0:
        raise ValueError(f"pixel_std={config.decoder_std} must be positive; try --config.decoder_std=0.1")
    if config.num_importance_samples < 1:
        raise ValueError(
            f"draws={config.num_importance_samples} must be at least 1; try --config.num_importance_samples=1"
        )
    if config.num_importance_samples > 1 and (config.beta != 1 or config.free_bits or config.learning_rates.kl):
        raise ValueError(
            f"draws={config.num_importance_samples} bounds log p(x) by importance weights, which have no KL to weigh: beta must be 1, "
            f"here {config.beta}, free_bits and rates.kl 0, here {config.free_bits} and {config.learning_rates.kl}; "
            "try --config.num_importance_samples=1"
        )
