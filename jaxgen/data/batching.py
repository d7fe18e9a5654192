"""The order of the training examples, and batches of examples.

The order is a function of (seed, epoch): the step number alone identifies a batch, and no iterator is ever saved.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, UInt8

from jaxgen.types import Batch, Split


def epoch_permutation(seed: int, epoch: int, size: int) -> Int32[np.ndarray, " N"]:
    """Returns the order in which an epoch visits its `size` examples; the array is read-only."""
    return _permutations(seed, size)(epoch)


@functools.lru_cache(maxsize=64)
def _permutations(seed: int, size: int) -> Callable[[int], Int32[np.ndarray, " N"]]:
    """Returns the function from epoch to order; it keeps two orders because a batch can span two epochs."""
    return functools.lru_cache(maxsize=2)(functools.partial(sample_permutation, seed, size))


def sample_permutation(seed: int, size: int, epoch: int) -> Int32[np.ndarray, " N"]:
    """Samples the order of an epoch; see `epoch_permutation`.

    Random words are sorted because numpy guarantees that they are the same in every version. `Generator.permutation`
    has no such guarantee, so a run resumed after an update could receive other examples.
    """
    words = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(size)
    order = np.argsort(words, kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order


def batch_indices(seed: int, start: int, stop: int, batch_size: int, num_examples: int) -> Int32[np.ndarray, "S B"]:
    """Returns the indices of the training examples in the steps start, …, stop - 1.

    Each epoch visits every example once, and the next epoch follows without a gap. A batch can span two epochs, and it
    can be larger than an epoch.

    Args:
      seed: seed of the order.
      start: the first step, from 0.
      stop: the step after the last one.
      batch_size: B, examples per step.
      num_examples: number of training examples.
    """
    positions = np.arange(start * batch_size, stop * batch_size, dtype=np.int64)
    epochs, offsets = np.divmod(positions, num_examples)
    indices = np.empty(len(positions), np.int32)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        indices[inside] = epoch_permutation(seed, int(epoch), num_examples)[offsets[inside]]
    return indices.reshape(stop - start, batch_size)


def insert_labeled_examples(
    index: Int32[np.ndarray, "S B"], label: Int[np.ndarray, " N"], every: int, seed: int, start: int
) -> Int32[np.ndarray, "S B"]:
    """Replaces the places 0, every, 2 · every, … of each batch by labeled examples, which have an order of their own.

    A recipe can thus use a few labels more often than their share of the examples. With several devices, each device
    receives its part of the labeled examples.

    Args:
      index: indices of the examples, by step and place.
      label: labels of all training examples; -1 if unknown.
      every: distance of two labeled places.
      seed: seed of the order of the labeled examples.
      start: step of the first batch.

    Returns:
      A changed copy of `index`.
    """
    labeled, index = np.flatnonzero(label >= 0), index.copy()
    places = index[:, ::every]
    places[:] = labeled[batch_indices(seed, start, start + len(index), places.shape[1], len(labeled))]
    return index


def gather_batch(data: Split, index: Int[Array | np.ndarray, " B"]) -> Batch:
    """Returns the examples at `index` as a batch, inside or outside jit. Every index must be in [0, N)."""
    return to_batch(Split(*(jnp.take(array, index, axis=0, mode="clip") for array in data)))


def to_batch(examples: Split) -> Batch:
    """Returns examples as a batch, inside jit."""
    ones = jnp.ones(examples.label.shape, jnp.float32)
    return Batch(examples.image.astype(jnp.float32) / 255, examples.label, ones)


def padded_batches(data: Split, batch_size: int) -> Iterator[Batch]:
    """Yields all examples in order as numpy batches of one size; black images with mask 0 fill the last batch."""
    for start in range(0, len(data.label), batch_size):
        image, label = data.image[start : start + batch_size], data.label[start : start + batch_size]
        missing = batch_size - len(label)
        yield Batch(
            np.pad(image.astype(np.float32) / 255, [(0, missing), (0, 0), (0, 0), (0, 0)]),
            np.pad(label.astype(np.int32), (0, missing), constant_values=-1),
            np.pad(np.ones(len(label), np.float32), (0, missing)),
        )


def to_float_images(pixels: UInt8[np.ndarray, "*N H W C"]) -> Float[np.ndarray, "*N H W C"]:
    """Returns uint8 pixels as float32 in [0, 1]."""
    return pixels.astype(np.float32) / 255


def fingerprint(data: Split) -> str:
    """Returns a hexadecimal digest of the images and labels, which identifies results computed from them."""
    digest = hashlib.blake2b(digest_size=16)
    for array in jax.device_get(data):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
