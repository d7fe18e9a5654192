"""`jaxgen.algorithms.autoencoder` and `vae` in PyTorch, as one who writes PyTorch well would."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from benchmarks.speed.pytorch.common import FORMS, MLP, Adam, Normal, Step, in_form, kl_from_prior, parameter, pixels
from benchmarks.speed.pytorch.layer_stack import network
from jaxgen.models.posterior import LOG_STD_RANGE
from jaxgen.models.vae import INPUT_GAIN
from jaxgen.networks import LayerStack

__all__ = ["FORMS", "stepper"]


def stepper(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: an `Autoencoder` trained by cross-entropy, one of bits too, or a `VAE` of one draw.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: of no use to them.
      form: one of FORMS.
    """
    del labels
    trained = (Variational if "elbo" in config.learning_rates else Plain)(model, params, config)
    data, losses = torch.as_tensor(images), in_form(trained, form)
    adam = Adam([trained], config.learning_rates[trained.player], 0.9, config.lr_schedule, config.steps, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image = pixels(data, index)
        noise = normal(tuple(image.shape)) if trained.noise else image
        draw = normal((len(image), model.latent_size)) if trained.draws else image
        loss, metrics = losses(image, noise, draw)
        adam.step(torch.autograd.grad(loss, adam.params))
        return {f"{trained.player}/{name}": value.detach() for name, value in metrics.items()}

    return Step(run, [adam], form)


class Plain(nn.Module):
    """An autoencoder and its loss."""

    player = "reconstruction"

    def __init__(self, model, params: Mapping, config):
        super().__init__()
        self.encoder, self.decoder = encoder_and_decoder(model, params)
        self.noise, self.draws, self.bits = config.input_noise_std, config.latent_noise_std, model.has_binary_latent

    def forward(self, image: Tensor, noise: Tensor, draw: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        code = self.encoder((image + self.noise * noise).clamp(0, 1) if self.noise else image)
        code = code + self.draws * draw if self.draws else code
        if self.bits:
            soft = torch.sigmoid(code)
            code = soft + ((code > 0).float() - soft).detach()
        logits = self.decoder(code)
        nats = cross_entropy(logits, image)
        return nats, {"nats": nats, "mse": (torch.sigmoid(logits) - image).square().mean()}


class Variational(nn.Module):
    """A VAE and its bound."""

    player, draws = "elbo", True

    def __init__(self, model, params: Mapping, config):
        super().__init__()
        self.encoder, self.decoder = encoder_and_decoder(model, params)
        self.noise, self.beta, self.std = config.input_noise_std, config.beta, model.decoder_std
        self.gaussian = config.likelihood == "gaussian"
        if centered := "learned_mean" in params:
            self.tenth = parameter(params["learned_mean"]["tenth"])
        if learned := "pixel_log_std" in params:
            self.log_std = parameter(params["pixel_log_std"]["log"])
        self.centered, self.learned = centered, learned

    def forward(self, image: Tensor, noise: Tensor, draw: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        seen = image + self.noise * noise if self.noise else image
        center = 0.5 + 10 * self.tenth if self.centered else 0.0
        mean, log_std = self.encoder(INPUT_GAIN * (seen - center) if self.centered else seen).unbind(1)
        log_std = log_std.clamp(*LOG_STD_RANGE)
        drawn = self.decoder(mean + log_std.exp() * draw) + center
        distortion, kl = self.nll(drawn, image) / len(image), kl_from_prior(mean, log_std)
        return distortion + self.beta * kl, {"distortion": distortion, "kl": kl}

    def nll(self, drawn: Tensor, image: Tensor) -> Tensor:
        """-log p(x | z) of the batch, in nats."""
        if not self.gaussian:
            return cross_entropy(drawn, image, reduction="sum")
        log_std = self.log_std if self.learned else image.new_full((), math.log(self.std))
        off = ((drawn - image) / log_std.exp()).square().sum() / 2
        return off + image.numel() * (log_std + 0.5 * math.log(2 * math.pi))


def encoder_and_decoder(model, params: Mapping) -> tuple[nn.Module, nn.Module]:
    """From images [B, H, W, C] to codes and back, with jaxgen's weights."""
    height, width, channels = model.info.image_shape
    inputs = {"encoder": (channels, height, width), "decoder": (model.latent_size,)}
    made = []
    for name, its in inputs.items():
        module = model.networks[name]
        if isinstance(module, LayerStack):
            made.append(Last(network(module, params[name], its)))
        else:
            made.append(MLP(module, params[name]))
    return tuple(made)


class Last(nn.Module):
    """Channels last, outside."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        made = self.inner(x.permute(0, 3, 1, 2) if x.ndim == 4 else x)
        return made.permute(0, 2, 3, 1) if made.ndim == 4 else made
