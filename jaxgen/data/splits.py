"""Splits of examples into training, validation and test, and the choice of the labels that training may use."""

import numpy as np
from jaxtyping import Int

from jaxgen.data.batching import epoch_permutation
from jaxgen.data.streaming import ImageStream
from jaxgen.types import Split

SPLIT_SEED = 1797
LABEL_EPOCH = 2**32 - 1  # an "epoch" that no run reaches: its order selects the labels that are kept


def take_examples(data: Split, index: np.ndarray) -> Split:
    """Returns the examples at `index`; the images may be an array or a stream."""
    image = data.image
    return Split(image.subset(index) if isinstance(image, ImageStream) else image[index], data.label[index])


def hold_out(data: Split, size: int, number: int) -> tuple[Split, Split]:
    """Splits off `size` random examples.

    Args:
      data: all examples.
      size: number of examples to hold out.
      number: each number gives another random choice.

    Returns:
      The remaining examples and the held-out ones, each in their original order.
    """
    order = epoch_permutation(SPLIT_SEED, number, len(data.label))
    return take_examples(data, np.sort(order[size:])), take_examples(data, np.sort(order[:size]))


def stratified_order(label: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """Returns an order in which every run of consecutive examples contains the classes in proportion."""
    quantile = np.empty(len(label))
    for k in np.unique(label):
        members = np.flatnonzero(label == k)
        quantile[members] = (epoch_permutation(SPLIT_SEED, int(k), len(members)) + 0.5) / len(members)
    return np.argsort(quantile, kind="stable")


def stratified_splits(
    label: Int[np.ndarray, " N"], holdout_fraction: float, seed: int, num_held_out: int = 2
) -> tuple[np.ndarray, ...]:
    """Returns the indices of the training examples and of the held-out splits, stratified by class.

    Every class with at least one example per split is in every split; the examples of smaller classes are divided as if
    they were one class. Within a split, every run of consecutive examples contains the classes in proportion, so that
    the first examples are representative; the examples of one class are in their original order.

    Args:
      label: labels of all examples.
      holdout_fraction: fraction of each class that is held out for validation, and again for test.
      seed: seed of the random choice.
      num_held_out: number of held-out splits.
    """
    splits: list[list] = [[] for _ in range(num_held_out + 1)]
    for k, members in group_by_class(label, minimum=num_held_out + 1).items():
        members = members[epoch_permutation(seed, k, len(members))]
        most = (len(members) - 1) // max(num_held_out, 1)
        count = min(max(1, round(holdout_fraction * len(members))), most)
        ends = [-count * number for number in range(num_held_out, 0, -1)] if count else [len(members)] * num_held_out
        for split, part in zip(splits, np.split(members[::-1], ends), strict=True):
            split.append(part)
    return tuple(interleave_classes(split_by_class(np.concatenate(split), label)) for split in splits)


def group_by_class(label: Int[np.ndarray, " N"], minimum: int) -> dict[int, np.ndarray]:
    """Returns the examples of each class; classes of fewer than `minimum` examples are one group, under the first."""
    by_class = {int(k): np.flatnonzero(label == k) for k in np.unique(label)}
    small = [k for k, members in by_class.items() if len(members) < minimum]
    if len(small) > 1:
        by_class[small[0]] = np.concatenate([by_class[k] for k in small])
    return {k: members for k, members in by_class.items() if k not in small[1:]}


def split_by_class(index: Int[np.ndarray, " M"], label: Int[np.ndarray, " N"]) -> list[np.ndarray]:
    """Returns the indices of each class among `index`."""
    return [index[label[index] == k] for k in np.unique(label[index])]


def complete_splits(
    label: Int[np.ndarray, " N"], split: Int[np.ndarray, " N"], holdout_fraction: float, seed: int
) -> tuple[np.ndarray, ...]:
    """Returns the indices of training, validation and test examples, where a missing split is held out of training.

    Args:
      label: labels of all examples.
      split: the split of each example: 0, 1 or 2.
      holdout_fraction: fraction of the training examples of each class for a missing split.
      seed: seed of the random choice.
    """
    train, *given = (np.flatnonzero(split == number) for number in range(3))
    missing = [number for number, index in enumerate(given) if not len(index)]
    rest, *held_out = (train[index] for index in stratified_splits(label[train], holdout_fraction, seed, len(missing)))
    given = [interleave_classes(split_by_class(index, label)) for index in given]
    for number, index in zip(missing, held_out, strict=True):
        given[number] = index
    return (rest, *given)


def interleave_classes(members_by_class: list[np.ndarray]) -> Int[np.ndarray, " N"]:
    """Interleaves the examples of several classes in proportion; the examples of one class are sorted."""
    if not members_by_class:
        return np.zeros(0, int)
    quantile = np.concatenate([(np.arange(len(members)) + 0.5) / len(members) for members in members_by_class])
    return np.concatenate([np.sort(members) for members in members_by_class])[np.argsort(quantile, kind="stable")]


def keep_labels(data: Split, count: int, num_classes: int, seed: int) -> Split:
    """Replaces all labels except `count` random ones, balanced over the classes, by -1.

    Args:
      data: the training examples.
      count: number of labels to keep; -1 keeps all. If it is not divisible by `num_classes`, the first classes keep
        one label more.
      num_classes: number of classes.
      seed: seed of the random choice.

    Raises:
      ValueError: there are fewer labels than `count`, in all or in one class, or `count` is below `num_classes`.
    """
    if count in (-1, len(data.label)):
        return data
    if count > len(data.label):
        raise ValueError(
            f"num_labeled={count} must be at most {len(data.label)}, the training images; try --config.num_labeled=-1"
        )
    if 0 < count < num_classes:
        raise ValueError(
            f"num_labeled={count} must be at least {num_classes}, one per class; try --config.num_labeled={num_classes}"
        )
    label, order = np.full_like(data.label, -1), epoch_permutation(seed, LABEL_EPOCH, len(data.label))
    for k in range(num_classes):
        class_count = count // num_classes + (k < count % num_classes)
        kept = order[data.label[order] == k][:class_count]
        if len(kept) < class_count:
            raise ValueError(
                f"num_labeled={count} needs {class_count} labeled images of class {k}; got {len(kept)}; "
                f"try --config.num_labeled={len(kept) * num_classes}"
            )
        label[kept] = k
    return Split(data.image, label)
