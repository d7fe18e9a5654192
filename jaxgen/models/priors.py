"""Priors over codes, by name in `PRIORS`; some have components that can each be assigned to a class."""

import abc
import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxgen.config.errors import report_error, suggest
from jaxgen.kernels import random

SWISS_ROLL_ANGLES = (1.5 * math.pi, 4.5 * math.pi)  # a turn and a half
CURVE_POINTS = 100  # points per component of the swiss roll that a code is compared with


@dataclasses.dataclass(frozen=True)
class Prior(abc.ABC):
    """A distribution over codes; each dimension has standard deviation `std` (approximately, for mixtures).

    Attributes:
      size: number of dimensions, Z.
      std: standard deviation of each dimension.
      num_components: number of equally likely components; 1 if it is not a mixture.

    Raises:
      ValueError: `size` is below 1, `std` is not positive, or a prior of the plane gets another dimension.
    """

    size: int
    std: float = 1.0
    num_components: int = 1

    def __post_init__(self):
        if self.size < 1:
            report_error(f"latent_size={self.size} must be at least 1; try --config.latent_size=15")
        if not self.std > 0:
            report_error(f"prior_std={self.std} must be positive; try --config.prior_std=1.0")

    @abc.abstractmethod
    def sample(self, rng: Array, count: int) -> Float[Array, "{count} {self.size}"]:
        """Samples codes."""


class Gaussian(Prior):
    """The isotropic normal distribution N(0, std² I)."""

    def sample(self, rng: Array, count: int) -> Float[Array, "{count} {self.size}"]:
        """Samples codes."""
        return self.std * random.normal(rng, (count, self.size))

    def log_prob(self, code: Float[Array, "B Z"]) -> Float[Array, " B"]:
        """Returns the log density of each code, in nats, summed over Z."""
        log_normalizer = self.size * (jnp.log(self.std) + 0.5 * jnp.log(2 * jnp.pi))
        return -0.5 * jnp.sum(jnp.square(code / self.std), axis=-1) - log_normalizer


class Uniform(Prior):
    """The uniform distribution on the cube [-√3 std, √3 std]^Z."""

    def sample(self, rng: Array, count: int) -> Float[Array, "{count} {self.size}"]:
        """Samples codes."""
        half = math.sqrt(3) * self.std
        return random.uniform(rng, (count, self.size), minval=-half, maxval=half)


class Bernoulli(Prior):
    """Independent fair bits, 0 or 1."""

    def sample(self, rng: Array, count: int) -> Float[Array, "{count} {self.size}"]:
        """Samples codes."""
        return random.bernoulli(rng, shape=(count, self.size)).astype(jnp.float32)


class MixturePrior(Prior):
    """A prior of the plane with components for classes (Makhzani et al. 2016, section 2.3, figure 4)."""

    def __post_init__(self):
        super().__post_init__()
        if self.size != 2:
            report_error(f"latent_size={self.size} must be 2 for this prior; try --config.latent_size=2")

    def sample(self, rng: Array, count: int) -> Float[Array, "{count} {self.size}"]:
        """Samples codes from all components."""
        return self.sample_component(rng, jnp.full(count, -1, jnp.int32))

    def sample_component(self, rng: Array, component: Int[Array, " B"]) -> Float[Array, "B 2"]:
        """Samples one code per entry from the given component, or from a random one where it is -1."""
        component_rng, within_rng = random.split(rng)
        any_component = random.randint(component_rng, component.shape, 0, self.num_components)
        component = jnp.where(component < 0, any_component, component)
        return self.std * self.sample_unit_component(within_rng, component)

    @abc.abstractmethod
    def sample_unit_component(self, rng: Array, component: Int[Array, " B"]) -> Float[Array, "B 2"]:
        """Samples one code per entry from the given component, at std 1."""

    @abc.abstractmethod
    def nearest_component(self, code: Float[Array, "B 2"]) -> Int[Array, " B"]:
        """Returns the component that each code is nearest to."""


class GaussianMixture(MixturePrior):
    """Normal distributions around a circle, longer along the radius than across it, like petals."""

    RADIUS, ALONG, ACROSS = 1.38, 0.25, 0.1  # 1.38² + 0.25² + 0.1² = 2: std 1 in each of the two dimensions

    def sample_unit_component(self, rng: Array, component: Int[Array, " B"]) -> Float[Array, "B 2"]:
        """Samples one code per entry from the given component, at std 1."""
        along, across = random.normal(rng, (2, len(component)))
        return self._rotate(self.RADIUS + self.ALONG * along, self.ACROSS * across, component)

    def nearest_component(self, code: Float[Array, "B 2"]) -> Int[Array, " B"]:
        """Returns the component of the highest density: the nearest one by the Mahalanobis distance."""
        count, component = self.num_components, jnp.arange(self.num_components)
        center = self._rotate(jnp.full(count, self.RADIUS), jnp.zeros(count), component)
        radial = self._rotate(jnp.ones(count), jnp.zeros(count), component)
        offset = code[:, None] / self.std - center
        along = (offset * radial).sum(-1)
        across_squared = jnp.square(offset).sum(-1) - jnp.square(along)
        return (jnp.square(along / self.ALONG) + across_squared / self.ACROSS**2).argmin(-1)

    def _rotate(self, along: Array, across: Array, component: Array) -> Float[Array, "N 2"]:
        angle = 2 * jnp.pi * component / self.num_components
        x = along * jnp.cos(angle) - across * jnp.sin(angle)
        y = along * jnp.sin(angle) + across * jnp.cos(angle)
        return jnp.stack([x, y], -1)


class SwissRoll(MixturePrior):
    """A spiral, uniform along its arc, with normal noise; the components follow one another from the inside out."""

    THICKNESS = 0.03  # std of the noise

    def sample_unit_component(self, rng: Array, component: Int[Array, " B"]) -> Float[Array, "B 2"]:
        """Samples one code per entry from the given component, at std 1."""
        along_rng, noise_rng = random.split(rng)
        fraction = (component + random.uniform(along_rng, component.shape)) / self.num_components
        return self._curve(fraction) + self.THICKNESS * random.normal(noise_rng, (len(component), 2))

    def nearest_component(self, code: Float[Array, "B 2"]) -> Int[Array, " B"]:
        """Returns the component with the nearest point of the curve."""
        count = self.num_components * CURVE_POINTS
        points = self._curve((jnp.arange(count) + 0.5) / count)
        return jnp.square(code[:, None] / self.std - points).sum(-1).argmin(-1) // CURVE_POINTS

    def _curve(self, fraction: Float[Array, " N"]) -> Float[Array, "N 2"]:
        """Returns the points at fractions of the arc; the arc's length grows nearly with the square of the angle."""
        inner, outer = SWISS_ROLL_ANGLES
        angle = jnp.sqrt(inner**2 + fraction * (outer**2 - inner**2))
        radius = 2 * angle / math.sqrt(inner**2 + outer**2)  # mean square 2: std 1 in each dimension
        return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], -1)


PRIORS = {"gaussian": Gaussian, "uniform": Uniform, "mixture": GaussianMixture, "swiss_roll": SwissRoll}


def make_prior(name: str, size: int, std: float, num_components: int) -> Prior:
    """Returns the prior of a name.

    Args:
      name: one of `PRIORS`.
      size: number of dimensions, Z.
      std: standard deviation of each dimension.
      num_components: number of components, for mixtures.

    Raises:
      ValueError: the name is unknown, or the prior can't have that size.
    """
    if name not in PRIORS:
        raise ValueError(f'prior="{name}" is unknown; choose one of {", ".join(PRIORS)}{suggest(name, PRIORS)}')
    prior_class = PRIORS[name]
    return prior_class(size, std, num_components if issubclass(prior_class, MixturePrior) else 1)
