"""Colorizer: maps grayscale images, or a trained VAE's outputs, to color."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.config.errors import report_error
from jaxgen.data import transforms
from jaxgen.kernels import random
from jaxgen.losses import reconstruction
from jaxgen.models.base import GenerativeModel, LatentVariableModel
from jaxgen.networks import CoarseColorizer, TutorialColorizer
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import Batch, DatasetSpec, LossOutput, NetworkParams, NetworkStats

COLORIZER_NETWORKS = ("coarse", "published")


@dataclasses.dataclass(frozen=True)
class Colorizer(GenerativeModel):
    """Predicts the colors of grayscale images; one player, reconstruction, trains the one network.

    The inputs are the grayscale originals or, with a base model, the outputs of a trained VAE whose parameters stay
    fixed: in training from a new sample of q(z | x) at every step, in evaluation from the posterior mean.

    Attributes:
      input_noise_std: standard deviation of the Gaussian noise on the network's input, in training only.
      base_model_workdir: run folder of the VAE; "" for grayscale originals.
      base_model: the VAE as an `inference.TrainedModel`, once loaded; `colorize` works without it.
    """

    info: DatasetSpec
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    input_noise_std: float
    base_model_workdir: str
    base_model: Any = None

    evaluators = ("colorization",)

    @classmethod
    def from_config(cls, config: Any, info: DatasetSpec) -> "Colorizer":
        """Builds the network and the optimizer that a config describes."""
        validate_config(config, info)
        if config.colorizer_network == "published":
            network = TutorialColorizer(info.image_shape[:2], config.kernel_init)
        else:
            hidden_sizes = tuple(config.hidden_sizes)
            network = CoarseColorizer(hidden_sizes, config.color_grid_size, config.dropout_rate, config.kernel_init)
        tx = optax.adam(learning_rate_schedule(config.learning_rates.reconstruction, config.steps, config.lr_schedule))
        return cls(
            info,
            {"colorizer": network},
            {"reconstruction": tx},
            config.update_order,
            config.input_noise_std,
            config.base_model_workdir,
        )

    def with_base_model(self, trained: Any) -> "Colorizer":
        """Returns a copy that uses a trained VAE, an `inference.TrainedModel`.

        Raises:
          ValueError: the trained model has no codes, is conditional, or has images of another size.
        """
        height, width, _ = self.info.image_shape
        base, shape = trained.model, tuple(trained.model.info.image_shape)
        if not isinstance(base, LatentVariableModel) or base.is_conditional or shape != (height, width, 1):
            raise ValueError(
                f"base_model_workdir={self.base_model_workdir} is a {type(base).__name__} of images {shape}; it must "
                f"be an unconditional model with codes, of images {(height, width, 1)}; "
                "train one: python launch.py --config=configs/anime_vae.py"
            )
        return dataclasses.replace(self, base_model=trained)

    @property
    def evaluation_notes(self) -> dict[str, str]:
        """The kind of inputs, for `results.json`."""
        return {"inputs": f"outputs of {self.base_model_workdir}" if self.base_model_workdir else "grayscale originals"}

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures; those that need a VAE are included only with a base model."""
        return ("colorized", *(("colorized_samples", "colorized_traversal") if self.base_model_workdir else ()))

    @property
    def players(self) -> tuple[Player, ...]:
        """The one player, reconstruction."""
        return (Player("reconstruction", ("colorizer",), self.optimizers["reconstruction"], self.colorization_loss),)

    def make_example_inputs(self) -> dict[str, tuple[Array, ...]]:
        """Returns a black grayscale image."""
        return {"colorizer": (self.example_image()[..., :1],)}

    def colorization_loss(self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array) -> LossOutput:
        """Returns MSE(color, original) + MSE(gray(color), input), pixels in [0, 1].

        The tutorial's loss: the second term keeps the brightness of the input.
        """
        code_rng, noise_rng, dropout_rng = random.split(rng, 3)
        gray = self.grayscale_inputs(batch, code_rng)
        noisy = gray + self.input_noise_std * random.normal(noise_rng, gray.shape) if self.input_noise_std else gray
        color = self.apply_network("colorizer", params, stats, noisy, rng=dropout_rng)
        color_mse = reconstruction.squared_error(color, batch.image).mean()
        gray_mse = reconstruction.squared_error(transforms.rgb_to_grayscale(color), gray).mean()
        return color_mse + gray_mse, ({"mse": color_mse + gray_mse, "color_mse": color_mse}, {})

    def grayscale_inputs(self, batch: Batch, rng: Array | None = None) -> Float[Array, "B H W 1"]:
        """Returns the network's inputs in [0, 1]; a VAE's code is a posterior sample with `rng`, the mean without."""
        gray = transforms.rgb_to_grayscale(batch.image)
        if self.base_model is None:
            return gray
        vae = self.base_model
        if rng is None:
            code = vae.model.encode_mean(vae.params, vae.stats, gray, batch.label)
        else:
            code = vae.model.encode(vae.params, vae.stats, gray, batch.label, rng)
        return jax.lax.stop_gradient(vae.model.decode(vae.params, vae.stats, code, batch.label))

    def colorize(
        self, params: NetworkParams, stats: NetworkStats, gray: Float[Array, "B H W 1"]
    ) -> Float[Array, "B H W 3"]:
        """Colorizes grayscale images in [0, 1]."""
        return jnp.clip(self.apply_network("colorizer", params, stats, gray), 0, 1)

    def per_example_metrics(
        self, params: NetworkParams, stats: NetworkStats, batch: Batch, rng: Array
    ) -> dict[str, Float[Array, " B"]]:
        """Returns `color_mse` over all channels, and `grayscale_baseline_mse` of the input in every channel."""
        del rng
        gray = self.grayscale_inputs(batch)
        baseline = jnp.broadcast_to(gray, batch.image.shape)
        return {
            "color_mse": reconstruction.squared_error(self.colorize(params, stats, gray), batch.image),
            "grayscale_baseline_mse": reconstruction.squared_error(baseline, batch.image),
        }


def validate_config(config: Any, info: DatasetSpec) -> None:
    """Validates the config's values for this family.

    Raises:
      ValueError: with the value, the rule and a fix.
    """
    checks.require_layer_sizes(config, "hidden_sizes")
    checks.require_fraction(config, "dropout_rate")
    checks.require_nonnegative(config, "input_noise_std")
    checks.require_choice(config, "colorizer_network", COLORIZER_NETWORKS)
    if config.color_grid_size < 1:
        report_error(
            f"color_grid_size={config.color_grid_size} must be at least 1 pixel; try --config.color_grid_size=5"
        )
    if info.image_shape[-1] != 3:
        report_error(
            f"{info.name} has images of {info.image_shape[-1]} channel; colors need 3: --config.data.channels=3 for a "
            "folder of color images, or --config.data.tint_by_class=true to tint grayscale images by class"
        )
