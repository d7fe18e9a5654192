"""`cond_aae:tutorial` in PyTorch: the players in turn, and gradients zeroed once a step, as the tutorials have it.

Each player's loss is differentiated for every network that it went through; what has gathered since the step began is
what the player's Adam goes down. One form is the tutorials' loop, which fetches every loss as it comes.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import one_hot

from benchmarks.speed.pytorch.aae import FORMS, MOVED, NETWORKS, schedule
from benchmarks.speed.pytorch.common import LOOP, MLP, Adam, Normal, Step, in_form, pixels

__all__ = ["FORMS", "stepper"]
SEEN = {"reconstruction": ("encoder", "decoder"), "critic": ("encoder", "critic"), "encoder": ("encoder", "critic")}


def stepper(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: a `ConditionalAAE` of plain codes under the accumulating schedule, whose critic sees the code alone.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: int32 [N].
      form: one of FORMS.
    """
    nets = {name: MLP(model.networks[name], params[name]) for name in NETWORKS}
    data, told = torch.as_tensor(images), one_hot(torch.as_tensor(labels).long(), model.num_conditions).float()
    adam = {name: Adam([nets[each] for each in its], *schedule(config, name), form) for name, its in MOVED.items()}
    losses = Losses(nets, model.log_sigmoid_eps)
    reconstruct, tell, fool = (in_form(loss, form) for loss in (losses.reconstruct, losses.tell, losses.fool))
    gathered = Gathered(nets)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image, label = pixels(data, index), told[index]
        prior = model.prior.std * normal((len(image), model.latent_size))
        found = {}
        gathered.clear()
        for name, loss in (
            ("reconstruction", lambda: reconstruct(image, label)),
            ("critic", lambda: tell(image, prior)),
            ("encoder", lambda: fool(image)),
        ):
            found[name] = loss()
            gathered.add(found[name], SEEN[name])
            adam[name].step(gathered.of(MOVED[name]))
            if form == LOOP:
                found[name].item()
        nll = found["reconstruction"] * image[0].numel()
        measured = {"reconstruction/nll": nll, "critic/loss": found["critic"], "encoder/loss": found["encoder"]}
        return {name: value.detach() for name, value in measured.items()}

    return Step(run, adam.values(), form)


class Losses:
    """The players' losses, dropout on in what each trains."""

    def __init__(self, nets: Mapping[str, nn.Module], eps: float):
        self.encoder, self.decoder, self.critic = (nets[name] for name in NETWORKS)
        self.eps = eps

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor:
        """-log p(x | z), in nats a pixel."""
        return cross_entropy(self.decoder(self.encoder(image), label), image)

    def tell(self, image: Tensor, prior: Tensor) -> Tensor:
        code = self.encoder(image, train=False)
        return self.minus_log(self.critic(prior)) + self.minus_log(-self.critic(code))

    def fool(self, image: Tensor) -> Tensor:
        return self.minus_log(self.critic(self.encoder(image)))

    def minus_log(self, logits: Tensor) -> Tensor:
        """-log(sigmoid + eps), batch mean: the tutorials' way."""
        return -torch.log(torch.sigmoid(logits) + self.eps).mean()


class Gathered:
    """Gradients since the step began, of each network."""

    def __init__(self, nets: Mapping[str, nn.Module]):
        self._params = {name: list(net.parameters()) for name, net in nets.items()}
        self._sums: dict[str, list[Tensor]] = {}

    def clear(self) -> None:
        self._sums = {}

    def add(self, loss: Tensor, names: Sequence[str]) -> None:
        """Adds a loss's gradient for the networks of those names."""
        params = [each for name in names for each in self._params[name]]
        found = iter(torch.autograd.grad(loss, params))
        for name in names:
            its = [next(found) for _ in self._params[name]]
            if name in self._sums:
                torch._foreach_add_(self._sums[name], its)
            else:
                self._sums[name] = its

    def of(self, names: Sequence[str]) -> list[Tensor]:
        return [each for name in names for each in self._sums[name]]
