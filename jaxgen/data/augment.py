"""What training does to a batch of images before a model sees it: random draws inside jit, by the config's keys."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxgen import prng
from jaxgen.distortions import mirrored, moved
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
        mirror_rng, binarise_rng = (prng.fold_in(rng, number) for number in range(2))
        image = batch.image
        if self.mirror:
            image = mirrored(image, mirror_rng)
        if self.shift:
            image = moved(image, rng, self.shift, self.repeat_edge)
        if self.binarise:
            image = prng.bernoulli(binarise_rng, image).astype(jnp.float32)
        return batch._replace(image=image)
