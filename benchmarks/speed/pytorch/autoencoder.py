"""The models of `jaxgen.models.autoencoder` and `vae` in idiomatic, fast PyTorch."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy

from benchmarks.speed.pytorch.common import (
    FORMS,
    MLP,
    Adam,
    Normal,
    Step,
    compile_in_form,
    gather_images,
    gaussian_kl,
    make_parameter,
)
from benchmarks.speed.pytorch.layer_stack import build_network
from jaxgen.models.posterior import LOG_STD_RANGE
from jaxgen.models.vae import INPUT_GAIN
from jaxgen.networks import LayerStack

__all__ = ["FORMS", "make_step"]


def make_step(model, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """Returns `step(index, normal) -> {metric: value}`, one training step on the images of that index.

    Args:
      model: an `Autoencoder` with the cross-entropy, also with binary codes, or a `VAE` with one sample per image.
      params: initial parameters of its networks.
      config: the model's config.
      images: uint8 [N, H, W, C].
      labels: not used.
      form: one of FORMS.
    """
    del labels
    peer = (VAE if "elbo" in config.learning_rates else Autoencoder)(model, params, config)
    data, compute_loss = torch.as_tensor(images), compile_in_form(peer, form)
    adam = Adam([peer], config.learning_rates[peer.player], 0.9, config.lr_schedule, config.steps, form)

    def run(index: Tensor, normal: Normal) -> dict[str, Tensor]:
        image = gather_images(data, index)
        noise = normal(tuple(image.shape)) if peer.input_noise_std else image
        latent_noise = normal((len(image), model.latent_size)) if peer.latent_noise_std else image
        loss, metrics = compute_loss(image, noise, latent_noise)
        adam.step(torch.autograd.grad(loss, adam.params))
        return {f"{peer.player}/{name}": value.detach() for name, value in metrics.items()}

    return Step(run, [adam], form)


class Autoencoder(nn.Module):
    """An autoencoder; `forward` returns its loss and metrics."""

    player = "reconstruction"

    def __init__(self, model, params: Mapping, config):
        super().__init__()
        self.encoder, self.decoder = build_encoder_decoder(model, params)
        self.input_noise_std, self.latent_noise_std = config.input_noise_std, config.latent_noise_std
        self.has_binary_latent = model.has_binary_latent

    def forward(self, image: Tensor, noise: Tensor, latent_noise: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        std = self.input_noise_std
        code = self.encoder((image + std * noise).clamp(0, 1) if std else image)
        code = code + self.latent_noise_std * latent_noise if self.latent_noise_std else code
        if self.has_binary_latent:
            soft = torch.sigmoid(code)
            code = soft + ((code > 0).float() - soft).detach()
        logits = self.decoder(code)
        bce = binary_cross_entropy(logits, image)
        return bce, {"bce": bce, "mse": (torch.sigmoid(logits) - image).square().mean()}


class VAE(nn.Module):
    """A VAE; `forward` returns minus its ELBO, and metrics."""

    player, latent_noise_std = "elbo", 1.0  # the noise is scaled by the posterior's std

    def __init__(self, model, params: Mapping, config):
        super().__init__()
        self.encoder, self.decoder = build_encoder_decoder(model, params)
        self.input_noise_std, self.beta, self.decoder_std = config.input_noise_std, config.beta, model.decoder_std
        self.is_gaussian = model.likelihood == "gaussian"
        self.has_learned_mean, self.has_learned_std = "learned_mean" in params, "pixel_log_std" in params
        if self.has_learned_mean:
            self.tenth = make_parameter(params["learned_mean"]["tenth"])
        if self.has_learned_std:
            self.log_std = make_parameter(params["pixel_log_std"]["log"])

    def forward(self, image: Tensor, noise: Tensor, latent_noise: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        noisy = image + self.input_noise_std * noise if self.input_noise_std else image
        learned_mean = 0.5 + 10 * self.tenth if self.has_learned_mean else 0.0
        encoder_input = INPUT_GAIN * (noisy - learned_mean) if self.has_learned_mean else noisy
        mean, log_std = self.encoder(encoder_input).unbind(1)
        log_std = log_std.clamp(*LOG_STD_RANGE)
        output = self.decoder(mean + log_std.exp() * latent_noise) + learned_mean
        distortion, kl = self.pixel_nll(output, image) / len(image), gaussian_kl(mean, log_std)
        return distortion + self.beta * kl, {"distortion": distortion, "kl": kl}

    def pixel_nll(self, output: Tensor, image: Tensor) -> Tensor:
        """Returns -log p(x | z) in nats, summed over the batch."""
        if not self.is_gaussian:
            return binary_cross_entropy(output, image, reduction="sum")
        log_std = self.log_std if self.has_learned_std else image.new_full((), math.log(self.decoder_std))
        squared = ((output - image) / log_std.exp()).square().sum() / 2
        return squared + image.numel() * (log_std + 0.5 * math.log(2 * math.pi))


def build_encoder_decoder(model, params: Mapping) -> tuple[nn.Module, ...]:
    """Builds encoder and decoder of images [B, H, W, C], with jaxgen's weights."""
    height, width, channels = model.info.image_shape
    inputs = {"encoder": (channels, height, width), "decoder": (model.latent_size,)}
    return tuple(
        ChannelsLast(build_network(model.networks[name], params[name], shape))
        if isinstance(model.networks[name], LayerStack)
        else MLP(model.networks[name], params[name])
        for name, shape in inputs.items()
    )


class ChannelsLast(nn.Module):
    """A network of images [B, C, H, W], with images [B, H, W, C] as input and output."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        output = self.inner(x.permute(0, 3, 1, 2) if x.ndim == 4 else x)
        return output.permute(0, 2, 3, 1) if output.ndim == 4 else output
