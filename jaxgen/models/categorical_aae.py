"""What adversarial autoencoders with a code of category and style share (Makhzani et al. 2016, sections 4 to 6)."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxgen.config import checks
from jaxgen.kernels import random, shared_backward
from jaxgen.losses import adversarial, reconstruction, regularizers
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_categorical_networks
from jaxgen.models.priors import Prior, make_prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule, make_optimizer
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec

CONFIG_FIELDS = (
    "update_order",
    "input_noise_std",
    "vat_epsilon",
    "straight_through_category",
    "min_head_distance",
    "pixel_loss",
    "conditional_style_critic",
    "r1_r2_weight",
)


PIXEL_LOSSES = ("bce", "mse")


class NoisyEncoding(NamedTuple):
    """What the encoder makes of an image in training."""

    input: Float[Array, "B H W C"]  # as the encoder sees it: under noise
    heads: tuple[Float[Array, "B K"], Float[Array, "B Z"]]  # the logits of q(y | x) and the style, dropout on


def validate_config(config) -> None:
    """Refuses values that no network could be built with.

    Raises:
      ValueError: a width below 1, a corruption, distance or weight that is negative, a dropout outside [0, 1).
    """
    checks.require_layer_sizes(config, "hidden_sizes", "critic_hidden_sizes")
    checks.require_nonnegative(config, "input_noise_std", "vat_epsilon", "min_head_distance", "r1_r2_weight")
    checks.require_fraction(config, "dropout_rate")
    checks.require_choice(config, "pixel_loss", PIXEL_LOSSES)


@dataclasses.dataclass(frozen=True)
class CategoricalAAE(LatentVariableModel):
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

    info: DatasetSpec
    categories: int
    prior: Prior  # of the style
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    input_noise_std: float
    vat_epsilon: float
    straight_through_category: bool
    min_head_distance: float
    conditional_style_critic: bool
    r1_r2_weight: float
    pixel_loss: str

    is_conditional = True
    predicts_category = True

    @classmethod
    def common_fields(cls, config, info: DatasetSpec, categories: int) -> dict:
        """What a subclass is built from, whatever it adds."""
        validate_config(config)
        prior = make_prior("gaussian", config.latent_size, config.prior_std, categories)
        networks = build_categorical_networks(config, info.image_shape, categories, prior.size)
        optimizers = {
            name: make_optimizer(
                config.optimizer,
                learning_rate_schedule(rate, config.steps, config.lr_schedule, boundaries=tuple(config.lr_boundaries)),
                config.b1[name],
                config.momentum[name],
            )
            for name, rate in config.learning_rates.items()
        }
        named = {"info": info, "categories": categories, "prior": prior, "networks": networks, "optimizers": optimizers}
        return named | {name: config[name] for name in CONFIG_FIELDS}

    @property
    def players(self) -> tuple[Player, ...]:
        drawn_by = ("encoder", "decoder", *(("cluster_heads",) if self.min_head_distance else ()))
        players = [
            self.make_player("reconstruction", drawn_by, self.reconstruction_loss),
            self.make_player("category_critic", ("category_critic",), self.category_critic_loss),
            self.make_player("style_critic", ("style_critic",), self.style_critic_loss),
            self.make_player("adversarial", ("encoder",), self.adversarial_loss),
        ]
        if self.vat_epsilon:
            players.append(self.make_player("vat", ("encoder",), self.vat_loss))
        if self.min_head_distance:
            players.append(self.make_player("head_separation", ("cluster_heads",), self.head_separation_loss))
        return tuple(players)

    @property
    def shares_critic_backward(self) -> bool:
        """Whether one way back through a critic serves its loss, its penalty and the encoder; see `piecewise`."""
        return bool(self.update_order == "simultaneous" and self.r1_r2_weight)

    def make_player(self, name: str, networks: tuple[str, ...], loss) -> Player:
        return Player(name, networks, self.optimizers[name], loss)

    def example_inputs(self):
        style, category = jnp.zeros((1, self.latent_size)), jnp.zeros((1, self.categories))
        heads = {"cluster_heads": (category,)} if self.min_head_distance else {}
        return heads | {
            "encoder": (self.example_image(),),
            "decoder": (style,) if self.min_head_distance else (style, category),
            "category_critic": (category,),
            "style_critic": self.style_critic_features(style, category),
        }

    # The losses. Under the simultaneous schedule all get the same rng, and with it the same corruption: one forward
    # pass of the encoder serves them all.

    def reconstruction_loss(self, params, stats, batch, rng):
        logits, style = self.encode_with_noise(params, stats, batch, rng).heads
        pixels = self.decode_logits(params, stats, style, self.decoder_category(logits))
        nll = reconstruction.bernoulli_nll(pixels, batch.image).mean()
        if self.pixel_loss == "bce":
            return nll, ({"nll": nll}, stats)
        half = 0.5 * reconstruction.sum_over_pixels(jnp.square(jax.nn.sigmoid(pixels) - batch.image)).mean()
        return half, ({"nll": nll, "half_squared_error": half}, stats)

    def category_critic_loss(self, params, stats, batch, rng):
        losses = self.category_critic_losses(
            params, stats, self.encode_with_noise(params, stats, batch, rng).heads, rng
        )
        return losses.critic, (losses.metrics, stats)

    def style_critic_loss(self, params, stats, batch, rng):
        losses = self.style_critic_losses(params, stats, self.encode_with_noise(params, stats, batch, rng).heads, rng)
        return losses.critic, (losses.metrics, stats)

    def adversarial_loss(self, params, stats, batch, rng):
        heads = self.encode_with_noise(params, stats, batch, rng).heads
        category = self.category_critic_losses(params, stats, heads, rng).generator
        style = self.style_critic_losses(params, stats, heads, rng).generator
        return category + style, ({"category_loss": category, "style_loss": style}, stats)

    def vat_loss(self, params, stats, batch, rng):
        seen, (logits, _) = self.encode_with_noise(params, stats, batch, rng)
        category = jax.lax.stop_gradient(jax.nn.softmax(logits))

        def divergence(change):
            """KL(q(y | x) || q(y | x + change)) of each example, in nats."""
            changed = jax.nn.log_softmax(self.encoder_outputs(params, stats, seen + change)[0])
            return (category * (jax.lax.stop_gradient(jax.nn.log_softmax(logits)) - changed)).sum(-1)

        rng = random.fold_in(rng, 3)
        kl = divergence(regularizers.vat_perturbation(divergence, rng, seen.shape, self.vat_epsilon)).mean()
        return kl, ({"kl": kl}, stats)

    def head_separation_loss(self, params, stats, batch, rng):
        del batch, rng
        heads = self.apply_network("cluster_heads", params, stats, jnp.eye(self.categories))
        one, other = np.triu_indices(self.categories, k=1)
        distance = jnp.sqrt(jnp.square(heads[one] - heads[other]).sum(-1) + 1e-12)
        missing = jax.nn.relu(self.min_head_distance - distance).sum()
        return missing, ({"loss": missing}, stats)

    # The networks' parts.

    def category_critic_losses(self, params, stats, heads, rng) -> shared_backward.CriticLosses:
        """Returns the losses of the category critic and of the encoder against it."""
        logits, _ = heads
        category = random.randint(random.fold_in(rng, 1), logits.shape[:1], 0, self.categories)
        real, fake = jax.nn.one_hot(category, self.categories), jax.nn.softmax(logits)
        return self.critic_losses("category_critic", params, stats, real, fake, lambda category, _: (category,), None)

    def style_critic_losses(self, params, stats, heads, rng) -> shared_backward.CriticLosses:
        """Returns the losses of the style critic, which may receive the category, and of the encoder against it."""
        logits, style = heads
        category = jax.lax.stop_gradient(self.category_code(logits))
        real = self.sample_prior(random.fold_in(rng, 2), len(style))
        return self.critic_losses("style_critic", params, stats, real, style, self.style_critic_features, category)

    def critic_losses(self, name, params, stats, real, fake, inputs, condition) -> shared_backward.CriticLosses:
        """Returns the losses of a critic and of the encoder against it."""
        critic = shared_backward.Critic(
            lambda critic, *inputs, rng=None: self.apply_network(name, {name: critic}, stats, *inputs, rng=rng),
            params[name],
            inputs,
            condition,
        )
        gan_loss = adversarial.GAN_LOSSES["non_saturating"]
        fused = self.shares_critic_backward
        return shared_backward.critic_losses(gan_loss, critic, real, fake, self.r1_r2_weight, fused)

    def style_critic_features(self, style, category) -> tuple[Array, ...]:
        """The style, and where it is told, the category and their outer product: a first layer for each category."""
        if not self.conditional_style_critic:
            return (style,)
        return (style, category, style[:, None] * category[:, :, None])

    def category_code(self, logits) -> Float[Array, "B K"]:
        """The category as decoder and style critic see it: q(y | x), or all of it on the likeliest one."""
        soft = jax.nn.softmax(logits)
        if not self.straight_through_category:
            return soft
        hard = jax.nn.one_hot(logits.argmax(-1), self.categories)
        return soft + jax.lax.stop_gradient(hard - soft)

    def decoder_category(self, logits) -> Float[Array, "B K"]:
        """The category as the decoder sees it while it learns."""
        return self.category_code(logits)

    def decode_logits(self, params, stats, style, category):
        """What the decoder makes of styles and (soft) categories: [B, Z], [B, K] -> pixel logits [B, H, W, C]."""
        seen = (self.add_cluster_head(params, stats, style, category),) if self.min_head_distance else (style, category)
        return self.apply_network("decoder", params, stats, *seen)

    def add_cluster_head(self, params, stats, style, category) -> Float[Array, "B Z"]:
        """The style around its category's head, z + W y."""
        return style + self.apply_network("cluster_heads", params, stats, category)

    def encode_with_noise(self, params, stats, batch, rng) -> NoisyEncoding:
        """What the encoder makes of a batch in training."""
        noise_rng, dropout_rng = random.split(random.fold_in(rng, 0))
        noise = self.input_noise_std * random.normal(noise_rng, batch.image.shape) if self.input_noise_std else 0.0
        seen = batch.image + noise
        return NoisyEncoding(seen, self.encoder_outputs(params, stats, seen, dropout_rng))

    def encoder_outputs(self, params, stats, image, rng=None) -> tuple[Float[Array, "B K"], Float[Array, "B Z"]]:
        """The logits of q(y | x) and the style; dropout is on where an rng comes."""
        output = self.apply_network("encoder", params, stats, image, rng=rng)
        return output[:, : self.categories], output[:, self.categories :]

    # What the loop, the evaluation and `jaxgen.load` use.

    def cluster_embeddings(self, params, stats, image) -> Float[Array, "B Z"]:
        """Each image's z + W y, of the style and the category that the encoder reads."""
        logits, style = self.encoder_outputs(params, stats, image)
        return self.add_cluster_head(params, stats, style, self.category_code(logits))

    def predict_category(self, params, stats, image) -> Int[Array, " B"]:
        """The likeliest category of each image."""
        return self.encoder_outputs(params, stats, image)[0].argmax(-1)

    def encode(self, params, stats, image, label, rng):
        del label, rng
        return self.encoder_outputs(params, stats, image)[1]

    def decode(self, params, stats, code, label):
        category = jax.nn.one_hot(label, self.categories)
        return jax.nn.sigmoid(self.decode_logits(params, stats, code, category))

    def per_example_metrics(self, params, stats, batch, rng):
        del rng
        logits, style = self.encoder_outputs(params, stats, batch.image)
        pixels = self.decode_logits(params, stats, style, self.category_code(logits))
        return reconstruction.reconstruction_metrics(pixels, batch.image)
