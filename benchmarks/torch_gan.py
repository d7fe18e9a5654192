"""A GAN of `jaxgen.algorithms.gan` in PyTorch, as one who writes PyTorch well would: eager, with the fused Adam.

The same networks out of the same layers, begun with the same weights, the same losses, both players moving at once with
one forward pass of the generator and one of the critic for each kind of image. No jaxgen code runs in a step.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

FORMS = ("eager", "eager, channels last")


class Seed(nn.Linear):
    """A dense layer to a small image of channels."""

    def __init__(self, inputs: int, shape: tuple[int, int, int], bias: bool):
        super().__init__(inputs, math.prod(shape), bias)
        self.shape = shape  # H, W, C

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(-1, *self.shape).permute(0, 3, 1, 2)


class Flat(nn.Module):
    """Images [B, C, H, W] as vectors in the order of [H, W, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(len(x), -1)


def network(layers: Sequence[tuple], inputs: tuple[int, ...], image_shape: tuple[int, int, int], scores: int = 0):
    """The modules of a `Stack`'s layers.

    Args:
      layers: as `jaxgen.networks.Stack` has them.
      inputs: [Z] of a code, or [C, H, W] of an image.
      image_shape: H, W, C of the data.
      scores: so many numbers, by a last dense layer; 0: the last layer's image, or what a dense layer makes of it.
    """
    modules, shape = [], inputs
    following = [*(kind for kind, *_ in layers[1:]), None]
    for (kind, *numbers), after in zip(layers, following, strict=True):
        bias = after != "batch_norm"
        if kind == "seed":
            shrink, channels = numbers
            height, width = (-(-side // shrink) for side in image_shape[:2])
            modules.append(Seed(shape[0], (height, width, channels), bias))
            shape = (channels, height, width)
        elif kind == "dense":
            modules += [Flat()] if len(shape) > 1 else []
            modules.append(nn.Linear(math.prod(shape), *numbers, bias))
            shape = tuple(numbers)
        elif kind in ("conv", "conv_transpose"):
            channels, size, stride, padding = numbers
            made = nn.Conv2d if kind == "conv" else nn.ConvTranspose2d
            modules.append(made(shape[0], channels, size, stride, padding, bias=bias))
            grown = [
                (side + 2 * padding - size) // stride + 1
                if kind == "conv"
                else (side - 1) * stride - 2 * padding + size
                for side in shape[1:]
            ]
            shape = (channels, *grown)
        else:
            modules.append(plain(kind, numbers, shape))
    if scores:
        modules += [Flat()] if len(shape) > 1 else []
        modules.append(nn.Linear(math.prod(shape), scores))
    elif len(shape) == 1:
        modules.append(Seed(shape[0], image_shape, True))
    return nn.Sequential(*modules)


def plain(kind: str, numbers: Sequence[float], shape: tuple[int, ...]) -> nn.Module:
    """A layer without a kernel.

    Raises:
      ValueError: there is none of that kind here.
    """
    if kind == "batch_norm":
        made = nn.BatchNorm2d if len(shape) > 1 else nn.BatchNorm1d
        return made(shape[0], eps=1e-5, momentum=0.01)
    if kind == "relu":
        return nn.ReLU()
    if kind == "leaky_relu":
        return nn.LeakyReLU(*numbers)
    raise ValueError(f'no PyTorch peer has a layer of kind "{kind}"')


@torch.no_grad()
def load(modules: nn.Sequential, params: Mapping) -> None:
    """Gives the modules the weights of a `Stack`."""
    seen: Counter = Counter()
    for module in modules:
        name = {
            nn.Conv2d: "Conv",
            nn.ConvTranspose2d: "ConvTranspose",
            nn.BatchNorm1d: "BatchNorm",
            nn.BatchNorm2d: "BatchNorm",
            nn.Linear: "Dense",
            Seed: "Dense",
        }.get(type(module))
        if name is None:
            continue
        its = params[f"{name}_{seen[name]}"]
        seen[name] += 1
        weight = its["scale" if name == "BatchNorm" else "kernel"]
        order = {"Conv": (3, 2, 0, 1), "ConvTranspose": (2, 3, 0, 1), "Dense": (1, 0), "BatchNorm": (0,)}[name]
        module.weight.copy_(torch.from_numpy(np.asarray(weight).transpose(order).copy()))
        if "bias" in its:
            module.bias.copy_(torch.from_numpy(np.array(its["bias"])))


def stepper(algorithm, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: a GAN with the non-saturating game and no penalty.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: of no use to it.
      form: one of FORMS.
    """
    del labels
    shape = algorithm.info.image_shape
    generator = network(algorithm.networks["generator"].layers, (algorithm.latent_size,), shape)
    critic = network(algorithm.networks["critic"].layers, (shape[-1], *shape[:2]), shape, scores=1)
    load(generator, params["generator"])
    load(critic, params["critic"])
    layout = torch.channels_last if form == "eager, channels last" else torch.contiguous_format
    generator, critic = generator.to(memory_format=layout), critic.to(memory_format=layout)
    data = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    adam = {
        name: torch.optim.Adam(net.parameters(), config.rates[name], betas=(config.momentum, 0.999), fused=True)
        for name, net in (("generator", generator), ("critic", critic))
    }

    def step(index: Tensor, normal: Callable = torch.randn) -> dict[str, Tensor]:
        real = data[index].float() * (2 / 255) - 1
        fake = torch.tanh(generator(normal((len(index), algorithm.latent_size))))
        real_logits, fake_logits = critic(real), critic(fake)
        told = (softplus(-real_logits) + softplus(fake_logits)).mean()
        fooled = softplus(-fake_logits).mean()
        for name, net, loss in (("critic", critic, told), ("generator", generator, fooled)):
            adam[name].zero_grad(set_to_none=True)
            loss.backward(inputs=list(net.parameters()), retain_graph=name == "critic")
        adam["critic"].step()
        adam["generator"].step()
        return {"critic/loss": told.detach(), "generator/loss": fooled.detach()}

    return step
