"""Work on many files or examples by threads, in order, with a bar."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

BATCH = 8  # items a task of a thread: handing a task over takes longer than to hash a small file


def map_in_threads(work: Callable[[Any], Any], items: Sequence, told: str) -> Iterator[Any]:
    """work(item) of each item, in order, with a bar on a terminal where it takes longer than a second."""
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    bar = tqdm(total=len(items), desc=told, leave=False, unit=" images", delay=1, disable=None)
    with bar, ThreadPoolExecutor() as pool:  # Pillow, hashing and reading all release Python's lock
        try:
            for done in pool.map(lambda batch: [work(item) for item in batch], batches):
                bar.update(len(done))
                yield from done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
