"""The `Dataset` tuple: three disjoint splits in memory and, for a streamed data set, the stream of training images."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jaxgen.data.batching import fingerprint
from jaxgen.types import DatasetSpec, Split


class Dataset(NamedTuple):
    """A data set with three disjoint splits of uint8 images [N, H, W, C] and int32 labels [N].

    A data set that is larger than the memory budget is streamed: each split in memory is then a random subset, used
    for measurements, and `stream` is the whole training split, whose images are an `ImageStream`.

    Attributes:
      name: name of the data set.
      train: training examples.
      validation: examples that select checkpoints and recipes.
      test: examples of the final evaluation.
      num_classes: K, the number of classes.
      class_names: names by label; empty if a label is its own name, as for digits.
      stream: the whole training split of a streamed data set, or None.
      copies: number of images that are identical to training images, by held-out split; see `data.copies`.
      rare_classes: "name: count" of each class with too few images for a model that uses labels.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...] = ()
    stream: Split | None = None
    copies: Mapping[str, int] = MappingProxyType({})
    rare_classes: tuple[str, ...] = ()

    @property
    def train_source(self) -> Split:
        """The split that training uses: the stream if there is one, or `train`."""
        return self.stream or self.train

    @property
    def content_id(self) -> str:
        """Identifies the training images: a hash of the pixels in memory, or of the files of a stream.

        The two kinds cannot be compared with each other; see `is_different_dataset`.
        """
        return f"files {self.stream.image.key}" if self.stream else f"pixels {fingerprint(self.train)}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """H, W, C."""
        return self.train.image.shape[1:]

    def class_name(self, label: int | np.integer) -> str:
        """Returns the name of a class."""
        return self.class_names[label] if self.class_names else str(label)

    @property
    def spec(self) -> DatasetSpec:
        """The properties that a model's networks depend on."""
        return DatasetSpec(self.name, self.image_shape, self.num_classes, self.class_names, self.rare_classes)


def is_different_dataset(one: str, other: str) -> bool:
    """Returns whether two content ids are of the same kind and identify different images."""
    return one != other and one.partition(" ")[0] == other.partition(" ")[0]
