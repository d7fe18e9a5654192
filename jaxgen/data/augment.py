"""What training does to a batch of images before a model sees it: random draws inside jit, by the config's keys."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgen.types import Batch


class Augmentation(NamedTuple):
    """Which changes, in this order.

    Attributes:
      mirror: each image is mirrored left to right by a fair coin.
      shift: it is moved by up to so many pixels either way.
      repeat_edge: what comes in then is the edge again, not black.
      binarise: every pixel becomes 0 or 1, the latter with the probability that it was.
    """

    mirror: bool = False
    shift: int = 0
    repeat_edge: bool = False
    binarise: bool = False

    @classmethod
    def from_config(cls, config) -> "Augmentation":
        """The changes that a config asks for."""
        dynamic = config.data.binarisation == "dynamic"
        return cls(config.mirror, config.shift, config.repeat_edge, dynamic)

    def __call__(self, batch: Batch, rng: Array) -> Batch:
        """The batch, changed."""
        mirror_rng, binarise_rng = (jax.random.fold_in(rng, number) for number in range(2))
        image = batch.image
        if self.mirror:
            image = mirrored(image, mirror_rng)
        if self.shift:
            image = moved(image, rng, self.shift, self.repeat_edge)
        if self.binarise:
            image = jax.random.bernoulli(binarise_rng, image).astype(jnp.float32)
        return batch._replace(image=image)


def mirrored(image: Float[Array, "B H W C"], rng: Array) -> Float[Array, "B H W C"]:
    """Each image mirrored left to right by a fair coin."""
    coin = jax.random.bernoulli(rng, shape=(len(image), 1, 1, 1))
    return jnp.where(coin, image[:, :, ::-1], image)


def moved(image: Float[Array, "B H W C"], rng: Array, most: int, repeat_edge: bool = False) -> Float[Array, "B H W C"]:
    """Every image moved by up to `most` pixels down and across; what comes in is black, or the edge again."""
    height, width, channels = image.shape[1:]
    around = ((0, 0), (most, most), (most, most), (0, 0))
    padded = jnp.pad(image, around, mode="edge" if repeat_edge else "constant")
    corner = jax.random.randint(rng, (len(image), 2), 0, 2 * most + 1)

    def cut(one, at):
        return jax.lax.dynamic_slice(one, (at[0], at[1], 0), (height, width, channels))

    return jax.vmap(cut)(padded, corner)
