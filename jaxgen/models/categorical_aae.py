"""Adversarial autoencoders with a categorical code and a style code (Makhzani et al. 2016, sections 4 to 6)."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxgen.config import checks
from jaxgen.kernels import random
from jaxgen.kernels.shared_backward import Critic, CriticLosses, critic_losses
from jaxgen.losses import reconstruction, regularizers
from jaxgen.losses.adversarial import GAN_LOSSES
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_categorical_networks
from jaxgen.models.priors import Prior, make_prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule, make_optimizer
from jaxgen.optimization.players import Player
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats, Params

CONFIG_FIELDS = (
    *("update_order", "input_noise_std", "vat_epsilon", "straight_through_category", "min_head_distance"),
    *("pixel_loss", "conditional_style_critic", "r1_r2_weight"),
)
PIXEL_LOSSES = ("bce", "mse")


class CategoricalForward(NamedTuple):
    """Differentiable outputs of the forward pass that all players share."""

    logits: Float[Array, "B K"]  # of q(y | x), with dropout
    style: Float[Array, "B Z"]  # with dropout
    category_losses: CriticLosses  # of the category critic and of the encoder against it
    style_losses: CriticLosses  # of the style critic and of the encoder against it


class CategoricalForwardAux(NamedTuple):
    """The other outputs of a shared forward pass."""

    image: Float[Array, "B H W C"]  # the encoder's input: the batch's images with noise
    vat_rng: Array  # key of the first direction of virtual adversarial training


Forward = tuple[CategoricalForward, CategoricalForwardAux]


@dataclasses.dataclass(frozen=True)
class CategoricalAAE(LatentVariableModel):
    """Adversarial autoencoder with separate codes for category and style (figures 8 and 9 of the paper).

    One encoder gives q(y | x), a softmax over the categories, and the style z; the decoder receives both.

    Players:
      reconstruction: trains encoder and decoder.
      category_critic: learns to distinguish q(y | x) from uniformly sampled one-hot categories.
      style_critic: learns to distinguish z from the prior.
      adversarial: trains the encoder against both critics, with an optimizer state of its own. It makes q(y | x)
        confident, uses all categories equally, and removes the category from the style.
      vat: with a `vat_epsilon`, keeps q(y | x) constant under the small change of x that would change it most (virtual
        adversarial training, Miyato et al. 2018, eqs. 5-10, one power iteration). It is not in the AAE paper.
      head_separation: with a `min_head_distance`, pushes cluster heads apart.

    With a `min_head_distance` the decoder receives the sum z + W y, in the dimensions of the style. Each category then
    has a cluster head W_k, around which the styles lie (section 6, figure 10).

    Attributes:
      categories: number of categories.
      prior: distribution of the style.
      input_noise_std: std of the Gaussian noise on the encoder's input pixels in training.
      conditional_style_critic: whether the style critic receives (z, q(y | x)), and prior styles with the same
        categories. The style then matches the prior within every category and is independent of it.
      r1_r2_weight: weight, in the critics' losses, of their squared gradients at prior samples and at the encoder's
        outputs. One-hot samples lie at corners that a softmax only approaches. Without the penalty the category critic
        is soon so confident that the encoder learns nothing from it.
      pixel_loss: "bce", the Bernoulli likelihood, or "mse", the paper's half squared error.
      vat_epsilon: norm of the change in vat, over pixels in [0, 1]; 0 for no such player.
      straight_through_category: whether the decoder receives the most likely category as a one-hot vector, with the
        gradient passed straight through to q(y | x) (Bengio et al. 2013, arXiv 1308.3432). A soft category carries
        information about the style in its probabilities, which keeps the encoder from becoming confident.
      min_head_distance: distance below which cluster heads repel each other; 0 for no heads.
    """

    info: DatasetSpec
    categories: int
    prior: Prior
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
    def fields_from_config(cls, config: Any, info: DatasetSpec, categories: int) -> dict[str, Any]:
        """Validates a config and returns the fields that all subclasses have, by name."""
        validate_config(config)
        prior = make_prior("gaussian", config.latent_size, config.prior_std, categories)
        networks = build_categorical_networks(config, info.image_shape, categories, prior.size)
        boundaries = tuple(config.lr_boundaries)
        optimizers = {
            name: make_optimizer(
                config.optimizer,
                learning_rate_schedule(rate, config.steps, config.lr_schedule, boundaries=boundaries),
                config.b1[name],
                config.momentum[name],
            )
            for name, rate in config.learning_rates.items()
        }
        fields = {"info": info, "categories": categories, "prior": prior, "networks": networks}
        return fields | {"optimizers": optimizers} | {name: config[name] for name in CONFIG_FIELDS}

    @property
    def players(self) -> tuple[Player, ...]:
        """Reconstruction, both critics and adversarial; then vat and head_separation, if the config has them."""
        decoder_networks = ("decoder", *(("cluster_heads",) if self.min_head_distance else ()))
        players = [
            self.make_player("reconstruction", ("encoder", *decoder_networks), self.reconstruction_loss),
            self.make_player("category_critic", ("category_critic",), self.category_critic_loss),
            self.make_player("style_critic", ("style_critic",), self.style_critic_loss),
            self.make_player("adversarial", ("encoder",), self.adversarial_loss),
        ]
        if self.vat_epsilon:
            players.append(self.make_player("vat", ("encoder",), self.vat_loss))
        if self.min_head_distance:
            players.append(self.make_player("head_separation", ("cluster_heads",), self.head_separation_loss))
        return tuple(players)

    def make_player(self, name: str, networks: tuple[str, ...], loss: Any) -> Player:
        """Returns a player on the forward pass that all players share."""
        return Player(name, networks, self.optimizers[name], loss, self.shared_forward)

    @property
    def shares_critic_backward(self) -> bool:
        """Whether one backward pass through a critic serves both players; see `kernels.shared_backward`."""
        return bool(self.update_order == "simultaneous" and self.r1_r2_weight)

    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns one example of each network's inputs."""
        style, category = jnp.zeros((1, self.latent_size)), jnp.zeros((1, self.categories))
        heads = {"cluster_heads": (category,)} if self.min_head_distance else {}
        return heads | {
            "encoder": (self.example_image(),),
            "decoder": (style,) if self.min_head_distance else (style, category),
            "category_critic": (category,),
            "style_critic": self.style_critic_inputs(style, category),
        }

    # Losses.

    def shared_forward(self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array) -> Forward:
        """Encodes noisy images, samples categories and styles of the priors, and scores both kinds by the critics."""
        encoder_rng, category_rng, style_rng, vat_rng = (random.fold_in(rng, number) for number in range(4))
        noise_rng, dropout_rng = random.split(encoder_rng)
        noise = self.input_noise_std * random.normal(noise_rng, batch.image.shape) if self.input_noise_std else 0.0
        image = batch.image + noise
        logits, style = self.encoder_outputs(params, stats, image, dropout_rng)
        prior_category = random.randint(category_rng, batch.label.shape, 0, self.categories)
        real, fake = jax.nn.one_hot(prior_category, self.categories), jax.nn.softmax(logits)
        category_losses = self.critic_losses("category_critic", params, stats, real, fake)
        category = jax.lax.stop_gradient(self.category_code(logits))
        prior_style = self.sample_prior(style_rng, len(style))
        style_losses = self.critic_losses("style_critic", params, stats, prior_style, style, category)
        return CategoricalForward(logits, style, category_losses, style_losses), CategoricalForwardAux(image, vat_rng)

    def critic_losses(
        self,
        name: str,
        params: NetworkParams,
        stats: NetworkStats,
        real: Float[Array, "B N"],
        fake: Float[Array, "B N"],
        condition: Float[Array, "B K"] | None = None,
    ) -> CriticLosses:
        """Returns the losses of a critic and of the encoder against it."""

        def apply(critic_params: Params, *inputs: Array, rng: Array | None = None) -> Float[Array, " B"]:
            """Returns the logits of the critic with these parameters."""
            return self.apply_network(name, {name: critic_params}, stats, *inputs, rng=rng)

        inputs = self.style_critic_inputs if name == "style_critic" else lambda category, _: (category,)
        critic = Critic(apply, params[name], inputs, condition)
        gan_loss, fused = GAN_LOSSES["non_saturating"], self.shares_critic_backward
        return critic_losses(gan_loss, critic, real, fake, self.r1_r2_weight, fused)

    def reconstruction_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns -log p(x | y, z), or ½ |x - x̂|² with `pixel_loss` "mse" (Makhzani et al. 2016, section 4)."""
        outputs, _ = forward
        pixels = self.decode_logits(params, stats, outputs.style, self.decoder_category(outputs.logits))
        nll = reconstruction.bernoulli_nll(pixels, batch.image).mean()
        if self.pixel_loss == "bce":
            return nll, ({"nll": nll}, {})
        half = 0.5 * reconstruction.sum_over_pixels(jnp.square(jax.nn.sigmoid(pixels) - batch.image)).mean()
        return half, ({"nll": nll, "half_squared_error": half}, {})

    def category_critic_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns -log D(y) - log(1 - D(q(y | x))) plus gradient penalties; y is a uniform one-hot category.

        Goodfellow et al. 2014, eq. 1; R1 and R2 penalties of Mescheder et al. 2018, section 4.1.
        """
        del params, stats, batch
        losses = forward[0].category_losses
        return losses.critic, (losses.metrics, {})

    def style_critic_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns -log D(z) - log(1 - D(E(x))) for styles plus gradient penalties, as `category_critic_loss`."""
        del params, stats, batch
        losses = forward[0].style_losses
        return losses.critic, (losses.metrics, {})

    def adversarial_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns the sum of the non-saturating losses against both critics (Goodfellow et al. 2014, section 3)."""
        del params, stats, batch
        category, style = forward[0].category_losses.generator, forward[0].style_losses.generator
        return category + style, ({"category_loss": category, "style_loss": style}, {})

    def vat_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward) -> LossOutput:
        """Returns KL(q(y | x) || q(y | x + r)) for a nearly worst change r (Miyato et al. 2018, eqs. 5 to 7)."""
        del batch
        outputs, aux = forward
        log_category = jax.lax.stop_gradient(jax.nn.log_softmax(outputs.logits))
        category = jax.lax.stop_gradient(jax.nn.softmax(outputs.logits))

        def divergence(change: Float[Array, "B H W C"]) -> Float[Array, " B"]:
            """KL(q(y | x) || q(y | x + change)) of each example, in nats."""
            changed = jax.nn.log_softmax(self.encoder_outputs(params, stats, aux.image + change)[0])
            return (category * (log_category - changed)).sum(-1)

        change = regularizers.vat_perturbation(divergence, aux.vat_rng, aux.image.shape, self.vat_epsilon)
        kl = divergence(change).mean()
        return kl, ({"kl": kl}, {})

    def head_separation_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns the sum over pairs of heads of max(0, min_head_distance - distance) (Makhzani et al. 2016, sec. 6).

        The paper penalizes distances below a threshold and gives no formula.
        """
        del batch, forward
        heads = self.apply_network("cluster_heads", params, stats, jnp.eye(self.categories))
        first, second = np.triu_indices(self.categories, k=1)
        distance = jnp.sqrt(jnp.square(heads[first] - heads[second]).sum(-1) + 1e-12)
        loss = jax.nn.relu(self.min_head_distance - distance).sum()
        return loss, ({"loss": loss}, {})

    # Parts of the networks.

    def style_critic_inputs(self, style: Float[Array, "B Z"], category: Float[Array, "B K"]) -> tuple[Array, ...]:
        """Returns the style and, for a conditional critic, the category and their outer product.

        The product gives the critic a first layer for each category.
        """
        if not self.conditional_style_critic:
            return (style,)
        return (style, category, style[:, None] * category[:, :, None])

    def category_code(self, logits: Float[Array, "B K"]) -> Float[Array, "B K"]:
        """Returns q(y | x), or with `straight_through_category` its mode as a one-hot vector with q's gradient."""
        soft = jax.nn.softmax(logits)
        if not self.straight_through_category:
            return soft
        hard = jax.nn.one_hot(logits.argmax(-1), self.categories)
        return soft + jax.lax.stop_gradient(hard - soft)

    def decoder_category(self, logits: Float[Array, "B K"]) -> Float[Array, "B K"]:
        """Returns the category that the decoder receives in training."""
        return self.category_code(logits)

    def decode_logits(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        style: Float[Array, "B Z"],
        category: Float[Array, "B K"],
    ) -> Float[Array, "B H W C"]:
        """Returns the pixel logits of styles and (soft) categories."""
        if not self.min_head_distance:
            return self.apply_network("decoder", params, stats, style, category)
        return self.apply_network("decoder", params, stats, self.add_cluster_head(params, stats, style, category))

    def add_cluster_head(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        style: Float[Array, "B Z"],
        category: Float[Array, "B K"],
    ) -> Float[Array, "B Z"]:
        """Returns z + W y: the style around its category's cluster head."""
        return style + self.apply_network("cluster_heads", params, stats, category)

    def encoder_outputs(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"], rng: Array | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B Z"]]:
        """Returns the logits of q(y | x) and the style; an rng turns dropout on."""
        output = self.apply_network("encoder", params, stats, image, rng=rng)
        return output[:, : self.categories], output[:, self.categories :]

    # Interface for evaluation and inference.

    def cluster_embeddings(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"]
    ) -> Float[Array, "B Z"]:
        """Returns each image's z + W y, for the style and the category that the encoder predicts."""
        logits, style = self.encoder_outputs(params, stats, image)
        return self.add_cluster_head(params, stats, style, self.category_code(logits))

    def predict_category(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"]
    ) -> Int[Array, " B"]:
        """Returns the most likely category of each image."""
        return self.encoder_outputs(params, stats, image)[0].argmax(-1)

    def encode(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"] | None,
        rng: Array,
    ) -> Float[Array, "B Z"]:
        """Returns the styles of images."""
        del label, rng
        return self.encoder_outputs(params, stats, image)[1]

    def decode(
        self, params: NetworkParams, stats: NetworkStats, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> Float[Array, "B H W C"]:
        """Decodes styles and categories to images in [0, 1]."""
        category = jax.nn.one_hot(label, self.categories)
        return jax.nn.sigmoid(self.decode_logits(params, stats, code, category))

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns the reconstruction metrics of each image."""
        del rng
        logits, style = self.encoder_outputs(params, stats, batch.image)
        pixels = self.decode_logits(params, stats, style, self.category_code(logits))
        return reconstruction.reconstruction_metrics(pixels, batch.image)


def validate_config(config: Any) -> None:
    """Validates the config's values for this family.

    Raises:
      ValueError: with the value, the rule and a fix.
    """
    checks.require_layer_sizes(config, "hidden_sizes", "critic_hidden_sizes")
    checks.require_nonnegative(config, "input_noise_std", "vat_epsilon", "min_head_distance", "r1_r2_weight")
    checks.require_fraction(config, "dropout_rate")
    checks.require_choice(config, "pixel_loss", PIXEL_LOSSES)
