"""Data sets and the way their examples reach a step."""

from jaxgen.data.augment import Augmentation
from jaxgen.data.pipeline import (
    as_batch,
    as_images,
    batch_indices,
    fingerprint,
    gather,
    hide_labels,
    padded_batches,
    permutation,
    with_labelled,
)
from jaxgen.data.sources import Dataset, is_other, load_dataset
from jaxgen.data.streaming import Stream, chunks, steps_of_chunk
from jaxgen.data.tfds import find_tfds

__all__ = [
    "Augmentation",
    "Dataset",
    "Stream",
    "as_batch",
    "as_images",
    "batch_indices",
    "chunks",
    "find_tfds",
    "fingerprint",
    "gather",
    "hide_labels",
    "is_other",
    "load_dataset",
    "padded_batches",
    "permutation",
    "steps_of_chunk",
    "with_labelled",
]
