"""Models without networks for the tests of latent methods: codes that are pixels, and a model without codes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from helpers import K

from jaxgen.inference.trained_model import TrainedModel
from jaxgen.models.base import GenerativeModel, LatentVariableModel
from jaxgen.models.priors import Gaussian
from jaxgen.types import DatasetSpec

Z = 3


class WithoutCodes(GenerativeModel):
    """A model without codes, images or networks."""

    info = DatasetSpec("pixels", (1, Z + 1, 1), K)
    networks, update_order, evaluators, figures, players = {}, "alternating", (), (), ()

    @classmethod
    def from_config(cls, config, info):
        raise NotImplementedError

    def make_example_inputs(self):
        return {}

    def per_example_metrics(self, params, stats, batch, rng):
        return {}


@dataclasses.dataclass(frozen=True)
class PixelCodes(WithoutCodes, LatentVariableModel):
    """A model whose code is the first three pixels, plus noise in `encode`; the last decoded pixel is label / 10."""

    is_conditional: bool = False
    has_binary_latent: bool = False
    matches_prior: bool = True
    prior = Gaussian(Z, 0.1)

    def encode(self, params, stats, image, label, rng):
        return image[:, 0, :Z, 0] + jax.random.normal(rng, (len(image), Z))

    def encode_mean(self, params, stats, image, label):
        return image[:, 0, :Z, 0]

    def decode(self, params, stats, code, label):
        last = (label / 10).astype(jnp.float32) if self.is_conditional else jnp.zeros(len(code))
        return jnp.concatenate([code, last[:, None]], axis=1)[:, None, :, None]


def pixel_image(*pixels):
    """Returns an image of the three pixels of a code and a last pixel of 0."""
    return np.array([*pixels, 0], np.float32).reshape(1, Z + 1, 1)


def pixel_model(**options):
    """Returns PixelCodes as a TrainedModel."""
    return TrainedModel(PixelCodes(**options), {}, {})
