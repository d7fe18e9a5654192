"""The parts that all PyTorch peers share: layers with jaxgen's weights, Adam with schedules, a step in each form."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch._functorch.config
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu, pad, relu

# Several gradients are taken through one compiled forward pass, which therefore must keep its buffers.
torch._functorch.config.donated_buffer = False
GRAPH = ", CUDA graph"  # on a GPU only: the whole step, with its optimizers, is captured once and replayed
LOOP = "tutorials' loop"  # a forward pass for each player, Adam with its defaults, every loss fetched at every step
FORMS = ("eager", "compile", "eager" + GRAPH, "compile" + GRAPH)  # all with the fused Adam
Normal = Callable[[Sequence[int]], Tensor]


class MLP(nn.Module):
    """A `jaxgen.networks.MLP` with its weights; `train` turns dropout on.

    Raises:
      ValueError: the network has FiLM layers, which no peer has.
    """

    def __init__(self, module, params: Mapping):
        super().__init__()
        if module.film:
            raise ValueError("no PyTorch peer has FiLM layers; try decoder_film=False")
        self.negative_slope, self.output_shape = module.negative_slope, module.output_shape
        self.dropout, self.linear_layers = module.dropout, module.linear_layers
        self.layers = nn.ModuleList([make_dense(params[f"Dense_{i}"]) for i in range(len(module.hidden_sizes) + 1)])
        self.shortcut_size = module.shortcut
        if self.shortcut_size:
            self.gate = make_parameter(params["Shortcut_0"]["gate"])
            self.shortcut = make_dense(params["Shortcut_0"]["Dense_0"])

    def forward(self, *inputs: Tensor, train: bool = True) -> Tensor:
        x = joined = torch.cat([value.flatten(1) for value in inputs], 1)
        for index, layer in enumerate(self.layers[:-1]):
            x = layer(x)
            if index not in self.linear_layers:
                x = leaky_relu(x, self.negative_slope) if self.negative_slope else relu(x)
            x = dropout(x, self.dropout) if self.dropout and train else x
        x = self.layers[-1](x)
        if self.shortcut_size:
            x = self.gate * x + pad(self.shortcut(joined), (0, x.shape[1] - self.shortcut_size))
        return x.view(-1, *self.output_shape)


def make_dense(params: Mapping) -> nn.Linear:
    """Returns a linear layer with Flax's weights."""
    kernel = torch.as_tensor(np.array(params["kernel"]))
    layer = nn.Linear(*kernel.shape, bias="bias" in params)
    with torch.no_grad():
        layer.weight.copy_(kernel.T)
        if "bias" in params:
            layer.bias.copy_(torch.as_tensor(np.array(params["bias"])))
    return layer


def make_parameter(value: np.ndarray) -> nn.Parameter:
    """Returns a trainable copy of an array."""
    return nn.Parameter(torch.as_tensor(np.array(value)))


class Adam:
    """Adam on the parameters of some networks, with the schedules of `jaxgen.optimization.optimizers`.

    Args:
      networks: the networks it trains.
      rate: the learning rate at step 0.
      b1: decay of the first moment.
      lr_schedule: "constant" or "cosine".
      steps: length of the schedule.
      form: the form of the step; see `FORMS` and `LOOP`.
    """

    def __init__(
        self, networks: Sequence[nn.Module], rate: float, b1: float, lr_schedule: str, steps: int, form: str = "eager"
    ):
        self.params = [param for network in networks for param in network.parameters()]
        self._rate, self._steps, self._step = rate, steps if lr_schedule == "cosine" else 0, 0
        captured = form.endswith(GRAPH)
        lr = torch.tensor(rate) if captured else rate  # a replayed graph reads the tensor's current value
        fused = None if form == LOOP else True
        self._adam = torch.optim.Adam(self.params, lr, betas=(b1, 0.999), fused=fused, capturable=captured)

    def set_rate(self) -> None:
        """Sets the learning rate of the next step."""
        if self._steps:
            progress = min(self._step / self._steps, 1)
            rate = self._rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
            group = self._adam.param_groups[0]
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        self._step += 1

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Updates the parameters."""
        for param, gradient in zip(self.params, gradients, strict=True):
            # The fused Adam reads values in memory order and ignores strides.
            same_layout = gradient.stride() == param.stride()
            param.grad = gradient if same_layout else torch.empty_like(param).copy_(gradient)
        self._adam.step()


class Step:
    """A function `step(index, normal) -> {metric: value}` in one of the forms.

    As a CUDA graph, the first step runs normally and creates everything that a step creates only once. The second is
    captured; it and all later ones are replays. The next replay overwrites the tensors that a replay returned.

    Args:
      run: takes one step on the images of an index, with random numbers from `normal`.
      optimizers: the optimizers of the step.
      form: the form of the step.
    """

    def __init__(self, run: Callable[[Tensor, Normal], dict[str, Tensor]], optimizers: Sequence[Adam], form: str):
        self._run, self._optimizers, self._captured = run, optimizers, form.endswith(GRAPH)
        self._graph = self._index = self._metrics = None

    def __call__(self, index: Tensor, normal: Normal = torch.randn) -> dict[str, Tensor]:
        for optimizer in self._optimizers:
            optimizer.set_rate()
        if not self._captured:
            return self._run(index, normal)
        if self._index is None:
            self._index = index.clone()
            return run_on_side_stream(lambda: self._run(self._index, normal))
        self._index.copy_(index)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._metrics = self._run(self._index, normal)
        self._graph.replay()
        return self._metrics


def run_on_side_stream(function: Callable) -> dict[str, Tensor]:
    """Returns the function's result; work to be captured later must not start on the default stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        result = function()
    torch.cuda.current_stream().wait_stream(stream)
    return result


def update(losses: Mapping[str, Tensor], optimizers: Mapping[str, Adam]) -> None:
    """Updates all players simultaneously, each by its loss's gradient with respect to the networks that it trains."""
    *_, final = optimizers
    gradients = {
        name: torch.autograd.grad(losses[name], adam.params, retain_graph=name != final)
        for name, adam in optimizers.items()
    }
    for name, gradient in gradients.items():
        optimizers[name].step(gradient)


def gaussian_kl(mean: Tensor, log_std: Tensor) -> Tensor:
    """Returns KL(N(mean, exp(log_std)²) || N(0, I)) in nats, mean over the batch."""
    return 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).sum(-1).mean()


def compile_in_form(function: Callable, form: str) -> Callable:
    """Compiles a function if the form compiles."""
    return torch.compile(function, dynamic=False) if form.startswith("compile") else function


def gather_images(data: Tensor, index: Tensor) -> Tensor:
    """Returns a batch of images in [0, 1]."""
    return data[index].float() / 255
