"""`cond_aae:tutorial` in PyTorch: players updated one after another, gradients zeroed once per step.

As in the tutorials, each player's loss is differentiated with respect to every network in its forward pass, and the
player's Adam applies the gradients accumulated since the step began. One form is the tutorials' loop, which fetches
every loss as soon as it is computed.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy
from torch.nn.functional import one_hot

from benchmarks.speed.pytorch.aae import FORMS, NETWORKS, PLAYERS, optimizer_settings
from benchmarks.speed.pytorch.common import LOOP, MLP, Adam, Normal, Step, compile_in_form, gather_images

__all__ = ["FORMS", "make_step"]
# The networks in the forward pass of each player's loss.
DIFFERENTIATED = {
    "reconstruction": ("encoder", "decoder"),
    "critic": ("encoder", "critic"),
    "adversarial": ("encoder", "critic"),
}


def make_step(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """Returns `step(index, normal) -> {metric: value}`, one training step on the images of that index.

    Args:
      model: a `LiteralTutorialAAE` with `accumulate_gradients`, and an unconditional critic.
      params: initial parameters of its networks.
      config: the model's config.
      images: uint8 [N, H, W, C].
      labels: int32 [N].
      form: one of FORMS.
    """
    networks = {name: MLP(model.networks[name], params[name]) for name in NETWORKS}
    data, one_hot_labels = (
        torch.as_tensor(images),
        one_hot(torch.as_tensor(labels).long(), model.num_conditions).float(),
    )
    optimizers = {
        player: Adam([networks[name] for name in names], *optimizer_settings(config, player), form)
        for player, names in PLAYERS.items()
    }
    losses = Losses(networks, model.log_sigmoid_eps)
    reconstruction_loss, critic_loss, adversarial_loss = (
        compile_in_form(loss, form)
        for loss in (losses.reconstruction_loss, losses.critic_loss, losses.adversarial_loss)
    )
    gradients = AccumulatedGradients(networks)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image, label = gather_images(data, index), one_hot_labels[index]
        prior_code = model.prior.std * normal((len(image), model.latent_size))
        values = {}
        gradients.clear()
        for player, loss in (
            ("reconstruction", lambda: reconstruction_loss(image, label)),
            ("critic", lambda: critic_loss(image, prior_code)),
            ("adversarial", lambda: adversarial_loss(image)),
        ):
            values[player] = loss()
            gradients.add(values[player], DIFFERENTIATED[player])
            optimizers[player].step(gradients.select(PLAYERS[player]))
            if form == LOOP:
                values[player].item()
        nll = values["reconstruction"] * image[0].numel()
        metrics = {
            "reconstruction/nll": nll,
            "critic/loss": values["critic"],
            "adversarial/loss": values["adversarial"],
        }
        return {name: value.detach() for name, value in metrics.items()}

    return Step(run, optimizers.values(), form)


class Losses:
    """The players' losses. Dropout is on, except in the encoder of the critic's loss."""

    def __init__(self, networks: Mapping[str, nn.Module], log_sigmoid_eps: float):
        self.encoder, self.decoder, self.critic = (networks[name] for name in NETWORKS)
        self.log_sigmoid_eps = log_sigmoid_eps

    def reconstruction_loss(self, image: Tensor, label: Tensor) -> Tensor:
        """Returns -log p(x | z) in nats per pixel."""
        return binary_cross_entropy(self.decoder(self.encoder(image), label), image)

    def critic_loss(self, image: Tensor, prior_code: Tensor) -> Tensor:
        """Returns -log D(z) - log(1 - D(E(x)))."""
        code = self.encoder(image, train=False)
        return self.minus_log_sigmoid(self.critic(prior_code)) + self.minus_log_sigmoid(-self.critic(code))

    def adversarial_loss(self, image: Tensor) -> Tensor:
        """Returns -log D(E(x))."""
        return self.minus_log_sigmoid(self.critic(self.encoder(image)))

    def minus_log_sigmoid(self, logits: Tensor) -> Tensor:
        """Returns -log(sigmoid(x) + eps), mean over the batch, as in the tutorials."""
        return -torch.log(torch.sigmoid(logits) + self.log_sigmoid_eps).mean()


class AccumulatedGradients:
    """The sum of gradients since a step began, for each network."""

    def __init__(self, networks: Mapping[str, nn.Module]):
        self._params = {name: list(network.parameters()) for name, network in networks.items()}
        self._sums: dict[str, list[Tensor]] = {}

    def clear(self) -> None:
        """Sets all gradients to zero."""
        self._sums = {}

    def add(self, loss: Tensor, names: Sequence[str]) -> None:
        """Adds a loss's gradient with respect to the networks of these names."""
        params = [param for name in names for param in self._params[name]]
        computed = iter(torch.autograd.grad(loss, params))
        for name in names:
            gradient = [next(computed) for _ in self._params[name]]
            if name in self._sums:
                torch._foreach_add_(self._sums[name], gradient)
            else:
                self._sums[name] = gradient

    def select(self, names: Sequence[str]) -> list[Tensor]:
        """Returns the accumulated gradients of the networks of these names."""
        return [gradient for name in names for gradient in self._sums[name]]
