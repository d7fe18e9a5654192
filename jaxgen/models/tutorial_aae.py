"""The adversarial autoencoder of published tutorials, with their mistakes, for comparison."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxgen.config import checks
from jaxgen.kernels import random
from jaxgen.losses.adversarial import GANLoss, binary_critic_loss, non_saturating_loss
from jaxgen.models.aae import AAE, ConditionalAAE, Forward
from jaxgen.optimization.players import Player, Players, apply_optimizer, player_gradient, run_forward, subset
from jaxgen.types import Batch, DatasetSpec, LossOutput, Metrics, NetworkParams, NetworkStats, TrainState

CONFIG_FIELDS = ("average_pixel_nll", "log_sigmoid_eps")


@dataclasses.dataclass(frozen=True)
class TutorialAAE(AAE):
    """Adversarial autoencoder with the losses of published tutorials.

    Config keys of its own: `average_pixel_nll`, `log_sigmoid_eps`, `decoder_linear_layers`, the decoder's hidden layers
    without a ReLU, and `accumulate_gradients`, which replaces the update order by `update_accumulating`.

    Attributes:
      average_pixel_nll: whether the reconstruction loss is in nats per pixel instead of per image. It matters where
        gradients of several losses add up.
      log_sigmoid_eps: the eps in log(sigmoid(x) + eps), which replaces losses computed from logits.
    """

    average_pixel_nll: bool
    log_sigmoid_eps: float

    @classmethod
    def fields_from_config(cls, config: Any, info: DatasetSpec) -> dict[str, Any]:
        """Validates a config and returns the fields of the model, by name."""
        checks.require_nonnegative(config, "log_sigmoid_eps")
        fields = super().fields_from_config(config, info) | {name: config[name] for name in CONFIG_FIELDS}
        decoder = fields["networks"]["decoder"].clone(linear_layers=tuple(config.decoder_linear_layers))
        fields["networks"] = {**fields["networks"], "decoder": decoder}
        return fields | ({"update_order": update_accumulating} if config.accumulate_gradients else {})

    @property
    def gan_loss(self) -> GANLoss:
        """The GAN loss from log(sigmoid(x) + eps)."""
        eps = self.log_sigmoid_eps
        return GANLoss(partial(binary_critic_loss, eps=eps), partial(non_saturating_loss, eps=eps))

    @property
    def shares_critic_backward(self) -> bool:
        """False: the shared backward pass needs a gradient penalty, which tutorials do not have."""
        return False

    def make_player(self, name: str, networks: tuple[str, ...], loss: Any) -> Player:
        """Returns a player; tutorials switch the encoder's dropout off where the critic learns."""
        player = super().make_player(name, networks, loss)
        if name != "critic":
            return player
        return dataclasses.replace(player, shared_forward=partial(self.shared_forward, encoder_dropout=False))

    def reconstruction_loss(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, forward: Forward
    ) -> LossOutput:
        """Returns the loss of `AAE`, divided by the number of pixels with `average_pixel_nll`."""
        loss, aux = super().reconstruction_loss(params, stats, batch, forward)
        return loss / batch.image[0].size if self.average_pixel_nll else loss, aux


@dataclasses.dataclass(frozen=True)
class LiteralTutorialAAE(TutorialAAE, ConditionalAAE):
    """The published tutorial's conditional adversarial autoencoder, literally."""


def update_accumulating(
    players: Players, state: TrainState, batch: Batch, rng: Array, axis_name: str | None
) -> tuple[TrainState, Metrics]:
    """Updates players one after another with gradients that add up over the step, a mistake of tutorials.

    Every loss is differentiated with respect to every network, and a player also applies the gradients of the players
    before it, like a PyTorch loop that calls zero_grad once per step.
    """
    all_metrics, accumulated = {}, jax.tree.map(jnp.zeros_like, state.params)
    for player, player_rng in zip(players, random.split(rng, len(players)), strict=True):
        forward = run_forward(player, state, batch, player_rng)
        gradient, metrics, stats = player_gradient(player, tuple(state.params), state, batch, forward, axis_name)
        accumulated = jax.tree.map(jnp.add, accumulated, gradient)
        state = apply_optimizer(player, subset(accumulated, player.networks), state, state.params)
        state = state.replace(stats={**state.stats, **stats})
        all_metrics |= metrics
    return state, all_metrics
