"""VAE/GAN (Larsen et al. 2016, arXiv 1512.09300): a VAE whose reconstruction error is measured on critic features."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxgen.config import checks
from jaxgen.config.errors import report_error
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
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats, Params, TrainState

CONFIG_FIELDS = (
    *("update_order", "gan_loss", "beta", "gamma", "feature_std", "standardize_latents", "dip_vae_weight"),
    *("equilibrium", "margin", "r1_weight", "ema_decay"),
)
LATENT_MOMENTS = "latent_moments"  # entry of the statistics: running `LatentMoments`, if latents are standardized
PLAYERS = ("encoder", "decoder", "critic")


class VAEGANForward(NamedTuple):
    """Differentiable outputs of the forward pass that the three players share."""

    kl: Float[Array, " B"]  # KL(q(z | x) || p(z)), in nats
    feature_nll: Float[Array, " B"]  # -log p(features(x) | z) without its constant, in nats
    feature_mse: Float[Array, ""]  # the squared error behind it; features have no unit
    real_logits: Float[Array, " B"]
    reconstruction_logits: Float[Array, " B"]
    sample_logits: Float[Array, " B"]  # of images decoded from the prior
    covariance_penalty: Float[Array, ""]  # sum of squared covariances between latent dimensions


@dataclasses.dataclass(frozen=True)
class VAEGAN(LatentVariableModel):
    """Variational autoencoder with a reconstruction error on critic features, and a GAN on top.

    Four networks: encoder, decoder, "features" (the critic's lower layers) and "critic" (the upper layers). Three
    players (Larsen et al. 2016, algorithm 1), each with its own optimizer:

      encoder: beta KL + feature_nll.
      decoder: gamma feature_nll + GAN loss of reconstructions and samples.
      critic, which trains features and critic: GAN loss of images against reconstructions and samples.

    feature_nll = ½ ‖features(x) - features(x̃)‖² / std², summed over features (eq. 7), with the reconstruction x̃.

    Attributes:
      gan_loss: a name in `adversarial.GAN_LOSSES`.
      beta: weight of the KL.
      gamma: weight of feature_nll in the decoder's loss.
      feature_std: std of feature_nll; 0 for the std of the batch's errors, its maximum-likelihood estimate (Rybkin et
        al. 2021, arXiv 2006.13202, section 3.3), which makes the scale of the features irrelevant.
      standardize_latents: whether the posteriors of a batch are shifted and scaled, dimension by dimension, so that
        all codes together have the prior's mean and variance; after training by running moments. Without it, the
        encoder moves all codes to a region that the prior never produces, where the adversarial loss does not
        constrain the decoder.
      dip_vae_weight: weight, in the encoder's loss, of the squared covariances between standardized latent dimensions
        (DIP-VAE-II, Kumar et al. 2018, arXiv 1711.00848), by the running mean with the batch's own. With variances
        alone, all codes lie near a few lines, where few samples of the prior fall.
      equilibrium: cross-entropy, in nats, at which critic and decoder are balanced.
      margin: a player that is further ahead than this skips its update: the critic if its cross-entropy of images or
        of generated images is below equilibrium - margin, the decoder if one is above equilibrium + margin; both update
        if both would skip. 0 for no skipping. The paper does not mention this rule; its authors' code has a margin.
      r1_weight: weight of the R1 penalty ½ ‖∇ critic‖² at images (Mescheder et al. 2018, section 4.1); 0 for none.
      ema_decay: decay per step of the exponential moving average of encoder and decoder, used outside training; 0 for
        none. With standardized latents the encoder has no EMA: the running moments would not fit it.
      opponent_color_gains: gains of the red-blue and green color differences, relative to brightness, in the critic's
        input; see `transforms.rgb_to_opponent`. (): images as they are.
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
    def from_config(cls, config: Any, info: DatasetSpec) -> "VAEGAN":
        """Builds the networks and optimizers that a config describes."""
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
            optimizers = {name: skip_zero_gradients(tx) for name, tx in optimizers.items()}
        options = {name: config[name] for name in CONFIG_FIELDS}
        gains = tuple(config.opponent_color_gains)  # a list in a run's config.json
        return cls(info, Gaussian(config.latent_size), networks, optimizers, opponent_color_gains=gains, **options)

    @property
    def players(self) -> tuple[Player, ...]:
        """Encoder, decoder and critic, with one shared forward pass."""
        networks = {"encoder": ("encoder",), "decoder": ("decoder",), "critic": ("features", "critic")}
        losses = {"encoder": self.encoder_loss, "decoder": self.decoder_loss, "critic": self.critic_loss}
        forward = self.shared_forward
        return tuple(Player(name, networks[name], self.optimizers[name], losses[name], forward) for name in PLAYERS)

    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns one example of each network's inputs."""
        image, code = self.example_image(), jnp.zeros((1, self.latent_size))
        network = self.networks["features"]
        features = jax.eval_shape(
            lambda rng: network.apply(network.init(rng, image, train=False), image, train=False), jax.random.key(0)
        )
        return {"encoder": (image,), "decoder": (code,), "features": (image,), "critic": (jnp.zeros(features.shape),)}

    def init(self, rng: Array) -> TrainState:
        """Returns a new state, with the EMA and the latent moments among the statistics."""
        state = super().init(rng)
        stats = dict(state.stats)
        if self.ema_decay:
            stats[EMA] = self.ema_networks(state.params)
        if self.standardize_latents:
            size = self.latent_size
            stats[LATENT_MOMENTS] = LatentMoments(jnp.zeros(size), jnp.ones(size), jnp.eye(size))
        return state.replace(stats=stats)

    # Losses.

    def encoder_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: tuple[VAEGANForward, ForwardAux]
    ) -> LossOutput:
        """Returns L_prior + L_llike of the features (Larsen et al. 2016, eqs. 4 and 7), plus the DIP-VAE penalty."""
        del params, stats, batch
        outputs, aux = forward
        loss = (self.beta * outputs.kl + outputs.feature_nll).mean() + self.dip_vae_weight * outputs.covariance_penalty
        after = {name: aux.stats[name] for name in ("encoder", LATENT_MOMENTS) if name in aux.stats}
        metrics = {"kl": outputs.kl.mean(), "feature_mse": outputs.feature_mse}
        if self.dip_vae_weight:
            metrics["covariance_penalty"] = outputs.covariance_penalty
        return loss, (metrics, after)

    def decoder_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: tuple[VAEGANForward, ForwardAux]
    ) -> LossOutput:
        """Returns gamma L_llike - L_GAN (Larsen et al. 2016, algorithm 1 and eq. 9), in its non-saturating form.

        The EMA takes in the parameters that decoded the images.
        """
        del batch
        outputs, aux = forward
        generator = GAN_LOSSES[self.gan_loss].generator
        adversarial_loss = (generator(outputs.reconstruction_logits) + generator(outputs.sample_logits)).mean()
        _, active = self.update_gates(outputs)
        after = {"decoder": aux.stats["decoder"]}
        if self.ema_decay:
            after[EMA] = optax.incremental_update(self.ema_networks(params), stats[EMA], 1 - self.ema_decay)
        loss = active * (self.gamma * outputs.feature_nll.mean() + adversarial_loss)
        return loss, ({"adversarial_loss": adversarial_loss, "update_active": active}, after)

    def critic_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: tuple[VAEGANForward, ForwardAux]
    ) -> LossOutput:
        """Returns L_GAN (Larsen et al. 2016, eq. 10) of reconstructions and samples, halved, plus the R1 penalty."""
        outputs, aux = forward
        critic = GAN_LOSSES[self.gan_loss].critic
        reconstruction_loss = critic(outputs.real_logits, outputs.reconstruction_logits)
        loss = (reconstruction_loss + critic(outputs.real_logits, outputs.sample_logits)).mean() / 2
        active, _ = self.update_gates(outputs)
        metrics = {
            "loss": loss,
            "d_real": mean_probability_real(outputs.real_logits),
            "d_fake": mean_probability_real(outputs.sample_logits),
            "update_active": active,
        }
        if self.r1_weight:

            def score(image: Array) -> Array:
                """Returns the critic's logits with the dropout and augmentation of the forward pass."""
                return self.critic_features_and_logits(params, stats, image, aux.rng)[1]

            metrics["r1"] = regularizers.r1_penalty(score, self.critic_input(2 * batch.image - 1)).mean()
            loss = loss + self.r1_weight * metrics["r1"]
        after = {name: aux.stats[name] for name in ("features", "critic")}
        return active * loss, (metrics, after)

    def update_gates(self, outputs: VAEGANForward) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Returns 1 or 0 for the critic, and for the decoder: whether each is updated in this step; see `margin`."""
        if not self.margin:
            return jnp.ones(()), jnp.ones(())
        real = batch_mean(jax.nn.softplus(-outputs.real_logits))
        fake = batch_mean(jax.nn.softplus(jnp.concatenate([outputs.reconstruction_logits, outputs.sample_logits])))
        low, high = self.equilibrium - self.margin, self.equilibrium + self.margin
        critic, decoder = (real >= low) & (fake >= low), (real <= high) & (fake <= high)
        neither = ~(critic | decoder)
        return jax.lax.stop_gradient(((critic | neither) * 1.0, (decoder | neither) * 1.0))

    # Parts of the networks in training mode, with pixels in [-1, 1].

    def shared_forward(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> tuple[VAEGANForward, ForwardAux]:
        """Runs all networks on images, their reconstructions and samples of the prior."""
        noise_rng, code_rng, rng = random.split(rng, 3)
        image = 2 * batch.image - 1
        posterior, covariance_penalty, after = self.encode_train(params, stats, image, random.fold_in(rng, 0))
        code = posterior.sample(noise_rng)
        codes = jnp.concatenate([code, self.prior.sample(code_rng, len(code))])
        decoded, after = self.apply_network_train("decoder", params, after, codes, rng=random.fold_in(rng, 1))
        # The critic gets the three kinds of images in separate batches. One that normalized a joint batch would tell
        # them apart by their distance from the joint mean, and win. They share a key, so that an image and its
        # reconstruction get the same augmentation.
        features, logits = [], []
        critic_rng = random.fold_in(rng, 2)
        for images in (image, *jnp.split(jnp.tanh(decoded), 2)):
            found = self.critic_features_and_logits(params, after, self.critic_input(images), critic_rng)
            features.append(found[0])
            logits.append(found[1])
            after = found[2]
        real, reconstructed, _ = features
        kl, nll = posterior.kl_per_dim().sum(-1), self.feature_nll(reconstructed, real)
        feature_mse = jnp.square(reconstructed - real).mean()
        outputs = VAEGANForward(kl, nll, feature_mse, *logits, covariance_penalty)
        return outputs, ForwardAux(batch, critic_rng, after)

    def encode_train(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"], rng: Array
    ) -> tuple[DiagonalGaussian, Float[Array, ""], NetworkStats]:
        """Encodes images in [-1, 1], in training mode.

        Returns:
          q(z | x), standardized over the batch if the model does so; the covariance penalty; the statistics after.
        """
        output, after = self.apply_network_train("encoder", params, stats, image, rng=rng)
        posterior = diagonal_gaussian_from_output(output)
        if not self.standardize_latents:
            return posterior, jnp.zeros(()), after
        moments = aggregate_posterior_moments(posterior)
        posterior = standardize_posterior(posterior, moments.mean, moments.second_moment)
        running = optax.incremental_update(moments, stats[LATENT_MOMENTS], 1 - MOMENTUM)
        penalty = dip_vae_penalty(running.covariance, moments.covariance)
        return posterior, penalty, {**after, LATENT_MOMENTS: running}

    def feature_nll(self, features: Float[Array, "B *shape"], targets: Float[Array, "B *shape"]) -> Float[Array, " B"]:
        """Returns ½ ‖features - targets‖² / std², in nats (Larsen et al. 2016, eq. 7 without its constant)."""
        squares = jnp.square(features - targets).reshape(len(features), -1)
        variance = self.feature_std**2 or jax.lax.stop_gradient(batch_mean(squares)) + 1e-8
        return 0.5 * squares.sum(-1) / variance

    def critic_input(self, image: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the critic's input for images in [-1, 1]: the images, or their opponent colors."""
        return transforms.rgb_to_opponent(image, *self.opponent_color_gains) if self.opponent_color_gains else image

    def critic_features_and_logits(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"], rng: Array
    ) -> tuple[Float[Array, "B ..."], Float[Array, " B"], NetworkStats]:
        """Returns the features and logits of critic inputs, and the statistics after the pass."""
        features, after = self.apply_network_train("features", params, stats, image, rng=random.fold_in(rng, 0))
        output, after = self.apply_network_train("critic", params, after, features, rng=random.fold_in(rng, 1))
        return features, output[:, 0], after

    # Interface for evaluation and inference.

    def ema_networks(self, params: NetworkParams) -> dict[str, Params]:
        """Returns the parameters of the networks that have an EMA."""
        return {name: params[name] for name in (("decoder",) if self.standardize_latents else ("encoder", "decoder"))}

    def ema_params(self, params: NetworkParams, stats: NetworkStats) -> NetworkParams:
        """Returns the parameters used outside training: those of the EMA where there is one."""
        return {**params, **stats[EMA]} if self.ema_decay else params

    def posterior(self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"]) -> DiagonalGaussian:
        """Returns q(z | x) of images in [0, 1], standardized by the running moments if the model does so."""
        output = self.apply_network("encoder", self.ema_params(params, stats), stats, 2 * image - 1)
        posterior = diagonal_gaussian_from_output(output)
        if not self.standardize_latents:
            return posterior
        moments = stats[LATENT_MOMENTS]
        return standardize_posterior(posterior, moments.mean, moments.second_moment)

    def encode(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"] | None,
        rng: Array,
    ) -> Float[Array, "B Z"]:
        """Samples q(z | x)."""
        del label
        return self.posterior(params, stats, image).sample(rng)

    def encode_mean(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"] | None,
    ) -> Float[Array, "B Z"]:
        """Returns the mean of q(z | x)."""
        del label
        return self.posterior(params, stats, image).mean

    def decode(
        self, params: NetworkParams, stats: NetworkStats, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> Float[Array, "B H W C"]:
        """Decodes codes to images in [0, 1]."""
        del label
        return (jnp.tanh(self.apply_network("decoder", self.ema_params(params, stats), stats, code)) + 1) / 2

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns `mse` at the mean code, `kl` in nats, and `d_real`, `d_fake` as for a GAN."""
        posterior = self.posterior(params, stats, batch.image)
        reconstructed = self.decode(params, stats, posterior.mean, batch.label)
        samples = self.decode(params, stats, self.prior.sample(rng, len(batch.label)), batch.label)

        def probability_real(image: Array) -> Array:
            """Returns the critic's probability that images in [0, 1] are real."""
            features = self.apply_network("features", params, stats, self.critic_input(2 * image - 1))
            return jax.nn.sigmoid(self.apply_network("critic", params, stats, features)[:, 0])

        return {
            "mse": reconstruction.squared_error(reconstructed, batch.image),
            "kl": posterior.kl_per_dim().sum(-1),
            "d_real": probability_real(batch.image),
            "d_fake": probability_real(samples),
        }


def validate_config(config: Any, info: DatasetSpec) -> None:
    """Validates the config's values for this family.

    Raises:
      ValueError: with the value, the rule and a fix.
    """
    checks.validate_gan_loss(config, GAN_LOSSES, "r1_weight")
    checks.require_nonnegative(config, "beta", "gamma", "feature_std", "dip_vae_weight")
    checks.require_nonnegative(config, "equilibrium", "margin", "r1_weight", "dense_units")
    checks.require_fraction(config, "ema_decay", "b1", "momentum")
    gains, channels = config.opponent_color_gains, info.image_shape[-1]
    if gains and (len(gains) != 2 or not min(gains) > 0 or channels != 3):
        report_error(
            f"opponent_color_gains={gains} must be two positive numbers, for images of 3 channels; got {channels} "
            "channels. Try --config.opponent_color_gains='()'"
        )
    if config.dip_vae_weight and not config.standardize_latents:
        report_error(
            f"dip_vae_weight={config.dip_vae_weight} needs standardized latents; try --config.standardize_latents=true"
        )
    if config.margin and config.gan_loss != "non_saturating":
        report_error(
            f'margin={config.margin} compares cross-entropies, which gan_loss="{config.gan_loss}" does not have; try '
            "--config.margin=0.0"
        )
    if config.margin and config.update_order != "simultaneous":
        report_error(
            f"margin={config.margin} compares the players at one forward pass and needs "
            f'update_order="simultaneous"; got "{config.update_order}". Try --config.margin=0.0'
        )
