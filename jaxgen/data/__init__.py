"""Data sets and the way their examples reach a step."""

from jaxgen.data.pipeline import batch_indices, fingerprint, gather, padded_batches
from jaxgen.data.sources import Dataset, load_dataset
from jaxgen.data.tfds import find_tfds

__all__ = ["Dataset", "batch_indices", "find_tfds", "fingerprint", "gather", "load_dataset", "padded_batches"]
