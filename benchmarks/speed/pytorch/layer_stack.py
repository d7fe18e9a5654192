"""A `jaxgen.networks.LayerStack` in PyTorch, with jaxgen's weights."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from benchmarks.speed.pytorch.common import GRAPH, compile_in_form
from jaxgen.networks.layers import NOT_AN_OUTPUT

LAST = ", channels last"
FORMS = ("eager", "eager" + LAST, "compile" + LAST, "eager" + LAST + GRAPH, "compile" + LAST + GRAPH)


class BlurConvTranspose(nn.ConvTranspose2d):
    """A `jaxgen.networks.conv.BlurConvTranspose`."""

    def __init__(self, channels: int, features: int, size: int, stride: int, padding: int, bias: bool = True):
        super().__init__(channels, features, size - 1, stride, padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        blurred = sum(pad(self.weight, (a, 1 - a, b, 1 - b)) for a in (0, 1) for b in (0, 1)) / 4
        return conv_transpose2d(x, blurred, self.bias, self.stride, self.padding)


CONVOLUTIONS = {"conv": nn.Conv2d, "conv_transpose": nn.ConvTranspose2d, "blur_conv_transpose": BlurConvTranspose}
# Names of the Flax modules, by the PyTorch module.
NAMES = {
    nn.Conv2d: "Conv",
    nn.ConvTranspose2d: "ConvTranspose",
    BlurConvTranspose: "BlurConvTranspose",
    nn.BatchNorm1d: "BatchNorm",
    nn.BatchNorm2d: "BatchNorm",
    nn.GroupNorm: "GroupNorm",
}
# Transpositions from Flax's weights to PyTorch's.
ORDERS = {
    "Conv": (3, 2, 0, 1),
    **dict.fromkeys(("ConvTranspose", "BlurConvTranspose"), (2, 3, 0, 1)),
    "Dense": (1, 0),
    **dict.fromkeys(("BatchNorm", "GroupNorm"), (0,)),
}


class Seed(nn.Linear):
    """A dense layer whose output is a small image of shape [H, W, C]."""

    def __init__(self, inputs: int, shape: tuple[int, int, int], bias: bool = True):
        super().__init__(inputs, math.prod(shape), bias)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(-1, *self.shape).permute(0, 3, 1, 2)


class Flatten(nn.Module):
    """Flattens images [B, C, H, W] to vectors in the order of [H, W, C]; vectors pass unchanged."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(len(x), -1) if x.ndim == 4 else x


class SpaceToDepth(nn.PixelUnshuffle):
    """Moves blocks of pixels to channels in jaxgen's order, with the channels of a pixel adjacent.

    In PyTorch's own order the pixels of a channel are adjacent.
    """

    def forward(self, x: Tensor) -> Tensor:
        blocks = super().forward(x)
        return blocks.unflatten(1, (x.shape[1], -1)).transpose(1, 2).flatten(1, 2)


def build_network(stack, params: Mapping, inputs: tuple[int, ...]) -> nn.Sequential:
    """Builds the modules of a stack; images are [B, C, H, W].

    Args:
      stack: a `jaxgen.networks.LayerStack`.
      params: the parameters of the stack.
      inputs: shape of one input: [Z] of a code or [C, H, W] of an image.
    """
    modules, x = nn.Sequential(), torch.zeros(2, *inputs)
    next_kinds = [*(kind for kind, *_ in stack.layers[1:]), None]
    for (kind, *arguments), next_kind in zip(stack.layers, next_kinds, strict=True):
        layer = build_layer(kind, arguments, x.shape[1:], stack.image_shape, bias=next_kind != "batch_norm")
        modules.append(layer)
        x = layer(x)
    modules.extend(build_output_layers(stack, x.shape[1:]))
    load_params(modules, params)
    return modules


def build_layer(
    kind: str, arguments: Sequence, shape: Sequence[int], image_shape: tuple[int, int, int], bias: bool
) -> nn.Module:
    """Builds one layer.

    Args:
      kind: as in `jaxgen.networks.LayerStack`.
      arguments: those of the layer.
      shape: shape of one input.
      image_shape: H, W, C of the data.
      bias: whether the layer has a bias, if its kind can have one.

    Raises:
      ValueError: no peer has a layer of that kind.
    """
    if kind == "seed":
        height, width = (-(-side // arguments[0]) for side in image_shape[:2])
        return Seed(math.prod(shape), (height, width, arguments[1]), bias)
    if kind == "dense":
        return nn.Sequential(Flatten(), nn.Linear(math.prod(shape), *arguments, bias))
    if kind in CONVOLUTIONS:
        return CONVOLUTIONS[kind](shape[0], *arguments, bias=bias)
    if kind == "space_to_depth" and not any(side % arguments[0] for side in image_shape[:2]):
        return SpaceToDepth(*arguments)
    if kind == "depth_to_space" and image_shape[-1] == 1:
        return nn.PixelShuffle(*arguments)  # for one output channel, PyTorch's order equals jaxgen's
    if kind == "batch_norm":
        return (nn.BatchNorm2d if len(shape) > 1 else nn.BatchNorm1d)(shape[0], eps=1e-5, momentum=0.01)
    if kind == "group_norm":
        return nn.GroupNorm(shape[0] // math.gcd(*arguments, shape[0]), shape[0], eps=1e-6)
    if kind in ("relu", "leaky_relu"):
        return nn.LeakyReLU(*arguments) if arguments else nn.ReLU()
    raise ValueError(f'no PyTorch peer has a layer of kind "{kind}" for images {image_shape}')


def build_output_layers(stack, shape: Sequence[int]) -> tuple[nn.Module, ...]:
    """Builds the modules after the layers: a dense layer if the layers do not end in the output's shape."""
    output = stack.output_shape
    if output is None or len(output) == len(shape) == 3:
        return ()
    if len(output) == 3:
        return (Seed(math.prod(shape), output),)
    is_output = stack.layers[-1][0] not in NOT_AN_OUTPUT and math.prod(shape) == math.prod(output)
    dense = () if is_output else (nn.Linear(math.prod(shape), math.prod(output)),)
    return Flatten(), *dense, nn.Unflatten(1, output)


@torch.no_grad()
def load_params(modules: nn.Sequential, params: Mapping) -> None:
    """Copies the parameters of a `LayerStack` into the modules."""
    counts: Counter = Counter()
    for module in modules.modules():
        if not isinstance(module, (*NAMES, nn.Linear)):
            continue
        name = NAMES.get(type(module), "Dense")
        layer_params = params[f"{name}_{counts[name]}"]
        counts[name] += 1
        weight = np.asarray(layer_params["scale" if "Norm" in name else "kernel"])
        module.weight.copy_(torch.as_tensor(weight.transpose(ORDERS[name]).copy()))
        if "bias" in layer_params:
            module.bias.copy_(torch.as_tensor(np.array(layer_params["bias"])))


def to_torch_images(data: np.ndarray, form: str) -> Tensor:
    """Returns images [N, H, W, C] as [N, C, H, W], in the memory layout of the form."""
    return torch.as_tensor(data).permute(0, 3, 1, 2).contiguous(memory_format=memory_format(form))


def build_network_in_form(stack, params: Mapping, inputs: tuple[int, ...], form: str) -> Callable[[Tensor], Tensor]:
    """Builds a network as `build_network` does, in the memory layout of the form, and compiled if the form compiles."""
    return compile_in_form(build_network(stack, params, inputs).to(memory_format=memory_format(form)), form)


def memory_format(form: str) -> torch.memory_format:
    """Returns the memory layout of a form."""
    return torch.channels_last if LAST in form else torch.contiguous_format
