"""The GAN of `jaxgen.models.gan` in idiomatic, fast PyTorch.

It has the same networks, initial weights and losses, and updates both players simultaneously, with one forward pass of
the generator and one of the critic for each kind of image. No jaxgen code runs in a step.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks.speed.pytorch.common import Adam, Normal, Step, update
from benchmarks.speed.pytorch.layer_stack import FORMS, build_network_in_form, to_torch_images

__all__ = ["FORMS", "make_step"]


def make_step(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """Returns `step(index, normal) -> {metric: value}`, one training step on the images of that index.

    Args:
      model: a GAN with the non-saturating loss and no penalty.
      params: initial parameters of its networks.
      config: the model's config.
      images: uint8 [N, H, W, C].
      labels: not used.
      form: one of FORMS.
    """
    del labels
    *sides, channels = model.info.image_shape
    inputs = {"generator": (model.latent_size,), "critic": (channels, *sides)}
    generator, critic = (
        build_network_in_form(model.networks[name], params[name], shape, form) for name, shape in inputs.items()
    )
    data = to_torch_images(images, form)
    optimizers = {
        name: Adam([network], config.learning_rates[name], config.b1, "constant", config.steps, form)
        for name, network in {"critic": critic, "generator": generator}.items()
    }

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        real = data[index].float() * (2 / 255) - 1
        fake = torch.tanh(generator(normal((len(index), model.latent_size))))
        real_logits, fake_logits = critic(real), critic(fake)
        critic_loss = (softplus(-real_logits) + softplus(fake_logits)).mean()
        generator_loss = softplus(-fake_logits).mean()
        update({"critic": critic_loss, "generator": generator_loss}, optimizers)
        return {"critic/loss": critic_loss.detach(), "generator/loss": generator_loss.detach()}

    return Step(run, optimizers.values(), form)
