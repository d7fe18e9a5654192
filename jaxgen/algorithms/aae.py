"""Adversarial autoencoders (Makhzani et al. 2016): an autoencoder whose codes a critic pulls onto a prior."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen import objectives, piecewise, prng
from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm
from jaxgen.algorithms.nets import aae_networks
from jaxgen.algorithms.posterior import Posterior, as_posterior
from jaxgen.distributions import Gaussian, PiecewisePrior, Prior, gaussian_kl, make_prior
from jaxgen.networks.precision import Network
from jaxgen.optimizers import decayed
from jaxgen.players import Player
from jaxgen.types import Info

LOG_STD_AT_START, LOG_STD_RANGE = -2.0, (-7.0, 0.3)  # of a Gaussian posterior
OPTIONS = (
    "schedule",
    "critic_sees_label",
    "critic_dropout",
    "gaussian_posterior",
    "kl_weight",
    "game_moves_spread",
    "gradient_penalty",
    "label_products",
    "mean_over_pixels",
    "log_eps",
    "perturbation",
)


def check(config, prior: Prior, decoder_needs_label: bool) -> None:
    """Raises a ValueError for values that no network could be built with, or that would be ignored."""
    checks.widths(config, "hidden", "critic_hidden")
    checks.shares(config, "dropout", "critic_dropout", "encoder_leak")
    checks.at_least_0(config, "gradient_penalty", "perturbation", "log_eps")
    checks.kl(config, closed_form=isinstance(prior, Gaussian))
    checks.label(config, decoder_needs_label)


@dataclasses.dataclass(frozen=True)
class AAE(Algorithm):
    """Adversarial autoencoder (Makhzani et al. 2016, section 2); `ConditionalAAE` also tells the decoder the label.

    Players: reconstruction moves encoder and decoder; the critic learns to tell prior codes from codes; the encoder,
    with an optimiser state of its own, learns to fool it; kl, where `optimizers` names it, draws every q(z | x) to the
    prior, in place of a weighted term in the reconstruction's loss; and smoothness, where there is a `perturbation`,
    keeps the code where it is under the small change of x that would move it most (not in the paper; after Miyato et
    al. 2018, virtual adversarial training), so that what labels teach spreads to the images around theirs.

    Where the critic sees the label and the prior has pieces, the prior codes of a class come from its own piece, those
    of unlabelled images from anywhere, so that the classes come to lie each on its piece (section 2.3, figure 4).

    Attributes:
      critic_sees_label: the critic scores (code, label); an unknown label is all zeros.
      critic_dropout: the share of the critic's hidden units dropped in training.
      gaussian_posterior: the encoder draws z ~ N(mean(x), std(x)²) (section 2.1 of the paper) instead of a point. A
        class whose images vary in few ways can so fill the dimensions that it has no use for with noise, where a
        deterministic encoder would leave it on a thin surface that gives the label away.
      kl_weight: weight of KL(q(z | x) || prior), in nats, in the reconstruction's loss; needs `gaussian_posterior` and
        a Gaussian prior.
      game_moves_spread: whether the encoder's game moves the std of q(z | x) as well as its mean. The critic is fooled
        most cheaply by noise, which costs what the code knows of the image; without, reconstruction and KL alone say
        how much of it an image bears, and the game arranges the means.
      gradient_penalty: weight, in the critic's loss, of its squared slope at prior codes and at codes.
      label_products: which of the networks that see code and label see their outer product as well: a first layer of
        its own for each class, where joining code and one-hot label moves nothing but the first layer's bias. The
        critic so finds what tells the classes apart. A decoder with them reconstructs better and separates as well,
        but its classes no longer share what a code means: a row of the picture is no longer one handwriting.
      mean_over_pixels: reconstruction in nats per pixel rather than per image; matters where gradients accumulate.
      perturbation: the length of smoothness's change, a norm over pixels in [0, 1]; 0: no such player.
      log_eps: the tutorials' log(sigmoid(x) + eps) instead of losses from logits, to measure that mistake.
    """

    info: Info
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str
    critic_sees_label: bool
    critic_dropout: float
    gaussian_posterior: bool
    kl_weight: float
    game_moves_spread: bool
    gradient_penalty: float
    label_products: tuple[str, ...]
    mean_over_pixels: bool
    log_eps: float
    perturbation: float

    decoder_needs_label = False

    @classmethod
    def from_config(cls, config, info: Info) -> "AAE":
        prior = make_prior(config.prior, config.latent_size, config.prior_std, info.num_classes)
        check(config, prior, cls.decoder_needs_label)
        if cls.decoder_needs_label or config.critic_sees_label:
            checks.classes(info)
        options = {name: config[name] for name in OPTIONS} | {"label_products": tuple(config.label_products)}
        networks = aae_networks(config, info.image_shape, prior.size)
        optimizers = {
            name: optax.adam(decayed(rate, config.steps, config.decay), b1=config.b1[name])
            for name, rate in config.rates.items()
            if rate or name != "kl"
        }
        return cls(info, prior, networks, optimizers, **options)

    @property
    def evaluations(self):
        return ("reconstruction", "prior_gap", "parzen", *(("own_component",) if self.prior_has_labels else ()))

    @property
    def pictures(self):
        return (*(("walk",) if self.latent_size == 2 else ()), "reconstructions", "codes")

    @property
    def prior_has_labels(self) -> bool:
        """Whether each class is drawn to a piece of its own of the prior."""
        return self.critic_sees_label and isinstance(self.prior, PiecewisePrior)

    @property
    def players(self) -> tuple[Player, ...]:
        players = (
            Player("reconstruction", ("encoder", "decoder"), self.optimizers["reconstruction"], self.reconstruct),
            Player("critic", ("critic",), self.optimizers["critic"], self.tell_prior_from_code),
            Player("encoder", ("encoder",), self.optimizers["encoder"], self.fool_critic),
        )
        if self.perturbation:
            players += (Player("smoothness", ("encoder",), self.optimizers["smoothness"], self.resist),)
        if "kl" in self.optimizers:
            players += (Player("kl", ("encoder",), self.optimizers["kl"], self.compress),)
        return players

    @property
    def one_way_back(self) -> bool:
        """Whether one way back through the critic serves its loss, its penalty and the encoder; see `piecewise`."""
        exact = not (self.log_eps or self.critic_dropout)
        return bool(self.schedule == "simultaneous" and self.gradient_penalty and exact)

    def example_inputs(self):
        image, code, label = self.example_image(), jnp.zeros((1, self.latent_size)), jnp.zeros(1, jnp.int32)
        return {
            "encoder": (image,),
            "decoder": self.seen("decoder", code, label),
            "critic": self.seen("critic", code, label),
        }

    # The losses. Under the simultaneous schedule all get the same rng, so that `code_rng`, split off first, gives them
    # the same codes; and without dropout, which the critic alone never sees, one forward pass of the encoder.

    def reconstruct(self, params, stats, batch, rng):
        code_rng, decoder_rng = prng.split(rng)
        posterior = self.posterior(params, stats, batch.image, code_rng)
        logits = self.logits(params, stats, self.draw(posterior, code_rng), batch.label, decoder_rng)
        nll = objectives.bernoulli_nll(logits, batch.image).mean()
        loss, metrics = nll / batch.image[0].size if self.mean_over_pixels else nll, {"nll": nll}
        if self.kl_weight:
            metrics["kl"] = self.kl(posterior).mean()
            loss = loss + self.kl_weight * metrics["kl"]
        return loss, (metrics, stats)

    def tell_prior_from_code(self, params, stats, batch, rng):
        code_rng, game_rng = prng.split(rng)
        prior_rng, real_rng, fake_rng = prng.split(game_rng, 3)
        code = self.draw(self.posterior(params, stats, batch.image), code_rng)
        prior_code = self.prior_code(prior_rng, batch.label)
        if self.one_way_back:
            score = self.score_of_both(params, stats, batch.label)
            loss, metrics = piecewise.told_apart(score, prior_code, code, self.gradient_penalty)
            return loss, (metrics, stats)
        real = self.score(params, stats, prior_code, batch.label, real_rng)
        fake = self.score(params, stats, code, batch.label, fake_rng)
        loss = objectives.critic_loss(real, fake, self.log_eps).mean()

        def without_dropout(z):
            return self.score(params, stats, z, batch.label)

        loss, metrics = objectives.penalised(loss, without_dropout, prior_code, code, self.gradient_penalty)
        return loss, (metrics, stats)

    def compress(self, params, stats, batch, rng):
        code_rng, _ = prng.split(rng)
        kl = self.kl(self.posterior(params, stats, batch.image, code_rng)).mean()
        return kl, ({"nats": kl}, stats)

    def fool_critic(self, params, stats, batch, rng):
        code_rng, critic_rng = prng.split(rng)
        posterior = self.posterior(params, stats, batch.image, code_rng)
        if not self.game_moves_spread:
            posterior = posterior._replace(log_std=jax.lax.stop_gradient(posterior.log_std))
        code = self.draw(posterior, code_rng)
        if self.one_way_back:
            prior_code = self.prior_code(prng.split(critic_rng, 3)[0], batch.label)  # the critic's own
            loss = piecewise.fooled(self.score_of_both(params, stats, batch.label), prior_code, code)
            return loss, ({"loss": loss}, stats)
        loss = objectives.fooling_loss(self.score(params, stats, code, batch.label, critic_rng), self.log_eps).mean()
        return loss, ({"loss": loss}, stats)

    def resist(self, params, stats, batch, rng):
        code = jax.lax.stop_gradient(self.posterior(params, stats, batch.image).mean)

        def movement(change):
            """How far q(z | x)'s mean moves, squared, in units of the prior's std."""
            changed = self.posterior(params, stats, batch.image + change).mean
            return jnp.square((changed - code) / self.prior.std).sum(-1)

        rng = prng.fold_in(rng, 3)
        change = objectives.worst_change(movement, rng, batch.image.shape, self.perturbation)
        squared = movement(change).mean()
        return squared, ({"squared": squared}, stats)

    # The networks' parts. Where an rng comes, dropout is on.

    def posterior(self, params, stats, image, rng=None) -> Posterior:
        """q(z | x) of each example."""
        output = self.apply("encoder", params, stats, image, rng=rng)
        if not self.gaussian_posterior:
            return Posterior(output, None)
        return as_posterior(output, LOG_STD_RANGE, LOG_STD_AT_START)

    def draw(self, posterior: Posterior, rng) -> Float[Array, "B Z"]:
        return posterior.mean if posterior.log_std is None else posterior.draw(prng.fold_in(rng, 0))

    def kl(self, posterior: Posterior) -> Float[Array, " B"]:
        """KL(q(z | x) || prior) of each example, in nats."""
        scale = self.prior.std
        return gaussian_kl(posterior.mean / scale, 2 * (posterior.log_std - jnp.log(scale)))

    def logits(self, params, stats, code, label, rng=None):
        """[B, Z], [B] -> pixel logits [B, H, W, C]."""
        return self.apply("decoder", params, stats, *self.seen("decoder", code, label), rng=rng)

    def score(self, params, stats, code, label, rng=None, one=None):
        """The critic's logit that a code came from the prior: [B, Z], [B] -> [B]."""
        return self.apply("critic", params, stats, *self.seen("critic", code, label, one), rng=rng, one=one)

    def score_of_both(self, params, stats, label) -> piecewise.Score:
        """The score of prior codes and codes by turns, of the same labels."""
        twice = jnp.repeat(label, 2)
        return lambda code, one: self.score(params, stats, code, twice, one=one)

    def seen(self, network, code, label, one=None):
        """What decoder or critic sees: the code, the one-hot label and their outer product, as far as it is told.

        The label is times `one`, if that comes: linear in it, as the products are in the code.
        """
        if not {"decoder": self.decoder_needs_label, "critic": self.critic_sees_label}[network]:
            return (code,)
        one_hot = self.one_hot(label)
        products = (code[:, None] * one_hot[:, :, None],) if network in self.label_products else ()
        return (code, one_hot if one is None else one[:, None] * one_hot, *products)

    def prior_code(self, rng, label):
        """A code of the prior for each label, from the label's own piece where it has one: [B] -> [B, Z]."""
        if self.prior_has_labels:
            return self.prior.sample_piece(rng, label)
        return self.sample_code(rng, len(label))

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label, rng):
        del label  # the style is read from the image alone
        return self.draw(self.posterior(params, stats, image), rng)

    def mean_code(self, params, stats, image, label):
        del label
        return self.posterior(params, stats, image).mean

    def decode(self, params, stats, code, label):
        return jax.nn.sigmoid(self.logits(params, stats, code, label))

    def evaluate(self, params, stats, batch, rng):
        logits = self.logits(params, stats, self.encode(params, stats, batch.image, batch.label, rng), batch.label)
        return objectives.reconstruction_measures(logits, batch.image)


@dataclasses.dataclass(frozen=True)
class ConditionalAAE(AAE):
    """Adversarial autoencoder whose decoder is told the label (Makhzani et al. 2016, section 2.3 and figure 6).

    With `critic_sees_label` q(z | y) meets the prior for every y, and the code is left with what the label does not
    say, the style. Without it only the mixture over y meets the prior, and nothing keeps the label out of the code.
    """

    evaluations = ("reconstruction", "separation", "prior_gap")
    pictures = ("prior_styles", "test_styles", "reconstructions", "codes")
    decoder_needs_label = True
