"""The colorizer: from grey images, or what a trained VAE makes of them, to colour."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen.config import checks
from jaxgen.data import transforms
from jaxgen.kernels import random
from jaxgen.losses import reconstruction
from jaxgen.models.base import GenerativeModel
from jaxgen.networks import CoarseColorizer, TutorialColorizer
from jaxgen.networks.mixed_precision import Network
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.optimization.players import Player
from jaxgen.types import DatasetSpec

NO_CODE = "Colorizer has no code; it colours: model.colour(images)"
COLORIZER_NETWORKS = ("coarse", "published")


@dataclasses.dataclass(frozen=True)
class Colorizer(GenerativeModel):
    """Learns the colours of grey images: one player, reconstruction, moves the painter.

    Its loss is the squared error of the colours plus that of their grey against the grey image shown. Where it has a
    companion, a VAE that nobody moves any more, what is shown is the VAE's output: for training from a fresh draw of
    q(z | x) at every step, else from its mean.

    Attributes:
      companion_workdir: the run of the VAE; "": none, the grey originals are shown.
      companion: the VAE as a `jaxgen.model.Model`, once it is loaded; what is trained colours without it.
      noise: std of the noise on the pixels shown in training, and only there.
    """

    info: DatasetSpec
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    update_order: str
    input_noise_std: float
    base_model_workdir: str
    base_model: Any = None

    prior = None
    has_code, colours = False, True
    is_conditional = False
    evaluators = ("colouring",)

    @classmethod
    def from_config(cls, config, info: DatasetSpec) -> "Colorizer":
        validate_config(config, info)
        if config.colorizer_network == "published":
            painter = TutorialColorizer(info.image_shape[:2], config.kernel_init)
        else:
            painter = CoarseColorizer(
                tuple(config.hidden_sizes), config.color_grid_size, config.dropout_rate, config.kernel_init
            )
        tx = optax.adam(learning_rate_schedule(config.learning_rates.reconstruction, config.steps, config.lr_schedule))
        return cls(
            info,
            {"colorizer": painter},
            {"reconstruction": tx},
            config.update_order,
            config.input_noise_std,
            config.base_model_workdir,
        )

    def with_base_model(self, trained: Any) -> "Colorizer":
        """The same with its VAE at hand.

        Raises:
          ValueError: the model has no code, or is not of grey images of this size.
        """
        height, width, _ = self.info.image_shape
        its = tuple(trained.model.info.image_shape)
        if not trained.model.has_latent or trained.model.is_conditional or its != (height, width, 1):
            raise ValueError(
                f"vae={self.base_model_workdir} is a {type(trained.model).__name__} of images {its}; it must be a "
                f"model with a code, told no label, of images {(height, width, 1)}; "
                "train one: python launch.py --config=configs/anime_vae.py"
            )
        return dataclasses.replace(self, companion=trained)

    @property
    def evaluation_notes(self) -> dict[str, str]:
        """What is shown."""
        return {"shown": f"outputs of {self.base_model_workdir}" if self.base_model_workdir else "grey originals"}

    @property
    def figures(self):
        return ("colorized", *(("colorized_samples", "colorized_traversal") if self.base_model_workdir else ()))

    @property
    def players(self) -> tuple[Player, ...]:
        return (Player("reconstruction", ("colorizer",), self.optimizers["reconstruction"], self.colorization_loss),)

    def example_inputs(self):
        return {"colorizer": (self.example_image()[..., :1],)}

    def colorization_loss(self, params, stats, batch, rng):
        code_rng, noise_rng, dropout_rng = random.split(rng, 3)
        shown = self.grayscale_inputs(batch, code_rng)
        noisy = shown + self.input_noise_std * random.normal(noise_rng, shown.shape) if self.input_noise_std else shown
        coloured = self.apply_network("colorizer", params, stats, noisy, rng=dropout_rng)
        color_mse = reconstruction.squared_error(coloured, batch.image).mean()
        grey_mse = reconstruction.squared_error(transforms.rgb_to_grayscale(coloured), shown).mean()
        return color_mse + grey_mse, ({"mse": color_mse + grey_mse, "color_mse": color_mse}, stats)

    def grayscale_inputs(self, batch, rng=None) -> Float[Array, "B H W 1"]:
        """The grey images that the painter is shown; the VAE's code is a draw where an rng comes, else the mean."""
        grey = transforms.rgb_to_grayscale(batch.image)
        if self.base_model is None:
            return grey
        vae = self.base_model
        if rng is None:
            code = vae.model.encode_mean(vae.params, vae.stats, grey, batch.label)
        else:
            code = vae.model.encode(vae.params, vae.stats, grey, batch.label, rng)
        return jax.lax.stop_gradient(vae.model.decode(vae.params, vae.stats, code, batch.label))

    # What the loop, the evaluation and `jaxgen.load` use.

    def colorize(self, params, stats, grey: Float[Array, "B H W 1"]) -> Float[Array, "B H W 3"]:
        """The grey images in colour."""
        return jnp.clip(self.apply_network("colorizer", params, stats, grey), 0, 1)

    def encode(self, params, stats, image, label, rng):
        del params, stats, image, label, rng
        raise ValueError(NO_CODE)

    def decode(self, params, stats, code, label):
        del params, stats, code, label
        raise ValueError(NO_CODE)

    def per_example_metrics(self, params, stats, batch, rng):
        """`color_mse` over all channels, and `grayscale_baseline_mse` of what was shown, its grey in every channel."""
        del rng
        shown = self.grayscale_inputs(batch)
        grey = jnp.broadcast_to(shown, batch.image.shape)
        return {
            "color_mse": reconstruction.squared_error(self.colorize(params, stats, shown), batch.image),
            "grayscale_baseline_mse": reconstruction.squared_error(grey, batch.image),
        }


def validate_config(config, info: DatasetSpec) -> None:
    """Refuses values that no model could be built with.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.require_layer_sizes(config, "hidden_sizes")
    checks.require_fraction(config, "dropout_rate")
    checks.require_nonnegative(config, "input_noise_std")
    checks.require_choice(config, "colorizer_network", COLORIZER_NETWORKS)
    if config.color_grid_size < 1:
        raise ValueError(
            f"coarseness={config.color_grid_size} must be at least 1 pixel; try --config.color_grid_size=5"
        )
    if info.image_shape[-1] != 3:
        raise ValueError(
            f"{info.name} has images of {info.image_shape[-1]} channel; colours need 3: --config.data.channels=3 for a "
            "folder of colour images, or --config.data.tint_by_class=true to give grey ones a colour by class"
        )
