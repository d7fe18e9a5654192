"""The colorizer of `jaxgen.models.colorizer`, with the coarse network, in idiomatic, fast PyTorch."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.speed.pytorch.common import FORMS, MLP, Adam, Normal, Step, compile_in_form, gather_images
from jaxgen import networks

__all__ = ["FORMS", "make_step"]
LUMA = (0.30, 0.59, 0.11)


def make_step(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """Returns `step(index, normal) -> {metric: value}`, one training step on the images of that index.

    Args:
      model: a `Colorizer` of grayscale originals, with the coarse network and without dropout.
      params: initial parameters of its network.
      config: the model's config.
      images: uint8 [N, H, W, 3].
      labels: not used.
      form: one of FORMS.
    """
    del labels
    network = model.networks["colorizer"]
    height, width, _ = model.info.image_shape
    grid = (-(-height // network.grid_size), -(-width // network.grid_size), 6)
    tint = MLP(networks.MLP(tuple(config.hidden_sizes), grid, network.dropout), params["colorizer"]["MLP_0"])
    adam = Adam([tint], config.learning_rates["reconstruction"], 0.9, config.lr_schedule, config.steps, form)
    data, luma = torch.as_tensor(images), torch.tensor(LUMA)[:, None]

    def colorization_loss(image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        gray = image @ luma
        noisy = gray + config.input_noise_std * noise
        tints = interpolate(tint(noisy).permute(0, 3, 1, 2), (height, width), mode="bilinear").permute(0, 2, 3, 1)
        gain, shift = tints.chunk(2, dim=-1)
        color = (1 + gain) * noisy + shift
        color_mse = (color - image).square().mean()
        return color_mse + (color @ luma - gray).square().mean(), color_mse

    colorization_loss = compile_in_form(colorization_loss, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image = gather_images(data, index)
        mse, color_mse = colorization_loss(image, normal((len(image), height, width, 1)))
        adam.step(torch.autograd.grad(mse, adam.params))
        return {"reconstruction/mse": mse.detach(), "reconstruction/color_mse": color_mse.detach()}

    return Step(run, [adam], form)
