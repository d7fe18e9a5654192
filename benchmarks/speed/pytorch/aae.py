"""The models of `jaxgen.models.aae` in idiomatic, fast PyTorch.

One forward pass of the encoder serves all players, and one of the critic each kind of code. Each player's gradient is
taken only with respect to the networks that it trains. One more form is the tutorials' loop: a forward pass for each
player, Adam with its defaults, and every loss fetched at every step. All gradients are still taken at the same
parameters, so that the mathematics is the same.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy
from torch.nn.functional import one_hot, softplus

from benchmarks.speed.pytorch import common
from benchmarks.speed.pytorch.common import (
    LOOP,
    MLP,
    Adam,
    Normal,
    Step,
    compile_in_form,
    gather_images,
    gaussian_kl,
    update,
)
from jaxgen.models.aae import LOG_STD_AT_START, LOG_STD_RANGE

FORMS = (LOOP, *common.FORMS)
NETWORKS = ("encoder", "decoder", "critic")
# The networks that each player trains.
PLAYERS = {"reconstruction": ("encoder", "decoder"), "critic": ("critic",), "adversarial": ("encoder",)}


def make_step(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """Returns `step(index, normal) -> {metric: value}`, one training step on the images of that index.

    Args:
      model: an `AAE` or a `ConditionalAAE` with a Gaussian prior and update order "simultaneous".
      params: initial parameters of its networks.
      config: the model's config.
      images: uint8 [N, H, W, C].
      labels: int32 [N].
      form: one of FORMS.
    """
    peer = AAE(model, params)
    data, one_hot_labels = (
        torch.as_tensor(images),
        one_hot(torch.as_tensor(labels).long(), model.num_conditions).float(),
    )
    optimizers = {
        player: Adam([peer.networks[name] for name in names], *optimizer_settings(config, player), form)
        for player, names in PLAYERS.items()
    }
    compute_losses = peer.losses_one_by_one if form == LOOP else compile_in_form(peer.losses, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image, label = gather_images(data, index), one_hot_labels[index]
        noise, prior_noise = (normal((len(image), model.latent_size)) for _ in range(2))
        prior_code = model.prior.std * prior_noise
        nll, kl, critic_loss, adversarial_loss, code = compute_losses(image, label, noise, prior_code)
        metrics = {"reconstruction/nll": nll, "critic/loss": critic_loss, "adversarial/loss": adversarial_loss}
        if config.kl_weight:
            metrics["reconstruction/kl"] = kl
        losses = {
            "reconstruction": nll + config.kl_weight * kl,
            "critic": critic_loss,
            "adversarial": adversarial_loss,
        }
        if config.r1_r2_weight:
            metrics["critic/r1_r2"] = peer.r1_r2_penalty(prior_code, code, label)
            losses["critic"] = critic_loss + config.r1_r2_weight * metrics["critic/r1_r2"]
        update(losses, optimizers)
        return {name: value.detach() for name, value in metrics.items()}

    return Step(run, optimizers.values(), form)


class AAE:
    """The networks of an adversarial autoencoder, and its losses."""

    def __init__(self, model, params: Mapping):
        self.networks = {name: MLP(model.networks[name], params[name]) for name in NETWORKS}
        self.model = model

    def critic_logits(self, code: Tensor, label: Tensor) -> Tensor:
        """Returns the critic's logits that codes come from the prior."""
        if not self.model.conditional_critic:
            return self.networks["critic"](code)
        products = [code[:, None] * label[:, :, None]] if "critic" in self.model.bilinear_label_networks else []
        return self.networks["critic"](code, label, *products)

    def encode(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the code, the critic's fake code (which may not train the std), and KL(q(z | x) || N(0, I))."""
        output = self.networks["encoder"](image)
        if not self.model.gaussian_posterior:
            return output, output, output.new_zeros(())
        mean, log_std = output.unbind(1)
        log_std = (log_std + LOG_STD_AT_START).clamp(*LOG_STD_RANGE)
        code = mean + log_std.exp() * noise
        fake = code if self.model.adversarial_loss_trains_std else mean + log_std.exp().detach() * noise
        return code, fake, gaussian_kl(mean, log_std)

    def reconstruction_loss(self, code: Tensor, label: Tensor, image: Tensor) -> Tensor:
        """Returns -log p(x | z) in nats, mean over the batch."""
        inputs = (code, label) if self.model.is_conditional else (code,)
        return binary_cross_entropy(self.networks["decoder"](*inputs), image, reduction="sum") / len(image)

    def losses(self, image: Tensor, label: Tensor, noise: Tensor, prior_code: Tensor) -> tuple[Tensor, ...]:
        """Returns reconstruction loss, KL, critic loss, adversarial loss and code, from one forward pass."""
        code, fake, kl = self.encode(image, noise)
        real_logits, fake_logits = self.critic_logits(prior_code, label), self.critic_logits(fake, label)
        critic_loss = (softplus(-real_logits) + softplus(fake_logits)).mean()
        adversarial_loss = softplus(-fake_logits).mean()
        return self.reconstruction_loss(code, label, image), kl, critic_loss, adversarial_loss, code.detach()

    def losses_one_by_one(self, image: Tensor, label: Tensor, noise: Tensor, prior_code: Tensor) -> tuple[Tensor, ...]:
        """Returns what `losses` does, with a forward pass for each player, and fetches every loss."""
        code, _, kl = self.encode(image, noise)
        nll = self.reconstruction_loss(code, label, image)
        with torch.no_grad():
            code, _, _ = self.encode(image, noise)
        critic_loss = (
            softplus(-self.critic_logits(prior_code, label)) + softplus(self.critic_logits(code, label))
        ).mean()
        _, fake, _ = self.encode(image, noise)
        adversarial_loss = softplus(-self.critic_logits(fake, label)).mean()
        for loss in (nll, critic_loss, adversarial_loss):
            loss.item()
        return nll, kl, critic_loss, adversarial_loss, code

    def r1_r2_penalty(self, prior_code: Tensor, code: Tensor, label: Tensor) -> Tensor:
        """Returns ½ ‖∇ critic‖² at real and at fake codes, mean over the batch.

        It is differentiated twice, which torch.compile does not support.
        """
        codes = torch.cat([prior_code, code]).requires_grad_()
        logits = self.critic_logits(codes, label.repeat(2, 1))
        (gradient,) = torch.autograd.grad(logits.sum(), codes, create_graph=True)
        return gradient.square().sum() / len(code) / 2


def optimizer_settings(config, player: str) -> tuple[float, float, str, int]:
    """Returns a player's learning rate, b1, schedule and steps."""
    return config.learning_rates[player], config.b1[player], config.lr_schedule, config.steps
