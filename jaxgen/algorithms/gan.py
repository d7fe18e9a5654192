"""Generative adversarial networks (Goodfellow et al. 2014): a generator draws what a critic can not tell from data."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen import objectives, prng
from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm
from jaxgen.algorithms.nets import critic_and_generator, spelled
from jaxgen.distributions import Gaussian, Prior
from jaxgen.games import GAMES, slope_penalty, told_and_fooled
from jaxgen.networks.layers import BY_BATCH
from jaxgen.networks.normalisation import running_mean
from jaxgen.networks.precision import Network
from jaxgen.optimizers import decayed
from jaxgen.players import Player
from jaxgen.types import Batch, Info

OPTIONS = ("schedule", "game", "critic_steps", "r1", "slope_penalty", "average")
AVERAGE = "average"  # where, among the statistics, the generator's mean parameters are


class Play(NamedTuple):
    """What both players look at."""

    drawn: Float[Array, "B H W C"]  # in [-1, 1]
    real: Float[Array, " B"]  # logits of images
    fake: Float[Array, " B"]  # … of what is drawn
    telling: Float[Array, ""]  # 0, with what the critic's loss of fakes has for a gradient that `fake` does not carry
    fooling: Float[Array, ""]  # the generator's loss


class Handed(NamedTuple):
    """What a look hands on beside."""

    batch: Batch  # the turn's share of it
    rng: Array  # by which the critic was shown images: a penalty on its slope there shares the pass
    stats: Mapping  # of the networks, after it


@dataclasses.dataclass(frozen=True)
class GAN(Algorithm):
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

    info: Info
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str
    game: str
    critic_steps: int
    r1: float
    slope_penalty: float
    average: float
    critic_sees_batch: bool

    encodes = False
    decoder_needs_label = False
    evaluations = ("sample_quality", "critic")
    watched = ("sample_quality",)
    pictures = ("real", "random_100", "drawn_interpolation")

    @classmethod
    def from_config(cls, config, info: Info) -> "GAN":
        check(config)
        prior = Gaussian(config.latent_size)
        networks = critic_and_generator(config, info.image_shape, cls.scores(info))
        optimizers = {
            name: optax.adam(decayed(config.rates[name], config.steps, config.decay), b1=config.momentum)
            for name in ("critic", "generator")
        }
        options = {name: config[name] for name in OPTIONS}
        return cls(info, prior, networks, optimizers, **options, critic_sees_batch=bool(seeing_batch(config)))

    @classmethod
    def scores(cls, info: Info) -> int:
        """How many numbers the critic says of an image."""
        del info
        return 1

    @property
    def players(self) -> tuple[Player, ...]:
        critic, generator = (self.optimizers[name] for name in ("critic", "generator"))
        looks = [partial(self.look, turn) for turn in range(self.critic_steps)]
        return (
            *(Player("critic", ("critic",), critic, self.tell, look) for look in looks),
            Player("generator", ("generator",), generator, self.fool, looks[0]),
        )

    def example_inputs(self):
        label = jnp.zeros(1, jnp.int32)
        return {
            "generator": (jnp.zeros((1, self.latent_size)), *self.told(label)),
            "critic": (self.example_image(),),
        }

    def init(self, rng):
        state = super().init(rng)
        if not self.average:
            return state
        return state.replace(stats={**state.stats, AVERAGE: state.params["generator"]})

    def look(self, turn: int, params, stats, batch, rng) -> tuple[Play, Handed]:
        """A turn's images and drawn images, as the critic sees them."""
        batch = share(batch, turn, self.critic_steps)
        code_rng, generator_rng, real_rng, fake_rng = prng.split(rng, 4)
        code, image = self.prior.sample(code_rng, len(batch.label)), 2 * batch.image - 1
        fake, drew = self.drawn(params, stats, code, batch.label, generator_rng)
        real_logits, told = self.logits(params, stats, image, batch.label, real_rng)
        said, stats = self.said_of_fakes(params, told, fake, batch.label, fake_rng)
        return Play(fake, real_logits, *said), Handed(batch, real_rng, {**stats, "generator": drew["generator"]})

    def said_of_fakes(self, params, stats, fake, label, rng) -> tuple[tuple, dict]:
        """The last three of `Play`, and the statistics after them."""
        game = GAMES[self.game]
        if not self.one_way_back:
            logits, stats = self.logits(params, stats, fake, label, rng)
            return (logits, jnp.zeros(()), game.generator(logits).mean()), stats

        def score(critic, fake):
            return self.logits({"critic": critic}, stats, fake, label, rng)

        *said, stats = told_and_fooled(game, score, params["critic"], fake)
        return tuple(said), stats

    # The losses.

    def tell(self, params, stats, batch, seen: tuple[Play, Handed]):
        """The critic's loss on its share of the batch."""
        play, (batch, rng, after) = seen
        loss = GAMES[self.game].critic(play.real, play.fake).mean()
        metrics = {"loss": loss, "d_real": said_real(play.real), "d_fake": said_real(play.fake)}
        loss = loss + play.telling

        def score(image):
            return self.logits(params, stats, image, batch.label, rng)[0]

        image = 2 * batch.image - 1
        if self.r1:
            metrics["r1"] = objectives.gradient_penalty(score, image).mean()
            loss = loss + self.r1 * metrics["r1"]
        if self.slope_penalty:
            metrics["slope_penalty"] = slope_penalty(score, image, play.drawn, rng).mean()
            loss = loss + self.slope_penalty * metrics["slope_penalty"]
        return loss, (metrics, {**stats, "critic": after["critic"]})

    def fool(self, params, stats, batch, seen: tuple[Play, Handed]):
        """The generator's loss; its running mean takes in the parameters that made the images."""
        del batch
        play, handed = seen
        after = {**stats, "generator": handed.stats["generator"]}
        if self.average:
            after[AVERAGE] = running_mean(stats[AVERAGE], params["generator"], self.average)
        return play.fooling, ({"loss": play.fooling}, after)

    @property
    def one_way_back(self) -> bool:
        """Whether the critic's way back to its fakes serves the generator too; see `told_and_fooled`."""
        same_point = self.schedule == "simultaneous"
        return same_point and not self.critic_sees_batch and GAMES[self.game].turned is not None

    # The networks' parts, in training.

    def told(self, label) -> tuple[Array, ...]:
        """What the generator sees of the label."""
        return (self.one_hot(label),) if self.decoder_needs_label else ()

    def drawn(self, params, stats, code, label, rng) -> tuple[Float[Array, "B H W C"], dict]:
        """Images in [-1, 1] of codes, and the statistics after them."""
        output, after = self.train_apply("generator", params, stats, code, *self.told(label), rng=rng)
        return jnp.tanh(output), after

    def logits(self, params, stats, image, label, rng) -> tuple[Float[Array, " B"], dict]:
        """How real images in [-1, 1] seem, and the statistics after them."""
        said, after = self.train_apply("critic", params, stats, image, rng=rng)
        return self.heard(said, label), after

    def heard(self, said: Float[Array, "B S"], label) -> Float[Array, " B"]:
        """The logit in what the critic says."""
        del label
        return said[:, 0]

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label, rng):
        del params, stats, image, label, rng
        raise ValueError(f"{type(self).__name__} encodes no image; it draws: model.sample(count)")

    def decode(self, params, stats, code, label):
        if self.average:
            params = {**params, "generator": stats[AVERAGE]}
        return (jnp.tanh(self.apply("generator", params, stats, code, *self.told(label))) + 1) / 2

    def evaluate(self, params, stats, batch, rng):
        """`d_real`, `d_fake`: the probability of being real that the critic gives new images and drawn ones."""
        fake = 2 * self.decode(params, stats, self.prior.sample(rng, len(batch.label)), batch.label) - 1
        images = {"d_real": 2 * batch.image - 1, "d_fake": fake}
        said = {name: self.apply("critic", params, stats, each) for name, each in images.items()}
        return {name: jax.nn.sigmoid(self.heard(each, batch.label)) for name, each in said.items()}


@dataclasses.dataclass(frozen=True)
class ConditionalGAN(GAN):
    """GAN told the label (Mirza & Osindero 2014): the generator beside its code, the critic by projection.

    The critic gives one number for every class beside the one for all; a logit is the sum of the latter and the
    label's (Miyato & Koyama 2018, eq. 3).
    """

    decoder_needs_label = True
    evaluations = (*GAN.evaluations, "content")

    @classmethod
    def from_config(cls, config, info: Info) -> "ConditionalGAN":
        checks.classes(info)
        if config.labels != -1:
            raise ValueError(
                f"labels={config.labels} hides labels that the critic of real images and the generator are told; try "
                "--config.labels=-1"
            )
        return super().from_config(config, info)

    @classmethod
    def scores(cls, info):
        return 1 + info.num_classes

    def heard(self, said, label):
        return said[:, 0] + (said[:, 1:] * self.one_hot(label)).sum(-1)


def share(batch: Any, turn: int, turns: int) -> Any:
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


def said_real(logits: Float[Array, " B"]) -> Float[Array, ""]:
    """The mean probability of being real."""
    return jax.nn.sigmoid(logits).mean()


def check(config) -> None:
    """Refuses values that no model could be built with, or that would be ignored.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.game(config, GAMES, "r1", "slope_penalty")
    checks.at_least_0(config, "r1", "slope_penalty", "dense")
    checks.shares(config, "average", "momentum")
    steps, batch_size = config.critic_steps, config.batch_size
    if steps < 1 or batch_size % steps:
        way_out = f"try --config.critic_steps=5 --config.batch_size={5 * 64} --config.schedule=alternating"
        raise ValueError(f"critic_steps={steps} must be at least 1 and divide batch_size={batch_size}; {way_out}")
    if steps > 1 and config.schedule != "alternating":
        raise ValueError(
            f'critic_steps={steps} needs schedule="alternating", here "{config.schedule}": of moves at one point there '
            "can be one; try --config.schedule=alternating"
        )
    if config.critic_norm and config.critic_layers:
        raise ValueError(
            "critic_norm=True is of the critic that width makes, and critic_layers spell another; try "
            "--config.critic_norm=false, with batch_norm among the layers"
        )
    if config.slope_penalty and (found := seeing_batch(config)):
        raise ValueError(
            f"slope_penalty={config.slope_penalty} is of each image by itself, which a critic with {found[0]} does not "
            "see; try --config.slope_penalty=0.0"
        )


def seeing_batch(config) -> list[str]:
    """The kinds of the critic's layers that make of an image what depends on those beside it."""
    kinds = [kind for kind, *_ in spelled(config, "critic_layers")] or ["batch_norm"] * config.critic_norm
    return [kind for kind in kinds if kind in BY_BATCH]
