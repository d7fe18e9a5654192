"""Variational autoencoders (Kingma & Welling 2014): weighted, with free bits, conditional, importance-weighted."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen import objectives, prng
from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm
from jaxgen.algorithms.nets import encoder_and_decoder
from jaxgen.algorithms.posterior import Posterior, as_posterior
from jaxgen.distributions import Gaussian, Prior
from jaxgen.networks import Centre, LogScale
from jaxgen.networks.precision import Network
from jaxgen.optimizers import decayed
from jaxgen.players import Player
from jaxgen.types import Info

LIKELIHOODS = ("bernoulli", "gaussian")
CONTRAST = 4.0  # what the encoder sees times this has a std of about 1, and so have its first codes
EXPLORED = ("reconstructions_18", "interpolation", "interpolation_spherical", "traversal")  # pictures
OPTIONS = ("schedule", "likelihood", "beta", "free_bits", "draws", "input_noise")


@dataclasses.dataclass(frozen=True)
class VAE(Algorithm):
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

    A `centred` one has a third network, "centre", an image: the encoder sees an image's distance from it, the decoder's
    output is added to it, so that codes need tell no more than what differs from image to image.
    """

    info: Info
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str
    likelihood: str
    pixel_std: float | None
    beta: float
    free_bits: float
    draws: int
    input_noise: float

    decoder_needs_label = False

    @classmethod
    def from_config(cls, config, info: Info) -> "VAE":
        check(config)
        prior = Gaussian(config.latent_size)
        networks = dict(encoder_and_decoder(config, info.image_shape, (2, prior.size)))
        if config.centred:
            networks["centre"] = Centre(info.image_shape)
        learnt = config.likelihood == "gaussian" and config.learned_std
        if learnt:
            networks["pixel_log_std"] = LogScale(config.pixel_std)
        optimizers = {
            name: optax.adam(decayed(rate, config.steps, config.decay))
            for name, rate in config.rates.items()
            if rate or name != "kl"
        }
        options = {name: config[name] for name in OPTIONS}
        return cls(info, prior, networks, optimizers, pixel_std=None if learnt else config.pixel_std, **options)

    @property
    def evaluations(self):
        return (
            *("reconstruction", "likelihood", "image_quality", "prior_gap"),
            *("sample_quality", "reconstruction_quality"),
        )

    @property
    def pictures(self):
        first = ("walk",) if self.latent_size == 2 else ()
        return (*first, *EXPLORED, "random_25", "random_100", "codes")

    @property
    def protocol(self) -> dict[str, str]:
        """What a likelihood of this model rests on, beside the data."""
        if self.likelihood == "bernoulli":
            return {"likelihood": "bernoulli"}
        return {"likelihood": f"gaussian, std {self.pixel_std or 'learnt'}"}

    @property
    def players(self) -> tuple[Player, ...]:
        drawn_by = tuple(name for name in self.networks if name != "encoder")
        if "kl" not in self.optimizers:
            return (Player("elbo", ("encoder", *drawn_by), self.optimizers["elbo"], self.bound),)
        return (
            Player("elbo", ("encoder", *drawn_by), self.optimizers["elbo"], self.distort),
            Player("kl", ("encoder",), self.optimizers["kl"], self.compress),
        )

    def example_inputs(self):
        image, code, label = self.example_image(), jnp.zeros((1, self.latent_size)), jnp.zeros(1, jnp.int32)
        learnt = {name: () for name in ("centre", "pixel_log_std") if name in self.networks}
        return learnt | {"encoder": (image, *self.told(label)), "decoder": (code, *self.told(label))}

    # The losses.

    def bound(self, params, stats, batch, rng):
        if self.draws > 1:
            return self.weighted_bound(params, stats, batch, rng)
        distortion, posterior = self.distorted(params, stats, batch, rng)
        kl = posterior.kl_by_dimension()
        loss = distortion.mean() + self.beta * self.counted(kl)
        metrics = {"negative_elbo": distortion.mean() + kl.sum(-1).mean(), "distortion": distortion.mean()}
        return loss, (metrics | {"kl": kl.sum(-1).mean()}, stats)

    def distort(self, params, stats, batch, rng):
        distortion, _ = self.distorted(params, stats, batch, rng)
        return distortion.mean(), ({"distortion": distortion.mean()}, stats)

    def compress(self, params, stats, batch, rng):
        kl = self.posterior(params, stats, self.noisy(batch.image, rng), batch.label, rng).kl_by_dimension()
        return self.beta * self.counted(kl), ({"nats": kl.sum(-1).mean()}, stats)

    def weighted_bound(self, params, stats, batch, rng):
        posterior = self.posterior(params, stats, self.noisy(batch.image, rng), batch.label, rng)
        code = posterior.draw(prng.fold_in(rng, 2), self.draws)
        code, tap = weight_again(code, jnp.zeros(code.shape[:2]))
        log_weight = self.log_weight(params, stats, batch, jax.lax.stop_gradient(posterior), code, prng.fold_in(rng, 3))
        weight = jax.lax.stop_gradient(jax.nn.softmax(log_weight, axis=0))
        bound = (jax.nn.logsumexp(log_weight, axis=0) - jnp.log(self.draws)).mean()
        surrogate = (weight * log_weight).sum(0).mean() + (weight * tap).sum()
        return -surrogate, ({"negative_bound": -bound, "negative_elbo": -log_weight.mean()}, stats)

    def distorted(self, params, stats, batch, rng) -> tuple[Float[Array, " B"], Posterior]:
        """-log p(x | z) of each example for one draw of z, in nats, and q(z | x)."""
        posterior = self.posterior(params, stats, self.noisy(batch.image, rng), batch.label, rng)
        code = posterior.draw(prng.fold_in(rng, 2))
        output = self.output(params, stats, code, batch.label, prng.fold_in(rng, 3))
        return self.pixel_nll(params, stats, output, batch.image), posterior

    def counted(self, kl: Float[Array, "B Z"]) -> Float[Array, ""]:
        """The KL in nats, batch mean, less the free bits."""
        return jnp.maximum(kl.mean(0), self.free_bits).sum() if self.free_bits else kl.sum(-1).mean()

    def log_weight(self, params, stats, batch, posterior, code, rng=None) -> Float[Array, "S B"]:
        """Log p(x, z) - log q(z | x) of codes [S, B, Z], in nats."""
        draws, count, _ = code.shape
        label = jnp.tile(batch.label, draws)
        output = self.output(params, stats, code.reshape(draws * count, -1), label, rng)
        output = output.reshape(draws, count, *self.info.image_shape)
        nll = jax.vmap(lambda one: self.pixel_nll(params, stats, one, batch.image))(output)
        prior = jax.vmap(self.prior.log_prob)(code)
        q = objectives.gaussian_log_density(code, posterior.mean, posterior.log_std)
        return prior - q - nll

    # The networks' parts. Where an rng comes, dropout is on.

    def told(self, label) -> tuple[Array, ...]:
        """What the networks see of the label."""
        return (self.one_hot(label),) if self.decoder_needs_label else ()

    def noisy(self, image, rng):
        if not self.input_noise:
            return image
        return image + self.input_noise * prng.normal(prng.fold_in(rng, 0), image.shape)

    def posterior(self, params, stats, image, label, rng=None) -> Posterior:
        """q(z | x) of each example."""
        rng = None if rng is None else prng.fold_in(rng, 1)
        seen = CONTRAST * (image - self.centre(params, stats)) if "centre" in self.networks else image
        output = self.apply("encoder", params, stats, seen, *self.told(label), rng=rng)
        return as_posterior(output)

    def output(self, params, stats, code, label, rng=None) -> Float[Array, "B H W C"]:
        """What the decoder says of codes [B, Z]: logits of the pixels, or their means."""
        drawn = self.apply("decoder", params, stats, code, *self.told(label), rng=rng)
        return drawn + self.centre(params, stats) if "centre" in self.networks else drawn

    def centre(self, params, stats) -> Float[Array, "H W C"]:
        return self.apply("centre", params, stats)

    def pixel_nll(self, params, stats, output, image) -> Float[Array, " B"]:
        """-log p(x | z) of each example, in nats."""
        if self.likelihood == "bernoulli":
            return objectives.bernoulli_nll(output, image)
        std = jnp.exp(self.apply("pixel_log_std", params, stats)) if self.pixel_std is None else self.pixel_std
        return objectives.gaussian_nll(output, image, std)

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label, rng):
        return self.posterior(params, stats, image, label).draw(rng)

    def mean_code(self, params, stats, image, label):
        return self.posterior(params, stats, image, label).mean

    def decode(self, params, stats, code, label):
        output = self.output(params, stats, code, label)
        return jax.nn.sigmoid(output) if self.likelihood == "bernoulli" else jnp.clip(output, 0, 1)

    def log_weights(self, params, stats, batch, rng, draws: int) -> Float[Array, "{draws} B"]:
        """Log importance weights in nats: log p(x, z) - log q(z | x) of codes drawn from q(z | x)."""
        posterior = self.posterior(params, stats, batch.image, batch.label)
        return self.log_weight(params, stats, batch, posterior, posterior.draw(rng, draws))

    def evaluate(self, params, stats, batch, rng):
        """The ELBO's two parts for one draw of z, and the `mse` of what is decoded from q(z | x)'s mean."""
        posterior = self.posterior(params, stats, batch.image, batch.label)
        output = self.output(params, stats, posterior.draw(rng), batch.label)
        distortion, kl = self.pixel_nll(params, stats, output, batch.image), posterior.kl_by_dimension().sum(-1)
        mean = self.decode(params, stats, posterior.mean, batch.label)
        mse = objectives.squared_error(mean, batch.image)
        return {"negative_elbo": distortion + kl, "distortion": distortion, "kl": kl, "mse": mse}


@dataclasses.dataclass(frozen=True)
class ConditionalVAE(VAE):
    """Variational autoencoder of p(x | y): encoder and decoder are told the label (Sohn et al. 2015)."""

    pictures = ("prior_styles", "test_styles", *EXPLORED, "codes")
    decoder_needs_label = True


@jax.custom_vjp
def weight_again(code: Float[Array, "S B Z"], tap: Float[Array, "S B"]) -> tuple[Array, Array]:
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


weight_again.defvjp(_weight_again_forward, _weight_again_backward)


def check(config) -> None:
    """Refuses values that no model could be built with, or that would be ignored.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.widths(config, "hidden")
    checks.shares(config, "dropout")
    checks.at_least_0(config, "beta", "free_bits", "input_noise")
    checks.one_of(config, "likelihood", LIKELIHOODS)
    if config.likelihood == "gaussian" and config.data.binarisation != "none":
        raise ValueError(
            f'likelihood="gaussian" is a density of greys, and data.binarisation="{config.data.binarisation}" makes '
            "pixels black or white; try --config.data.binarisation=none"
        )
    if config.centred and config.likelihood != "gaussian":
        raise ValueError(
            f'centred=True needs likelihood="gaussian", here "{config.likelihood}"; try --config.centred=false'
        )
    if not config.pixel_std > 0:
        raise ValueError(f"pixel_std={config.pixel_std} must be positive; try --config.pixel_std=0.1")
    if config.draws < 1:
        raise ValueError(f"draws={config.draws} must be at least 1; try --config.draws=1")
    if config.draws > 1 and (config.beta != 1 or config.free_bits or config.rates.kl):
        raise ValueError(
            f"draws={config.draws} bounds log p(x) by importance weights, which have no KL to weigh: beta must be 1, "
            f"here {config.beta}, free_bits and rates.kl 0, here {config.free_bits} and {config.rates.kl}; "
            "try --config.draws=1"
        )
