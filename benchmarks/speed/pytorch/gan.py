"""A GAN of `jaxgen.algorithms.gan` in PyTorch, as one who writes PyTorch well would.

The same networks out of the same layers, begun with the same weights, the same losses, both players moving at once with
one forward pass of the generator and one of the critic for each kind of image. No jaxgen code runs in a step.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks.speed.pytorch.common import Adam, Normal, Step, move
from benchmarks.speed.pytorch.layer_stack import FORMS, network_in_form
from benchmarks.speed.pytorch.layer_stack import images as placed

__all__ = ["FORMS", "stepper"]


def stepper(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
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
    *sides, channels = model.info.image_shape
    inputs = {"generator": (model.latent_size,), "critic": (channels, *sides)}
    generator, critic = (network_in_form(model.networks[name], params[name], its, form) for name, its in inputs.items())
    data = placed(images, form)
    players = {"critic": critic, "generator": generator}
    adam = {
        name: Adam([net], config.learning_rates[name], config.b1, "constant", config.steps, form)
        for name, net in players.items()
    }

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        real = data[index].float() * (2 / 255) - 1
        fake = torch.tanh(generator(normal((len(index), model.latent_size))))
        real_logits, fake_logits = critic(real), critic(fake)
        told = (softplus(-real_logits) + softplus(fake_logits)).mean()
        fooled = softplus(-fake_logits).mean()
        move({"critic": told, "generator": fooled}, adam)
        return {"critic/loss": told.detach(), "generator/loss": fooled.detach()}

    return Step(run, adam.values(), form)
