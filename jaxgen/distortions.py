"""Random changes of images, a draw of its own for each, inside jit: what augmentation and some critics do to them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen import prng


def mirrored(image: Float[Array, "B H W C"], rng: Array) -> Float[Array, "B H W C"]:
    """Each image mirrored left to right by a fair coin."""
    coin = prng.bernoulli(rng, shape=(len(image), 1, 1, 1))
    return jnp.where(coin, image[:, :, ::-1], image)


def moved(image: Float[Array, "B H W C"], rng: Array, most: int, repeat_edge: bool = False) -> Float[Array, "B H W C"]:
    """Every image moved by up to `most` pixels down and across; what comes in is 0, or the edge again."""
    height, width, channels = image.shape[1:]
    around = ((0, 0), (most, most), (most, most), (0, 0))
    padded = jnp.pad(image, around, mode="edge" if repeat_edge else "constant")
    corner = prng.randint(rng, (len(image), 2), 0, 2 * most + 1)

    def cut(one, at):
        return jax.lax.dynamic_slice(one, (at[0], at[1], 0), (height, width, channels))

    return jax.vmap(cut)(padded, corner)


def covered(image: Float[Array, "B H W C"], rng: Array, share: float) -> Float[Array, "B H W C"]:
    """Every image with 0 in a square of `share` of its shorter side around any of its pixels."""
    batch, height, width, _ = image.shape
    half = share * min(height, width) / 2
    centre = jax.random.randint(rng, (2, batch, 1), 0, jnp.array([height, width])[:, None, None])

    def near(side, at):
        return (at - half <= jnp.arange(side)) & (jnp.arange(side) < at + half)

    rows, columns = near(height, centre[0]), near(width, centre[1])
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0, image)
