"""`jaxgen.algorithms.autoencoder` and `vae` in PyTorch, fully connected, as one who writes PyTorch well would."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from benchmarks.torch_mlp import FORMS, MLP, Adam, Normal, in_form, kl_from_prior, pixels
from jaxgen.algorithms.vae import LOG_STD_RANGE

__all__ = ["FORMS", "stepper"]


def stepper(algorithm, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: an `Autoencoder` or a `VAE` of plain MLPs, trained by cross-entropy.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: of no use to them.
      form: one of FORMS.
    """
    del labels
    encoder, decoder = (MLP(algorithm.networks[name], params[name]) for name in ("encoder", "decoder"))
    data, is_vae = torch.from_numpy(images), "elbo" in config.rates
    player = "elbo" if is_vae else "reconstruction"
    adam = Adam([encoder, decoder], config.rates[player], 0.9, config.decay, config.steps)

    def plain(image: Tensor, noise: Tensor, _: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        logits = decoder(encoder((image + config.noise * noise).clamp(0, 1) if config.noise else image))
        nats = cross_entropy(logits, image)
        mse = (torch.sigmoid(logits) - image).square().mean()
        return nats, {"nats": nats, "mse": mse}

    def variational(image: Tensor, noise: Tensor, draw: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        seen = image + config.input_noise * noise if config.input_noise else image
        mean, log_std = encoder(seen).unbind(1)
        log_std = log_std.clamp(*LOG_STD_RANGE)
        logits = decoder(mean + log_std.exp() * draw)
        distortion = cross_entropy(logits, image, reduction="sum") / len(image)
        kl = kl_from_prior(mean, log_std)
        return distortion + config.beta * kl, {"distortion": distortion, "kl": kl}

    losses = in_form(variational if is_vae else plain, form)
    noisy = config.input_noise if is_vae else config.noise

    def step(index: Tensor, normal: Normal = torch.randn) -> dict[str, Tensor]:
        image = pixels(data, index)
        noise = normal(tuple(image.shape)) if noisy else image
        draw = normal((len(image), algorithm.latent_size)) if is_vae else image
        loss, metrics = losses(image, noise, draw)
        adam.step(torch.autograd.grad(loss, adam.params))
        return {f"{player}/{name}": value.detach() for name, value in metrics.items()}

    return step
