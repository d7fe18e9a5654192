"""Generative adversarial networks (Goodfellow et al. 2014): a generator trained against a critic."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxgen.config import checks
from jaxgen.config.errors import report_error
from jaxgen.kernels import random
from jaxgen.kernels.shared_fake_backward import separate_fake_backward, shared_fake_backward
from jaxgen.losses import regularizers
from jaxgen.losses.adversarial import GAN_LOSSES
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_gan_networks, layers_from_config
from jaxgen.models.priors import Gaussian, Prior
from jaxgen.networks.layers import BATCH_DEPENDENT
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats, Params, TrainState

CONFIG_FIELDS = ("update_order", "gan_loss", "critic_steps", "r1_weight", "wgan_gp_weight", "ema_decay")
EMA = "ema"  # entry of the statistics: exponential moving average of the generator's parameters


class GANForward(NamedTuple):
    """Differentiable outputs of the forward pass that both players share."""

    fake_images: Float[Array, "B H W C"]  # in [-1, 1]
    real_logits: Float[Array, " B"]
    fake_logits: Float[Array, " B"]
    critic_fake_surrogate: Float[Array, ""]  # zero; carries the critic's gradient if the backward pass is shared
    generator_loss: Float[Array, ""]  # mean over the batch


class ForwardAux(NamedTuple):
    """The other outputs of a shared forward pass."""

    batch: Batch  # the part of the batch that it used
    rng: Array  # key of the critic's dropout and augmentation on real images; a penalty uses it again
    stats: NetworkStats  # of all networks, after the pass


@dataclasses.dataclass(frozen=True)
class GAN(LatentVariableModel):
    """Generative adversarial network; `ConditionalGAN` also conditions both networks on the label.

    Two players: the critic, updated `critic_steps` times per step on one part of the batch each; and the generator,
    updated once. With update order "simultaneous" both use the same generated images, which are made once. For most
    GAN losses and critics one backward pass through the critic then serves both; see `kernels.shared_fake_backward`.

    The networks work on pixels in [-1, 1].

    Attributes:
      gan_loss: a name in `adversarial.GAN_LOSSES`.
      critic_steps: updates of the critic per update of the generator; divides the batch size.
      r1_weight: weight of the R1 penalty ½ ‖∇ critic‖² at real images (Mescheder et al. 2018, section 4.1); 0 for none.
      wgan_gp_weight: weight of (‖∇ critic‖ - 1)² between reals and fakes (Gulrajani et al. 2017, eq. 3); 0 for none.
      ema_decay: decay per step of the exponential moving average of the generator's parameters, which generates all
        images outside training (Yazıcı et al. 2019, arXiv 1806.04498); 0 to use the parameters themselves.
      critic_uses_batch_statistics: whether the critic's output for an image depends on the rest of the batch.
    """

    info: DatasetSpec
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    gan_loss: str
    critic_steps: int
    r1_weight: float
    wgan_gp_weight: float
    ema_decay: float
    critic_uses_batch_statistics: bool

    has_encoder = False
    is_conditional = False
    evaluators = ("sample_quality", "critic")
    validation_evaluators = ("sample_quality",)
    figures = ("real_images", "samples_100", "prior_interpolation")

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "GAN":
        """Builds the networks and optimizers that a config describes."""
        validate_config(config)
        prior = Gaussian(config.latent_size)
        networks = build_gan_networks(config, info.image_shape, cls.num_critic_outputs(info))
        rates = config.learning_rates
        optimizers = {
            name: optax.adam(learning_rate_schedule(rates[name], config.steps, config.lr_schedule), b1=config.b1)
            for name in ("critic", "generator")
        }
        options = {name: config[name] for name in CONFIG_FIELDS}
        batch_dependent = bool(batch_dependent_layers(config))
        return cls(info, prior, networks, optimizers, **options, critic_uses_batch_statistics=batch_dependent)

    @classmethod
    def num_critic_outputs(cls, info: DatasetSpec) -> int:
        """Returns the number of outputs of the critic per image."""
        del info
        return 1

    @property
    def players(self) -> tuple[Player, ...]:
        """The critic, once per critic step, then the generator, which shares the first critic step's forward pass."""
        critic, generator = (self.optimizers[name] for name in ("critic", "generator"))
        forwards = [partial(self.shared_forward, part) for part in range(self.critic_steps)]
        return (
            *(Player("critic", ("critic",), critic, self.critic_loss, forward) for forward in forwards),
            Player("generator", ("generator",), generator, self.generator_loss, forwards[0]),
        )

    @property
    def shares_critic_backward(self) -> bool:
        """Whether one backward pass through the critic serves both players; see `kernels.shared_fake_backward`."""
        has_slope_ratio = GAN_LOSSES[self.gan_loss].generator_to_critic_slope is not None
        return self.update_order == "simultaneous" and not self.critic_uses_batch_statistics and has_slope_ratio

    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns one example of each network's inputs."""
        code, label = jnp.zeros((1, self.latent_size)), jnp.zeros(1, jnp.int32)
        return {"generator": (code, *self.label_inputs(label)), "critic": (self.example_image(),)}

    def init(self, rng: Array) -> TrainState:
        """Returns a new state; the EMA starts at the generator's initial parameters."""
        state = super().init(rng)
        if not self.ema_decay:
            return state
        return state.replace(stats={**state.stats, EMA: state.params["generator"]})

    # Losses.

    def shared_forward(
        self, part: int, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> tuple[GANForward, ForwardAux]:
        """Generates fakes and scores them and the real images, for one of `critic_steps` parts of the batch."""
        batch = batch_slice(batch, part, self.critic_steps)
        code_rng, generator_rng, real_rng, fake_rng = random.split(rng, 4)
        code, real = self.prior.sample(code_rng, len(batch.label)), 2 * batch.image - 1
        fake, generator_stats = self.generate(params, stats, code, batch.label, generator_rng)
        real_logits, stats = self.critic_logits(params, stats, real, batch.label, real_rng)

        def score(critic_params: Params, fake: Array) -> tuple[Array, NetworkStats]:
            """Returns the logits of fakes and the statistics after the pass."""
            return self.critic_logits({"critic": critic_params}, stats, fake, batch.label, fake_rng)

        backward = shared_fake_backward if self.shares_critic_backward else separate_fake_backward
        *fake_outputs, stats = backward(GAN_LOSSES[self.gan_loss], score, params["critic"], fake)
        after = {**stats, "generator": generator_stats["generator"]}
        return GANForward(fake, real_logits, *fake_outputs), ForwardAux(batch, real_rng, after)

    def critic_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: tuple[GANForward, ForwardAux]
    ) -> LossOutput:
        """Returns the critic's GAN loss plus gradient penalties (Goodfellow et al. 2014, eq. 1, or `gan_loss`'s own).

        Penalties: R1 (Mescheder et al. 2018, section 4.1) and WGAN-GP (Gulrajani et al. 2017, eq. 3).
        """
        outputs, (batch, rng, after) = forward
        loss = GAN_LOSSES[self.gan_loss].critic(outputs.real_logits, outputs.fake_logits).mean()
        metrics = {
            "loss": loss,
            "d_real": mean_probability_real(outputs.real_logits),
            "d_fake": mean_probability_real(outputs.fake_logits),
        }
        loss = loss + outputs.critic_fake_surrogate

        def score(image: Array) -> Array:
            """Returns the critic's logits with the dropout and augmentation of the forward pass."""
            return self.critic_logits(params, stats, image, batch.label, rng)[0]

        real = 2 * batch.image - 1
        if self.r1_weight:
            metrics["r1"] = regularizers.r1_penalty(score, real).mean()
            loss = loss + self.r1_weight * metrics["r1"]
        if self.wgan_gp_weight:
            metrics["wgan_gp"] = regularizers.wgan_gp_penalty(score, real, outputs.fake_images, rng).mean()
            loss = loss + self.wgan_gp_weight * metrics["wgan_gp"]
        return loss, (metrics, {"critic": after["critic"]})

    def generator_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: tuple[GANForward, ForwardAux]
    ) -> LossOutput:
        """Returns the generator's GAN loss (Goodfellow et al. 2014, section 3, or `gan_loss`'s own).

        The EMA takes in the parameters that generated the images (Yazıcı et al. 2019).
        """
        del batch
        outputs, aux = forward
        after = {"generator": aux.stats["generator"]}
        if self.ema_decay:
            after[EMA] = optax.incremental_update(params["generator"], stats[EMA], 1 - self.ema_decay)
        return outputs.generator_loss, ({"loss": outputs.generator_loss}, after)

    # Parts of the networks, in training mode.

    def label_inputs(self, label: Int[Array, " B"] | None) -> tuple[Array, ...]:
        """Returns the label input of the generator: a one-hot label, or nothing."""
        return (self.one_hot(label),) if self.is_conditional else ()

    def generate(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        code: Float[Array, "B Z"],
        label: Int[Array, " B"] | None,
        rng: Array,
    ) -> tuple[Float[Array, "B H W C"], NetworkStats]:
        """Generates images in [-1, 1] from codes; also returns the statistics after the pass."""
        output, after = self.apply_network_train("generator", params, stats, code, *self.label_inputs(label), rng=rng)
        return jnp.tanh(output), after

    def critic_logits(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"] | None,
        rng: Array,
    ) -> tuple[Float[Array, " B"], NetworkStats]:
        """Returns the logits that images in [-1, 1] are real, and the statistics after the pass."""
        output, after = self.apply_network_train("critic", params, stats, image, rng=rng)
        return self.select_logit(output, label), after

    def select_logit(self, output: Float[Array, "B N"], label: Int[Array, " B"] | None) -> Float[Array, " B"]:
        """Returns the logit in the critic's output."""
        del label
        return output[:, 0]

    # Interface for evaluation and inference.

    def decode(
        self, params: NetworkParams, stats: NetworkStats, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> Float[Array, "B H W C"]:
        """Generates images in [0, 1] from codes, by the EMA of the generator's parameters if there is one."""
        if self.ema_decay:
            params = {**params, "generator": stats[EMA]}
        return (jnp.tanh(self.apply_network("generator", params, stats, code, *self.label_inputs(label))) + 1) / 2

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns `d_real` and `d_fake`: the critic's probability that new images and samples are real."""
        fake = 2 * self.decode(params, stats, self.prior.sample(rng, len(batch.label)), batch.label) - 1
        images = {"d_real": 2 * batch.image - 1, "d_fake": fake}
        outputs = {name: self.apply_network("critic", params, stats, image) for name, image in images.items()}
        return {name: jax.nn.sigmoid(self.select_logit(output, batch.label)) for name, output in outputs.items()}


@dataclasses.dataclass(frozen=True)
class ConditionalGAN(GAN):
    """Conditional GAN (Mirza & Osindero 2014) with a projection critic (Miyato & Koyama 2018, eq. 3).

    The generator receives the label beside the code. The critic has one output for all images and one per class; the
    logit is the sum of the shared output and the label's.
    """

    is_conditional = True
    evaluators = (*GAN.evaluators, "content")

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "ConditionalGAN":
        """Builds the networks and optimizers that a config describes.

        Raises:
          ValueError: the data set has a single class, or labels are hidden.
        """
        checks.require_multiple_classes(info)
        if config.num_labeled != -1:
            report_error(
                f"num_labeled={config.num_labeled} hides labels that the generator and the critic need; try "
                "--config.num_labeled=-1"
            )
        return super().from_config(config, info)

    @classmethod
    def num_critic_outputs(cls, info: DatasetSpec) -> int:
        """Returns the number of outputs of the critic per image: one for all classes, one for each."""
        return 1 + info.num_classes

    def select_logit(self, output: Float[Array, "B N"], label: Int[Array, " B"] | None) -> Float[Array, " B"]:
        """Returns the projection critic's logit (Miyato & Koyama 2018, eq. 3)."""
        return output[:, 0] + (output[:, 1:] * self.one_hot(label)).sum(-1)


def batch_slice(batch: Any, part: int, parts: int) -> Any:
    """Returns one of several equal parts of arrays [B, ...], with every parts-th example.

    Interleaved examples keep the parts balanced over devices.

    Raises:
      ValueError: the number of examples is not a multiple of `parts`.
    """
    if len(batch.label) % parts:
        raise ValueError(
            f"critic_steps={parts} must divide the {len(batch.label)} images per device and step; try "
            f"--config.parallel=jit, or a --config.batch_size divisible by {parts} times the number of devices"
        )
    return jax.tree.map(lambda x: x.reshape(len(x) // parts, parts, *x.shape[1:])[:, part], batch)


def mean_probability_real(logits: Float[Array, " B"]) -> Float[Array, ""]:
    """Returns the mean probability of being real."""
    return jax.nn.sigmoid(logits).mean()


def validate_config(config: Any) -> None:
    """Validates the config's values for this family.

    Raises:
      ValueError: with the value, the rule and a fix.
    """
    checks.validate_gan_loss(config, GAN_LOSSES, "r1_weight", "wgan_gp_weight")
    checks.require_nonnegative(config, "r1_weight", "wgan_gp_weight", "dense_units")
    checks.require_fraction(config, "ema_decay", "b1")
    steps, batch_size = config.critic_steps, config.batch_size
    if steps < 1 or batch_size % steps:
        fix = f"try --config.critic_steps=5 --config.batch_size={5 * 64} --config.update_order=alternating"
        report_error(f"critic_steps={steps} must be at least 1 and divide batch_size={batch_size}; {fix}")
    if steps > 1 and config.update_order != "alternating":
        report_error(
            f'critic_steps={steps} needs update_order="alternating"; got "{config.update_order}", which allows one '
            "critic update per step. Try --config.update_order=alternating"
        )
    if config.critic_batch_norm and config.critic_layers:
        report_error(
            "critic_batch_norm=True applies to the critic built from base_channels, and critic_layers replaces that "
            "critic; try --config.critic_batch_norm=false, with batch_norm among the layers"
        )
    if config.wgan_gp_weight and (found := batch_dependent_layers(config)):
        report_error(
            f"wgan_gp_weight={config.wgan_gp_weight} needs a critic that scores each image on its own; this one has "
            f"{found[0]}. Try --config.wgan_gp_weight=0.0"
        )


def batch_dependent_layers(config: Any) -> list[str]:
    """Returns the kinds of the critic's layers whose output for an image depends on the rest of the batch."""
    kinds = [kind for kind, *_ in layers_from_config(config, "critic_layers")]
    kinds = kinds or ["batch_norm"] * config.critic_batch_norm
    return [kind for kind in kinds if kind in BATCH_DEPENDENT]
