"""Adversarial autoencoders (Makhzani et al. 2016): an autoencoder whose codes a critic pulls onto a prior."""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgen import objectives
from jaxgen.algorithms.base import Algorithm
from jaxgen.distributions import Gaussian
from jaxgen.networks import MLP
from jaxgen.optimizers import decayed
from jaxgen.players import Player
from jaxgen.types import Info


@dataclasses.dataclass(frozen=True)
class ConditionalAAE(Algorithm):
    """Adversarial autoencoder whose decoder is told the label (Makhzani et al. 2016, section 2.3 and figure 6).

    Three players: reconstruction moves encoder and decoder; the critic learns to tell prior codes from codes; the
    encoder, with an optimiser state of its own, learns to fool it. With `critic_sees_label` the critic scores (code,
    label): q(z | y) meets the prior for every y, and the code is left with what the label does not say, the style.
    Without it only the mixture over y meets the prior, and nothing keeps the label out of the code.

    `log_eps`: the tutorials' log(sigmoid(x) + eps) instead of losses from logits, to measure that mistake.
    `mean_over_pixels`: reconstruction in nats per pixel rather than per image; matters where gradients accumulate.
    """

    info: Info
    prior: Gaussian
    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str = "simultaneous"
    critic_sees_label: bool = True
    mean_over_pixels: bool = False
    log_eps: float = 0.0

    evaluations = ("reconstruction", "separation", "prior_gap")
    pictures = ("prior_styles", "test_styles", "reconstructions", "codes")

    @classmethod
    def from_config(cls, config, info: Info) -> "ConditionalAAE":
        prior = Gaussian(config.latent_size, config.prior_std)
        mlp = {"dropout": config.dropout, "kernel_init": config.kernel_init}
        networks = {
            "encoder": MLP(tuple(config.hidden), (prior.size,), **mlp),
            "decoder": MLP(tuple(config.hidden), info.image_shape, linear=tuple(config.decoder_linear), **mlp),
            "critic": MLP(tuple(config.critic_hidden), (), config.critic_dropout, kernel_init=config.kernel_init),
        }
        optimizers = {
            name: optax.adam(decayed(rate, config.steps, config.decay), b1=config.b1[name])
            for name, rate in config.rates.items()
        }
        options = ("schedule", "critic_sees_label", "mean_over_pixels", "log_eps")
        return cls(info, prior, networks, optimizers, **{name: config[name] for name in options})

    @property
    def latent_size(self) -> int:
        return self.prior.size

    @property
    def players(self) -> tuple[Player, ...]:
        return (
            Player("reconstruction", ("encoder", "decoder"), self.optimizers["reconstruction"], self.reconstruct),
            Player("critic", ("critic",), self.optimizers["critic"], self.tell_prior_from_code),
            Player("encoder", ("encoder",), self.optimizers["encoder"], self.fool_critic),
        )

    def example_inputs(self):
        code, label = jnp.zeros((1, self.latent_size)), jnp.zeros((1, self.info.num_classes))
        critic = (code, label) if self.critic_sees_label else (code,)
        return {"encoder": (self.example_image(),), "decoder": (code, label), "critic": critic}

    # The losses. Under the simultaneous schedule all three get the same rng, so that `encoder_rng`, split off first,
    # gives them the same codes: one forward pass of the encoder serves the three.

    def reconstruct(self, params, stats, batch, rng):
        encoder_rng, decoder_rng = jax.random.split(rng)
        code = self.code(params, stats, batch.image, encoder_rng)
        logits = self.logits(params, stats, code, batch.label, decoder_rng)
        nll = objectives.bernoulli_nll(logits, batch.image).mean()
        loss = nll / batch.image[0].size if self.mean_over_pixels else nll
        return loss, ({"nll": nll}, stats)

    def tell_prior_from_code(self, params, stats, batch, rng):
        _, game_rng = jax.random.split(rng)
        prior_rng, critic_rng = jax.random.split(game_rng)
        code = self.code(params, stats, batch.image)
        real = self.score(params, stats, self.sample_code(prior_rng, len(code)), batch.label, critic_rng)
        fake = self.score(params, stats, code, batch.label, critic_rng)
        loss = objectives.critic_loss(real, fake, self.log_eps).mean()
        return loss, ({"loss": loss}, stats)

    def fool_critic(self, params, stats, batch, rng):
        encoder_rng, critic_rng = jax.random.split(rng)
        fake = self.score(params, stats, self.code(params, stats, batch.image, encoder_rng), batch.label, critic_rng)
        loss = objectives.fooling_loss(fake, self.log_eps).mean()
        return loss, ({"loss": loss}, stats)

    def code(self, params, stats, image, rng=None):
        """[B, H, W, C] -> [B, Z]; dropout is on where an rng comes."""
        return self.apply("encoder", params, stats, image, rng=rng)

    def logits(self, params, stats, code, label, rng=None):
        """[B, Z], [B] -> pixel logits [B, H, W, C]."""
        return self.apply("decoder", params, stats, code, self.one_hot(label), rng=rng)

    def score(self, params, stats, code, label, rng=None):
        """The critic's logit that a code came from the prior: [B, Z], [B] -> [B]."""
        seen = (code, self.one_hot(label)) if self.critic_sees_label else (code,)
        return self.apply("critic", params, stats, *seen, rng=rng)

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label):
        del label  # the style is read from the image alone
        return self.code(params, stats, image)

    def decode(self, params, stats, code, label):
        return jax.nn.sigmoid(self.logits(params, stats, code, label))

    def sample_code(self, rng, count):
        return self.prior.sample(rng, count)

    def evaluate(self, params, stats, batch):
        logits = self.logits(params, stats, self.code(params, stats, batch.image), batch.label)
        return {
            "nll": objectives.bernoulli_nll(logits, batch.image),
            "mse": objectives.squared_error(jax.nn.sigmoid(logits), batch.image),
        }
