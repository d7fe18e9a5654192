"""`jaxgen.algorithms.aae` in PyTorch, as one who writes PyTorch well would.

One forward pass of the encoder for all players, one of the critic for each kind of code; each player's gradient is
taken for what it moves alone. One form more is the tutorials' loop: a pass for each player, Adam as it comes, and every
loss fetched at every step; all gradients at one point still, so that the mathematics is the same.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import one_hot, softplus

from benchmarks import torch_mlp
from benchmarks.torch_mlp import MLP, Adam, Normal, in_form, kl_from_prior, move, pixels
from jaxgen.algorithms.aae import LOG_STD_AT_START, LOG_STD_RANGE

LOOP = "tutorials' loop"
FORMS = (LOOP, *torch_mlp.FORMS)
MOVED = {"reconstruction": ("encoder", "decoder"), "critic": ("critic",), "encoder": ("encoder",)}


def stepper(algorithm, params: Mapping, config, images: np.ndarray, labels: np.ndarray, form: str) -> Callable:
    """`step(index, normal) -> {metric: value}`, one step on the images of that index.

    Args:
      algorithm: an `AAE` or a `ConditionalAAE` with a Gaussian prior, from logits, under the simultaneous schedule.
      params: what its networks begin with.
      config: its config.
      images: uint8 [N, H, W, C].
      labels: int32 [N].
      form: one of FORMS.
    """
    networks = {name: MLP(algorithm.networks[name], params[name]) for name in ("encoder", "decoder", "critic")}
    encoder, decoder, critic = networks.values()
    data, told = torch.from_numpy(images), one_hot(torch.from_numpy(labels).long(), algorithm.num_labels).float()
    fused = None if form == LOOP else True
    adam = {
        name: Adam([networks[each] for each in its], *schedule(config, name), fused=fused)
        for name, its in MOVED.items()
    }

    def score(code: Tensor, label: Tensor) -> Tensor:
        if not algorithm.critic_sees_label:
            return critic(code)
        products = [code[:, None] * label[:, :, None]] if "critic" in algorithm.label_products else []
        return critic(code, label, *products)

    def codes(image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        output = encoder(image)
        if not algorithm.gaussian_posterior:
            return output, output, torch.zeros(())
        mean, log_std = output.unbind(1)
        log_std = (log_std + LOG_STD_AT_START).clamp(*LOG_STD_RANGE)
        code = mean + log_std.exp() * noise
        played = code if algorithm.game_moves_spread else mean + log_std.exp().detach() * noise
        return code, played, kl_from_prior(mean, log_std)

    def reconstruct(code: Tensor, label: Tensor, image: Tensor) -> Tensor:
        seen = (code, label) if algorithm.decoder_needs_label else (code,)
        return cross_entropy(decoder(*seen), image, reduction="sum") / len(image)

    def losses(image: Tensor, label: Tensor, noise: Tensor, prior: Tensor) -> tuple[Tensor, ...]:
        code, played, kl = codes(image, noise)
        real, fake = score(prior, label), score(played, label)
        tell, fool = (softplus(-real) + softplus(fake)).mean(), softplus(-fake).mean()
        return reconstruct(code, label, image), kl, tell, fool, code.detach()

    def one_by_one(image: Tensor, label: Tensor, noise: Tensor, prior: Tensor) -> tuple[Tensor, ...]:
        code, _, kl = codes(image, noise)
        nll = reconstruct(code, label, image)
        with torch.no_grad():
            code, _, _ = codes(image, noise)
        tell = (softplus(-score(prior, label)) + softplus(score(code, label))).mean()
        _, played, _ = codes(image, noise)
        fool = softplus(-score(played, label)).mean()
        for value in (nll, tell, fool):
            value.item()
        return nll, kl, tell, fool, code

    losses = one_by_one if form == LOOP else in_form(losses, form)

    def penalty(prior: Tensor, code: Tensor, label: Tensor) -> Tensor:  # twice differentiated: no compiler takes it
        at = torch.cat([prior, code]).requires_grad_()
        (slope,) = torch.autograd.grad(score(at, label.repeat(2, 1)).sum(), at, create_graph=True)
        return slope.square().sum() / len(code) / 2

    def step(index: Tensor, normal: Normal = torch.randn) -> dict[str, Tensor]:
        image, label = pixels(data, index), told[index]
        noise, prior = (normal((len(image), algorithm.latent_size)) for _ in range(2))
        nll, kl, tell, fool, code = losses(image, label, noise, prior * algorithm.prior.std)
        found = {"reconstruction/nll": nll, "critic/loss": tell, "encoder/loss": fool}
        if config.kl_weight:
            found["reconstruction/kl"] = kl
        loss = {"reconstruction": nll + config.kl_weight * kl, "critic": tell, "encoder": fool}
        if config.gradient_penalty:
            found["critic/penalty"] = penalty(prior * algorithm.prior.std, code, label)
            loss["critic"] = tell + config.gradient_penalty * found["critic/penalty"]
        move(loss, adam)
        return {name: value.detach() for name, value in found.items()}

    return step


def schedule(config, player: str) -> tuple[float, float, str, int]:
    """A player's rate, b1, decay and steps."""
    return config.rates[player], config.b1[player], config.decay, config.steps
