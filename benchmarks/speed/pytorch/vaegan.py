"""The VAE/GAN of `jaxgen.models.vaegan` in idiomatic, fast PyTorch.

One forward pass of all networks serves the three players. Each player's gradient is taken only with respect to the
networks that it trains.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.speed.pytorch.common import Adam, Normal, Step, gaussian_kl, update
from benchmarks.speed.pytorch.layer_stack import FORMS, build_network_in_form, to_torch_images
from jaxgen.models.posterior import LOG_STD_RANGE

__all__ = ["FORMS", "make_step"]
# The networks that each player trains.
PLAYERS = {"encoder": ("encoder",), "decoder": ("decoder",), "critic": ("features", "critic")}


def make_step(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """Returns `step(index, normal) -> {metric: value}`, one training step on the images of that index.

    Args:
      model: a `VAEGAN` with the non-saturating loss, and without penalty, EMA and margin.
      params: initial parameters of its networks.
      config: the model's config.
      images: uint8 [N, H, W, C].
      labels: not used.
      form: one of FORMS.
    """
    del labels
    networks = build_networks(model, params, form)
    data = to_torch_images(images, form)
    settings = (config.b1, config.lr_schedule, config.steps, form)
    optimizers = {
        player: Adam([networks[name] for name in names], config.learning_rates[player], *settings)
        for player, names in PLAYERS.items()
    }

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image = data[index].float() * (2 / 255) - 1
        mean, log_std = networks["encoder"](image).unbind(1)
        log_std = log_std.clamp(*LOG_STD_RANGE)
        noise, prior_code = (normal((len(image), model.latent_size)) for _ in range(2))
        decoded = torch.tanh(networks["decoder"](torch.cat([mean + log_std.exp() * noise, prior_code])))
        features = [networks["features"](batch) for batch in (image, *decoded.chunk(2))]
        real_logits, reconstruction_logits, sample_logits = (networks["critic"](batch)[:, 0] for batch in features)
        squared_error = (features[1] - features[0]).square()
        feature_mse, kl = squared_error.mean(), gaussian_kl(mean, log_std)
        variance = model.feature_std**2 or feature_mse.detach() + 1e-8
        feature_nll = squared_error.sum() / (2 * variance * len(image))
        adversarial_loss = (softplus(-reconstruction_logits) + softplus(-sample_logits)).mean()
        fake_loss = (softplus(reconstruction_logits) + softplus(sample_logits)) / 2
        critic_loss = (softplus(-real_logits) + fake_loss).mean()
        losses = {
            "encoder": config.beta * kl + feature_nll,
            "decoder": config.gamma * feature_nll + adversarial_loss,
            "critic": critic_loss,
        }
        update(losses, optimizers)
        metrics = {
            "encoder/kl": kl,
            "encoder/feature_mse": feature_mse,
            "decoder/adversarial_loss": adversarial_loss,
            "critic/loss": critic_loss,
        }
        return {name: value.detach() for name, value in metrics.items()}

    return Step(run, optimizers.values(), form)


def build_networks(model, params: Mapping, form: str) -> dict[str, nn.Module]:
    """Builds the four networks of a `VAEGAN`, with its parameters."""
    *sides, channels = model.info.image_shape

    def build(name: str, *inputs: int):
        return build_network_in_form(model.networks[name], params[name], inputs, form)

    networks = {"decoder": build("decoder", model.latent_size)}
    networks |= {name: build(name, channels, *sides) for name in ("encoder", "features")}
    networks["critic"] = build("critic", *networks["features"](torch.zeros(2, channels, *sides)).shape[1:])
    return networks
