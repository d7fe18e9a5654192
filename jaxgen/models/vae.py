"""Variational autoencoders (Kingma & Welling 2014): beta-weighted, with free bits, conditional, importance-weighted."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxgen.config import checks
from jaxgen.config.automatic import resolve_auto
from jaxgen.config.errors import report_error
from jaxgen.kernels import random
from jaxgen.losses import reconstruction
from jaxgen.losses.importance_weighting import doubly_reparameterize
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_encoder_decoder
from jaxgen.models.posterior import DiagonalGaussian, diagonal_gaussian_from_output
from jaxgen.models.priors import Gaussian, Prior
from jaxgen.networks import LearnedImage, LearnedLogScale
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats

LIKELIHOODS = ("bernoulli", "gaussian")
INPUT_GAIN = 4.0  # scales (image - learned mean) to a std of about 1, and so the first codes
LATENT_FIGURES = ("reconstructions", "interpolation", "interpolation_spherical", "traversal")
CONFIG_FIELDS = ("update_order", "likelihood", "beta", "free_bits", "num_importance_samples", "input_noise_std")


class VAEForward(NamedTuple):
    """The encoder's forward pass in training."""

    posterior: DiagonalGaussian  # q(z | x)
    code: Float[Array, "B Z"]  # one sample of it per image


@dataclasses.dataclass(frozen=True)
class VAE(LatentVariableModel):
    """Variational autoencoder; `ConditionalVAE` also conditions encoder and decoder on the label.

    The player elbo trains encoder and decoder to maximize a lower bound on log p(x): the evidence lower bound, or the
    importance-weighted bound if `num_importance_samples` > 1. With a learning rate `kl` the KL term becomes a player
    of its own, with its own optimizer state, that trains the encoder; both players share the encoder's forward pass.

    With `subtract_learned_mean` in the config a third network, "learned_mean", is an image. It is subtracted from the
    encoder's input and added to the decoder's output, so that codes describe only differences between images.

    Attributes:
      likelihood: p(x | z): "bernoulli", with the decoder's output as logits, or "gaussian", with the output as mean.
      decoder_std: standard deviation of the Gaussian likelihood, pixels in [0, 1]; None if it is learned.
      beta: weight of the KL term (beta-VAE, Higgins et al. 2017); 1 is the ELBO.
      free_bits: KL in nats, mean over the batch, that each dimension has for free (Kingma et al. 2016, eq. 15).
      num_importance_samples: codes sampled per image in training.
      input_noise_std: standard deviation of the Gaussian noise on the encoder's input, in training only.
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
    def from_config(cls, config: Any, info: DatasetSpec) -> "VAE":
        """Builds the networks and optimizers that a config describes."""
        config = resolve_auto(config)
        validate_config(config)
        if cls.is_conditional:
            checks.require_multiple_classes(info)
        prior = Gaussian(config.latent_size)
        networks = dict(build_encoder_decoder(config, info.image_shape, (2, prior.size)))
        if config.subtract_learned_mean:
            networks["learned_mean"] = LearnedImage(info.image_shape)
        learned_std = config.likelihood == "gaussian" and config.learned_std
        if learned_std:
            networks["pixel_log_std"] = LearnedLogScale(config.decoder_std)
        optimizers = {
            name: optax.adam(learning_rate_schedule(rate, config.steps, config.lr_schedule))
            for name, rate in config.learning_rates.items()
            if rate or name != "kl"
        }
        options = {name: config[name] for name in CONFIG_FIELDS}
        decoder_std = None if learned_std else config.decoder_std
        return cls(info, prior, networks, optimizers, decoder_std=decoder_std, **options)

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Names of the evaluators."""
        return (
            *("reconstruction", "likelihood", "image_quality", "prior_mmd"),
            *("sample_quality", "reconstruction_quality"),
        )

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures."""
        first = ("latent_manifold",) if self.latent_size == 2 else ()
        return (*first, *LATENT_FIGURES, "samples_25", "samples_100", "codes_vs_prior")

    @property
    def evaluation_notes(self) -> dict[str, str]:
        """The likelihood that the reported bounds refer to."""
        if self.likelihood == "bernoulli":
            return {"likelihood": "bernoulli"}
        return {"likelihood": f"gaussian, std {self.decoder_std or 'learned'}"}

    @property
    def players(self) -> tuple[Player, ...]:
        """The player elbo and, with a learning rate of its own, the player kl."""
        networks = ("encoder", *(name for name in self.networks if name != "encoder"))
        if "kl" not in self.optimizers:
            return (Player("elbo", networks, self.optimizers["elbo"], self.elbo_loss),)
        forward = self.shared_forward
        return (
            Player("elbo", networks, self.optimizers["elbo"], self.distortion_loss, forward),
            Player("kl", ("encoder",), self.optimizers["kl"], self.kl_loss, forward),
        )

    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns one example of each network's inputs."""
        image, code, label = self.example_image(), jnp.zeros((1, self.latent_size)), jnp.zeros(1, jnp.int32)
        learned = {name: () for name in ("learned_mean", "pixel_log_std") if name in self.networks}
        return learned | {"encoder": (image, *self.label_inputs(label)), "decoder": (code, *self.label_inputs(label))}

    # Losses, in nats per image.

    def shared_forward(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> tuple[VAEForward, Array]:
        """Encodes the batch with input noise and dropout, and samples one code per image.

        Returns:
          The encoder's outputs; the key of the decoder's dropout.
        """
        posterior = self.posterior(params, stats, self.add_input_noise(batch.image, rng), batch.label, rng)
        return VAEForward(posterior, posterior.sample(random.fold_in(rng, 2))), random.fold_in(rng, 3)

    def elbo_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array) -> LossOutput:
        """Returns -log p(x | z) + beta KL(q(z | x) || p(z)).

        Minus the ELBO for beta 1 (Kingma & Welling 2014, eq. 3); beta-VAE: Higgins et al. 2017, eq. 4.
        """
        if self.num_importance_samples > 1:
            return self.iwae_loss(params, stats, batch, rng)
        forward = self.shared_forward(params, stats, batch, rng)
        distortion, (metrics, _) = self.distortion_loss(params, stats, batch, forward)
        kl, (kl_metrics, _) = self.kl_loss(params, stats, batch, forward)
        negative_elbo = distortion + kl_metrics["kl"]
        return distortion + kl, ({"negative_elbo": negative_elbo, **metrics, **kl_metrics}, {})

    def distortion_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: tuple[VAEForward, Array]
    ) -> LossOutput:
        """Returns -log p(x | z), the first term of the ELBO (Kingma & Welling 2014, eq. 3)."""
        (_, code), decoder_rng = forward
        output = self.decoder_output(params, stats, code, batch.label, decoder_rng)
        distortion = self.pixel_nll(params, stats, output, batch.image).mean()
        return distortion, ({"distortion": distortion}, {})

    def kl_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: tuple[VAEForward, Array]
    ) -> LossOutput:
        """Returns beta KL(q(z | x) || p(z)), the second term of the ELBO (Kingma & Welling 2014, eq. 3)."""
        del params, stats, batch
        kl_per_dim = forward[0].posterior.kl_per_dim()
        return self.beta * self.kl_with_free_bits(kl_per_dim), ({"kl": kl_per_dim.sum(-1).mean()}, {})

    def iwae_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array) -> LossOutput:
        """Returns minus the importance-weighted bound (Burda et al. 2016, eq. 8), as a surrogate.

        Its encoder gradient is the doubly reparameterized estimator (Tucker et al. 2019, eq. 7). The signal-to-noise
        ratio of the plain gradient falls as the number of samples grows. The metrics hold the bound itself.
        """
        posterior = self.posterior(params, stats, self.add_input_noise(batch.image, rng), batch.label, rng)
        code = posterior.sample(random.fold_in(rng, 2), self.num_importance_samples)
        code, tap = doubly_reparameterize(code, jnp.zeros(code.shape[:2]))
        log_weight = self.log_importance_weight(
            params, stats, batch, jax.lax.stop_gradient(posterior), code, random.fold_in(rng, 3)
        )
        weight = jax.lax.stop_gradient(jax.nn.softmax(log_weight, axis=0))
        bound = (jax.nn.logsumexp(log_weight, axis=0) - jnp.log(self.num_importance_samples)).mean()
        surrogate = (weight * log_weight).sum(0).mean() + (weight * tap).sum()
        return -surrogate, ({"negative_bound": -bound, "negative_elbo": -log_weight.mean()}, {})

    def kl_with_free_bits(self, kl_per_dim: Float[Array, "B Z"]) -> Float[Array, ""]:
        """Returns the batch mean of the KL, at least `free_bits` nats per dimension (Kingma et al. 2016, eq. 15)."""
        if not self.free_bits:
            return kl_per_dim.sum(-1).mean()
        return jnp.maximum(kl_per_dim.mean(0), self.free_bits).sum()

    def log_importance_weight(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        batch: Batch,
        posterior: DiagonalGaussian,
        code: Float[Array, "S B Z"],
        rng: Array | None = None,
    ) -> Float[Array, "S B"]:
        """Returns log p(x, z) - log q(z | x) of S codes per image, in nats."""
        samples, count, _ = code.shape
        label = jnp.tile(batch.label, samples)
        output = self.decoder_output(params, stats, code.reshape(samples * count, -1), label, rng)
        output = output.reshape(samples, count, *self.info.image_shape)
        nll = jax.vmap(lambda sample: self.pixel_nll(params, stats, sample, batch.image))(output)
        log_prior = jax.vmap(self.prior.log_prob)(code)
        log_q = reconstruction.gaussian_log_prob(code, posterior.mean, posterior.log_std)
        return log_prior - log_q - nll

    # Parts of the networks. An `rng` turns dropout on.

    def label_inputs(self, label: Int[Array, " B"] | None) -> tuple[Array, ...]:
        """Returns the label inputs of encoder and decoder: a one-hot label, or nothing."""
        return (self.one_hot(label),) if self.is_conditional else ()

    def add_input_noise(self, image: Float[Array, "B H W C"], rng: Array) -> Float[Array, "B H W C"]:
        """Adds the training noise to the encoder's input."""
        if not self.input_noise_std:
            return image
        return image + self.input_noise_std * random.normal(random.fold_in(rng, 0), image.shape)

    def posterior(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"],
        rng: Array | None = None,
    ) -> DiagonalGaussian:
        """Returns q(z | x) of each image in [0, 1]."""
        rng = None if rng is None else random.fold_in(rng, 1)
        if "learned_mean" in self.networks:
            image = INPUT_GAIN * (image - self.learned_mean(params, stats))
        output = self.apply_network("encoder", params, stats, image, *self.label_inputs(label), rng=rng)
        return diagonal_gaussian_from_output(output)

    def decoder_output(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        code: Float[Array, "B Z"],
        label: Int[Array, " B"] | None,
        rng: Array | None = None,
    ) -> Float[Array, "B H W C"]:
        """Decodes codes to logits (Bernoulli) or means (Gaussian) of the pixels."""
        output = self.apply_network("decoder", params, stats, code, *self.label_inputs(label), rng=rng)
        return output + self.learned_mean(params, stats) if "learned_mean" in self.networks else output

    def learned_mean(self, params: NetworkParams, stats: NetworkStats) -> Float[Array, "H W C"]:
        """Returns the learned mean image, in [0, 1]."""
        return self.apply_network("learned_mean", params, stats)

    def pixel_nll(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        output: Float[Array, "B H W C"],
        image: Float[Array, "B H W C"],
    ) -> Float[Array, " B"]:
        """Returns -log p(x | z) of each image in nats, from the decoder's output."""
        if self.likelihood == "bernoulli":
            return reconstruction.bernoulli_nll(output, image)
        std = self.decoder_std
        if std is None:
            std = jnp.exp(self.apply_network("pixel_log_std", params, stats))
        return reconstruction.gaussian_nll(output, image, std)

    # Interface for evaluation and inference.

    def encode(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"],
        rng: Array,
    ) -> Float[Array, "B Z"]:
        """Samples q(z | x)."""
        return self.posterior(params, stats, image, label).sample(rng)

    def encode_mean(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"], label: Int[Array, " B"]
    ) -> Float[Array, "B Z"]:
        """Returns the mean of q(z | x)."""
        return self.posterior(params, stats, image, label).mean

    def decode(
        self, params: NetworkParams, stats: NetworkStats, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> Float[Array, "B H W C"]:
        """Returns the mean of p(x | z), in [0, 1]."""
        output = self.decoder_output(params, stats, code, label)
        return jax.nn.sigmoid(output) if self.likelihood == "bernoulli" else jnp.clip(output, 0, 1)

    def sample_log_importance_weights(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array, count: int
    ) -> Float[Array, "{count} B"]:
        """Returns log p(x, z) - log q(z | x), in nats, of `count` codes per image sampled from q(z | x)."""
        posterior = self.posterior(params, stats, batch.image, batch.label)
        return self.log_importance_weight(params, stats, batch, posterior, posterior.sample(rng, count))

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns `negative_elbo`, `distortion` and `kl` in nats for one sample of z, and `mse` at the mean code."""
        posterior = self.posterior(params, stats, batch.image, batch.label)
        output = self.decoder_output(params, stats, posterior.sample(rng), batch.label)
        distortion, kl = self.pixel_nll(params, stats, output, batch.image), posterior.kl_per_dim().sum(-1)
        mean = self.decode(params, stats, posterior.mean, batch.label)
        mse = reconstruction.squared_error(mean, batch.image)
        return {"negative_elbo": distortion + kl, "distortion": distortion, "kl": kl, "mse": mse}


@dataclasses.dataclass(frozen=True)
class ConditionalVAE(VAE):
    """Variational autoencoder of p(x | y): encoder and decoder are conditioned on the label (Sohn et al. 2015)."""

    figures = ("prior_styles", "image_styles", *LATENT_FIGURES, "codes_vs_prior")
    is_conditional = True


def validate_config(config: Any) -> None:
    """Validates the config's values for this family.

    Raises:
      ValueError: with the value, the rule and a fix.
    """
    checks.require_layer_sizes(config, "hidden_sizes")
    checks.require_fraction(config, "dropout_rate")
    checks.require_nonnegative(config, "beta", "free_bits", "input_noise_std")
    checks.require_choice(config, "likelihood", LIKELIHOODS)
    if config.likelihood == "gaussian" and config.data.binarization != "none":
        report_error(
            f'likelihood="gaussian" is a density of gray values, and data.binarization="{config.data.binarization}" '
            "makes pixels black or white; try --config.data.binarization=none"
        )
    if config.subtract_learned_mean and config.likelihood != "gaussian":
        report_error(
            f'subtract_learned_mean=True needs likelihood="gaussian"; got likelihood="{config.likelihood}". '
            "Try --config.subtract_learned_mean=false"
        )
    if not config.decoder_std > 0:
        report_error(f"decoder_std={config.decoder_std} must be positive; try --config.decoder_std=0.1")
    samples = config.num_importance_samples
    if samples < 1:
        report_error(f"num_importance_samples={samples} must be at least 1; try --config.num_importance_samples=1")
    if samples > 1 and (config.beta != 1 or config.free_bits or config.learning_rates.kl):
        report_error(
            f"num_importance_samples={samples} uses the importance-weighted bound, which has no KL term: beta must be "
            f"1, free_bits and learning_rates.kl 0; got {config.beta}, {config.free_bits} and "
            f"{config.learning_rates.kl}. Try --config.num_importance_samples=1"
        )
