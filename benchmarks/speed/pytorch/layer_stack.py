"""The networks that the layers of a `jaxgen.networks.Stack` describe, in PyTorch, with jaxgen's weights."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from benchmarks.speed.pytorch.common import GRAPH, in_form
from jaxgen.networks.layers import NOT_AN_OUTPUT

LAST = ", channels last"
FORMS = ("eager", "eager" + LAST, "compile" + LAST, "eager" + LAST + GRAPH, "compile" + LAST + GRAPH)


class SmoothTranspose(nn.ConvTranspose2d):
    """As `jaxgen.networks.convolutions.SmoothTranspose`."""

    def __init__(self, channels: int, features: int, size: int, stride: int, padding: int, bias: bool = True):
        super().__init__(channels, features, size - 1, stride, padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        blurred = sum(pad(self.weight, (a, 1 - a, b, 1 - b)) for a in (0, 1) for b in (0, 1)) / 4
        return conv_transpose2d(x, blurred, self.bias, self.stride, self.padding)


CONVOLUTIONS = {"conv": nn.Conv2d, "conv_transpose": nn.ConvTranspose2d, "blur_conv_transpose": SmoothTranspose}
NAMES = {
    nn.Conv2d: "Conv",
    nn.ConvTranspose2d: "ConvTranspose",
    SmoothTranspose: "SmoothTranspose",
    nn.BatchNorm1d: "BatchNorm",
    nn.BatchNorm2d: "BatchNorm",
    nn.GroupNorm: "GroupNorm",
}
ORDERS = {
    "Conv": (3, 2, 0, 1),
    **dict.fromkeys(("ConvTranspose", "SmoothTranspose"), (2, 3, 0, 1)),
    "Dense": (1, 0),
    **dict.fromkeys(("BatchNorm", "GroupNorm"), (0,)),
}


class Seed(nn.Linear):
    """A dense layer to a small image of channels."""

    def __init__(self, inputs: int, shape: tuple[int, int, int], bias: bool = True):
        super().__init__(inputs, math.prod(shape), bias)
        self.shape = shape  # H, W, C

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(-1, *self.shape).permute(0, 3, 1, 2)


class Flat(nn.Module):
    """Images [B, C, H, W] as vectors in the order of [H, W, C]; vectors as they are."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(len(x), -1) if x.ndim == 4 else x


class Fold(nn.PixelUnshuffle):
    """Blocks of pixels as channels, those of a pixel side by side, where PyTorch has those of a channel."""

    def forward(self, x: Tensor) -> Tensor:
        blocks = super().forward(x)
        return blocks.unflatten(1, (x.shape[1], -1)).transpose(1, 2).flatten(1, 2)


def network(stack, params: Mapping, inputs: tuple[int, ...]) -> nn.Sequential:
    """The modules of a `Stack`, images being [B, C, H, W].

    Args:
      stack: a `jaxgen.networks.Stack`.
      params: its parameters.
      inputs: [Z] of a code, or [C, H, W] of an image.
    """
    modules, x = nn.Sequential(), torch.zeros(2, *inputs)
    following = [*(kind for kind, *_ in stack.layers[1:]), None]
    for (kind, *numbers), after in zip(stack.layers, following, strict=True):
        made = layer(kind, numbers, x.shape[1:], stack.image_shape, bias=after != "batch_norm")
        modules.append(made)
        x = made(x)
    modules.extend(last(stack, x.shape[1:]))
    load(modules, params)
    return modules


def layer(kind: str, numbers: Sequence, shape: Sequence[int], image_shape: tuple[int, int, int], bias: bool):
    """One layer, of inputs of that shape.

    Raises:
      ValueError: there is none of that kind here.
    """
    if kind == "seed":
        height, width = (-(-side // numbers[0]) for side in image_shape[:2])
        return Seed(math.prod(shape), (height, width, numbers[1]), bias)
    if kind == "dense":
        return nn.Sequential(Flat(), nn.Linear(math.prod(shape), *numbers, bias))
    if kind in CONVOLUTIONS:
        return CONVOLUTIONS[kind](shape[0], *numbers, bias=bias)
    if kind == "space_to_depth" and not any(each % numbers[0] for each in image_shape[:2]):
        return Fold(*numbers)
    if kind == "depth_to_space" and image_shape[-1] == 1:
        return nn.PixelShuffle(*numbers)  # to one channel: the same order
    if kind == "batch_norm":
        return (nn.BatchNorm2d if len(shape) > 1 else nn.BatchNorm1d)(shape[0], eps=1e-5, momentum=0.01)
    if kind == "group_norm":
        return nn.GroupNorm(shape[0] // math.gcd(*numbers, shape[0]), shape[0], eps=1e-6)
    if kind in ("relu", "leaky_relu"):
        return nn.LeakyReLU(*numbers) if numbers else nn.ReLU()
    raise ValueError(f'no PyTorch peer has a layer of kind "{kind}" for images {image_shape}')


def last(stack, shape: Sequence[int]) -> tuple[nn.Module, ...]:
    """What follows the layers: a dense layer where they do not end in what is asked for."""
    output = stack.output_shape
    if output is None or len(output) == len(shape) == 3:
        return ()
    if len(output) == 3:
        return (Seed(math.prod(shape), output),)
    ends = stack.layers[-1][0] not in NOT_AN_OUTPUT and math.prod(shape) == math.prod(output)
    made = () if ends else (nn.Linear(math.prod(shape), math.prod(output)),)
    return Flat(), *made, nn.Unflatten(1, output)


@torch.no_grad()
def load(modules: nn.Sequential, params: Mapping) -> None:
    """Gives the modules the weights of a `Stack`."""
    seen: Counter = Counter()
    for module in modules.modules():
        if not isinstance(module, (*NAMES, nn.Linear)):
            continue
        name = NAMES.get(type(module), "Dense")
        its = params[f"{name}_{seen[name]}"]
        seen[name] += 1
        weight = np.asarray(its["scale" if "Norm" in name else "kernel"])
        module.weight.copy_(torch.as_tensor(weight.transpose(ORDERS[name]).copy()))
        if "bias" in its:
            module.bias.copy_(torch.as_tensor(np.array(its["bias"])))


def images(data: np.ndarray, form: str) -> Tensor:
    """Images [N, H, W, C] as PyTorch has them."""
    return torch.as_tensor(data).permute(0, 3, 1, 2).contiguous(memory_format=layout(form))


def network_in_form(stack, params: Mapping, inputs: tuple[int, ...], form: str) -> Callable[[Tensor], Tensor]:
    """`network`, laid out and compiled as the form wants it."""
    return in_form(network(stack, params, inputs).to(memory_format=layout(form)), form)


def layout(form: str) -> torch.memory_format:
    return torch.channels_last if LAST in form else torch.contiguous_format
