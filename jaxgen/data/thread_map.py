"""A parallel map over files or examples by threads, in order, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

ITEMS_PER_TASK = 8  # passing a task to a thread takes longer than hashing one small file


def map_in_threads(function: Callable[[Any], Any], items: Sequence, description: str) -> Iterator[Any]:
    """Yields function(item) of each item, in order; shows a bar on a terminal after one second.

    Args:
      function: is called from several threads.
      items: the arguments.
      description: text beside the bar.
    """
    tasks = [items[start : start + ITEMS_PER_TASK] for start in range(0, len(items), ITEMS_PER_TASK)]
    bar = tqdm(total=len(items), desc=description, leave=False, unit=" images", delay=1, disable=None)
    with bar, ThreadPoolExecutor() as pool:  # Pillow, hashing and reading release Python's lock
        try:
            for results in pool.map(lambda task: [function(item) for item in task], tasks):
                bar.update(len(results))
                yield from results
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
