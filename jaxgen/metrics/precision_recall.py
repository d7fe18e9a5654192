"""Whether drawn images are like real ones, and whether they cover them: by features of as many of both.

Whose features they are makes the figure; see `metrics.frechet`.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

Features = Float[np.ndarray, "_ F"]

NUM_NEIGHBORS = 3  # whose distance is the radius of a real, or drawn, image's neighbourhood
COLLAPSE_THRESHOLD = 0.5  # a diversity below this is an alarm
CHUNK = 1000  # rows of a distance matrix at once


def precision_and_recall(drawn: Features, real: Features) -> tuple[float, float]:
    """The shares of drawn images near a real one, and of real ones near a drawn one (Kynkäänniemi et al. 2019, eq. 2).

    Near is within the distance of the latter's third neighbour among its own. The first of the more are as many as the
    fewer: neighbourhoods shrink as images get more.
    """
    count = min(len(drawn), len(real))
    drawn, real = drawn[:count], real[:count]
    return float(in_manifold(drawn, real).mean()), float(in_manifold(real, drawn).mean())


def in_manifold(some: Features, those: Features) -> Bool[np.ndarray, " _"]:
    """Which of `some` lie in the neighbourhood of one of `those`."""
    radius = np.concatenate(
        [np.partition(part, NUM_NEIGHBORS, 1)[:, NUM_NEIGHBORS] for part in pairwise_distances(those, those)]
    )
    return np.concatenate([(part <= radius).any(1) for part in pairwise_distances(some, those)])


def diversity(drawn: Features, real: Features) -> float:
    """How far apart drawn images lie, by how far apart as many real ones do: 1 as the data, 0 all the same.

    The smaller of two ratios: of the root mean squared distance of all pairs, which falls where modes are missing, and
    of the mean distance to the nearest other, which falls where images repeat each other.
    """
    count = min(len(drawn), len(real))
    (apart, repeated), (expected_apart, expected_repeated) = (pairwise_spread(each[:count]) for each in (drawn, real))
    return min(apart / max(expected_apart, 1e-12), repeated / max(expected_repeated, 1e-12))


def pairwise_spread(features: Features) -> tuple[float, float]:
    """The root mean squared distance of all pairs, and the mean distance to the nearest other."""
    apart = 2 * features.var(axis=0).sum() * len(features) / max(len(features) - 1, 1)
    nearest = [np.partition(part, 1, 1)[:, 1] for part in pairwise_distances(features, features)]
    return float(np.sqrt(apart)), float(np.concatenate(nearest).mean())


def pairwise_distances(some: Features, those: Features) -> Iterator[Float[np.ndarray, "_ _"]]:
    """Euclidean distances, some of the rows at a time."""
    squares = np.square(those).sum(1)
    for start in range(0, len(some), CHUNK):
        part = some[start : start + CHUNK]
        squared = np.square(part).sum(1)[:, None] + squares - 2 * part @ those.T
        yield np.sqrt(np.maximum(squared, 0))
