"""Random changes of training batches, sampled inside jit and selected by the config's keys."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxgen.config.automatic import choose_binarization
from jaxgen.data.transforms import random_flip_left_right, random_shift
from jaxgen.kernels import random
from jaxgen.types import Batch


class Augmentation(NamedTuple):
    """The changes that are applied to each training batch, in the order of the attributes.

    Attributes:
      random_flip: whether each image is mirrored left to right with probability 1/2.
      random_shift: maximum shift of each image, in pixels, in each direction.
      shift_pad_mode: pixels that a shift brings in: "zeros" for black, "edge" for copies of the edge.
      resample_binarization: whether each pixel becomes 1 with its own value as probability, and 0 otherwise.
    """

    random_flip: bool = False
    random_shift: int = 0
    shift_pad_mode: str = "zeros"
    resample_binarization: bool = False

    @classmethod
    def from_config(cls, config) -> "Augmentation":
        """Returns the changes that a config selects."""
        dynamic = choose_binarization(config.data) == "dynamic"
        return cls(config.random_flip, config.random_shift, config.shift_pad_mode, dynamic)

    @property
    def changes_images(self) -> bool:
        """Whether any change is applied; the pad mode alone changes nothing."""
        return bool(self.random_flip or self.random_shift or self.resample_binarization)

    def __call__(self, batch: Batch, rng: Array) -> Batch:
        """Returns the changed batch."""
        flip_rng, binarization_rng = (random.fold_in(rng, number) for number in range(2))
        image = batch.image
        if self.random_flip:
            image = random_flip_left_right(image, flip_rng)
        if self.random_shift:
            image = random_shift(image, rng, self.random_shift, self.shift_pad_mode)
        if self.resample_binarization:
            image = random.bernoulli(binarization_rng, image).astype(jnp.float32)
        return batch._replace(image=image)
