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

from jaxgen.types import Batch, Data

LABELS_DRAW = 2**32 - 1  # the "epoch" whose order says which labels are kept: one that no run reaches


def permutation(seed: int, epoch: int, size: int) -> Int32[np.ndarray, " N"]:
    """The order in which an epoch visits its examples, read-only."""
    return orders(seed, size)(epoch)


@functools.lru_cache(maxsize=64)
def orders(seed: int, size: int) -> Callable[[int], Int32[np.ndarray, " N"]]:
    """The orders of a seed's epochs; the last two are kept, as a batch may see the end of one and the next."""
    return functools.lru_cache(maxsize=2)(functools.partial(drawn_order, seed, size))


def drawn_order(seed: int, size: int, epoch: int) -> Int32[np.ndarray, " N"]:
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
        indices[inside] = permutation(seed, int(epoch), num_examples)[offsets[inside]]
    return indices.reshape(stop - start, batch_size)


def with_labelled(
    index: Int32[np.ndarray, "S B"], label: Int[np.ndarray, " N"], every: int, seed: int, start: int
) -> Int32[np.ndarray, "S B"]:
    """The same indices with places 0, every, … of each batch taken by labelled examples, in an order of their own.

    So few labels are seen as often as the recipe wants, whatever their share; each device of several gets its part.
    """
    known, index = np.flatnonzero(label >= 0), index.copy()
    places = index[:, ::every]
    places[:] = known[batch_indices(seed, start, start + len(index), places.shape[1], len(known))]
    return index


def hide_labels(data: Data, count: int, num_classes: int, seed: int) -> Data:
    """The same images with all labels but `count` replaced by -1: drawn by the seed, as many of each class.

    Where the classes do not divide `count`, the first ones keep one more. -1 keeps all.

    Raises:
      ValueError: there are not so many labels, or too few for every class to keep one.
    """
    if count in (-1, len(data.label)):
        return data
    if count > len(data.label):
        raise ValueError(
            f"labels={count} must be at most {len(data.label)}, the training images; try --config.labels=-1"
        )
    if 0 < count < num_classes:
        raise ValueError(f"labels={count} leaves a class without one; try --config.labels={num_classes}")
    label, order = np.full_like(data.label, -1), permutation(seed, LABELS_DRAW, len(data.label))
    for k in range(num_classes):
        wanted = count // num_classes + (k < count % num_classes)
        kept = order[data.label[order] == k][:wanted]
        if len(kept) < wanted:
            raise ValueError(
                f"labels={count} asks for {wanted} images of class {k}, which has {len(kept)}; "
                f"try --config.labels={len(kept) * num_classes}"
            )
        label[kept] = k
    return Data(data.image, label)


def gather(data: Data, index: Int[Array | np.ndarray, " B"]) -> Batch:
    """The examples at `index` as a batch, inside jit or out of it. Every index must be in [0, N)."""
    return as_batch(Data(*(jnp.take(array, index, axis=0, mode="clip") for array in data)))


def as_batch(examples: Data) -> Batch:
    """Examples as a batch, inside jit."""
    ones = jnp.ones(examples.label.shape, jnp.float32)
    return Batch(examples.image.astype(jnp.float32) / 255, examples.label, ones)


def padded_batches(data: Data, batch_size: int) -> Iterator[Batch]:
    """All examples in order, as numpy batches of one size; the last is filled up with black images masked 0."""
    for start in range(0, len(data.label), batch_size):
        image, label = data.image[start : start + batch_size], data.label[start : start + batch_size]
        missing = batch_size - len(label)
        yield Batch(
            np.pad(image.astype(np.float32) / 255, [(0, missing), (0, 0), (0, 0), (0, 0)]),
            np.pad(label.astype(np.int32), (0, missing), constant_values=-1),
            np.pad(np.ones(len(label), np.float32), (0, missing)),
        )


def as_images(pixels: UInt8[np.ndarray, "*N H W C"]) -> Float[np.ndarray, "*N H W C"]:
    """Bytes as float32 in [0, 1]."""
    return pixels.astype(np.float32) / 255


def fingerprint(data: Data) -> str:
    """A hexadecimal digest of the images and labels, to key what is computed from them."""
    digest = hashlib.blake2b(digest_size=16)
    for array in jax.device_get(data):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
