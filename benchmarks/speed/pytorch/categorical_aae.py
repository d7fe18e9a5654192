"""The models of `jaxgen.models.semi_supervised_aae` and `clustering_aae` in idiomatic, fast PyTorch.

One forward pass of the encoder serves all players except vat, which changes the encoder's input. Each player's gradient
is taken only with respect to the networks that it trains.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy
from torch.nn.functional import cross_entropy, log_softmax, one_hot, softplus

from benchmarks.speed.pytorch.common import FORMS, MLP, Adam, Normal, Step, compile_in_form, gather_images, update
from jaxgen.losses.regularizers import VAT_XI
from jaxgen.models.clustering_aae import MARGINAL_ENTROPY_WEIGHT

__all__ = ["FORMS", "make_step"]
NETWORKS = ("encoder", "decoder", "category_critic", "style_critic")
# The networks that each player trains.
PLAYERS = {
    "reconstruction": ("encoder", "decoder"),
    "category_critic": ("category_critic",),
    "style_critic": ("style_critic",),
    "adversarial": ("encoder",),
    "vat": ("encoder",),
    "classification": ("encoder",),
}


def make_step(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """Returns `step(index, normal) -> {metric: value}`, one training step on the images of that index.

    Args:
      model: a `SemiSupervisedAAE` or a `ClusteringAAE` with vat, a gradient penalty, a conditional style critic, a soft
        category, no cluster heads, the Bernoulli likelihood and update order "simultaneous".
      params: initial parameters of its networks.
      config: the model's config.
      images: uint8 [N, H, W, C].
      labels: int32 [N].
      form: one of FORMS.
    """
    peer = CategoricalAAE(model, params, config)
    data, known = torch.as_tensor(images), torch.as_tensor(labels).long()
    optimizers = {
        player: Adam(
            [peer.networks[name] for name in names],
            *(config.learning_rates[player], config.b1[player], config.lr_schedule, config.steps, form),
        )
        for player, names in PLAYERS.items()
        if player in config.learning_rates
    }
    compute_losses = compile_in_form(peer.losses, form)
    compute_information = compile_in_form(mutual_information_terms, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image, count = gather_images(data, index), len(index)
        prior_index = torch.randint(0, peer.categories, (count,), device=index.device)
        prior_category = one_hot(prior_index, peer.categories).float()
        prior_style = peer.prior_std * normal((count, model.latent_size))
        metrics, losses, logits, style = compute_losses(image, prior_category, prior_style)
        category = logits.softmax(-1).detach()
        for name, real, fake in (
            ("category_critic", prior_category, category),
            ("style_critic", prior_style, style.detach()),
        ):
            metrics[f"{name}/r1_r2"] = peer.r1_r2_penalty(name, real, fake, category)
            losses[name] = losses[name] + config.r1_r2_weight * metrics[f"{name}/r1_r2"]
        metrics["vat/kl"] = losses["vat"] = peer.vat_loss(image, logits, normal)
        if peer.is_semi_supervised:
            metrics["classification/nll"] = losses["classification"] = cross_entropy(logits, known[index])
        elif config.mutual_information_weight:
            conditional_entropy, marginal_kl = compute_information(logits)
            metrics |= {"vat/conditional_entropy": conditional_entropy, "vat/marginal_kl": marginal_kl}
            information_loss = conditional_entropy + MARGINAL_ENTROPY_WEIGHT * marginal_kl
            losses["vat"] = losses["vat"] + config.mutual_information_weight * information_loss
        update(losses, optimizers)
        return {name: value.detach() for name, value in metrics.items()}

    return Step(run, optimizers.values(), form)


class CategoricalAAE:
    """The networks of a categorical adversarial autoencoder, and its losses."""

    def __init__(self, model, params: Mapping, config):
        self.networks = {name: MLP(model.networks[name], params[name]) for name in NETWORKS}
        self.categories, self.prior_std, self.vat_epsilon = model.categories, model.prior.std, config.vat_epsilon
        self.is_semi_supervised = "classification" in config.learning_rates
        self.reconstruction_trains_category = self.is_semi_supervised or config.reconstruction_trains_category

    def encoder_outputs(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits of q(y | x) and the style, as copies: the compiler cannot return views of its buffers."""
        output = self.networks["encoder"](image)
        return output[:, : self.categories].contiguous(), output[:, self.categories :].contiguous()

    def critic_logits(self, name: str, code: Tensor, category: Tensor) -> Tensor:
        """Returns a critic's logits that codes come from the prior; the style critic also receives the category."""
        if name == "category_critic":
            return self.networks[name](code)
        return self.networks[name](code, category, code[:, None] * category[:, :, None])

    def losses(self, image: Tensor, prior_category: Tensor, prior_style: Tensor) -> tuple:
        """Returns metrics and losses of all players except vat and classification, and the encoder's two outputs."""
        logits, style = self.encoder_outputs(image)
        soft = logits.softmax(-1)
        category = soft.detach()
        decoder_category = soft if self.reconstruction_trains_category else category
        pixels = self.networks["decoder"](style, decoder_category)
        nll = binary_cross_entropy(pixels, image, reduction="sum") / len(image)
        metrics, losses, adversarial = {"reconstruction/nll": nll}, {"reconstruction": nll}, {}
        for name, real, fake in (
            ("category_critic", prior_category, soft),
            ("style_critic", prior_style, style),
        ):
            real_logits, fake_logits = (self.critic_logits(name, code, category) for code in (real, fake))
            metrics[f"{name}/loss"] = losses[name] = (softplus(-real_logits) + softplus(fake_logits)).mean()
            adversarial[name] = softplus(-fake_logits).mean()
        losses["adversarial"] = adversarial["category_critic"] + adversarial["style_critic"]
        metrics["adversarial/category_loss"] = adversarial["category_critic"]
        metrics["adversarial/style_loss"] = adversarial["style_critic"]
        return metrics, losses, logits, style

    # The next two are differentiated twice, which torch.compile does not support.

    def r1_r2_penalty(self, name: str, real: Tensor, fake: Tensor, category: Tensor) -> Tensor:
        """Returns ½ ‖∇ critic‖² at real and at fake codes, mean over the batch."""
        codes = torch.cat([real, fake]).requires_grad_()
        logits = self.critic_logits(name, codes, category.repeat(2, 1))
        (gradient,) = torch.autograd.grad(logits.sum(), codes, create_graph=True)
        return gradient.square().sum() / len(real) / 2

    def vat_loss(self, image: Tensor, logits: Tensor, normal: Normal) -> Tensor:
        """Returns KL(q(y | x) || q(y | x + r)) for a nearly worst change r, in nats, mean over the batch."""
        log_q = log_softmax(logits.detach(), -1)

        def divergence(change: Tensor) -> Tensor:
            return (log_q.exp() * (log_q - log_softmax(self.encoder_outputs(image + change)[0], -1))).sum(-1)

        direction = (VAT_XI * normalize_per_example(normal(tuple(image.shape)))).requires_grad_()
        (gradient,) = torch.autograd.grad(divergence(direction).sum(), direction)
        return divergence(self.vat_epsilon * normalize_per_example(gradient)).mean()


def normalize_per_example(values: Tensor) -> Tensor:
    """Scales each image to norm 1."""
    return values / (values.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-12)


def mutual_information_terms(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns conditional entropy and marginal KL, in nats; see `regularizers.mutual_information_terms`."""
    log_q = log_softmax(logits, -1)
    conditional_entropy = -(log_q.exp() * log_q).sum(-1).mean()
    log_marginal = log_q.logsumexp(0) - math.log(len(logits))
    return conditional_entropy, (log_marginal.exp() * log_marginal).sum() + math.log(logits.shape[-1])
