"""`jaxgen.algorithms.semi` and `cluster` in PyTorch, as one who writes PyTorch well would.

One forward pass of the encoder for all players but smoothness, which changes what the encoder sees; each player's
gradient is taken for what it moves alone.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import cross_entropy as categorical_nll
from torch.nn.functional import log_softmax, one_hot, softplus

from benchmarks.speed.pytorch.common import FORMS, MLP, Adam, Normal, Step, in_form, move, pixels
from jaxgen.losses.regularizers import VAT_XI
from jaxgen.models.clustering_aae import MARGINAL_ENTROPY_WEIGHT

__all__ = ["FORMS", "stepper"]
NETWORKS = ("encoder", "decoder", "category_critic", "style_critic")
MOVED = {
    "reconstruction": ("encoder", "decoder"),
    "category_critic": ("category_critic",),
    "style_critic": ("style_critic",),
    "encoder": ("encoder",),
    "smoothness": ("encoder",),
    "classification": ("encoder",),
}


def stepper(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: a `SemiAAE` or a `ClusterAAE` with a perturbation and a penalty, a soft category that the style critic
        sees, and no heads in the plane, by the Bernoulli likelihood, under the simultaneous schedule.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: int32 [N].
      form: one of FORMS.
    """
    trained = Model(model, params, config)
    data, known = torch.as_tensor(images), torch.as_tensor(labels).long()
    adam = {
        name: Adam(
            [trained.networks[each] for each in MOVED[name]],
            *(config.learning_rates[name], config.b1[name], config.lr_schedule, config.steps, form),
        )
        for name in MOVED
        if name in config.learning_rates
    }
    losses, informative = in_form(trained.losses, form), in_form(uninformative, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image, count = pixels(data, index), len(index)
        category = one_hot(
            torch.randint(0, trained.categories, (count,), device=index.device), trained.categories
        ).float()
        style = trained.prior_std * normal((count, model.latent_size))
        found, loss, logits, coded = losses(image, category, style)
        shown = logits.softmax(-1).detach()
        for name, real, fake in (("category_critic", category, shown), ("style_critic", style, coded.detach())):
            found[f"{name}/penalty"] = trained.penalty(name, real, fake, shown)
            loss[name] = loss[name] + config.r1_r2_weight * found[f"{name}/penalty"]
        found["smoothness/kl"] = loss["smoothness"] = trained.smoothness(image, logits, normal)
        if trained.is_semi:
            found["classification/nll"] = loss["classification"] = categorical_nll(logits, known[index])
        elif config.mutual_information_weight:
            doubt, imbalance = informative(logits)
            found |= {"smoothness/doubt": doubt, "smoothness/imbalance": imbalance}
            loss["smoothness"] = loss["smoothness"] + config.mutual_information_weight * (
                doubt + MARGINAL_ENTROPY_WEIGHT * imbalance
            )
        move(loss, adam)
        return {name: value.detach() for name, value in found.items()}

    return Step(run, adam.values(), form)


class Model:
    """The networks, and the players' losses."""

    def __init__(self, model, params: Mapping, config):
        self.networks = {name: MLP(model.networks[name], params[name]) for name in NETWORKS}
        self.categories, self.prior_std, self.size = model.categories, model.prior.std, config.vat_epsilon
        self.is_semi = "classification" in config.learning_rates
        self.reconstruction_moves_category = self.is_semi or config.reconstruction_trains_category

    def heads(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of q(y | x), and the style."""
        output = self.networks["encoder"](image)
        # Copies: the compiler can't hand out views of what it keeps.
        return output[:, : self.categories].contiguous(), output[:, self.categories :].contiguous()

    def score(self, name: str, code: Tensor, shown: Tensor) -> Tensor:
        """A critic's logit."""
        if name == "category_critic":
            return self.networks[name](code)
        return self.networks[name](code, shown, code[:, None] * shown[:, :, None])

    def losses(self, image: Tensor, category: Tensor, drawn: Tensor):
        """What all but smoothness and classification measure, their losses, and the encoder's two outputs."""
        logits, style = self.heads(image)
        soft = logits.softmax(-1)
        shown = soft.detach()
        seen = soft if self.reconstruction_moves_category else shown
        nll = cross_entropy(self.networks["decoder"](style, seen), image, reduction="sum") / len(image)
        found, loss, fooling = {"reconstruction/nll": nll}, {"reconstruction": nll}, {}
        for name, real, fake in (("category_critic", category, soft), ("style_critic", drawn, style)):
            said, of_fake = self.score(name, real, shown), self.score(name, fake, shown)
            found[f"{name}/loss"] = loss[name] = (softplus(-said) + softplus(of_fake)).mean()
            fooling[name] = softplus(-of_fake).mean()
        loss["encoder"] = fooling["category_critic"] + fooling["style_critic"]
        found |= {f"encoder/{name.split('_')[0]}_loss": value for name, value in fooling.items()}
        return found, loss, logits, style

    # Twice differentiated, so that no compiler takes them.

    def penalty(self, name: str, real: Tensor, fake: Tensor, shown: Tensor) -> Tensor:
        """½ ‖∇ score‖² at both, batch mean."""
        at = torch.cat([real, fake]).requires_grad_()
        (slope,) = torch.autograd.grad(self.score(name, at, shown.repeat(2, 1)).sum(), at, create_graph=True)
        return slope.square().sum() / len(real) / 2

    def smoothness(self, image: Tensor, logits: Tensor, normal: Normal) -> Tensor:
        """KL(q(y | x) || q(y | x + change)) under nearly the worst change, in nats, batch mean."""
        log_q = log_softmax(logits.detach(), -1)

        def divergence(change: Tensor) -> Tensor:
            return (log_q.exp() * (log_q - log_softmax(self.heads(image + change)[0], -1))).sum(-1)

        probe = (VAT_XI * unit(normal(tuple(image.shape)))).requires_grad_()
        (slope,) = torch.autograd.grad(divergence(probe).sum(), probe)
        return divergence(self.size * unit(slope)).mean()


def unit(change: Tensor) -> Tensor:
    """The same directions at length 1 for each image."""
    return change / (change.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-12)


def uninformative(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Doubt and imbalance, in nats; see `jaxgen.objectives.uninformative`."""
    log_q = log_softmax(logits, -1)
    doubt = -(log_q.exp() * log_q).sum(-1).mean()
    log_mean = log_q.logsumexp(0) - math.log(len(logits))
    return doubt, (log_mean.exp() * log_mean).sum() + math.log(logits.shape[-1])
