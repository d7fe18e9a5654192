"""VAE/GAN (Larsen et al. 2016, arXiv 1512.09300): an autoencoder that is told by a critic's features what is alike."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.data import transforms
from jaxgen.kernels import random
from jaxgen.losses import reconstruction, regularizers
from jaxgen.losses.adversarial import GAN_LOSSES
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_vaegan_networks
from jaxgen.models.gan import EMA, ForwardAux, mean_probability_real
from jaxgen.models.posterior import (
    DiagonalGaussian,
    LatentMoments,
    aggregate_posterior_moments,
    diagonal_gaussian_from_output,
    dip_vae_penalty,
    standardize_posterior,
)
from jaxgen.models.priors import Gaussian, Prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.networks.normalization import MOMENTUM, batch_mean
from jaxgen.optimization.optimizers import learning_rate_schedule, make_optimizer, skip_zero_gradients
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec

CONFIG_FIELDS = (
    *("update_order", "gan_loss", "beta", "gamma", "feature_std", "standardize_latents", "dip_vae_weight"),
    *("equilibrium", "margin", "r1_weight", "ema_decay"),
)
LATENT_MOMENTS = "latent_moments"  # in the statistics: the running `Moments` of standardised codes
PLAYERS = ("encoder", "decoder", "critic")


class VAEGANForward(NamedTuple):
    """What the three players of a step look at."""

    kl: Float[Array, " B"]  # of q(z | x) from the prior, in nats
    feature_nll: Float[Array, " B"]  # -log p(features(x) | z), in nats, less its constant
    feature_mse: Float[Array, ""]  # what it comes from: features have no unit
    real_logits: Float[Array, " B"]  # logits of images
    reconstruction_logits: Float[Array, " B"]  # … of what is decoded from their codes
    sample_logits: Float[Array, " B"]  # … from the prior's
    covariance_penalty: Float[
        Array, ""
    ]  # of standardised codes: the squares of the covariances of every two dimensions


@dataclasses.dataclass(frozen=True)
class VAEGAN(LatentVariableModel):
    """Variational autoencoder whose reconstruction error is of a critic's features, with a GAN on top.

    Four networks: encoder; decoder; "features", the critic's lower layers, and "critic", the upper ones. Three players
    (algorithm 1 of the paper), each with its own optimiser:

      encoder: beta KL + dissimilarity of the features of an image and of its reconstruction.
      decoder: gamma dissimilarity + the loss of being told from images, for reconstructions and drawn images alike.
      critic, which moves features and critic: the loss of telling them apart, nothing else.

    The dissimilarity is ½ ‖features(x) - features(x̃)‖² / std², summed over the features (eq. 7): -log of a Gaussian.

    Attributes:
      beta: weight of the KL.
      gamma: weight of the dissimilarity in the decoder's loss.
      similarity_std: the Gaussian's std; 0: that of the batch's errors, its maximum-likelihood estimate (Rybkin et al.
        2021, arXiv 2006.13202, section 3.3), whatever the scale of the features.
      standardised: whether the posteriors of a batch are shifted and scaled, each dimension alike for all, so that
        its codes together have the prior's mean and variance: by running moments after training. Else the encoder moves
        all codes to where none is drawn, as the decoder is freer there to paint what resembles, and what no GAN says.
      decorrelation: weight, in the encoder's loss, of the squared covariances of every two dimensions of standardised
        codes (DIP-VAE-II: Kumar et al. 2018, arXiv 1711.00848), by their running mean with the batch's own. Of
        variances alone, all codes lie near a few lines, where few are drawn.
      equilibrium, margin: a side that is further ahead than this rests for the step: the critic if its cross-entropy of
        images or of what is decoded is below equilibrium - margin, the decoder if one is above equilibrium + margin;
        both move if both would rest. margin 0: neither ever rests. The paper does not tell of this rule; its
        authors' code has a margin.
      r1: weight of ½ ‖∇ critic‖² at images (Mescheder et al. 2018); 0: none.
      average: the share of itself that the running mean of the encoder's and decoder's parameters, which is what is
        shown and measured, keeps a step; 0: none. Of standardised codes the encoder's are its own: the running moments
        are not those of what the mean of its parameters would make.
      opponent: by how much features see differences of red and blue, and of green and both, enlarged beside those of
        brightness; see `objectives.opponent`. (): images as they are.
    """

    info: DatasetSpec
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    gan_loss: str
    beta: float
    gamma: float
    feature_std: float
    standardize_latents: bool
    dip_vae_weight: float
    equilibrium: float
    margin: float
    r1_weight: float
    ema_decay: float
    opponent_color_gains: tuple[float, ...]

    is_conditional = False
    evaluators = ("reconstruction", "image_quality", "prior_mmd", "sample_quality", "reconstruction_quality", "critic")
    validation_evaluators = ("sample_quality", "reconstruction_quality")
    figures = ("real_images", "reconstructions", "interpolation", "samples_100", "traversal")

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "VAEGAN":
        validate_config(config, info)
        networks = build_vaegan_networks(config, info.image_shape)
        rates = {
            name: learning_rate_schedule(config.learning_rates[name], config.steps, config.lr_schedule)
            for name in PLAYERS
        }
        optimizers = {
            name: make_optimizer(config.optimizer, rates[name], config.b1, config.momentum) for name in PLAYERS
        }
        if config.margin:
            optimizers = {name: skip_zero_gradients(each) for name, each in optimizers.items()}
        options = {name: config[name] for name in CONFIG_FIELDS}
        gains = tuple(config.opponent_color_gains)  # of a run's config.json it is a list
        return cls(info, Gaussian(config.latent_size), networks, optimizers, opponent_color_gains=gains, **options)

    @property
    def players(self) -> tuple[Player, ...]:
        moved = {"encoder": ("encoder",), "decoder": ("decoder",), "critic": ("features", "critic")}
        losses = {"encoder": self.encoder_loss, "decoder": self.decoder_loss, "critic": self.critic_loss}
        look = self.shared_forward
        return tuple(Player(name, moved[name], self.optimizers[name], losses[name], look) for name in PLAYERS)

    def example_inputs(self):
        image, code = self.example_image(), jnp.zeros((1, self.latent_size))
        features = self.networks["features"]
        seen = jax.eval_shape(
            lambda rng: features.apply(features.init(rng, image, train=False), image, train=False), jax.random.key(0)
        )
        return {"encoder": (image,), "decoder": (code,), "features": (image,), "critic": (jnp.zeros(seen.shape),)}

    def init(self, rng):
        state = super().init(rng)
        stats = dict(state.stats)
        if self.ema_decay:
            stats[EMA] = self.ema_networks(state.params)
        if self.standardize_latents:
            size = self.latent_size
            stats[LATENT_MOMENTS] = LatentMoments(jnp.zeros(size), jnp.ones(size), jnp.eye(size))
        return state.replace(stats=stats)

    # The losses.

    def encoder_loss(self, params, stats, batch, seen: tuple[VAEGANForward, ForwardAux]):
        """The encoder's."""
        del params, batch
        play, handed = seen
        loss = (self.beta * play.kl + play.feature_nll).mean() + self.dip_vae_weight * play.covariance_penalty
        after = {name: handed.stats[name] for name in ("encoder", LATENT_MOMENTS) if name in handed.stats}
        metrics = {"kl": play.kl.mean(), "feature_mse": play.feature_mse}
        if self.dip_vae_weight:
            metrics["covariance_penalty"] = play.covariance_penalty
        return loss, (metrics, {**stats, **after})

    def decoder_loss(self, params, stats, batch, seen: tuple[VAEGANForward, ForwardAux]):
        """The decoder's; the running mean takes in the parameters that made the images."""
        del batch
        play, handed = seen
        generator = GAN_LOSSES[self.gan_loss].generator
        fooling = (generator(play.reconstruction_logits) + generator(play.sample_logits)).mean()
        _, moves = self.update_gates(play)
        after = {**stats, "decoder": handed.stats["decoder"]}
        if self.ema_decay:
            after[EMA] = optax.incremental_update(self.ema_networks(params), stats[EMA], 1 - self.ema_decay)
        loss = moves * (self.gamma * play.feature_nll.mean() + fooling)
        return loss, ({"adversarial_loss": fooling, "update_active": moves}, after)

    def critic_loss(self, params, stats, batch, seen: tuple[VAEGANForward, ForwardAux]):
        """The critic's."""
        play, handed = seen
        told = GAN_LOSSES[self.gan_loss].critic
        loss = (
            told(play.real_logits, play.reconstruction_logits) + told(play.real_logits, play.sample_logits)
        ).mean() / 2
        moves, _ = self.update_gates(play)
        metrics = {
            "loss": loss,
            "d_real": mean_probability_real(play.real_logits),
            "d_fake": mean_probability_real(play.sample_logits),
            "update_active": moves,
        }
        if self.r1_weight:

            def score(image):
                return self.critic_features_and_logits(params, stats, image, handed.rng)[1]

            metrics["r1"] = regularizers.r1_penalty(score, self.critic_input(2 * batch.image - 1)).mean()
            loss = loss + self.r1_weight * metrics["r1"]
        after = {name: handed.stats[name] for name in ("features", "critic")}
        return moves * loss, (metrics, {**stats, **after})

    def update_gates(self, play: VAEGANForward) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """1 where the critic, and where the decoder, moves; else 0."""
        if not self.margin:
            return jnp.ones(()), jnp.ones(())
        real = batch_mean(jax.nn.softplus(-play.real_logits))
        fake = batch_mean(jax.nn.softplus(jnp.concatenate([play.reconstruction_logits, play.sample_logits])))
        low, high = self.equilibrium - self.margin, self.equilibrium + self.margin
        critic, decoder = (real >= low) & (fake >= low), (real <= high) & (fake <= high)
        neither = ~(critic | decoder)
        return jax.lax.stop_gradient(((critic | neither) * 1.0, (decoder | neither) * 1.0))

    # The networks' parts, in training: pixels in [-1, 1].

    def shared_forward(self, params, stats, batch, rng) -> tuple[VAEGANForward, ForwardAux]:
        """One pass through all networks, of images, reconstructions and drawn images."""
        noise_rng, code_rng, rng = random.split(rng, 3)
        image = 2 * batch.image - 1
        output, after = self.apply_network_train("encoder", params, stats, image, rng=random.fold_in(rng, 0))
        posterior, correlation = diagonal_gaussian_from_output(output), jnp.zeros(())
        if self.standardize_latents:
            moments = aggregate_posterior_moments(posterior)
            posterior = standardize_posterior(posterior, moments.mean, moments.second_moment)
            so_far = optax.incremental_update(moments, stats[LATENT_MOMENTS], 1 - MOMENTUM)
            correlation = dip_vae_penalty(so_far.covariance, moments.covariance)
            after = {**after, LATENT_MOMENTS: so_far}
        code = posterior.sample(noise_rng)
        codes = jnp.concatenate([code, self.prior.sample(code_rng, len(code))])
        decoded, after = self.apply_network_train("decoder", params, after, codes, rng=random.fold_in(rng, 1))
        # Each kind by itself: a critic that normalises a batch of all kinds tells them apart by what sets each off from
        # their mean, and wins. By the same draws: what moves or covers an image does so to its reconstruction.
        features, logits = [], []
        shown_rng = random.fold_in(rng, 2)
        for kind in (image, *jnp.split(jnp.tanh(decoded), 2)):
            seen, said, after = self.critic_features_and_logits(params, after, self.critic_input(kind), shown_rng)
            features.append(seen)
            logits.append(said)
        real, reconstructed, _ = features
        kl = posterior.kl_per_dim().sum(-1)
        error = jnp.square(reconstructed - real).mean()
        play = VAEGANForward(kl, self.feature_nll(reconstructed, real), error, *logits, correlation)
        return play, ForwardAux(batch, shown_rng, after)

    def feature_nll(self, features: Float[Array, "B ..."], others: Float[Array, "B ..."]) -> Float[Array, " B"]:
        squares = jnp.square(features - others).reshape(len(features), -1)
        variance = self.feature_std**2 or jax.lax.stop_gradient(batch_mean(squares)) + 1e-8
        return 0.5 * squares.sum(-1) / variance

    def critic_input(self, image: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """What features see of images in [-1, 1]."""
        return transforms.rgb_to_opponent(image, *self.opponent_color_gains) if self.opponent_color_gains else image

    def critic_features_and_logits(
        self, params, stats, image, rng
    ) -> tuple[Float[Array, "B ..."], Float[Array, " B"], dict]:
        """The critic's features of shown images, how real these seem, and the statistics after them."""
        features, after = self.apply_network_train("features", params, stats, image, rng=random.fold_in(rng, 0))
        said, after = self.apply_network_train("critic", params, after, features, rng=random.fold_in(rng, 1))
        return features, said[:, 0], after

    # What the loop, the evaluation and `jaxgen.load` use.

    def ema_networks(self, params: Mapping) -> dict:
        """The networks that a running mean is kept of."""
        return {name: params[name] for name in (("decoder",) if self.standardize_latents else ("encoder", "decoder"))}

    def ema_params(self, params, stats):
        """The parameters that are shown and measured."""
        return {**params, **stats[EMA]} if self.ema_decay else params

    def posterior(self, params, stats, image) -> DiagonalGaussian:
        """q(z | x) of each example, pixels in [0, 1]."""
        posterior = diagonal_gaussian_from_output(
            self.apply_network("encoder", self.ema_params(params, stats), stats, 2 * image - 1)
        )
        if not self.standardize_latents:
            return posterior
        return standardize_posterior(posterior, stats[LATENT_MOMENTS].mean, stats[LATENT_MOMENTS].second_moment)

    def encode(self, params, stats, image, label, rng):
        del label
        return self.posterior(params, stats, image).sample(rng)

    def encode_mean(self, params, stats, image, label):
        del label
        return self.posterior(params, stats, image).mean

    def decode(self, params, stats, code, label):
        del label
        return (jnp.tanh(self.apply_network("decoder", self.ema_params(params, stats), stats, code)) + 1) / 2

    def per_example_metrics(self, params, stats, batch, rng):
        """`mse` of what is decoded from q(z | x)'s mean; `kl` in nats; `d_real`, `d_fake` as of `GAN.evaluate`."""
        posterior = self.posterior(params, stats, batch.image)
        decoded = self.decode(params, stats, posterior.mean, batch.label)
        drawn = self.decode(params, stats, self.prior.sample(rng, len(batch.label)), batch.label)

        def said(image):
            features = self.apply_network("features", params, stats, self.critic_input(2 * image - 1))
            return jax.nn.sigmoid(self.apply_network("critic", params, stats, features)[:, 0])

        return {
            "mse": reconstruction.squared_error(decoded, batch.image),
            "kl": posterior.kl_per_dim().sum(-1),
            "d_real": said(batch.image),
            "d_fake": said(drawn),
        }


def validate_config(config, info: DatasetSpec) -> None:
    """Refuses values that no model could be built with, or that would be ignored.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.validate_gan_loss(config, GAN_LOSSES, "r1_weight")
    checks.require_nonnegative(config, "beta", "gamma", "feature_std", "dip_vae_weight")
    checks.require_nonnegative(config, "equilibrium", "margin", "r1_weight", "dense_units")
    checks.require_fraction(config, "ema_decay", "b1", "momentum")
    if config.opponent_color_gains and (
        len(config.opponent_color_gains) != 2 or not min(config.opponent_color_gains) > 0 or info.image_shape[-1] != 3
    ):
        raise ValueError(
            f"opponent={config.opponent_color_gains} must be two numbers above 0, of images of 3 channels, and here they have "
            f"{info.image_shape[-1]}; try --config.opponent_color_gains='()'"
        )
    if config.dip_vae_weight and not config.standardize_latents:
        raise ValueError(
            f"decorrelation={config.dip_vae_weight} is of standardised codes alone; try --config.standardize_latents=true"
        )
    if config.margin and config.gan_loss != "non_saturating":
        raise ValueError(
            f'margin={config.margin} compares cross-entropies, which game="{config.gan_loss}" has none of; try '
            "--config.margin=0.0"
        )
    if config.margin and config.update_order != "simultaneous":
        raise ValueError(
            f'margin={config.margin} lets a side rest by one and the same pass: it needs schedule="simultaneous", here '
            f'"{config.update_order}"; try --config.margin=0.0'
        )
