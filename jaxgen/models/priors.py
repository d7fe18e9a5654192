"""Priors over codes, one of `PRIORS`: draw from them, and from their pieces. No networks, no losses."""

import abc
import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxgen.kernels import random

ROLL = (1.5 * math.pi, 4.5 * math.pi)  # the swiss roll's angles: a turn and a half
CURVE_POINTS = 100  # of the swiss roll, for each piece, that a code is compared with


@dataclasses.dataclass(frozen=True)
class Prior(abc.ABC):
    """A distribution over codes of `size` dimensions, each of standard deviation `std` (nearly, where it has pieces).

    Attributes:
      size: Z.
      std: the scale.
      pieces: how many equally likely pieces it falls into, each of which can be given to a class; 1: it is whole.

    Raises:
      ValueError: `size` is below 1, `std` is not positive, or a prior of the plane is asked for another dimension.
    """

    size: int
    std: float = 1.0
    num_components: int = 1

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"latent_size={self.size} must be at least 1; try --config.latent_size=15")
        if not self.std > 0:
            raise ValueError(f"prior_std={self.std} must be positive; try --config.prior_std=1.0")

    @abc.abstractmethod
    def sample(self, rng: Array, count: int) -> Float[Array, "{count} {self.size}"]:
        """Draws `count` codes."""


class Gaussian(Prior):
    """The isotropic normal N(0, std² I)."""

    def sample(self, rng, count):
        return self.std * random.normal(rng, (count, self.size))

    def log_prob(self, code: Float[Array, "B Z"]) -> Float[Array, " B"]:
        """The log density of each code, in nats, summed over Z."""
        log_normaliser = self.size * (jnp.log(self.std) + 0.5 * jnp.log(2 * jnp.pi))
        return -0.5 * jnp.sum(jnp.square(code / self.std), axis=-1) - log_normaliser


class Uniform(Prior):
    """Uniform on the cube [-√3 std, √3 std]^Z."""

    def sample(self, rng, count):
        half = math.sqrt(3) * self.std
        return random.uniform(rng, (count, self.size), minval=-half, maxval=half)


class Bernoulli(Prior):
    """Independent fair bits, 0 or 1."""

    def sample(self, rng, count):
        return random.bernoulli(rng, shape=(count, self.size)).astype(jnp.float32)


class MixturePrior(Prior):
    """A prior of the plane whose pieces can each be given to a class (Makhzani et al. 2016, section 2.3, figure 4)."""

    def __post_init__(self):
        super().__post_init__()
        if self.size != 2:
            raise ValueError(f"latent_size={self.size} must be 2 for this prior; try --config.latent_size=2")

    def sample(self, rng, count):
        return self.sample_component(rng, jnp.full(count, -1, jnp.int32))

    def sample_component(self, rng: Array, piece: Int[Array, " B"]) -> Float[Array, "B 2"]:
        """One code from each piece that is named, from anywhere where it is -1."""
        anywhere_rng, within_rng = random.split(rng)
        anywhere = random.randint(anywhere_rng, piece.shape, 0, self.num_components)
        return self.std * self.sample_unit_component(within_rng, jnp.where(piece < 0, anywhere, piece))

    @abc.abstractmethod
    def sample_unit_component(self, rng: Array, piece: Int[Array, " B"]) -> Float[Array, "B 2"]:
        """One code from each piece, at std 1."""

    @abc.abstractmethod
    def nearest_component(self, code: Float[Array, "B 2"]) -> Int[Array, " B"]:
        """The piece that each code lies nearest to."""


class GaussianMixture(MixturePrior):
    """Equally likely normals around a circle, longer along the radius than across it, like petals."""

    RADIUS, ALONG, ACROSS = 1.38, 0.25, 0.1  # 1.38² + .25² + .1² = 2: a std of 1 for each of two coordinates

    def sample_unit_component(self, rng, piece):
        along, across = random.normal(rng, (2, len(piece)))
        return self._turned(self.RADIUS + self.ALONG * along, self.ACROSS * across, piece)

    def nearest_component(self, code):
        """The piece of the highest density, which is the nearest by Mahalanobis's distance."""
        every = jnp.arange(self.num_components)
        centre = self._turned(jnp.full(self.num_components, self.RADIUS), jnp.zeros(self.num_components), every)
        radial = self._turned(jnp.ones(self.num_components), jnp.zeros(self.num_components), every)
        off = code[:, None] / self.std - centre
        along = (off * radial).sum(-1)
        across_squared = jnp.square(off).sum(-1) - jnp.square(along)
        return (jnp.square(along / self.ALONG) + across_squared / self.ACROSS**2).argmin(-1)

    def _turned(self, along, across, piece):
        angle = 2 * jnp.pi * piece / self.num_components
        return jnp.stack(
            [along * jnp.cos(angle) - across * jnp.sin(angle), along * jnp.sin(angle) + across * jnp.cos(angle)], -1
        )


class SwissRoll(MixturePrior):
    """A spiral, uniform along its arc, somewhat thick; its pieces follow one another from the inside out."""

    THICKNESS = 0.03

    def sample_unit_component(self, rng, piece):
        along_rng, off_rng = random.split(rng)
        share = (piece + random.uniform(along_rng, piece.shape)) / self.num_components
        return self._curve(share) + self.THICKNESS * random.normal(off_rng, (len(piece), 2))

    def nearest_component(self, code):
        points = self._curve(
            (jnp.arange(self.num_components * CURVE_POINTS) + 0.5) / (self.num_components * CURVE_POINTS)
        )
        return jnp.square(code[:, None] / self.std - points).sum(-1).argmin(-1) // CURVE_POINTS

    def _curve(self, share):
        """The point at a share of the arc, whose length up to an angle goes (nearly) with the angle's square."""
        inner, outer = ROLL
        angle = jnp.sqrt(inner**2 + share * (outer**2 - inner**2))
        radius = 2 * angle / math.sqrt(inner**2 + outer**2)  # mean square 2: a std of 1 for each coordinate
        return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], -1)


PRIORS = {"gaussian": Gaussian, "uniform": Uniform, "mixture": GaussianMixture, "swiss_roll": SwissRoll}


def make_prior(name: str, size: int, std: float, pieces: int) -> Prior:
    """The prior of that name; `pieces` is for those that have them.

    Raises:
      ValueError: no prior has that name, or it can't have that size.
    """
    if name not in PRIORS:
        raise ValueError(f'prior="{name}" is unknown; choose one of {", ".join(PRIORS)}')
    kind = PRIORS[name]
    return kind(size, std, pieces if issubclass(kind, MixturePrior) else 1)
