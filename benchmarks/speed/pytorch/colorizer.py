"""`jaxgen.algorithms.colorizer` in PyTorch, of the coarse painter, as one who writes PyTorch well would."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.speed.pytorch.common import FORMS, MLP, Adam, Normal, Step, in_form, pixels
from jaxgen import networks

__all__ = ["FORMS", "stepper"]
GRAY = (0.30, 0.59, 0.11)


def stepper(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: a `Colorizer` of a coarse painter without dropout, of gray originals.
      params: what it begins with.
      config: its config.
      images: uint8 [N, H, W, 3].
      labels: of no use to it.
      form: one of FORMS.
    """
    del labels
    painter = model.networks["colorizer"]
    height, width, _ = model.info.image_shape
    coarse = (-(-height // painter.grid_size), -(-width // painter.grid_size), 6)
    tint = MLP(networks.MLP(painter.hidden, coarse, painter.dropout), params["colorizer"]["MLP_0"])
    adam = Adam([tint], config.learning_rates["reconstruction"], 0.9, config.lr_schedule, config.steps, form)
    data, weights = torch.as_tensor(images), torch.tensor(GRAY)[:, None]

    def losses(image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        shown = image @ weights
        noisy = shown + config.input_noise_std * noise
        tints = interpolate(tint(noisy).permute(0, 3, 1, 2), (height, width), mode="bilinear").permute(0, 2, 3, 1)
        gain, shift = tints.chunk(2, dim=-1)
        colored = (1 + gain) * noisy + shift
        color = (colored - image).square().mean()
        return color + (colored @ weights - shown).square().mean(), color

    losses = in_form(losses, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image = pixels(data, index)
        loss, color = losses(image, normal((len(image), height, width, 1)))
        adam.step(torch.autograd.grad(loss, adam.params))
        return {"reconstruction/mse": loss.detach(), "reconstruction/color_mse": color.detach()}

    return Step(run, [adam], form)
