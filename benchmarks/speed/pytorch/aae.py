"""`jaxgen.algorithms.aae` in PyTorch, as one who writes PyTorch well would.

One forward pass of the encoder for all players, one of the critic for each kind of code; each player's gradient is
taken for what it moves alone. One form more is the tutorials' loop: a pass for each player, Adam as it comes, and every
loss fetched at every step; all gradients at one point still, so that the mathematics is the same.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import one_hot, softplus

from benchmarks.speed.pytorch import common
from benchmarks.speed.pytorch.common import LOOP, MLP, Adam, Normal, Step, in_form, kl_from_prior, move, pixels
from jaxgen.models.aae import LOG_STD_AT_START, LOG_STD_RANGE

FORMS = (LOOP, *common.FORMS)
NETWORKS = ("encoder", "decoder", "critic")
MOVED = {"reconstruction": ("encoder", "decoder"), "critic": ("critic",), "encoder": ("encoder",)}


def stepper(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: an `AAE` or a `ConditionalAAE` with a Gaussian prior, from logits, under the simultaneous schedule.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: int32 [N].
      form: one of FORMS.
    """
    trained = Model(model, params)
    data, told = torch.as_tensor(images), one_hot(torch.as_tensor(labels).long(), model.num_conditions).float()
    adam = {
        name: Adam([trained.networks[each] for each in its], *schedule(config, name), form)
        for name, its in MOVED.items()
    }
    losses = trained.losses_one_by_one if form == LOOP else in_form(trained.losses, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image, label = pixels(data, index), told[index]
        noise, prior = (normal((len(image), model.latent_size)) for _ in range(2))
        nll, kl, tell, fool, code = losses(image, label, noise, prior * model.prior.std)
        found = {"reconstruction/nll": nll, "critic/loss": tell, "encoder/loss": fool}
        if config.kl_weight:
            found["reconstruction/kl"] = kl
        loss = {"reconstruction": nll + config.kl_weight * kl, "critic": tell, "encoder": fool}
        if config.r1_r2_weight:
            found["critic/penalty"] = trained.penalty(prior * model.prior.std, code, label)
            loss["critic"] = tell + config.r1_r2_weight * found["critic/penalty"]
        move(loss, adam)
        return {name: value.detach() for name, value in found.items()}

    return Step(run, adam.values(), form)


class Model:
    """The networks, and what the players' losses are made of."""

    def __init__(self, model, params: Mapping):
        self.networks = {name: MLP(model.networks[name], params[name]) for name in NETWORKS}
        self.model = model

    def score(self, code: Tensor, label: Tensor) -> Tensor:
        """The critic's logit."""
        if not self.model.conditional_critic:
            return self.networks["critic"](code)
        products = [code[:, None] * label[:, :, None]] if "critic" in self.model.bilinear_label_networks else []
        return self.networks["critic"](code, label, *products)

    def codes(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The code, what the game is played with, and KL(q(z | x) || N(0, I))."""
        output = self.networks["encoder"](image)
        if not self.model.gaussian_posterior:
            return output, output, output.new_zeros(())
        mean, log_std = output.unbind(1)
        log_std = (log_std + LOG_STD_AT_START).clamp(*LOG_STD_RANGE)
        code = mean + log_std.exp() * noise
        played = code if self.model.adversarial_loss_trains_std else mean + log_std.exp().detach() * noise
        return code, played, kl_from_prior(mean, log_std)

    def error(self, code: Tensor, label: Tensor, image: Tensor) -> Tensor:
        """-log p(x | z), in nats, batch mean."""
        seen = (code, label) if self.model.is_conditional else (code,)
        return cross_entropy(self.networks["decoder"](*seen), image, reduction="sum") / len(image)

    def losses(self, image: Tensor, label: Tensor, noise: Tensor, prior: Tensor) -> tuple[Tensor, ...]:
        """The error, the KL, the critic's and the encoder's loss, and the code."""
        code, played, kl = self.codes(image, noise)
        real, fake = self.score(prior, label), self.score(played, label)
        tell, fool = (softplus(-real) + softplus(fake)).mean(), softplus(-fake).mean()
        return self.error(code, label, image), kl, tell, fool, code.detach()

    def losses_one_by_one(self, image: Tensor, label: Tensor, noise: Tensor, prior: Tensor) -> tuple[Tensor, ...]:
        """The same, by a pass for each player, and every loss fetched."""
        code, _, kl = self.codes(image, noise)
        nll = self.error(code, label, image)
        with torch.no_grad():
            code, _, _ = self.codes(image, noise)
        tell = (softplus(-self.score(prior, label)) + softplus(self.score(code, label))).mean()
        _, played, _ = self.codes(image, noise)
        fool = softplus(-self.score(played, label)).mean()
        for value in (nll, tell, fool):
            value.item()
        return nll, kl, tell, fool, code

    def penalty(self, prior: Tensor, code: Tensor, label: Tensor) -> Tensor:
        """½ ‖∇ score‖² at both, batch mean: twice differentiated, so that no compiler takes it."""
        at = torch.cat([prior, code]).requires_grad_()
        (slope,) = torch.autograd.grad(self.score(at, label.repeat(2, 1)).sum(), at, create_graph=True)
        return slope.square().sum() / len(code) / 2


def schedule(config, player: str) -> tuple[float, float, str, int]:
    """A player's rate, b1, decay and steps."""
    return config.learning_rates[player], config.b1[player], config.lr_schedule, config.steps
