"""Data sets: where their examples come from, how they are split, and in which batches training receives them."""

from jaxgen.data.augmentation import Augmentation
from jaxgen.data.batching import (
    batch_indices,
    epoch_permutation,
    fingerprint,
    gather_batch,
    insert_labeled_examples,
    padded_batches,
    to_batch,
    to_float_images,
)
from jaxgen.data.dataset import Dataset, is_different_dataset
from jaxgen.data.loading import load_dataset
from jaxgen.data.sources.tfds import find_prepared_dataset
from jaxgen.data.splits import keep_labels
from jaxgen.data.streaming import ImageStream, steps_per_transfer, stream_batches

__all__ = [
    "Augmentation",
    "Dataset",
    "ImageStream",
    "batch_indices",
    "epoch_permutation",
    "find_prepared_dataset",
    "fingerprint",
    "gather_batch",
    "insert_labeled_examples",
    "is_different_dataset",
    "keep_labels",
    "load_dataset",
    "padded_batches",
    "steps_per_transfer",
    "stream_batches",
    "to_batch",
    "to_float_images",
]
