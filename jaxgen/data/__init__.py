"""Data sets and the way their examples reach a step."""

from jaxgen.data.pipeline import batch_indices, fingerprint, gather, padded_batches
from jaxgen.data.sources import Dataset, find_tfds, load_dataset

__all__ = ["Dataset", "batch_indices", "find_tfds", "fingerprint", "gather", "load_dataset", "padded_batches"]
