"""The colorizer: from grey images, or what a trained VAE makes of them, to colour."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxgen import objectives, prng
from jaxgen.algorithms import checks
from jaxgen.algorithms.base import Algorithm
from jaxgen.networks import CoarsePainter, PublishedPainter
from jaxgen.networks.precision import Network
from jaxgen.optimizers import decayed
from jaxgen.players import Player
from jaxgen.types import Info

NO_CODE = "Colorizer has no code; it colours: model.colour(images)"
PAINTERS = ("coarse", "published")


@dataclasses.dataclass(frozen=True)
class Colorizer(Algorithm):
    """Learns the colours of grey images: one player, reconstruction, moves the painter.

    Its loss is the squared error of the colours plus that of their grey against the grey image shown. Where it has a
    companion, a VAE that nobody moves any more, what is shown is the VAE's output: for training from a fresh draw of
    q(z | x) at every step, else from its mean.

    Attributes:
      companion_workdir: the run of the VAE; "": none, the grey originals are shown.
      companion: the VAE as a `jaxgen.model.Model`, once it is loaded; what is trained colours without it.
      noise: std of the noise on the pixels shown in training, and only there.
    """

    info: Info
    networks: Mapping[str, Network]
    optimizers: Mapping[str, optax.GradientTransformation]  # by player
    schedule: str
    noise: float
    companion_workdir: str
    companion: Any = None

    prior = None
    has_code, colours = False, True
    decoder_needs_label = False
    evaluations = ("colouring",)

    @classmethod
    def from_config(cls, config, info: Info) -> "Colorizer":
        check(config, info)
        if config.painter == "published":
            painter = PublishedPainter(info.image_shape[:2], config.kernel_init)
        else:
            painter = CoarsePainter(tuple(config.hidden), config.coarseness, config.dropout, config.kernel_init)
        tx = optax.adam(decayed(config.rates.reconstruction, config.steps, config.decay))
        return cls(info, {"painter": painter}, {"reconstruction": tx}, config.schedule, config.noise, config.vae)

    def with_companion(self, model: Any) -> "Colorizer":
        """The same with its VAE at hand.

        Raises:
          ValueError: the model has no code, or is not of grey images of this size.
        """
        height, width, _ = self.info.image_shape
        its = tuple(model.algorithm.info.image_shape)
        if not model.algorithm.has_code or model.algorithm.decoder_needs_label or its != (height, width, 1):
            raise ValueError(
                f"vae={self.companion_workdir} is a {type(model.algorithm).__name__} of images {its}; it must be a "
                f"model with a code, told no label, of images {(height, width, 1)}; "
                "train one: python launch.py --config=configs/anime_vae.py"
            )
        return dataclasses.replace(self, companion=model)

    @property
    def protocol(self) -> dict[str, str]:
        """What is shown."""
        return {"shown": f"outputs of {self.companion_workdir}" if self.companion_workdir else "grey originals"}

    @property
    def pictures(self):
        return ("coloured", *(("coloured_samples", "coloured_traversal") if self.companion_workdir else ()))

    @property
    def players(self) -> tuple[Player, ...]:
        return (Player("reconstruction", ("painter",), self.optimizers["reconstruction"], self.paint),)

    def example_inputs(self):
        return {"painter": (self.example_image()[..., :1],)}

    def paint(self, params, stats, batch, rng):
        code_rng, noise_rng, dropout_rng = prng.split(rng, 3)
        shown = self.shown(batch, code_rng)
        noisy = shown + self.noise * prng.normal(noise_rng, shown.shape) if self.noise else shown
        coloured = self.apply("painter", params, stats, noisy, rng=dropout_rng)
        colour_mse = objectives.squared_error(coloured, batch.image).mean()
        grey_mse = objectives.squared_error(objectives.grey(coloured), shown).mean()
        return colour_mse + grey_mse, ({"mse": colour_mse + grey_mse, "colour_mse": colour_mse}, stats)

    def shown(self, batch, rng=None) -> Float[Array, "B H W 1"]:
        """The grey images that the painter is shown; the VAE's code is a draw where an rng comes, else the mean."""
        grey = objectives.grey(batch.image)
        if self.companion is None:
            return grey
        vae = self.companion
        if rng is None:
            code = vae.algorithm.mean_code(vae.params, vae.stats, grey, batch.label)
        else:
            code = vae.algorithm.encode(vae.params, vae.stats, grey, batch.label, rng)
        return jax.lax.stop_gradient(vae.algorithm.decode(vae.params, vae.stats, code, batch.label))

    # What the loop, the evaluation and `jaxgen.load` use.

    def colour(self, params, stats, grey: Float[Array, "B H W 1"]) -> Float[Array, "B H W 3"]:
        """The grey images in colour."""
        return jnp.clip(self.apply("painter", params, stats, grey), 0, 1)

    def encode(self, params, stats, image, label, rng):
        del params, stats, image, label, rng
        raise ValueError(NO_CODE)

    def decode(self, params, stats, code, label):
        del params, stats, code, label
        raise ValueError(NO_CODE)

    def evaluate(self, params, stats, batch, rng):
        """`colour_mse` over all channels, and `uncoloured_mse` of what was shown, its grey in every channel."""
        del rng
        shown = self.shown(batch)
        grey = jnp.broadcast_to(shown, batch.image.shape)
        return {
            "colour_mse": objectives.squared_error(self.colour(params, stats, shown), batch.image),
            "uncoloured_mse": objectives.squared_error(grey, batch.image),
        }


def check(config, info: Info) -> None:
    """Refuses values that no model could be built with.

    Raises:
      ValueError: naming the value, the rule and the way out.
    """
    checks.widths(config, "hidden")
    checks.shares(config, "dropout")
    checks.at_least_0(config, "noise")
    checks.one_of(config, "painter", PAINTERS)
    if config.coarseness < 1:
        raise ValueError(f"coarseness={config.coarseness} must be at least 1 pixel; try --config.coarseness=5")
    if info.image_shape[-1] != 3:
        raise ValueError(
            f"{info.name} has images of {info.image_shape[-1]} channel; colours need 3: --config.data.channels=3 for a "
            "folder of colour images, or --config.data.tint=true to give grey ones a colour by class"
        )
