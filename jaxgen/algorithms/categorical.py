"""What adversarial autoencoders with a code of category and style share (Makhzani et al. 2016, sections 4 to 6)."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxgen import objectives, piecewise, prng
from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm
from jaxgen.algorithms.nets import categorical_networks
from jaxgen.distributions import Prior, make_prior
from jaxgen.networks.precision import Network
from jaxgen.optimizers import decayed, descent
from jaxgen.players import Player
from jaxgen.types import Info

OPTIONS = (
    "schedule",
    "input_noise",
    "perturbation",
    "hard_category",
    "head_distance",
    "squared_error",
    "style_critic_sees_category",
    "gradient_penalty",
)


class Corrupted(NamedTuple):
    """What the encoder makes of an image in training."""

    seen: Float[Array, "B H W C"]  # as the encoder sees it: under noise
    heads: tuple[Float[Array, "B K"], Float[Array, "B Z"]]  # the logits of q(y | x) and the style, dropout on


def check(config) -> None:
    """Refuses values that no network could be built with.

    Raises:
      ValueError: a width below 1, a corruption, distance or weight that is negative, a dropout outside [0, 1).
    """
    checks.widths(config, "hidden", "critic_hidden")
    checks.at_least_0(config, "input_noise", "perturbation", "head_distance", "gradient_penalty")
    checks.shares(config, "dropout")


@dataclasses.dataclass(frozen=True)
class CategoricalAAE(Algorithm):
    """Adversarial autoencoder whose encoder tells an image's category from its style (figures 8 and 9 of the paper).

    One trunk gives q(y | x), a softmax over the categories, and the style z; the decoder sees both. Players:
    reconstruction moves encoder and decoder; category_critic learns to tell q(y | x) from one-hot draws, every category
    as likely, and style_critic z from the prior; the encoder, with an optimiser state of its own, learns to fool both,
    which makes it sure of the category, uses all of them, and keeps them out of the style. With a `perturbation` one
    more, smoothness, keeps q(y | x) the same under the small change of x that would change it most (virtual
    adversarial training, Miyato et al. 2018, eqs. 5-10, one power iteration); it is not in the paper.

    With a `head_distance` the decoder sees style and category added up, z + W y, in as many dimensions as the style
    has: each category is a place, its head W_k, that the styles lie around (section 6, figure 10). One more player,
    distance, pushes every two heads apart until they are that far from each other.

    Attributes:
      categories: how many.
      input_noise: std of the Gaussian noise on the pixels that the encoder sees in training.
      style_critic_sees_category: the style critic scores (z, q(y | x)), prior styles beside the same categories, so
        that the style meets the prior within every category and says nothing of it.
      gradient_penalty: weight, in the critics' losses, of their squared slope at draws and at what the encoder makes.
        One-hot draws lie at corners that a softmax only nears: without it the category's critic is soon so sure that
        the encoder learns nothing from it.
      squared_error: reconstruction by ½ |x - x̂|², the paper's, instead of the Bernoulli likelihood.
      perturbation: the length of smoothness's change, a norm over pixels in [0, 1]; 0: no such player.
      hard_category: the decoder sees the likeliest category alone, its gradient passed straight through to q(y | x)
        (Bengio et al. 2013, arXiv 1308.3432). The shares of a soft one tell it of the style, which keeps the
        encoder from ever being sure.
      head_distance: how far apart distance wants the heads; 0: no heads, the decoder sees style and category.
    """

    info: Info
    categories: int
    prior: Prior  # of the style
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str
    input_noise: float
    perturbation: float
    hard_category: bool
    head_distance: float
    style_critic_sees_category: bool
    gradient_penalty: float
    squared_error: bool

    decoder_needs_label = True
    reads_category = True

    @classmethod
    def parts(cls, config, info: Info, categories: int) -> dict:
        """What a subclass is built from, whatever it adds."""
        check(config)
        prior = make_prior("gaussian", config.latent_size, config.prior_std, categories)
        networks = categorical_networks(config, info.image_shape, categories, prior.size)
        optimizers = {
            name: descent(
                config.optimizer,
                decayed(rate, config.steps, config.decay, drops=tuple(config.rate_drops)),
                config.momentum[name],
            )
            for name, rate in config.rates.items()
        }
        named = {"info": info, "categories": categories, "prior": prior, "networks": networks, "optimizers": optimizers}
        return named | {name: config[name] for name in OPTIONS}

    @property
    def players(self) -> tuple[Player, ...]:
        drawn_by = ("encoder", "decoder", *(("cluster_heads",) if self.head_distance else ()))
        players = [
            self.player("reconstruction", drawn_by, self.reconstruct),
            self.player("category_critic", ("category_critic",), self.tell_one_hot_from_category),
            self.player("style_critic", ("style_critic",), self.tell_prior_from_style),
            self.player("encoder", ("encoder",), self.fool_critics),
        ]
        if self.perturbation:
            players.append(self.player("smoothness", ("encoder",), self.resist))
        if self.head_distance:
            players.append(self.player("distance", ("cluster_heads",), self.keep_apart))
        return tuple(players)

    @property
    def one_way_back(self) -> bool:
        """Whether one way back through a critic serves its loss, its penalty and the encoder; see `piecewise`."""
        return bool(self.schedule == "simultaneous" and self.gradient_penalty)

    def player(self, name: str, networks: tuple[str, ...], loss) -> Player:
        return Player(name, networks, self.optimizers[name], loss)

    def example_inputs(self):
        style, category = jnp.zeros((1, self.latent_size)), jnp.zeros((1, self.categories))
        heads = {"cluster_heads": (category,)} if self.head_distance else {}
        return heads | {
            "encoder": (self.example_image(),),
            "decoder": (style,) if self.head_distance else (style, category),
            "category_critic": (category,),
            "style_critic": self.seen_by_style_critic(style, category),
        }

    # The losses. Under the simultaneous schedule all get the same rng, and with it the same corruption: one forward
    # pass of the encoder serves them all.

    def reconstruct(self, params, stats, batch, rng):
        logits, style = self.corrupted(params, stats, batch, rng).heads
        pixels = self.pixels(params, stats, style, self.seen_by_decoder(logits))
        nll = objectives.bernoulli_nll(pixels, batch.image).mean()
        if not self.squared_error:
            return nll, ({"nll": nll}, stats)
        half = 0.5 * objectives.sum_over_pixels(jnp.square(jax.nn.sigmoid(pixels) - batch.image)).mean()
        return half, ({"nll": nll, "half_squared_error": half}, stats)

    def tell_one_hot_from_category(self, params, stats, batch, rng):
        heads = self.corrupted(params, stats, batch, rng).heads
        return self.told_apart(*self.category_game(params, stats, heads, rng), stats)

    def tell_prior_from_style(self, params, stats, batch, rng):
        heads = self.corrupted(params, stats, batch, rng).heads
        return self.told_apart(*self.style_game(params, stats, heads, rng), stats)

    def told_apart(self, score, real, fake, stats):
        """A critic's loss and what it consists of."""
        if self.one_way_back:
            loss, metrics = piecewise.told_apart(score, real, fake, self.gradient_penalty)
        else:
            loss = objectives.critic_loss(score(real), score(fake)).mean()
            loss, metrics = objectives.penalised(loss, score, real, fake, self.gradient_penalty)
        return loss, (metrics, stats)

    def fool_critics(self, params, stats, batch, rng):
        heads = self.corrupted(params, stats, batch, rng).heads  # once, and so one way back through the encoder
        category = self.fooling(*self.category_game(params, stats, heads, rng))
        style = self.fooling(*self.style_game(params, stats, heads, rng))
        return category + style, ({"category_loss": category, "style_loss": style}, stats)

    def fooling(self, score, real, fake):
        """The encoder's loss against a critic."""
        if self.one_way_back:
            return piecewise.fooled(score, real, fake)
        return objectives.fooling_loss(score(fake)).mean()

    def resist(self, params, stats, batch, rng):
        seen, (logits, _) = self.corrupted(params, stats, batch, rng)
        category = jax.lax.stop_gradient(jax.nn.softmax(logits))

        def divergence(change):
            """KL(q(y | x) || q(y | x + change)) of each example, in nats."""
            changed = jax.nn.log_softmax(self.heads(params, stats, seen + change)[0])
            return (category * (jax.lax.stop_gradient(jax.nn.log_softmax(logits)) - changed)).sum(-1)

        rng = prng.fold_in(rng, 3)
        kl = divergence(objectives.worst_change(divergence, rng, seen.shape, self.perturbation)).mean()
        return kl, ({"kl": kl}, stats)

    def keep_apart(self, params, stats, batch, rng):
        del batch, rng
        heads = self.apply("cluster_heads", params, stats, jnp.eye(self.categories))
        one, other = np.triu_indices(self.categories, k=1)
        distance = jnp.sqrt(jnp.square(heads[one] - heads[other]).sum(-1) + 1e-12)
        missing = jax.nn.relu(self.head_distance - distance).sum()
        return missing, ({"missing": missing}, stats)

    # The networks' parts.

    def category_game(self, params, stats, heads, rng) -> tuple[piecewise.Score, Array, Array]:
        """The category critic's logit that a category was drawn; drawn ones, one-hot; the encoder's q(y | x)."""
        logits, _ = heads
        drawn = prng.randint(prng.fold_in(rng, 1), logits.shape[:1], 0, self.categories)

        def score(category, one=None):
            return self.apply("category_critic", params, stats, category, one=one)

        return score, jax.nn.one_hot(drawn, self.categories), jax.nn.softmax(logits)

    def style_game(self, params, stats, heads, rng) -> tuple[piecewise.Score, Array, Array]:
        """The style critic's logit that a style came from the prior; styles of the prior; the encoder's.

        The category is told, not judged.
        """
        logits, style = heads
        told = jax.lax.stop_gradient(self.shown(logits))

        def score(style, one=None):
            category = jnp.repeat(told, len(style) // len(told), axis=0)  # once, or of real and fake by turns
            return self.apply("style_critic", params, stats, *self.seen_by_style_critic(style, category, one), one=one)

        return score, self.sample_code(prng.fold_in(rng, 2), len(style)), style

    def seen_by_style_critic(self, style, category, one=None) -> tuple[Array, ...]:
        """The style, and where it is told, the category and their outer product: a first layer for each category.

        The category is times `one`, if that comes.
        """
        if not self.style_critic_sees_category:
            return (style,)
        return (style, category if one is None else one[:, None] * category, style[:, None] * category[:, :, None])

    def shown(self, logits) -> Float[Array, "B K"]:
        """The category as decoder and style critic see it: q(y | x), or all of it on the likeliest one."""
        soft = jax.nn.softmax(logits)
        if not self.hard_category:
            return soft
        hard = jax.nn.one_hot(logits.argmax(-1), self.categories)
        return soft + jax.lax.stop_gradient(hard - soft)

    def seen_by_decoder(self, logits) -> Float[Array, "B K"]:
        """The category as the decoder sees it while it learns."""
        return self.shown(logits)

    def pixels(self, params, stats, style, category):
        """What the decoder makes of styles and (soft) categories: [B, Z], [B, K] -> pixel logits [B, H, W, C]."""
        seen = (self.place(params, stats, style, category),) if self.head_distance else (style, category)
        return self.apply("decoder", params, stats, *seen)

    def place(self, params, stats, style, category) -> Float[Array, "B Z"]:
        """The style around its category's head, z + W y."""
        return style + self.apply("cluster_heads", params, stats, category)

    def corrupted(self, params, stats, batch, rng) -> Corrupted:
        """What the encoder makes of a batch in training."""
        noise_rng, dropout_rng = prng.split(prng.fold_in(rng, 0))
        noise = self.input_noise * prng.normal(noise_rng, batch.image.shape) if self.input_noise else 0.0
        seen = batch.image + noise
        return Corrupted(seen, self.heads(params, stats, seen, dropout_rng))

    def heads(self, params, stats, image, rng=None) -> tuple[Float[Array, "B K"], Float[Array, "B Z"]]:
        """The logits of q(y | x) and the style; dropout is on where an rng comes."""
        output = self.apply("encoder", params, stats, image, rng=rng)
        return output[:, : self.categories], output[:, self.categories :]

    # What the loop, the evaluation and `jaxgen.load` use.

    def places(self, params, stats, image) -> Float[Array, "B Z"]:
        """Each image's z + W y, of the style and the category that the encoder reads."""
        logits, style = self.heads(params, stats, image)
        return self.place(params, stats, style, self.shown(logits))

    def categorise(self, params, stats, image) -> Int[Array, " B"]:
        """The likeliest category of each image."""
        return self.heads(params, stats, image)[0].argmax(-1)

    def encode(self, params, stats, image, label, rng):
        del label, rng
        return self.heads(params, stats, image)[1]

    def decode(self, params, stats, code, label):
        category = jax.nn.one_hot(label, self.categories)
        return jax.nn.sigmoid(self.pixels(params, stats, code, category))

    def evaluate(self, params, stats, batch, rng):
        del rng
        logits, style = self.heads(params, stats, batch.image)
        pixels = self.pixels(params, stats, style, self.shown(logits))
        return objectives.reconstruction_measures(pixels, batch.image)
