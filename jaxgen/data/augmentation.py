"""What training does to a batch of images before a model sees it: random draws inside jit, by the config's keys."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxgen.data.transforms import random_flip_left_right, random_shift
from jaxgen.kernels import random
from jaxgen.types import Batch


class Augmentation(NamedTuple):
    """Which changes, in this order.

    Attributes:
      mirror: each image is mirrored left to right by a fair coin.
      shift: it is moved by up to so many pixels either way.
      repeat_edge: what comes in then is the edge again, not black.
      binarise: every pixel becomes 0 or 1, the latter with the probability that it was.
    """

    random_flip: bool = False
    random_shift: int = 0
    shift_pad_mode: str = "zeros"
    resample_binarization: bool = False

    @classmethod
    def from_config(cls, config) -> "Augmentation":
        """The changes that a config asks for."""
        dynamic = config.data.binarization == "dynamic"
        return cls(config.random_flip, config.random_shift, config.shift_pad_mode, dynamic)

    def __call__(self, batch: Batch, rng: Array) -> Batch:
        """The batch, changed."""
        mirror_rng, binarise_rng = (random.fold_in(rng, number) for number in range(2))
        image = batch.image
        if self.random_flip:
            image = random_flip_left_right(image, mirror_rng)
        if self.random_shift:
            image = random_shift(image, rng, self.random_shift, self.shift_pad_mode)
        if self.resample_binarization:
            image = random.bernoulli(binarise_rng, image).astype(jnp.float32)
        return batch._replace(image=image)
