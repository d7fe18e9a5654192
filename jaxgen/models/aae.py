"""Adversarial autoencoders (Makhzani et al. 2016): an autoencoder whose codes a critic pulls onto a prior."""

import dataclasses
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.kernels import random, shared_backward
from jaxgen.losses import adversarial, reconstruction, regularizers
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_aae_networks
from jaxgen.models.posterior import DiagonalGaussian, diagonal_gaussian_from_output, gaussian_kl
from jaxgen.models.priors import Gaussian, MixturePrior, Prior, make_prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec

LOG_STD_AT_START, LOG_STD_RANGE = -2.0, (-7.0, 0.3)  # of a Gaussian posterior
CONFIG_FIELDS = (
    "update_order",
    "conditional_critic",
    "critic_dropout_rate",
    "gaussian_posterior",
    "kl_weight",
    "adversarial_loss_trains_std",
    "r1_r2_weight",
    "bilinear_label_networks",
    "average_pixel_nll",
    "log_sigmoid_eps",
    "vat_epsilon",
)


def validate_config(config, prior: Prior, decoder_needs_label: bool) -> None:
    """Raises a ValueError for values that no network could be built with, or that would be ignored."""
    checks.require_layer_sizes(config, "hidden_sizes", "critic_hidden_sizes")
    checks.require_fraction(config, "dropout_rate", "critic_dropout_rate", "encoder_negative_slope")
    checks.require_nonnegative(config, "r1_r2_weight", "vat_epsilon", "log_sigmoid_eps")
    checks.validate_kl(config, closed_form=isinstance(prior, Gaussian))
    checks.validate_label_conditioning(config, decoder_needs_label)


@dataclasses.dataclass(frozen=True)
class AAE(LatentVariableModel):
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
      critic_dropout_rate: the share of the critic's hidden units dropped in training.
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

    info: DatasetSpec
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    conditional_critic: bool
    critic_dropout_rate: float
    gaussian_posterior: bool
    kl_weight: float
    adversarial_loss_trains_std: bool
    r1_r2_weight: float
    bilinear_label_networks: tuple[str, ...]
    average_pixel_nll: bool
    log_sigmoid_eps: float
    vat_epsilon: float

    is_conditional = False

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "AAE":
        prior = make_prior(config.prior, config.latent_size, config.prior_std, info.num_classes)
        validate_config(config, prior, cls.is_conditional)
        if cls.is_conditional or config.conditional_critic:
            checks.require_multiple_classes(info)
        options = {name: config[name] for name in CONFIG_FIELDS} | {
            "bilinear_label_networks": tuple(config.bilinear_label_networks)
        }
        networks = build_aae_networks(config, info.image_shape, prior.size)
        optimizers = {
            name: optax.adam(learning_rate_schedule(rate, config.steps, config.lr_schedule), b1=config.b1[name])
            for name, rate in config.learning_rates.items()
            if rate or name != "kl"
        }
        return cls(info, prior, networks, optimizers, **options)

    @property
    def evaluators(self):
        return (
            "reconstruction",
            "prior_mmd",
            "parzen",
            *(("prior_component_accuracy",) if self.prior_is_class_conditional else ()),
        )

    @property
    def figures(self):
        return (*(("latent_manifold",) if self.latent_size == 2 else ()), "reconstructions", "codes_vs_prior")

    @property
    def prior_is_class_conditional(self) -> bool:
        """Whether each class is drawn to a piece of its own of the prior."""
        return self.conditional_critic and isinstance(self.prior, MixturePrior)

    @property
    def players(self) -> tuple[Player, ...]:
        players = (
            Player(
                "reconstruction", ("encoder", "decoder"), self.optimizers["reconstruction"], self.reconstruction_loss
            ),
            Player("critic", ("critic",), self.optimizers["critic"], self.critic_loss),
            Player("adversarial", ("encoder",), self.optimizers["adversarial"], self.adversarial_loss),
        )
        if self.vat_epsilon:
            players += (Player("vat", ("encoder",), self.optimizers["vat"], self.vat_loss),)
        if "kl" in self.optimizers:
            players += (Player("kl", ("encoder",), self.optimizers["kl"], self.kl_loss),)
        return players

    @property
    def shares_critic_backward(self) -> bool:
        """Whether one backward pass serves critic and encoder; see `kernels.shared_backward`."""
        exact = not (self.log_sigmoid_eps or self.critic_dropout_rate)
        return bool(self.update_order == "simultaneous" and self.r1_r2_weight and exact)

    def example_inputs(self):
        image, code, label = self.example_image(), jnp.zeros((1, self.latent_size)), jnp.zeros(1, jnp.int32)
        return {
            "encoder": (image,),
            "decoder": self.network_inputs("decoder", code, label),
            "critic": self.network_inputs("critic", code, label),
        }

    # The losses. Under the simultaneous schedule all get the same rng, so that `code_rng`, split off first, gives them
    # the same codes; and without dropout, which the critic alone never sees, one forward pass of the encoder.

    def reconstruction_loss(self, params, stats, batch, rng):
        code_rng, decoder_rng = random.split(rng)
        posterior = self.posterior(params, stats, batch.image, code_rng)
        logits = self.decode_logits(params, stats, self.sample_posterior(posterior, code_rng), batch.label, decoder_rng)
        nll = reconstruction.bernoulli_nll(logits, batch.image).mean()
        loss, metrics = nll / batch.image[0].size if self.average_pixel_nll else nll, {"nll": nll}
        if self.kl_weight:
            metrics["kl"] = self.posterior_kl(posterior).mean()
            loss = loss + self.kl_weight * metrics["kl"]
        return loss, (metrics, stats)

    def critic_loss(self, params, stats, batch, rng):
        code_rng, game_rng = random.split(rng)
        prior_rng, real_rng, fake_rng = random.split(game_rng, 3)
        code = self.sample_posterior(self.posterior(params, stats, batch.image), code_rng)
        prior_code = self.sample_prior_for_label(prior_rng, batch.label)
        losses = self.critic_losses(params, stats, prior_code, code, batch.label, (real_rng, fake_rng, game_rng))
        return losses.critic, (losses.metrics, stats)

    def kl_loss(self, params, stats, batch, rng):
        code_rng, _ = random.split(rng)
        kl = self.posterior_kl(self.posterior(params, stats, batch.image, code_rng)).mean()
        return kl, ({"kl": kl}, stats)

    def adversarial_loss(self, params, stats, batch, rng):
        code_rng, critic_rng = random.split(rng)
        posterior = self.posterior(params, stats, batch.image, code_rng)
        if not self.adversarial_loss_trains_std:
            posterior = posterior._replace(log_std=jax.lax.stop_gradient(posterior.log_std))
        code = self.sample_posterior(posterior, code_rng)
        prior_rng, real_rng, fake_rng = random.split(critic_rng, 3)
        prior_code = self.sample_prior_for_label(prior_rng, batch.label)
        rngs = (real_rng, fake_rng, critic_rng)
        loss = self.critic_losses(params, stats, prior_code, code, batch.label, rngs).generator
        return loss, ({"loss": loss}, stats)

    def critic_losses(self, params, stats, prior_code, code, label, rngs) -> shared_backward.CriticLosses:
        """Returns the losses of the critic and of the encoder against it."""
        eps = self.log_sigmoid_eps
        gan_loss = adversarial.GANLoss(
            partial(adversarial.binary_critic_loss, eps=eps), partial(adversarial.non_saturating_loss, eps=eps)
        )
        critic = shared_backward.Critic(
            lambda critic, *inputs, rng=None: self.apply_network("critic", {"critic": critic}, stats, *inputs, rng=rng),
            params["critic"],
            partial(self.network_inputs, "critic"),
            label,
        )
        return shared_backward.critic_losses(
            gan_loss, critic, prior_code, code, self.r1_r2_weight, self.shares_critic_backward, rngs
        )

    def vat_loss(self, params, stats, batch, rng):
        code = jax.lax.stop_gradient(self.posterior(params, stats, batch.image).mean)

        def movement(change):
            """How far q(z | x)'s mean moves, squared, in units of the prior's std."""
            changed = self.posterior(params, stats, batch.image + change).mean
            return jnp.square((changed - code) / self.prior.std).sum(-1)

        rng = random.fold_in(rng, 3)
        change = regularizers.vat_perturbation(movement, rng, batch.image.shape, self.vat_epsilon)
        squared = movement(change).mean()
        return squared, ({"squared_distance": squared}, stats)

    # The networks' parts. Where an rng comes, dropout is on.

    def posterior(self, params, stats, image, rng=None) -> DiagonalGaussian:
        """q(z | x) of each example."""
        output = self.apply_network("encoder", params, stats, image, rng=rng)
        if not self.gaussian_posterior:
            return DiagonalGaussian(output, None)
        return diagonal_gaussian_from_output(output, LOG_STD_RANGE, LOG_STD_AT_START)

    def sample_posterior(self, posterior: DiagonalGaussian, rng) -> Float[Array, "B Z"]:
        return posterior.mean if posterior.log_std is None else posterior.sample(random.fold_in(rng, 0))

    def posterior_kl(self, posterior: DiagonalGaussian) -> Float[Array, " B"]:
        """KL(q(z | x) || prior) of each example, in nats."""
        scale = self.prior.std
        return gaussian_kl(posterior.mean / scale, 2 * (posterior.log_std - jnp.log(scale)))

    def decode_logits(self, params, stats, code, label, rng=None):
        """[B, Z], [B] -> pixel logits [B, H, W, C]."""
        return self.apply_network("decoder", params, stats, *self.network_inputs("decoder", code, label), rng=rng)

    def critic_logits(self, params, stats, code, label, rng=None):
        """The critic's logit that a code came from the prior: [B, Z], [B] -> [B]."""
        return self.apply_network("critic", params, stats, *self.network_inputs("critic", code, label), rng=rng)

    def network_inputs(self, network, code, label):
        """Returns the inputs of decoder or critic: the code, and if they receive it, the label and the products."""
        if not {"decoder": self.is_conditional, "critic": self.conditional_critic}[network]:
            return (code,)
        one_hot = self.one_hot(label)
        products = (code[:, None] * one_hot[:, :, None],) if network in self.bilinear_label_networks else ()
        return (code, one_hot, *products)

    def sample_prior_for_label(self, rng, label):
        """A code of the prior for each label, from the label's own piece where it has one: [B] -> [B, Z]."""
        if self.prior_is_class_conditional:
            return self.prior.sample_component(rng, label)
        return self.sample_prior(rng, len(label))

    # What the loop, the evaluation and `jaxgen.load` use.

    def encode(self, params, stats, image, label, rng):
        del label  # the style is read from the image alone
        return self.sample_posterior(self.posterior(params, stats, image), rng)

    def encode_mean(self, params, stats, image, label):
        del label
        return self.posterior(params, stats, image).mean

    def decode(self, params, stats, code, label):
        return jax.nn.sigmoid(self.decode_logits(params, stats, code, label))

    def per_example_metrics(self, params, stats, batch, rng):
        logits = self.decode_logits(
            params, stats, self.encode(params, stats, batch.image, batch.label, rng), batch.label
        )
        return reconstruction.reconstruction_metrics(logits, batch.image)


@dataclasses.dataclass(frozen=True)
class ConditionalAAE(AAE):
    """Adversarial autoencoder whose decoder is told the label (Makhzani et al. 2016, section 2.3 and figure 6).

    With `critic_sees_label` q(z | y) meets the prior for every y, and the code is left with what the label does not
    say, the style. Without it only the mixture over y meets the prior, and nothing keeps the label out of the code.
    """

    evaluators = ("reconstruction", "separation", "prior_mmd")
    figures = ("prior_styles", "image_styles", "reconstructions", "codes_vs_prior")
    is_conditional = True
