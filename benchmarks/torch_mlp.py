"""What the fully connected PyTorch peers are made of: layers with jaxgen's weights, Adam with its decays."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

FORMS = ("eager", "compile")  # with the fused Adam, both
Normal = Callable[[Sequence[int]], Tensor]


class MLP(nn.Module):
    """The same as `jaxgen.networks.MLP`, with its weights.

    Raises:
      ValueError: it has something that no peer has.
    """

    def __init__(self, module, params: Mapping):
        super().__init__()
        if module.dropout or module.modulated or module.shortcut or module.linear:
            raise ValueError("no PyTorch peer has dropout, modulation, a shortcut or hidden layers without ReLU")
        self.leak, self.shape = module.leak, module.output_shape
        self.layers = nn.ModuleList([dense(params[f"Dense_{i}"]) for i in range(len(params))])

    def forward(self, *inputs: Tensor) -> Tensor:
        x = torch.cat([each.flatten(1) for each in inputs], 1)
        for layer in self.layers[:-1]:
            x = leaky_relu(layer(x), self.leak) if self.leak else relu(layer(x))
        return self.layers[-1](x).view(-1, *self.shape)


def dense(params: Mapping) -> nn.Linear:
    """A layer with flax's weights."""
    kernel, bias = (torch.from_numpy(np.array(params[name])) for name in ("kernel", "bias"))
    layer = nn.Linear(*kernel.shape)
    with torch.no_grad():
        layer.weight.copy_(kernel.T), layer.bias.copy_(bias)
    return layer


class Adam:
    """Fused Adam over the parameters of some networks, its rate decayed as `jaxgen.optimizers.decayed` does."""

    def __init__(self, networks: Sequence[nn.Module], rate: float, b1: float, decay: str, steps: int):
        self.params = [each for network in networks for each in network.parameters()]
        self._adam = torch.optim.Adam(self.params, rate, betas=(b1, 0.999), fused=True)
        self._rate, self._steps, self._taken = rate, steps if decay == "cosine" else 0, 0

    def step(self, gradient: Sequence[Tensor]) -> None:
        """One step down that gradient."""
        for param, its in zip(self.params, gradient, strict=True):
            param.grad = its
        if self._steps:
            share = min(self._taken / self._steps, 1)
            self._adam.param_groups[0]["lr"] = self._rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        self._adam.step()
        self._taken += 1


def kl_from_prior(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, exp(log_std)²) || N(0, I)) in nats, batch mean."""
    return 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).sum(-1).mean()


def in_form(function: Callable, form: str) -> Callable:
    """A function as the form wants it."""
    return torch.compile(function) if form == "compile" else function


def pixels(data: Tensor, index: Tensor) -> Tensor:
    """A batch in [0, 1]."""
    return data[index].float() / 255
