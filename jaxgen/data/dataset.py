"""A data set in memory: three disjoint splits, the class names and, for a streamed set, the training stream."""

from typing import NamedTuple

import numpy as np

from jaxgen.data.batching import fingerprint
from jaxgen.types import DatasetSpec, Split


class Dataset(NamedTuple):
    """A data set in memory: three disjoint splits of uint8 images [N, H, W, C] and int32 labels [N].

    `class_names` are by label; of data that have none, as digits, labels stand for themselves.

    Of a set that memory should not hold, each split is a random part of it, which serves to measure, and `stream` is
    the whole training split, with a `Stream` for images.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...] = ()
    stream: Split | None = None

    @property
    def train_source(self) -> Split:
        """What is trained on."""
        return self.stream or self.train

    @property
    def content_id(self) -> str:
        """What tells what is trained on from other images: of a set in memory by its pixels, of a stream by its files.

        Of one set the two are no match: `is_other` tells nothing of them.
        """
        return f"files {self.stream.image.key}" if self.stream else f"pixels {fingerprint(self.train)}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """H, W, C."""
        return self.train.image.shape[1:]

    def class_name(self, label: int | np.integer) -> str:
        """What a class is called."""
        return self.class_names[label] if self.class_names else str(label)

    @property
    def spec(self) -> DatasetSpec:
        """What an algorithm has to know of the set."""
        return DatasetSpec(self.name, self.image_shape, self.num_classes)


def is_different_dataset(one: str, other: str) -> bool:
    """Whether two identities are surely of different images."""
    return one != other and one.partition(" ")[0] == other.partition(" ")[0]
