"""Random changes of images, a draw of its own for each, inside jit: what augmentation and some critics do to them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.kernels import random


def random_flip_left_right(image: Float[Array, "B H W C"], rng: Array) -> Float[Array, "B H W C"]:
    """Each image mirrored left to right by a fair coin."""
    coin = random.bernoulli(rng, shape=(len(image), 1, 1, 1))
    return jnp.where(coin, image[:, :, ::-1], image)


def random_shift(
    image: Float[Array, "B H W C"], rng: Array, most: int, pad_mode: str = "zeros"
) -> Float[Array, "B H W C"]:
    """Every image moved by up to `most` pixels down and across; what comes in is 0, or the edge again."""
    height, width, channels = image.shape[1:]
    around = ((0, 0), (most, most), (most, most), (0, 0))
    padded = jnp.pad(image, around, mode="edge" if pad_mode == "edge" else "constant")
    corner = random.randint(rng, (len(image), 2), 0, 2 * most + 1)

    def cut(one, at):
        return jax.lax.dynamic_slice(one, (at[0], at[1], 0), (height, width, channels))

    return jax.vmap(cut)(padded, corner)


def cutout(image: Float[Array, "B H W C"], rng: Array, share: float) -> Float[Array, "B H W C"]:
    """Every image with 0 in a square of `share` of its shorter side around any of its pixels."""
    batch, height, width, _ = image.shape
    half = share * min(height, width) / 2
    centre = jax.random.randint(rng, (2, batch, 1), 0, jnp.array([height, width])[:, None, None])

    def near(side, at):
        return (at - half <= jnp.arange(side)) & (jnp.arange(side) < at + half)

    rows, columns = near(height, centre[0]), near(width, centre[1])
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0, image)


def add_gaussian_noise(image: Float[Array, "B H W C"], rng: Array, std: float) -> Float[Array, "B H W C"]:
    """Gaussian noise on the pixels, clipped to [0, 1] as a picture is."""
    return jnp.clip(image + std * random.normal(rng, image.shape), 0, 1)


def mask_pixels(image: Float[Array, "B H W C"], rng: Array, share: float) -> Float[Array, "B H W C"]:
    """Each pixel, all its channels, black with probability `share`."""
    return image * random.bernoulli(rng, 1 - share, (*image.shape[:3], 1))


def rgb_to_grayscale(image: Float[Array, "*B H W 3"]) -> Float[Array, "*B H W 1"]:
    """Colour as grey: .30 R + .59 G + .11 B (ITU-R BT.601)."""
    return image @ jnp.array([[0.30], [0.59], [0.11]])


def rgb_to_opponent(image: Float[Array, "B H W 3"], red_blue: float, green: float) -> Float[Array, "B H W 3"]:
    """Colours along orthonormal axes: brightness; red less blue and green less both, times the two numbers.

    Of pictures, colours differ less than brightness (Ruderman et al. 1998): of our faces, their variances are .80, .09
    and .02. Times 3 and 6 they are as one, and what is told or compared by all weighs them alike.
    """
    axes = jnp.array([[1, red_blue, -green], [1, 0, 2 * green], [1, -red_blue, -green]])
    kernel = (axes / jnp.sqrt(jnp.array([3.0, 2.0, 6.0])))[None, None]
    # Not image @ axes: a matrix product of three columns takes a CPU 20 times as long.
    kinds, precision = ("NHWC", "HWIO", "NHWC"), jax.lax.Precision.HIGHEST
    return jax.lax.conv_general_dilated(image, kernel, (1, 1), "VALID", dimension_numbers=kinds, precision=precision)
