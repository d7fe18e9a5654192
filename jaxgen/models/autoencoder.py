"""Autoencoders without a prior: plain, denoising (Vincent et al. 2008), and with binary codes."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxgen.config import checks
from jaxgen.config.errors import report_error
from jaxgen.data.transforms import add_gaussian_noise, mask_pixels
from jaxgen.kernels import random
from jaxgen.losses import reconstruction
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_encoder_decoder
from jaxgen.models.priors import Bernoulli, Gaussian, Prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats

PIXEL_LOSSES = ("bce", "mse")
PIXEL_RANGES = ("0_1", "-1_1")
CONFIG_FIELDS = ("update_order", "pixel_loss", "pixel_range", "input_noise_std", "mask_ratio", "latent_noise_std")


@dataclasses.dataclass(frozen=True)
class Autoencoder(LatentVariableModel):
    """Encoder and decoder, trained by one player, reconstruction, to minimize a loss of the pixels.

    Training does not pull codes to a distribution. The prior is only a reference for samplers fitted afterwards.

    Attributes:
      pixel_loss: "bce", the cross-entropy in nats averaged over pixels, or "mse", the squared error. Both are minimized
        by the conditional mean of each pixel. The squared error has zero gradient through a saturated sigmoid or tanh,
        so a model can get stuck at all-black images.
      pixel_range: "0_1" with a sigmoid, or "-1_1" with a tanh, as tutorials do; of the networks' inputs and outputs.
      input_noise_std: standard deviation of the Gaussian noise on the encoder's input, in training only.
      mask_ratio: share of the encoder's input pixels set to black in training. With noise and masking, each image gets
        one of the two, by a fair coin.
      latent_noise_std: standard deviation of the noise on codes in training (on the logits of binary codes).
    """

    info: DatasetSpec
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    pixel_loss: str
    pixel_range: str
    input_noise_std: float
    mask_ratio: float
    latent_noise_std: float

    is_conditional = False
    matches_prior = False

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "Autoencoder":
        """Builds the networks and the optimizer that a config describes."""
        checks.require_layer_sizes(config, "hidden_sizes")
        checks.require_fraction(config, "dropout_rate", "mask_ratio")
        checks.require_nonnegative(config, "input_noise_std", "latent_noise_std", "weight_decay")
        validate_reconstruction_loss(config)
        prior = cls.reference_prior(config.latent_size)
        networks = build_encoder_decoder(config, info.image_shape, (prior.size,))
        rate = learning_rate_schedule(config.learning_rates.reconstruction, config.steps, config.lr_schedule)
        # Added to the gradient, as PyTorch's Adam does: the tutorials' weight decay is an L2 penalty, not AdamW's.
        tx = optax.chain(optax.add_decayed_weights(config.weight_decay), optax.adam(rate))
        options = {name: config[name] for name in CONFIG_FIELDS}
        return cls(info, prior, networks, {"reconstruction": tx}, **options)

    @classmethod
    def reference_prior(cls, size: int) -> Prior:
        """Returns the reference prior for samplers; training does not use it."""
        return Gaussian(size)

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Names of the evaluators."""
        return ("reconstruction", "image_quality", "sample_quality")

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures."""
        return (*(("latent_manifold",) if self.latent_size == 2 else ()), "reconstructions", "code_scatter")

    @property
    def players(self) -> tuple[Player, ...]:
        """The one player, reconstruction."""
        tx = self.optimizers["reconstruction"]
        return (Player("reconstruction", ("encoder", "decoder"), tx, self.reconstruction_loss),)

    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns one example of each network's inputs."""
        return {"encoder": (self.example_image(),), "decoder": (jnp.zeros((1, self.latent_size)),)}

    def reconstruction_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array) -> LossOutput:
        """Returns the loss of reconstructing clean images from corrupted ones (Vincent et al. 2008, eq. 5).

        The cross-entropy per pixel in nats, or the squared error per pixel in the networks' range of pixels.
        """
        corruption_rng, code_rng, encoder_rng, decoder_rng = random.split(rng, 4)
        corrupted = self.preprocess(self.corrupt(batch.image, corruption_rng))
        output = self.apply_network("encoder", params, stats, corrupted, rng=encoder_rng)
        code = self.training_latent(output, code_rng)
        output = self.apply_network("decoder", params, stats, code, rng=decoder_rng)
        logits, targets = reconstruction.flatten(output), reconstruction.flatten(batch.image)
        mse = reconstruction.squared_error(self.output_to_pixels(logits), targets).mean()
        if self.pixel_loss == "bce":
            bce = reconstruction.bernoulli_nll(logits, targets).mean() / math.prod(self.info.image_shape)
            return bce, ({"bce": bce, "mse": mse}, {})
        # Errors in [-1, 1] are four times those in [0, 1], which matters relative to the weight decay.
        loss = 4 * mse if self.pixel_range == "-1_1" else mse
        return loss, ({"mse": mse}, {})

    def corrupt(self, image: Float[Array, "B H W C"], rng: Array) -> Float[Array, "B H W C"]:
        """Corrupts images in [0, 1] by noise or masking, for the encoder's input in training."""
        if not (self.input_noise_std or self.mask_ratio):
            return image
        noise_rng, mask_rng, coin_rng = random.split(rng, 3)
        noisy = add_gaussian_noise(image, noise_rng, self.input_noise_std)
        masked = mask_pixels(image, mask_rng, self.mask_ratio)
        if not (self.input_noise_std and self.mask_ratio):
            return noisy if self.input_noise_std else masked
        coin = random.bernoulli(coin_rng, shape=(len(image), 1, 1, 1))
        return jnp.where(coin, noisy, masked)

    def preprocess(self, image: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Scales images in [0, 1] to the networks' range."""
        return 2 * image - 1 if self.pixel_range == "-1_1" else image

    def output_to_pixels(self, output: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
        """Maps the decoder's output to pixels in [0, 1]."""
        return (jnp.tanh(output) + 1) / 2 if self.pixel_range == "-1_1" else jax.nn.sigmoid(output)

    def training_latent(self, output: Float[Array, "B Z"], rng: Array) -> Float[Array, "B Z"]:
        """Returns the decoder's input in training, from the encoder's output."""
        return output + self.latent_noise_std * random.normal(rng, output.shape) if self.latent_noise_std else output

    def to_latent(self, output: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
        """Returns the code of an encoder output."""
        return output

    # Interface for evaluation and inference.

    def encode(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"] | None,
        rng: Array,
    ) -> Float[Array, "B Z"]:
        """Encodes images in [0, 1]; the encoder is deterministic."""
        del label, rng
        return self.to_latent(self.apply_network("encoder", params, stats, self.preprocess(image)))

    def decode(
        self, params: NetworkParams, stats: NetworkStats, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> Float[Array, "B H W C"]:
        """Decodes codes to images in [0, 1]."""
        del label
        return self.output_to_pixels(self.apply_network("decoder", params, stats, code))

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns `mse`, of pixels in [0, 1]."""
        code = self.encode(params, stats, batch.image, batch.label, rng)
        return {"mse": reconstruction.squared_error(self.decode(params, stats, code, batch.label), batch.image)}


@dataclasses.dataclass(frozen=True)
class DenoisingAutoencoder(Autoencoder):
    """Autoencoder that reconstructs clean images from corrupted ones (Vincent et al. 2008, 2010)."""

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "DenoisingAutoencoder":
        """Builds the networks and the optimizer that a config describes.

        Raises:
          ValueError: there is no noise to remove.
        """
        if not config.input_noise_std:
            report_error(
                f"input_noise_std={config.input_noise_std} must be positive for a denoising model; try "
                "--config.input_noise_std=0.3"
            )
        return super().from_config(config, info)

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Names of the evaluators."""
        return ("reconstruction", "denoising")

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures."""
        return ("denoised", "reconstructions")

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns `mse` from clean images and `denoised_mse` from noisy ones, both against the clean images."""
        noisy = batch._replace(image=add_gaussian_noise(batch.image, rng, self.input_noise_std))
        code = self.encode(params, stats, noisy.image, batch.label, rng)
        denoised = reconstruction.squared_error(self.decode(params, stats, code, batch.label), batch.image)
        return super().per_example_metrics(params, stats, batch, rng) | {"denoised_mse": denoised}


@dataclasses.dataclass(frozen=True)
class HashAutoencoder(Autoencoder):
    """Autoencoder with binary codes, for search and compression (semantic hashing, Salakhutdinov & Hinton 2009).

    A bit is 1 if its logit is positive. The straight-through estimator gives it the gradient of the logit's sigmoid
    (Bengio et al. 2013, arXiv 1308.3432). Noise on the logits keeps them away from 0, where bits are unreliable.
    """

    has_binary_latent = True

    @classmethod
    def reference_prior(cls, size: int) -> Prior:
        """Returns fair bits, the reference prior for samplers."""
        return Bernoulli(size)

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Names of the evaluators."""
        return ("reconstruction", "image_quality", "retrieval")

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures."""
        return ("reconstructions", "nearest_neighbors")

    def training_latent(self, output: Float[Array, "B Z"], rng: Array) -> Float[Array, "B Z"]:
        """Returns the bits of noisy logits, with a straight-through gradient."""
        logits = super().training_latent(output, rng)
        soft = jax.nn.sigmoid(logits)
        return soft + jax.lax.stop_gradient(self.to_latent(logits) - soft)

    def to_latent(self, output: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
        """Returns the bits of logits."""
        return (output > 0).astype(jnp.float32)


def validate_reconstruction_loss(config: Any) -> None:
    """Validates the pixel loss and the range of pixels.

    Raises:
      ValueError: one of them is unknown, or the cross-entropy is asked for with pixels in [-1, 1].
    """
    checks.require_choice(config, "pixel_loss", PIXEL_LOSSES)
    checks.require_choice(config, "pixel_range", PIXEL_RANGES)
    if config.pixel_range == "-1_1" and config.pixel_loss != "mse":
        report_error(
            f'pixel_range="-1_1" needs pixel_loss="mse"; got pixel_loss="{config.pixel_loss}". '
            "Try --config.pixel_range=0_1"
        )
