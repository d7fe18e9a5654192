"""What the fully connected PyTorch peers are made of: layers with jaxgen's weights, Adam with its decays."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, relu

GRAPHS = "compile, CUDA graphs"
FORMS = ("eager", "compile", *([GRAPHS] if torch.cuda.is_available() else []))  # with the fused Adam, all
Normal = Callable[[Sequence[int]], Tensor]


class MLP(nn.Module):
    """The same as `jaxgen.networks.MLP`, with its weights.

    Raises:
      ValueError: it has something that no peer has.
    """

    def __init__(self, module, params: Mapping):
        super().__init__()
        if module.dropout or module.modulated or module.linear:
            raise ValueError("no PyTorch peer has dropout, modulation or hidden layers without ReLU")
        self.leak, self.shape, self.count = module.leak, module.output_shape, module.shortcut
        self.layers = nn.ModuleList([dense(params[f"Dense_{i}"]) for i in range(len(module.hidden) + 1)])
        if self.count:
            self.gate = parameter(params["Shortcut_0"]["gate"])
            self.shortcut = dense(params["Shortcut_0"]["Dense_0"])

    def forward(self, *inputs: Tensor) -> Tensor:
        x = joined = torch.cat([each.flatten(1) for each in inputs], 1)
        for layer in self.layers[:-1]:
            x = leaky_relu(layer(x), self.leak) if self.leak else relu(layer(x))
        x = self.layers[-1](x)
        if self.count:
            linear = self.shortcut(joined)
            x = self.gate * x + pad(linear, (0, x.shape[1] - self.count))
        return x.view(-1, *self.shape)


def dense(params: Mapping) -> nn.Linear:
    """A layer with flax's weights."""
    kernel = torch.as_tensor(np.array(params["kernel"]))
    layer = nn.Linear(*kernel.shape, bias="bias" in params)
    with torch.no_grad():
        layer.weight.copy_(kernel.T)
        if "bias" in params:
            layer.bias.copy_(torch.as_tensor(np.array(params["bias"])))
    return layer


def parameter(value: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.as_tensor(np.array(value)))


class Adam:
    """Adam over the parameters of some networks, its rate decayed as `jaxgen.optimizers.decayed` does."""

    def __init__(
        self, networks: Sequence[nn.Module], rate: float, b1: float, decay: str, steps: int, fused: bool | None = True
    ):
        self.params = [each for network in networks for each in network.parameters()]
        self._adam = torch.optim.Adam(self.params, rate, betas=(b1, 0.999), fused=fused)
        self._rate, self._steps, self._taken = rate, steps if decay == "cosine" else 0, 0

    def step(self, gradient: Sequence[Tensor]) -> None:
        """One step down that gradient."""
        for param, its in zip(self.params, gradient, strict=True):
            # The fused Adam takes numbers in the order in which they lie, whatever the strides say.
            param.grad = its if its.stride() == param.stride() else torch.empty_like(param).copy_(its)
        if self._steps:
            share = min(self._taken / self._steps, 1)
            self._adam.param_groups[0]["lr"] = self._rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        self._adam.step()
        self._taken += 1


def move(loss: Mapping[str, Tensor], adam: Mapping[str, Adam]) -> None:
    """One step of every player, down the gradient of its loss by what it moves alone, all taken at the same point."""
    *_, final = adam
    gradient = {
        name: torch.autograd.grad(loss[name], its.params, retain_graph=name != final) for name, its in adam.items()
    }
    for name, its in gradient.items():
        adam[name].step(its)


def kl_from_prior(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, exp(log_std)²) || N(0, I)) in nats, batch mean."""
    return 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).sum(-1).mean()


def in_form(function: Callable, form: str) -> Callable:
    """A function as the form wants it."""
    modes = {"compile": None, GRAPHS: "reduce-overhead"}
    return torch.compile(function, mode=modes[form]) if form in modes else function


def pixels(data: Tensor, index: Tensor) -> Tensor:
    """A batch in [0, 1]."""
    return data[index].float() / 255
