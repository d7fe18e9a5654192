"""Identical images in several splits, which make held-out metrics favor memorization."""

import numpy as np

from jaxgen.types import Split


def count_copies(train: Split, **held_out: Split) -> dict[str, int]:
    """Returns for each held-out split the number of images whose pixels are equal to a training image's.

    Only images in memory are compared; of a streamed split these are a random subset.
    """
    known = {hash_pixels(image) for image in train.image}
    return {name: sum(hash_pixels(image) in known for image in split.image) for name, split in held_out.items()}


def hash_pixels(image: np.ndarray) -> int:
    """Returns a hash of the pixels; equal images have equal hashes in one process."""
    return hash(np.ascontiguousarray(image).tobytes())
