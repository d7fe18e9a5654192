"""Training examples that are decoded during training, for data sets that are larger than the memory budget.

The order of the examples is the same function of (seed, step) as in memory; see `batching.py`. A streamed run therefore
takes the same steps as a run in memory, and a resumed run continues within an epoch without a saved iterator.
"""

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int, Int32, UInt8

from jaxgen.data.thread_map import map_in_threads
from jaxgen.types import Split

CHUNK_BYTES = 64 * 2**20  # maximum size of the images in one transfer to the devices, if a step is not larger
CHUNKS_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class ImageStream:
    """Images on the disk that are decoded whenever they are read; any thread may read.

    Attributes:
      read: returns the image of an index, uint8 [H, W, C].
      shape: N, H, W, C, like the shape of an array.
      key: digest of the images in their order, which identifies cached results.
    """

    read: Callable[[int], UInt8[np.ndarray, "H W C"]]
    shape: tuple[int, int, int, int]
    key: str

    def __len__(self) -> int:
        return self.shape[0]

    def subset(self, index: Int[np.ndarray, " M"]) -> "ImageStream":
        """Returns a stream of the images at `index`."""
        read = self.read
        key = hashlib.blake2b(self.key.encode() + index.astype(np.int64).tobytes(), digest_size=16).hexdigest()
        return ImageStream(lambda i: read(int(index[i])), (len(index), *self.shape[1:]), key)

    def read_batch(self, index: Int[np.ndarray, "*I"]) -> UInt8[np.ndarray, "*I H W C"]:
        """Reads the images at `index` in this thread."""
        images = np.empty((index.size, *self.shape[1:]), np.uint8)
        for place, i in enumerate(index.flat):
            images[place] = self.read(int(i))
        return images.reshape(*index.shape, *self.shape[1:])

    def read_all(self) -> UInt8[np.ndarray, "N H W C"]:
        """Reads all images in several threads."""
        return np.stack(list(map_in_threads(self.read, range(len(self)), "decoding")))


def stream_batches(
    data: Split,
    index_of_step: Callable[[int], Int32[np.ndarray, "B *seeds"]],
    steps: range,
    steps_per_chunk: int,
    place: Callable[[Split], Split],
) -> Iterator[Split]:
    """Yields the examples of training steps in chunks: images [S, B, *seeds, H, W, C], labels [S, B, *seeds].

    Threads decode later steps in advance, and a chunk is on the devices before it is requested.

    Args:
      data: a stream of images, and labels [N], or [seeds, N] for several seeds.
      index_of_step: returns the indices of a step's examples.
      steps: the steps, consecutive.
      steps_per_chunk: S; the last chunk may be shorter.
      place: puts a chunk on the devices.
    """
    import grain

    def read_step(step: int) -> Split:
        index = index_of_step(int(step))
        return Split(data.image.read_batch(index), gather_labels(data.label, index))

    threads = os.cpu_count() or 1
    read_options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    examples = grain.MapDataset.range(steps.start, steps.stop).map(read_step).to_iter_dataset(read_options)
    chunks = examples.batch(steps_per_chunk).map(place)
    return iter(grain.experimental.ThreadPrefetchIterDataset(chunks, prefetch_buffer_size=CHUNKS_AHEAD))


def gather_labels(
    label: Int[np.ndarray, "*seeds N"], index: Int[np.ndarray, "B *seeds"]
) -> Int[np.ndarray, "B *seeds"]:
    """Returns the label of each example; with several seeds, each seed has its own labels."""
    return label[index] if label.ndim == 1 else label[np.arange(len(label)), index]


def steps_per_transfer(log_every: int, bytes_per_step: int) -> int:
    """Returns the number of steps per chunk: the largest divisor of `log_every` that fits into `CHUNK_BYTES`."""
    limit = max(1, CHUNK_BYTES // bytes_per_step)
    return max(steps for steps in range(1, min(limit, log_every) + 1) if log_every % steps == 0)


def size_in_mib(count: int, shape: Sequence[int]) -> float:
    """Returns the size of `count` uint8 images of a shape, in MiB."""
    return count * math.prod(shape) / 2**20
