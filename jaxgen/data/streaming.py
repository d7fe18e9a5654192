"""Training examples that are decoded while training goes on: for a set that memory should not hold.

Which example comes when is told by `pipeline.py` as for any other set, as a function of (seed, step). So a streamed run
takes the very steps of one whose images are in memory, and a resumed one goes on in the middle of an epoch with no
iterator saved.
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

CHUNK_BYTES = 64 * 2**20  # of images that go to the devices at a time, where a step's are not more
CHUNKS_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class ImageStream:
    """Images on disk, decoded when they are asked for, one by one, from any thread.

    Attributes:
      read: the image of an index, uint8 [H, W, C].
      shape: N, H, W, C, as an array's.
      key: a digest of what the images are, in their order: what is made of them is cached by it.
    """

    read: Callable[[int], UInt8[np.ndarray, "H W C"]]
    shape: tuple[int, int, int, int]
    key: str

    def __len__(self) -> int:
        return self.shape[0]

    def subset(self, index: Int[np.ndarray, " M"]) -> "ImageStream":
        """Those at `index` alone."""
        read = self.read
        key = hashlib.blake2b(self.key.encode() + index.astype(np.int64).tobytes(), digest_size=16).hexdigest()
        return ImageStream(lambda i: read(int(index[i])), (len(index), *self.shape[1:]), key)

    def read_batch(self, index: Int[np.ndarray, "*I"]) -> UInt8[np.ndarray, "*I H W C"]:
        """The images at `index`, decoded here and now."""
        images = np.empty((index.size, *self.shape[1:]), np.uint8)
        for place, i in enumerate(index.flat):
            images[place] = self.read(int(i))
        return images.reshape(*index.shape, *self.shape[1:])

    def read_all(self) -> UInt8[np.ndarray, "N H W C"]:
        """All of them."""
        return np.stack(list(map_in_threads(self.read, range(len(self)), "decoding")))


def stream_batches(
    data: Split, index: Callable[[int], Int32[np.ndarray, "B *seeds"]], of: range, steps: int, place: Callable
) -> Iterator[Split]:
    """What training steps see, `steps` of them at a time: images [S, B, *seeds, H, W, C], labels [S, B, *seeds].

    Threads decode some steps ahead; a chunk is on the devices, by `place`, before it is asked for.

    Args:
      data: a stream of images; labels [N], or [seeds, N] of several copies.
      index: the examples of a step.
      of: which steps.
      steps: how many a chunk; the last may be shorter.
      place: puts a chunk where the steps want it.
    """
    import grain

    def examples(step: int) -> Split:
        at = index(int(step))
        return Split(data.image.read_batch(at), gather_labels(data.label, at))

    threads = os.cpu_count() or 1
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    batches = grain.MapDataset.range(of.start, of.stop).map(examples).to_iter_dataset(ahead)
    placed = batches.batch(steps).map(place)
    return iter(grain.experimental.ThreadPrefetchIterDataset(placed, prefetch_buffer_size=CHUNKS_AHEAD))


def gather_labels(
    label: Int[np.ndarray, "*seeds N"], index: Int[np.ndarray, "B *seeds"]
) -> Int[np.ndarray, "B *seeds"]:
    """The label of each example; every copy has its own labels."""
    return label[index] if label.ndim == 1 else label[np.arange(len(label)), index]


def steps_per_transfer(log_every: int, bytes_of_step: int) -> int:
    """How many steps go to the devices at a time: as many as CHUNK_BYTES holds, and a divisor of `log_every`."""
    most = max(1, CHUNK_BYTES // bytes_of_step)
    return max(steps for steps in range(1, min(most, log_every) + 1) if log_every % steps == 0)


def size_in_mib(count: int, shape: Sequence[int]) -> float:
    """Of so many images of bytes."""
    return count * math.prod(shape) / 2**20
