"""Autoencoders without a prior: plain, denoising (Vincent et al. 2008), and with codes of bits."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.data.transforms import add_gaussian_noise, mask_pixels
from jaxgen.kernels import random
from jaxgen.losses import reconstruction
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_encoder_decoder
from jaxgen.models.priors import Bernoulli, Gaussian, Prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec

PIXEL_LOSSES = ("bce", "mse")
PIXEL_RANGES = ("0_1", "-1_1")
CONFIG_FIELDS = ("update_order", "pixel_loss", "pixel_range", "input_noise_std", "mask_ratio", "latent_noise_std")


@dataclasses.dataclass(frozen=True)
class Autoencoder(LatentVariableModel):
    """Encoder and decoder that one player, reconstruction, moves down the loss of the pixels.

    Nothing draws the codes to a distribution: `prior`, N(0, I), is only what a sampler fitted afterwards is compared
    with.

    Attributes:
      pixel_loss: "bce" in nats, a pixel's mean, or "squared_error". Both are least where a pixel is its mean
        given the code; the error of a sigmoid or tanh has no slope where it is saturated: all black, for good.
      signed: the networks see and make pixels in [-1, 1], by a tanh, as tutorials do; else in [0, 1], by a sigmoid.
      noise: std of the Gaussian noise on the pixels that the encoder sees in training.
      masking: the share of pixels that are black in what it sees; with both, each image suffers one, by a fair coin.
      code_noise: std of the noise on the code in training (on the logits of one of bits).
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
    def from_config(cls, config, info: DatasetSpec) -> "Autoencoder":
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
        """What codes look like to whoever knows no better."""
        return Gaussian(size)

    @property
    def evaluators(self):
        return ("reconstruction", "image_quality", "sample_quality")

    @property
    def figures(self):
        return (*(("latent_manifold",) if self.latent_size == 2 else ()), "reconstructions", "code_scatter")

    @property
    def players(self) -> tuple[Player, ...]:
        tx = self.optimizers["reconstruction"]
        return (Player("reconstruction", ("encoder", "decoder"), tx, self.reconstruction_loss),)

    def example_inputs(self):
        return {"encoder": (self.example_image(),), "decoder": (jnp.zeros((1, self.latent_size)),)}

    def reconstruction_loss(self, params, stats, batch, rng):
        corruption_rng, code_rng, encoder_rng, decoder_rng = random.split(rng, 4)
        seen = self.corrupt(batch.image, corruption_rng)
        told = self.apply_network("encoder", params, stats, self.preprocess(seen), rng=encoder_rng)
        code = self.training_latent(told, code_rng)
        output = self.apply_network("decoder", params, stats, code, rng=decoder_rng)
        drawn, wanted = reconstruction.flatten(output), reconstruction.flatten(batch.image)
        mse = reconstruction.squared_error(self.output_to_pixels(drawn), wanted).mean()
        if self.pixel_loss == "bce":
            bce = reconstruction.bernoulli_nll(drawn, wanted).mean() / math.prod(self.info.image_shape)
            return bce, ({"bce": bce, "mse": mse}, stats)
        loss = (
            4 * mse if self.pixel_range == "-1_1" else mse
        )  # of pixels in [-1, 1]: weight decay is weighed against it
        return loss, ({"mse": mse}, stats)

    def corrupt(self, image: Float[Array, "B H W C"], rng) -> Float[Array, "B H W C"]:
        """What the encoder sees of images in training."""
        if not (self.input_noise_std or self.mask_ratio):
            return image
        noise_rng, mask_rng, coin_rng = random.split(rng, 3)
        noisy, masked = (
            add_gaussian_noise(image, noise_rng, self.input_noise_std),
            mask_pixels(image, mask_rng, self.mask_ratio),
        )
        if not (self.input_noise_std and self.mask_ratio):
            return noisy if self.input_noise_std else masked
        coin = random.bernoulli(coin_rng, shape=(len(image), 1, 1, 1))
        return jnp.where(coin, noisy, masked)

    def preprocess(self, image):
        """Pixels as the encoder takes them."""
        return 2 * image - 1 if self.pixel_range == "-1_1" else image

    def output_to_pixels(self, output):
        """The decoder's output as pixels in [0, 1]."""
        return (jnp.tanh(output) + 1) / 2 if self.pixel_range == "-1_1" else jax.nn.sigmoid(output)

    def training_latent(self, output: Float[Array, "B Z"], rng) -> Float[Array, "B Z"]:
        """The code that the decoder learns from."""
        return output + self.latent_noise_std * random.normal(rng, output.shape) if self.latent_noise_std else output

    def to_latent(self, output: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
        """The code that the encoder's output stands for."""
        return output

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label, rng):
        del label, rng
        return self.to_latent(self.apply_network("encoder", params, stats, self.preprocess(image)))

    def decode(self, params, stats, code, label):
        del label
        return self.output_to_pixels(self.apply_network("decoder", params, stats, code))

    def per_example_metrics(self, params, stats, batch, rng):
        code = self.encode(params, stats, batch.image, batch.label, rng)
        return {"mse": reconstruction.squared_error(self.decode(params, stats, code, batch.label), batch.image)}


@dataclasses.dataclass(frozen=True)
class DenoisingAutoencoder(Autoencoder):
    """Autoencoder that sees corrupted images and is asked for the clean ones (Vincent et al. 2008, 2010)."""

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "DenoisingAutoencoder":
        if not config.input_noise_std:
            raise ValueError(
                f"noise={config.input_noise_std} must be positive for a denoising model; try --config.input_noise_std=0.3"
            )
        return super().from_config(config, info)

    @property
    def evaluators(self):
        return ("reconstruction", "denoising")

    @property
    def figures(self):
        return ("denoised", "reconstructions")

    def per_example_metrics(self, params, stats, batch, rng):
        """`mse` of clean images, `denoised_mse` of those under noise, against the clean ones."""
        noisy = batch._replace(image=add_gaussian_noise(batch.image, rng, self.input_noise_std))
        code = self.encode(params, stats, noisy.image, batch.label, rng)
        denoised = reconstruction.squared_error(self.decode(params, stats, code, batch.label), batch.image)
        return super().per_example_metrics(params, stats, batch, rng) | {"denoised_mse": denoised}


@dataclasses.dataclass(frozen=True)
class HashAutoencoder(Autoencoder):
    """Autoencoder with codes of bits, for search and compression (Salakhutdinov & Hinton 2009, semantic hashing).

    A bit is whether its logit is positive; its gradient is that of the logit's sigmoid, passed straight through
    (Bengio et al. 2013, arXiv 1308.3432). Noise on the logits keeps them off 0, where a bit says little of the image.
    """

    has_binary_latent = True

    @classmethod
    def reference_prior(cls, size: int) -> Prior:
        return Bernoulli(size)

    @property
    def evaluators(self):
        return ("reconstruction", "image_quality", "retrieval")

    @property
    def figures(self):
        return ("reconstructions", "nearest_neighbors")

    def training_latent(self, output, rng):
        logits = super().training_latent(output, rng)
        soft = jax.nn.sigmoid(logits)
        return soft + jax.lax.stop_gradient(self.to_latent(logits) - soft)

    def to_latent(self, output):
        return (output > 0).astype(jnp.float32)


def validate_reconstruction_loss(config) -> None:
    """Raises a ValueError where the loss is unknown, or pixels in [-1, 1] are to be taken as probabilities."""
    checks.require_choice(config, "pixel_loss", PIXEL_LOSSES)
    checks.require_choice(config, "pixel_range", PIXEL_RANGES)
    if config.pixel_range == "-1_1" and config.pixel_loss != "mse":
        raise ValueError(
            f'pixel_range="-1_1" needs pixel_loss="mse"; got pixel_loss="{config.pixel_loss}". Try --config.pixel_range=0_1'
        )
