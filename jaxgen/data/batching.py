"""The order of the examples and their way into batches. Where the examples come from is told in `sources.py`.

The order is a function of (seed, epoch), so the step alone says where a run stands and no iterator is ever saved.
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
    """The order in which an epoch visits its examples, read-only."""
    return _permutations(seed, size)(epoch)


@functools.lru_cache(maxsize=64)
def _permutations(seed: int, size: int) -> Callable[[int], Int32[np.ndarray, " N"]]:
    """The orders of a seed's epochs; the last two are kept, as a batch may see the end of one and the next."""
    return functools.lru_cache(maxsize=2)(functools.partial(draw_permutation, seed, size))


def draw_permutation(seed: int, size: int, epoch: int) -> Int32[np.ndarray, " N"]:
    """See `permutation`.

    Sorted random words instead of `Generator.permutation`: numpy promises that the words never change with its
    version, so that a run resumed after an update still sees the examples it would have seen.
    """
    words = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(size)
    order = np.argsort(words, kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order


def batch_indices(seed: int, start: int, stop: int, batch_size: int, num_examples: int) -> Int32[np.ndarray, "S B"]:
    """Which training examples the steps start, …, stop - 1 see: a pure function of its arguments.

    The epochs follow each other without a gap, so a batch may straddle two of them and may exceed an epoch; each
    epoch sees every example once.
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
    """The same indices with places 0, every, … of each batch taken by labelled examples, in an order of their own.

    So few labels are seen as often as the recipe wants, whatever their share; each device of several gets its part.
    """
    known, index = np.flatnonzero(label >= 0), index.copy()
    places = index[:, ::every]
    places[:] = known[batch_indices(seed, start, start + len(index), places.shape[1], len(known))]
    return index


def gather_batch(data: Split, index: Int[Array | np.ndarray, " B"]) -> Batch:
    """The examples at `index` as a batch, inside jit or out of it. Every index must be in [0, N)."""
    return to_batch(Split(*(jnp.take(array, index, axis=0, mode="clip") for array in data)))


def to_batch(examples: Split) -> Batch:
    """Examples as a batch, inside jit."""
    ones = jnp.ones(examples.label.shape, jnp.float32)
    return Batch(examples.image.astype(jnp.float32) / 255, examples.label, ones)


def padded_batches(data: Split, batch_size: int) -> Iterator[Batch]:
    """All examples in order, as numpy batches of one size; the last is filled up with black images masked 0."""
    for start in range(0, len(data.label), batch_size):
        image, label = data.image[start : start + batch_size], data.label[start : start + batch_size]
        missing = batch_size - len(label)
        yield Batch(
            np.pad(image.astype(np.float32) / 255, [(0, missing), (0, 0), (0, 0), (0, 0)]),
            np.pad(label.astype(np.int32), (0, missing), constant_values=-1),
            np.pad(np.ones(len(label), np.float32), (0, missing)),
        )


def to_float_images(pixels: UInt8[np.ndarray, "*N H W C"]) -> Float[np.ndarray, "*N H W C"]:
    """Bytes as float32 in [0, 1]."""
    return pixels.astype(np.float32) / 255


def fingerprint(data: Split) -> str:
    """A hexadecimal digest of the images and labels, to key what is computed from them."""
    digest = hashlib.blake2b(digest_size=16)
    for array in jax.device_get(data):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
