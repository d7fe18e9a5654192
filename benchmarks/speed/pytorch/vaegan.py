"""`jaxgen.algorithms.vaegan` in PyTorch, as one who writes PyTorch well would.

One pass through all networks; each of the three players' gradients is taken for what it moves alone.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks.speed.pytorch.common import Adam, Normal, Step, kl_from_prior, move
from benchmarks.speed.pytorch.layer_stack import FORMS, network_in_form
from benchmarks.speed.pytorch.layer_stack import images as placed
from jaxgen.models.posterior import LOG_STD_RANGE

__all__ = ["FORMS", "stepper"]
MOVED = {"encoder": ("encoder",), "decoder": ("decoder",), "critic": ("features", "critic")}


def stepper(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: a `VAEGAN` with the non-saturating game, no penalty, no mean of the parameters, no margin.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: of no use to it.
      form: one of FORMS.
    """
    del labels
    *sides, channels = model.info.image_shape

    def made(name: str, *inputs: int):
        return network_in_form(model.networks[name], params[name], inputs, form)

    nets = {"decoder": made("decoder", model.latent_size)}
    nets |= {name: made(name, channels, *sides) for name in ("encoder", "features")}
    nets["critic"] = made("critic", *nets["features"](torch.zeros(2, channels, *sides)).shape[1:])
    data = placed(images, form)
    adam = {
        name: Adam(
            [nets[each] for each in its],
            config.learning_rates[name],
            config.b1,
            config.lr_schedule,
            config.steps,
            form,
        )
        for name, its in MOVED.items()
    }

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image = data[index].float() * (2 / 255) - 1
        mean, log_std = nets["encoder"](image).unbind(1)
        log_std = log_std.clamp(*LOG_STD_RANGE)
        noise, drawn = (normal((len(image), model.latent_size)) for _ in range(2))
        decoded = torch.tanh(nets["decoder"](torch.cat([mean + log_std.exp() * noise, drawn])))
        features = [nets["features"](kind) for kind in (image, *decoded.chunk(2))]
        real, fake, other = (nets["critic"](each)[:, 0] for each in features)
        real_features, reconstructed, _ = features
        squares = (reconstructed - real_features).square()
        mse, kl = squares.mean(), kl_from_prior(mean, log_std)
        variance = model.feature_std**2 or mse.detach() + 1e-8
        apart = squares.sum() / (2 * variance * len(image))
        fooling = (softplus(-fake) + softplus(-other)).mean()
        told = (softplus(-real) + (softplus(fake) + softplus(other)) / 2).mean()
        loss = {"encoder": config.beta * kl + apart, "decoder": config.gamma * apart + fooling, "critic": told}
        move(loss, adam)
        found = {"encoder/kl": kl, "encoder/feature_mse": mse, "decoder/fooling": fooling, "critic/loss": told}
        return {name: value.detach() for name, value in found.items()}

    return Step(run, adam.values(), form)
