"""Generative adversarial networks (Goodfellow et al. 2014): a generator draws what a critic can not tell from data."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.kernels import random
from jaxgen.kernels.shared_backward import shared_fake_backward
from jaxgen.losses import regularizers
from jaxgen.losses.adversarial import GAN_LOSSES
from jaxgen.losses.regularizers import wgan_gp_penalty
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_gan_networks, layers_from_config
from jaxgen.models.priors import Gaussian, Prior
from jaxgen.networks.layer_stack import BATCH_DEPENDENT
from jaxgen.networks.mixed_precision import Network
from jaxgen.networks.normalization import running_mean
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import Batch, DatasetSpec

CONFIG_FIELDS = ("update_order", "gan_loss", "critic_steps", "r1_weight", "wgan_gp_weight", "ema_decay")
EMA = "ema"  # where, among the statistics, the generator's mean parameters are


class GANForward(NamedTuple):
    """What both players look at."""

    fake_images: Float[Array, "B H W C"]  # in [-1, 1]
    real_logits: Float[Array, " B"]  # logits of images
    fake_logits: Float[Array, " B"]  # … of what is drawn
    critic_fake_surrogate: Float[
        Array, ""
    ]  # 0, with what the critic's loss of fakes has for a gradient that `fake` does not carry
    generator_loss: Float[Array, ""]  # the generator's loss


class ForwardAux(NamedTuple):
    """What a look hands on beside."""

    batch: Batch  # the turn's share of it
    rng: Array  # by which the critic was shown images: a penalty on its slope there shares the pass
    stats: Mapping  # of the networks, after it


@dataclasses.dataclass(frozen=True)
class GAN(LatentVariableModel):
    """Generative adversarial network; `ConditionalGAN` is told the label.

    Two players: the critic moves down its loss of telling real images from drawn ones, `critic_steps` times a step,
    each time by its share of the batch; the generator, once, down its loss of being told apart. Under the schedule
    "simultaneous" both see the same drawn images, which are made once, and of most games and critics the way back
    through the critic is taken once for both (see `games.told_and_fooled`).

    Networks see and make pixels in [-1, 1].

    Attributes:
      game: whose losses, one of `games.GAMES`.
      critic_steps: the critic's moves before each of the generator's; they divide the batch.
      r1: weight of ½ ‖∇ critic‖² at real images (Mescheder et al. 2018, section 4.1); 0: none.
      slope_penalty: weight of (‖∇ critic‖ - 1)² between reals and fakes (Gulrajani et al. 2017); 0: none.
      average: the share of itself that the running mean of the generator's parameters, which draws what is shown and
        measured, keeps a step (Yazıcı et al. 2019, arXiv 1806.04498); 0: no mean, the parameters themselves.
      critic_sees_batch: whether what the critic says of an image depends on those beside it.
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
    def from_config(cls, config, info: DatasetSpec) -> "GAN":
        validate_config(config)
        prior = Gaussian(config.latent_size)
        networks = build_gan_networks(config, info.image_shape, cls.num_critic_outputs(info))
        optimizers = {
            name: optax.adam(
                learning_rate_schedule(config.learning_rates[name], config.steps, config.lr_schedule),
                b1=config.b1,
            )
            for name in ("critic", "generator")
        }
        options = {name: config[name] for name in CONFIG_FIELDS}
        return cls(
            info,
            prior,
            networks,
            optimizers,
            **options,
            critic_uses_batch_statistics=bool(batch_dependent_layers(config)),
        )

    @classmethod
    def num_critic_outputs(cls, info: DatasetSpec) -> int:
        """How many numbers the critic says of an image."""
        del info
        return 1

    @property
    def players(self) -> tuple[Player, ...]:
        critic, generator = (self.optimizers[name] for name in ("critic", "generator"))
        looks = [partial(self.shared_forward, turn) for turn in range(self.critic_steps)]
        return (
            *(Player("critic", ("critic",), critic, self.critic_loss, look) for look in looks),
            Player("generator", ("generator",), generator, self.generator_loss, looks[0]),
        )

    def example_inputs(self):
        label = jnp.zeros(1, jnp.int32)
        return {
            "generator": (jnp.zeros((1, self.latent_size)), *self.label_inputs(label)),
            "critic": (self.example_image(),),
        }

    def init(self, rng):
        state = super().init(rng)
        if not self.ema_decay:
            return state
        return state.replace(stats={**state.stats, EMA: state.params["generator"]})

    def shared_forward(self, turn: int, params, stats, batch, rng) -> tuple[GANForward, ForwardAux]:
        """A turn's images and drawn images, as the critic sees them."""
        batch = batch_slice(batch, turn, self.critic_steps)
        code_rng, generator_rng, real_rng, fake_rng = random.split(rng, 4)
        code, image = self.prior.sample(code_rng, len(batch.label)), 2 * batch.image - 1
        fake, drew = self.generate(params, stats, code, batch.label, generator_rng)
        real_logits, told = self.critic_logits(params, stats, image, batch.label, real_rng)
        said, stats = self.critic_on_fakes(params, told, fake, batch.label, fake_rng)
        return GANForward(fake, real_logits, *said), ForwardAux(
            batch, real_rng, {**stats, "generator": drew["generator"]}
        )

    def critic_on_fakes(self, params, stats, fake, label, rng) -> tuple[tuple, dict]:
        """The last three of `Play`, and the statistics after them."""
        game = GAN_LOSSES[self.gan_loss]
        if not self.shares_critic_backward:
            logits, stats = self.critic_logits(params, stats, fake, label, rng)
            return (logits, jnp.zeros(()), game.generator(logits).mean()), stats

        def score(critic, fake):
            return self.critic_logits({"critic": critic}, stats, fake, label, rng)

        *said, stats = shared_fake_backward(game, score, params["critic"], fake)
        return tuple(said), stats

    # The losses.

    def critic_loss(self, params, stats, batch, seen: tuple[GANForward, ForwardAux]):
        """The critic's loss on its share of the batch."""
        play, (batch, rng, after) = seen
        loss = GAN_LOSSES[self.gan_loss].critic(play.real_logits, play.fake_logits).mean()
        metrics = {
            "loss": loss,
            "d_real": mean_probability_real(play.real_logits),
            "d_fake": mean_probability_real(play.fake_logits),
        }
        loss = loss + play.critic_fake_surrogate

        def score(image):
            return self.critic_logits(params, stats, image, batch.label, rng)[0]

        image = 2 * batch.image - 1
        if self.r1_weight:
            metrics["r1"] = regularizers.r1_penalty(score, image).mean()
            loss = loss + self.r1_weight * metrics["r1"]
        if self.wgan_gp_weight:
            metrics["wgan_gp"] = wgan_gp_penalty(score, image, play.fake_images, rng).mean()
            loss = loss + self.wgan_gp_weight * metrics["wgan_gp"]
        return loss, (metrics, {**stats, "critic": after["critic"]})

    def generator_loss(self, params, stats, batch, seen: tuple[GANForward, ForwardAux]):
        """The generator's loss; its running mean takes in the parameters that made the images."""
        del batch
        play, handed = seen
        after = {**stats, "generator": handed.stats["generator"]}
        if self.ema_decay:
            after[EMA] = running_mean(stats[EMA], params["generator"], self.ema_decay)
        return play.generator_loss, ({"loss": play.generator_loss}, after)

    @property
    def shares_critic_backward(self) -> bool:
        """Whether the critic's way back to its fakes serves the generator too; see `told_and_fooled`."""
        same_point = self.update_order == "simultaneous"
        return (
            same_point
            and not self.critic_uses_batch_statistics
            and GAN_LOSSES[self.gan_loss].generator_to_critic_slope is not None
        )

    # The networks' parts, in training.

    def label_inputs(self, label) -> tuple[Array, ...]:
        """What the generator sees of the label."""
        return (self.one_hot(label),) if self.is_conditional else ()

    def generate(self, params, stats, code, label, rng) -> tuple[Float[Array, "B H W C"], dict]:
        """Images in [-1, 1] of codes, and the statistics after them."""
        output, after = self.apply_network_train("generator", params, stats, code, *self.label_inputs(label), rng=rng)
        return jnp.tanh(output), after

    def critic_logits(self, params, stats, image, label, rng) -> tuple[Float[Array, " B"], dict]:
        """How real images in [-1, 1] seem, and the statistics after them."""
        said, after = self.apply_network_train("critic", params, stats, image, rng=rng)
        return self.select_logit(said, label), after

    def select_logit(self, said: Float[Array, "B S"], label) -> Float[Array, " B"]:
        """The logit in what the critic says."""
        del label
        return said[:, 0]

    # What the loop, the evaluation and `jaxgen.load` use.

    def decode(self, params, stats, code, label):
        if self.ema_decay:
            params = {**params, "generator": stats[EMA]}
        return (jnp.tanh(self.apply_network("generator", params, stats, code, *self.label_inputs(label))) + 1) / 2

    def per_example_metrics(self, params, stats, batch, rng):
        """`d_real`, `d_fake`: the probability of being real that the critic gives new images and drawn ones."""
        fake = 2 * self.decode(params, stats, self.prior.sample(rng, len(batch.label)), batch.label) - 1
        images = {"d_real": 2 * batch.image - 1, "d_fake": fake}
        said = {name: self.apply_network("critic", params, stats, each) for name, each in images.items()}
        return {name: jax.nn.sigmoid(self.select_logit(each, batch.label)) for name, each in said.items()}


@dataclasses.dataclass(frozen=True)
class ConditionalGAN(GAN):
    """GAN told the label (Mirza & Osindero 2014): the generator beside its code, the critic by projection.

    The critic gives one number for every class beside the one for all; a logit is the sum of the latter and the
    label's (Miyato & Koyama 2018, eq. 3).
    """

    is_conditional = True
    evaluators = (*GAN.evaluators, "content")

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "ConditionalGAN":
        checks.require_multiple_classes(info)
        if config.num_labeled != -1:
            raise ValueError(
                f"labels={config.num_labeled} hides labels that the critic of real images and the generator are told; try "
                "--config.num_labeled=-1"
            )
        return super().from_config(config, info)

    @classmethod
    def num_critic_outputs(cls, info):
        return 1 + info.num_classes

    def select_logit(self, said, label):
        return said[:, 0] + (said[:, 1:] * self.one_hot(label)).sum(-1)


def batch_slice(batch: Any, turn: int, turns: int) -> Any:
    """The part of arrays [B, ...] that is one turn's; every device's share of the batch bears as much to it.

    Raises:
      ValueError: they can't be shared out so.
    """
    if len(batch.label) % turns:
        raise ValueError(
            f"critic_steps={turns} must divide the {len(batch.label)} images that a device sees a step; try "
            f"--config.parallel=jit, or a --config.batch_size that {turns} times the number of devices divides"
        )
    return jax.tree.map(lambda x: x.reshape(len(x) // turns, turns, *x.shape[1:])[:, turn], batch)


def mean_probability_real(logits: Float[Array, " B"]) -> Float[Array, ""]:
    """The mean probability of being real."""
    return jax.nn.sigmoid(logits).mean()


def validate_config(config) -> None:
    """Refuses values that no model could be built with, or that would be ignored.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.validate_gan_loss(config, GAN_LOSSES, "r1_weight", "wgan_gp_weight")
    checks.require_nonnegative(config, "r1_weight", "wgan_gp_weight", "dense_units")
    checks.require_fraction(config, "ema_decay", "b1")
    steps, batch_size = config.critic_steps, config.batch_size
    if steps < 1 or batch_size % steps:
        way_out = f"try --config.critic_steps=5 --config.batch_size={5 * 64} --config.update_order=alternating"
        raise ValueError(f"critic_steps={steps} must be at least 1 and divide batch_size={batch_size}; {way_out}")
    if steps > 1 and config.update_order != "alternating":
        raise ValueError(
            f'critic_steps={steps} needs schedule="alternating", here "{config.update_order}": of moves at one point there '
            "can be one; try --config.update_order=alternating"
        )
    if config.critic_batch_norm and config.critic_layers:
        raise ValueError(
            "critic_norm=True is of the critic that width makes, and critic_layers spell another; try "
            "--config.critic_batch_norm=false, with batch_norm among the layers"
        )
    if config.wgan_gp_weight and (found := batch_dependent_layers(config)):
        raise ValueError(
            f"slope_penalty={config.wgan_gp_weight} is of each image by itself, which a critic with {found[0]} does not "
            "see; try --config.wgan_gp_weight=0.0"
        )


def batch_dependent_layers(config) -> list[str]:
    """The kinds of the critic's layers that make of an image what depends on those beside it."""
    kinds = [kind for kind, *_ in layers_from_config(config, "critic_layers")] or [
        "batch_norm"
    ] * config.critic_batch_norm
    return [kind for kind in kinds if kind in BATCH_DEPENDENT]
