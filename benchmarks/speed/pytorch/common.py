"""What the PyTorch peers are made of: layers with jaxgen's weights, Adam with its decays, a step in each form."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch._functorch.config
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu, pad, relu

torch._functorch.config.donated_buffer = False  # several gradients are taken through one compiled pass
GRAPH = ", CUDA graph"  # on a GPU alone: the whole step, optimizers included, is captured once and replayed
LOOP = "tutorials' loop"  # a pass for each player, Adam as it comes, every loss fetched
FORMS = ("eager", "compile", "eager" + GRAPH, "compile" + GRAPH)  # with the fused Adam, all
Normal = Callable[[Sequence[int]], Tensor]


class MLP(nn.Module):
    """The same as `jaxgen.networks.MLP`, with its weights; dropout is on where it is told to `train`.

    Raises:
      ValueError: it has something that no peer has.
    """

    def __init__(self, module, params: Mapping):
        super().__init__()
        if module.film:
            raise ValueError("no PyTorch peer has layers that a label modulates")
        self.leak, self.shape, self.count = module.negative_slope, module.output_shape, module.shortcut
        self.dropout, self.linear = module.dropout, module.linear_layers
        self.layers = nn.ModuleList([dense(params[f"Dense_{i}"]) for i in range(len(module.hidden) + 1)])
        if self.count:
            self.gate = parameter(params["Shortcut_0"]["gate"])
            self.shortcut = dense(params["Shortcut_0"]["Dense_0"])

    def forward(self, *inputs: Tensor, train: bool = True) -> Tensor:
        x = joined = torch.cat([each.flatten(1) for each in inputs], 1)
        for index, layer in enumerate(self.layers[:-1]):
            x = layer(x)
            if index not in self.linear:
                x = leaky_relu(x, self.leak) if self.leak else relu(x)
            x = dropout(x, self.dropout) if self.dropout and train else x
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
        self, networks: Sequence[nn.Module], rate: float, b1: float, decay: str, steps: int, form: str = "eager"
    ):
        self.params = [each for network in networks for each in network.parameters()]
        self._rate, self._steps, self._taken = rate, steps if decay == "cosine" else 0, 0
        captured = form.endswith(GRAPH)
        its_rate = torch.tensor(rate) if captured else rate  # which a replay reads where it lies
        fused = None if form == LOOP else True
        self._adam = torch.optim.Adam(self.params, its_rate, betas=(b1, 0.999), fused=fused, capturable=captured)

    def begin(self) -> None:
        """Sets the rate of the step to come."""
        if self._steps:
            share = min(self._taken / self._steps, 1)
            rate = self._rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
            group = self._adam.param_groups[0]
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        self._taken += 1

    def step(self, gradient: Sequence[Tensor]) -> None:
        """One step down that gradient."""
        for param, its in zip(self.params, gradient, strict=True):
            # The fused Adam takes numbers in the order in which they lie, whatever the strides say.
            param.grad = its if its.stride() == param.stride() else torch.empty_like(param).copy_(its)
        self._adam.step()


class Step:
    """`step(index, normal) -> {metric: value}`, in a form.

    As a CUDA graph, the first step is as ever, so that all is there which a step makes only once; the second is
    captured, and it and all others are replays. What they return lies where the next one writes.
    """

    def __init__(self, run: Callable[[Tensor, Normal], dict[str, Tensor]], adam: Sequence[Adam], form: str):
        self._run, self._adam, self._captured = run, adam, form.endswith(GRAPH)
        self._graph = self._index = self._found = None

    def __call__(self, index: Tensor, normal: Normal = torch.randn) -> dict[str, Tensor]:
        for each in self._adam:
            each.begin()
        if not self._captured:
            return self._run(index, normal)
        if self._index is None:
            self._index = index.clone()
            return on_a_stream_beside(lambda: self._run(self._index, normal))
        self._index.copy_(index)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._found = self._run(self._index, normal)
        self._graph.replay()
        return self._found


def on_a_stream_beside(work: Callable) -> dict[str, Tensor]:
    """Its result; what is captured later must not have begun on the default stream."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        found = work()
    torch.cuda.current_stream().wait_stream(beside)
    return found


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
    return torch.compile(function, dynamic=False) if form.startswith("compile") else function


def pixels(data: Tensor, index: Tensor) -> Tensor:
    """A batch in [0, 1]."""
    return data[index].float() / 255
