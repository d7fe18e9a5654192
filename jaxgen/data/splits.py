"""TODO: jaxgen.data.splits."""

import numpy as np
from jaxtyping import Int

from jaxgen.data.batching import epoch_permutation
from jaxgen.data.streaming import ImageStream
from jaxgen.types import Split

LABELS_DRAW = 2**32 - 1  # the "epoch" whose order says which labels are kept: one that no run reaches


def keep_labels(data: Split, count: int, num_classes: int, seed: int) -> Split:
    """The same images with all labels but `count` replaced by -1: drawn by the seed, as many of each class.

    Where the classes do not divide `count`, the first ones keep one more. -1 keeps all.

    Raises:
      ValueError: there are not so many labels, or too few for every class to keep one.
    """
    if count in (-1, len(data.label)):
        return data
    if count > len(data.label):
        raise ValueError(
            f"num_labeled={count} must be at most {len(data.label)}, the training images; try --config.num_labeled=-1"
        )
    if 0 < count < num_classes:
        raise ValueError(f"num_labeled={count} must be at least {num_classes}, one per class; try --config.num_labeled={num_classes}")
    label, order = np.full_like(data.label, -1), epoch_permutation(seed, LABELS_DRAW, len(data.label))
    for k in range(num_classes):
        wanted = count // num_classes + (k < count % num_classes)
        kept = order[data.label[order] == k][:wanted]
        if len(kept) < wanted:
            raise ValueError(
                f"num_labeled={count} needs {wanted} labeled images of class {k}; got {len(kept)}; "
                f"try --config.num_labeled={len(kept) * num_classes}"
            )
        label[kept] = k
    return Split(data.image, label)


SPLIT_SEED = 1797


def stratified_order(label: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """An order of the examples of which every stretch holds the classes in their proportion."""
    quantile = np.empty(len(label))
    for k in np.unique(label):
        members = np.flatnonzero(label == k)
        quantile[members] = (epoch_permutation(SPLIT_SEED, int(k), len(members)) + 0.5) / len(members)
    return np.argsort(quantile, kind="stable")


def take_examples(data: Split, index: np.ndarray) -> Split:
    image = data.image
    return Split(image.subset(index) if isinstance(image, ImageStream) else image[index], data.label[index])


def hold_out(data: Split, size: int, draw: int) -> tuple[Split, Split]:
    """The examples without `size` random ones, and those."""
    order = epoch_permutation(SPLIT_SEED, draw, len(data.label))
    return take_examples(data, np.sort(order[size:])), take_examples(data, np.sort(order[:size]))


def stratified_splits(label: Int[np.ndarray, " N"], share: float, seed: int) -> tuple[np.ndarray, ...]:
    """The indices of the training, validation and test examples: `share` of each class for each of the latter two.

    Every class of three examples or more is in every split. Every stretch of a split holds the classes in their
    proportion, so that its first examples are a fair part of it; those of one class are in order.
    """
    parts: tuple[list, ...] = ([], [], [])
    for k in np.unique(label):
        members = np.flatnonzero(label == k)
        members = members[epoch_permutation(seed, int(k), len(members))]
        count = min(max(1, round(share * len(members))), (len(members) - 1) // 2)
        for part, found in zip(parts, np.split(members[::-1], [-2 * count, -count]), strict=True):
            part.append(found)
    return tuple(interleave_classes(part) for part in parts)


def interleave_classes(members: list[np.ndarray]) -> Int[np.ndarray, " N"]:
    """Examples that come class by class, mixed so that every stretch holds all classes; those of one in order."""
    place = np.concatenate([(np.arange(len(of)) + 0.5) / len(of) for of in members])
    return np.concatenate([np.sort(of) for of in members])[np.argsort(place, kind="stable")]
