"""Adversarial autoencoders (Makhzani et al. 2016): a critic pulls the codes of an autoencoder to a prior."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxgen.config import checks
from jaxgen.kernels import random
from jaxgen.kernels.shared_backward import Critic, CriticLosses, critic_losses
from jaxgen.losses import reconstruction, regularizers
from jaxgen.losses.adversarial import GAN_LOSSES, GANLoss
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.builders import build_aae_networks
from jaxgen.models.posterior import DiagonalGaussian, diagonal_gaussian_from_output, gaussian_kl
from jaxgen.models.priors import PRIORS, MixturePrior, Prior, make_prior
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player, UpdateOrder
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats, Params

LOG_STD_AT_START, LOG_STD_RANGE = -2.0, (-7.0, 0.3)  # of a Gaussian posterior
CONFIG_FIELDS = (
    *("update_order", "dropout_rate", "critic_dropout_rate", "conditional_critic", "gaussian_posterior", "kl_weight"),
    *("adversarial_loss_trains_std", "r1_r2_weight", "bilinear_label_networks", "vat_epsilon"),
)


class AAEForward(NamedTuple):
    """Differentiable outputs of the forward pass that all players share."""

    posterior: DiagonalGaussian  # q(z | x), with dropout
    code: Float[Array, "B Z"]  # a sample from it
    critic_losses: CriticLosses  # of the critic and of the encoder against it


class AAEForwardAux(NamedTuple):
    """The other outputs of a shared forward pass."""

    decoder_rng: Array  # key of the decoder's dropout
    vat_rng: Array  # key of the first direction of virtual adversarial training
    mean: Float[Array, "B Z"]  # mean of q(z | x) without dropout


Forward = tuple[AAEForward, AAEForwardAux]


@dataclasses.dataclass(frozen=True)
class AAE(LatentVariableModel):
    """Adversarial autoencoder (Makhzani et al. 2016, section 2); `ConditionalAAE` also conditions the decoder.

    Players:
      reconstruction: trains encoder and decoder on the likelihood.
      critic: learns to distinguish codes of the prior from codes of images.
      adversarial: trains the encoder against the critic, with an optimizer state of its own.
      kl: if `optimizers` names it, trains the encoder on KL(q(z | x) || prior), instead of a weighted term in the
        reconstruction's loss.
      vat: with a `vat_epsilon`, virtual adversarial training (Miyato et al. 2018), which is not in the AAE paper. It
        keeps the code constant under the small change of x that would move it most, so that labels also shape the
        codes of unlabeled images near them.

    If the critic receives the label and the prior has components, the prior codes of a class come from the class's own
    component, those of unlabeled images from all components. Each class then occupies a component (section 2.3 and
    figure 4 of the paper).

    Attributes:
      dropout_rate: fraction of hidden units of encoder and decoder dropped in training.
      critic_dropout_rate: the same for the critic.
      conditional_critic: whether the critic receives (code, label); an unknown label is all zeros.
      gaussian_posterior: whether the encoder samples z ~ N(mean(x), std(x)²) (section 2.1) instead of a point. A class
        whose images vary little can then fill unused dimensions with noise. A deterministic encoder would leave it on
        a thin surface, which reveals the label.
      kl_weight: weight of KL(q(z | x) || prior), in nats, in the reconstruction's loss; needs `gaussian_posterior` and
        a Gaussian prior.
      adversarial_loss_trains_std: whether the adversarial loss trains the std of q(z | x) as well as its mean. Noise
        deceives the critic most cheaply, and costs information about the image. Without it, only reconstruction and KL
        set the std.
      r1_r2_weight: weight, in the critic's loss, of its squared gradient at prior codes and at codes.
      bilinear_label_networks: which of "decoder" and "critic" also receive the outer product of code and one-hot label.
        It amounts to a first layer per class; a concatenated label changes only the bias. The critic then finds what
        distinguishes the classes. A decoder with it reconstructs better and separates as well, but a code no longer
        means the same style in every class.
      vat_epsilon: norm of the change in vat, over pixels in [0, 1]; 0 for no such player.
    """

    info: DatasetSpec
    prior: Prior
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str | UpdateOrder
    dropout_rate: float
    critic_dropout_rate: float
    conditional_critic: bool
    gaussian_posterior: bool
    kl_weight: float
    adversarial_loss_trains_std: bool
    r1_r2_weight: float
    bilinear_label_networks: tuple[str, ...]
    vat_epsilon: float

    is_conditional = False

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "AAE":
        """Builds the networks and optimizers that a config describes."""
        return cls(**cls.fields_from_config(config, info))

    @classmethod
    def fields_from_config(cls, config: Any, info: DatasetSpec) -> dict[str, Any]:
        """Validates a config and returns the fields of an AAE, by name."""
        validate_config(config, cls.is_conditional)
        prior = make_prior(config.prior, config.latent_size, config.prior_std, info.num_classes)
        if cls.is_conditional or config.conditional_critic:
            checks.require_multiple_classes(info)
        networks = build_aae_networks(config, info.image_shape, prior.size)
        optimizers = {
            name: optax.adam(learning_rate_schedule(rate, config.steps, config.lr_schedule), b1=config.b1[name])
            for name, rate in config.learning_rates.items()
            if rate or name != "kl"
        }
        options = {name: config[name] for name in CONFIG_FIELDS}
        options["bilinear_label_networks"] = tuple(config.bilinear_label_networks)
        return {"info": info, "prior": prior, "networks": networks, "optimizers": optimizers, **options}

    @property
    def evaluators(self) -> tuple[str, ...]:
        """Evaluators by name; `prior_component_accuracy` needs a component for each class."""
        component = ("prior_component_accuracy",) if self.prior_is_class_conditional else ()
        return ("reconstruction", "prior_mmd", "parzen", *component)

    @property
    def figures(self) -> tuple[str, ...]:
        """Figures by name; the latent manifold needs two dimensions."""
        return (*(("latent_manifold",) if self.latent_size == 2 else ()), "reconstructions", "codes_vs_prior")

    @property
    def prior_is_class_conditional(self) -> bool:
        """Whether each class has a component of the prior."""
        return self.conditional_critic and isinstance(self.prior, MixturePrior)

    @property
    def players(self) -> tuple[Player, ...]:
        """Reconstruction, critic and adversarial; then vat and kl, if the config has them."""
        players = [
            self.make_player("reconstruction", ("encoder", "decoder"), self.reconstruction_loss),
            self.make_player("critic", ("critic",), self.critic_loss),
            self.make_player("adversarial", ("encoder",), self.adversarial_loss),
        ]
        if self.vat_epsilon:
            players.append(self.make_player("vat", ("encoder",), self.vat_loss))
        if "kl" in self.optimizers:
            players.append(self.make_player("kl", ("encoder",), self.kl_loss))
        return tuple(players)

    def make_player(self, name: str, networks: tuple[str, ...], loss: Any) -> Player:
        """Returns a player on the forward pass that all players share."""
        return Player(name, networks, self.optimizers[name], loss, self.shared_forward)

    @property
    def gan_loss(self) -> GANLoss:
        """The losses of the critic and of the encoder against it."""
        return GAN_LOSSES["non_saturating"]

    @property
    def shares_critic_backward(self) -> bool:
        """Whether one backward pass through the critic serves both players; see `kernels.shared_backward`."""
        return bool(self.update_order == "simultaneous" and self.r1_r2_weight and not self.critic_dropout_rate)

    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns one example of each network's inputs."""
        image, code, label = self.example_image(), jnp.zeros((1, self.latent_size)), jnp.zeros(1, jnp.int32)
        return {"encoder": (image,)} | {name: self.network_inputs(name, code, label) for name in ("decoder", "critic")}

    # Losses.

    def shared_forward(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array, encoder_dropout: bool = True
    ) -> Forward:
        """Encodes a batch, samples codes of the posterior and of the prior, and scores both by the critic."""
        encoder_rng, other_rng = random.split(rng)
        prior_rng, *critic_rngs = random.split(other_rng, 3)
        posterior = self.posterior(params, stats, batch.image, encoder_rng if encoder_dropout else None)
        mean = self.posterior(params, stats, batch.image).mean if self.dropout_rate else posterior.mean
        noise = random.normal(random.fold_in(encoder_rng, 0), posterior.mean.shape)
        code = fake = reparameterize(posterior, noise)
        if not self.adversarial_loss_trains_std:
            fake = reparameterize(posterior._replace(log_std=jax.lax.stop_gradient(posterior.log_std)), noise)
        real = self.sample_prior_for_label(prior_rng, batch.label)
        losses = critic_losses(
            *(self.gan_loss, self.make_critic(params, stats, batch.label), real, fake, self.r1_r2_weight),
            fused=self.shares_critic_backward,
            dropout_rngs=(*critic_rngs, other_rng),
        )
        aux = AAEForwardAux(other_rng, random.fold_in(rng, 3), jax.lax.stop_gradient(mean))
        return AAEForward(posterior, code, losses), aux

    def reconstruction_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns -log p(x | z) (Makhzani et al. 2016, section 2) plus the weighted KL to the prior.

        A weight of 1 makes the sum the negative ELBO (Kingma & Welling 2014, eq. 3).
        """
        outputs, aux = forward
        logits = self.decode_logits(params, stats, outputs.code, batch.label, aux.decoder_rng)
        nll = reconstruction.bernoulli_nll(logits, batch.image).mean()
        if not self.kl_weight:
            return nll, ({"nll": nll}, {})
        kl = self.posterior_kl(outputs.posterior).mean()
        return nll + self.kl_weight * kl, ({"nll": nll, "kl": kl}, {})

    def critic_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward) -> LossOutput:
        """Returns -log D(z) - log(1 - D(E(x))) plus gradient penalties.

        Goodfellow et al. 2014, eq. 1; R1 and R2 penalties of Mescheder et al. 2018, section 4.1.
        """
        del params, stats, batch
        losses = forward[0].critic_losses
        return losses.critic, (losses.metrics, {})

    def adversarial_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns -log D(E(x)), the encoder's non-saturating loss (Goodfellow et al. 2014, section 3)."""
        del params, stats, batch
        loss = forward[0].critic_losses.generator
        return loss, ({"loss": loss}, {})

    def kl_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward) -> LossOutput:
        """Returns KL(q(z | x) || p(z)) in closed form (Kingma & Welling 2014, app. B)."""
        del params, stats, batch
        kl = self.posterior_kl(forward[0].posterior).mean()
        return kl, ({"kl": kl}, {})

    def vat_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward) -> LossOutput:
        """Returns the local smoothness of the encoder's mean (after Miyato et al. 2018, eqs. 5 to 7).

        The paper's divergence is a KL between class distributions; here it is a squared distance of codes.
        """
        aux = forward[1]

        def squared_distance(change: Float[Array, "B H W C"]) -> Float[Array, " B"]:
            """Squared distance that the mean of q(z | x) moves, in units of the prior's std."""
            changed = self.posterior(params, stats, batch.image + change).mean
            return jnp.square((changed - aux.mean) / self.prior.std).sum(-1)

        change = regularizers.vat_perturbation(squared_distance, aux.vat_rng, batch.image.shape, self.vat_epsilon)
        loss = squared_distance(change).mean()
        return loss, ({"squared_distance": loss}, {})

    # Parts of the networks. An rng turns dropout on.

    def posterior(
        self, params: NetworkParams, stats: NetworkStats, image: Float[Array, "B H W C"], rng: Array | None = None
    ) -> DiagonalGaussian:
        """Returns q(z | x) of each image; a point without `gaussian_posterior`."""
        output = self.apply_network("encoder", params, stats, image, rng=rng)
        if not self.gaussian_posterior:
            return DiagonalGaussian(output, None)
        return diagonal_gaussian_from_output(output, LOG_STD_RANGE, LOG_STD_AT_START)

    def posterior_kl(self, posterior: DiagonalGaussian) -> Float[Array, " B"]:
        """Returns KL(q(z | x) || prior) of each example, in nats, for a Gaussian prior."""
        scale = self.prior.std
        return gaussian_kl(posterior.mean / scale, 2 * (posterior.log_std - jnp.log(scale)))

    def decode_logits(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        code: Float[Array, "B Z"],
        label: Int[Array, " B"] | None,
        rng: Array | None = None,
    ) -> Float[Array, "B H W C"]:
        """Returns the pixel logits of codes."""
        return self.apply_network("decoder", params, stats, *self.network_inputs("decoder", code, label), rng=rng)

    def make_critic(self, params: NetworkParams, stats: NetworkStats, label: Int[Array, " B"]) -> Critic:
        """Returns the critic of codes under these labels; see `kernels.shared_backward`."""

        def apply(critic_params: Params, *inputs: Array, rng: Array | None = None) -> Float[Array, " B"]:
            """Returns the logits of the critic with these parameters."""
            return self.apply_network("critic", {"critic": critic_params}, stats, *inputs, rng=rng)

        def inputs(code: Float[Array, "B Z"], label: Int[Array, " B"]) -> tuple[Array, ...]:
            """Returns the inputs of the critic for codes and labels."""
            return self.network_inputs("critic", code, label)

        return Critic(apply, params["critic"], inputs, label)

    def network_inputs(
        self, network: str, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> tuple[Array, ...]:
        """Returns the inputs of decoder or critic: the code and, if it is conditional, one-hot label and products."""
        if not {"decoder": self.is_conditional, "critic": self.conditional_critic}[network]:
            return (code,)
        one_hot = self.one_hot(label)
        products = (code[:, None] * one_hot[:, :, None],) if network in self.bilinear_label_networks else ()
        return (code, one_hot, *products)

    def sample_prior_for_label(self, rng: Array, label: Int[Array, " B"]) -> Float[Array, "B Z"]:
        """Samples a code of the prior for each label, from the label's own component if it has one."""
        if self.prior_is_class_conditional:
            return self.prior.sample_component(rng, label)
        return self.sample_prior(rng, len(label))

    # Interface for evaluation and inference.

    def encode(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"] | None,
        rng: Array,
    ) -> Float[Array, "B Z"]:
        """Samples codes of images; the encoder does not receive the label."""
        del label
        posterior = self.posterior(params, stats, image)
        return reparameterize(posterior, random.normal(random.fold_in(rng, 0), posterior.mean.shape))

    def encode_mean(
        self,
        params: NetworkParams,
        stats: NetworkStats,
        image: Float[Array, "B H W C"],
        label: Int[Array, " B"] | None,
    ) -> Float[Array, "B Z"]:
        """Returns the posterior means of images."""
        del label
        return self.posterior(params, stats, image).mean

    def decode(
        self, params: NetworkParams, stats: NetworkStats, code: Float[Array, "B Z"], label: Int[Array, " B"] | None
    ) -> Float[Array, "B H W C"]:
        """Decodes codes to images in [0, 1]."""
        return jax.nn.sigmoid(self.decode_logits(params, stats, code, label))

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns the reconstruction metrics of each image, for a sampled code."""
        code = self.encode(params, stats, batch.image, batch.label, rng)
        logits = self.decode_logits(params, stats, code, batch.label)
        return reconstruction.reconstruction_metrics(logits, batch.image)


@dataclasses.dataclass(frozen=True)
class ConditionalAAE(AAE):
    """Adversarial autoencoder with a conditional decoder (Makhzani et al. 2016, section 2.3 and figure 6).

    With a `conditional_critic`, q(z | y) matches the prior for every label y, and the code keeps only the style: what
    the label does not determine. Without it only the mixture over y matches the prior, and nothing removes the label
    from the code.
    """

    evaluators = ("reconstruction", "separation", "prior_mmd")
    validation_evaluators = ("separation_quickly",)
    figures = ("prior_styles", "image_styles", "reconstructions", "codes_vs_prior")
    is_conditional = True


def reparameterize(posterior: DiagonalGaussian, noise: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
    """Returns codes with gradients to mean and std (Kingma & Welling 2014, section 2.4); the mean for a point."""
    return posterior.mean if posterior.log_std is None else posterior.mean + jnp.exp(posterior.log_std) * noise


def validate_config(config: Any, decoder_needs_label: bool) -> None:
    """Validates the config's values for this family.

    Raises:
      ValueError: with the value, the rule and a fix.
    """
    checks.require_layer_sizes(config, "hidden_sizes", "critic_hidden_sizes")
    checks.require_fraction(config, "dropout_rate", "critic_dropout_rate", "encoder_negative_slope")
    checks.require_nonnegative(config, "r1_r2_weight", "vat_epsilon")
    checks.validate_kl(config, closed_form=config.prior == "gaussian" or config.prior not in PRIORS)
    checks.validate_label_conditioning(config, decoder_needs_label)
