"""Autoencoders without a prior: plain, denoising (Vincent et al. 2008), and with codes of bits."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen import objectives, prng
from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm
from jaxgen.algorithms.nets import encoder_and_decoder
from jaxgen.distributions import Bits, Gaussian, Prior
from jaxgen.networks.precision import Network
from jaxgen.optimizers import decayed
from jaxgen.players import Player
from jaxgen.types import Info

PIXEL_LOSSES = ("cross_entropy", "squared_error")
OPTIONS = ("schedule", "pixel_loss", "signed", "noise", "masking", "code_noise")


@dataclasses.dataclass(frozen=True)
class Autoencoder(Algorithm):
    """Encoder and decoder that one player, reconstruction, moves down the loss of the pixels.

    Nothing draws the codes to a distribution: `prior`, N(0, I), is only what a sampler fitted afterwards is compared
    with.

    Attributes:
      pixel_loss: "cross_entropy" in nats, a pixel's mean, or "squared_error". Both are least where a pixel is its mean
        given the code; the error of a sigmoid or tanh has no slope where it is saturated: all black, for good.
      signed: the networks see and make pixels in [-1, 1], by a tanh, as tutorials do; else in [0, 1], by a sigmoid.
      noise: std of the Gaussian noise on the pixels that the encoder sees in training.
      masking: the share of pixels that are black in what it sees; with both, each image suffers one, by a fair coin.
      code_noise: std of the noise on the code in training (on the logits of one of bits).
    """

    info: Info
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str
    pixel_loss: str
    signed: bool
    noise: float
    masking: float
    code_noise: float

    decoder_needs_label = False
    has_prior = False

    @classmethod
    def from_config(cls, config, info: Info) -> "Autoencoder":
        checks.widths(config, "hidden")
        checks.shares(config, "dropout", "masking")
        checks.at_least_0(config, "noise", "code_noise", "weight_decay")
        check_loss(config)
        prior = cls.make_prior(config.latent_size)
        networks = encoder_and_decoder(config, info.image_shape, (prior.size,))
        rate = decayed(config.rates.reconstruction, config.steps, config.decay)
        # Added to the gradient, as PyTorch's Adam does: the tutorials' weight decay is an L2 penalty, not AdamW's.
        tx = optax.chain(optax.add_decayed_weights(config.weight_decay), optax.adam(rate))
        options = {name: config[name] for name in OPTIONS}
        return cls(info, prior, networks, {"reconstruction": tx}, **options)

    @classmethod
    def make_prior(cls, size: int) -> Prior:
        """What codes look like to whoever knows no better."""
        return Gaussian(size)

    @property
    def evaluations(self):
        return ("reconstruction", "image_quality", "sample_quality")

    @property
    def pictures(self):
        return (*(("walk",) if self.latent_size == 2 else ()), "reconstructions", "code_scatter")

    @property
    def players(self) -> tuple[Player, ...]:
        tx = self.optimizers["reconstruction"]
        return (Player("reconstruction", ("encoder", "decoder"), tx, self.reconstruct),)

    def example_inputs(self):
        return {"encoder": (self.example_image(),), "decoder": (jnp.zeros((1, self.latent_size)),)}

    def reconstruct(self, params, stats, batch, rng):
        corruption_rng, code_rng, encoder_rng, decoder_rng = prng.split(rng, 4)
        seen = self.corrupted(batch.image, corruption_rng)
        told = self.apply("encoder", params, stats, self.scaled(seen), rng=encoder_rng)
        code = self.training_code(told, code_rng)
        output = self.apply("decoder", params, stats, code, rng=decoder_rng)
        drawn, wanted = objectives.flat(output), objectives.flat(batch.image)
        mse = objectives.squared_error(self.pixels(drawn), wanted).mean()
        if self.pixel_loss == "cross_entropy":
            nats = objectives.bernoulli_nll(drawn, wanted).mean() / math.prod(self.info.image_shape)
            return nats, ({"nats": nats, "mse": mse}, stats)
        loss = 4 * mse if self.signed else mse  # of pixels in [-1, 1]: weight decay is weighed against it
        return loss, ({"mse": mse}, stats)

    def corrupted(self, image: Float[Array, "B H W C"], rng) -> Float[Array, "B H W C"]:
        """What the encoder sees of images in training."""
        if not (self.noise or self.masking):
            return image
        noise_rng, mask_rng, coin_rng = prng.split(rng, 3)
        noisy, masked = noised(image, noise_rng, self.noise), blackened(image, mask_rng, self.masking)
        if not (self.noise and self.masking):
            return noisy if self.noise else masked
        coin = prng.bernoulli(coin_rng, shape=(len(image), 1, 1, 1))
        return jnp.where(coin, noisy, masked)

    def scaled(self, image):
        """Pixels as the encoder takes them."""
        return 2 * image - 1 if self.signed else image

    def pixels(self, output):
        """The decoder's output as pixels in [0, 1]."""
        return (jnp.tanh(output) + 1) / 2 if self.signed else jax.nn.sigmoid(output)

    def training_code(self, output: Float[Array, "B Z"], rng) -> Float[Array, "B Z"]:
        """The code that the decoder learns from."""
        return output + self.code_noise * prng.normal(rng, output.shape) if self.code_noise else output

    def code(self, output: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
        """The code that the encoder's output stands for."""
        return output

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label, rng):
        del label, rng
        return self.code(self.apply("encoder", params, stats, self.scaled(image)))

    def decode(self, params, stats, code, label):
        del label
        return self.pixels(self.apply("decoder", params, stats, code))

    def evaluate(self, params, stats, batch, rng):
        code = self.encode(params, stats, batch.image, batch.label, rng)
        return {"mse": objectives.squared_error(self.decode(params, stats, code, batch.label), batch.image)}


@dataclasses.dataclass(frozen=True)
class DenoisingAutoencoder(Autoencoder):
    """Autoencoder that sees corrupted images and is asked for the clean ones (Vincent et al. 2008, 2010)."""

    @classmethod
    def from_config(cls, config, info: Info) -> "DenoisingAutoencoder":
        if not config.noise:
            raise ValueError(f"noise={config.noise} must be positive for a denoising model; try --config.noise=0.3")
        return super().from_config(config, info)

    @property
    def evaluations(self):
        return ("reconstruction", "denoising")

    @property
    def pictures(self):
        return ("denoised", "reconstructions")

    def evaluate(self, params, stats, batch, rng):
        """`mse` of clean images, `denoised_mse` of those under noise, against the clean ones."""
        noisy = batch._replace(image=noised(batch.image, rng, self.noise))
        code = self.encode(params, stats, noisy.image, batch.label, rng)
        denoised = objectives.squared_error(self.decode(params, stats, code, batch.label), batch.image)
        return super().evaluate(params, stats, batch, rng) | {"denoised_mse": denoised}


@dataclasses.dataclass(frozen=True)
class HashAutoencoder(Autoencoder):
    """Autoencoder with codes of bits, for search and compression (Salakhutdinov & Hinton 2009, semantic hashing).

    A bit is whether its logit is positive; its gradient is that of the logit's sigmoid, passed straight through
    (Bengio et al. 2013, arXiv 1308.3432). Noise on the logits keeps them off 0, where a bit says little of the image.
    """

    binary_code = True

    @classmethod
    def make_prior(cls, size: int) -> Prior:
        return Bits(size)

    @property
    def evaluations(self):
        return ("reconstruction", "image_quality", "retrieval")

    @property
    def pictures(self):
        return ("reconstructions", "neighbours")

    def training_code(self, output, rng):
        logits = super().training_code(output, rng)
        soft = jax.nn.sigmoid(logits)
        return soft + jax.lax.stop_gradient(self.code(logits) - soft)

    def code(self, output):
        return (output > 0).astype(jnp.float32)


def check_loss(config) -> None:
    """Raises a ValueError where the loss is unknown, or pixels in [-1, 1] are to be taken as probabilities."""
    checks.one_of(config, "pixel_loss", PIXEL_LOSSES)
    if config.signed and config.pixel_loss != "squared_error":
        raise ValueError(
            f'signed=True needs pixel_loss="squared_error", here "{config.pixel_loss}"; try --config.signed=false'
        )


def noised(image: Float[Array, "B H W C"], rng: Array, std: float) -> Float[Array, "B H W C"]:
    """Gaussian noise on the pixels, clipped to [0, 1] as a picture is."""
    return jnp.clip(image + std * prng.normal(rng, image.shape), 0, 1)


def blackened(image: Float[Array, "B H W C"], rng: Array, share: float) -> Float[Array, "B H W C"]:
    """Each pixel, all its channels, black with probability `share`."""
    return image * prng.bernoulli(rng, 1 - share, (*image.shape[:3], 1))
