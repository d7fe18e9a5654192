"""Precision, recall, coverage and diversity of generated images, on features of equally many generated and real images.

The values depend on the feature extractor; see `metrics.frechet`.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

Features = Float[np.ndarray, "_ F"]

NUM_NEIGHBORS = 3  # the distance to the third nearest neighbor is the radius of a neighborhood
COLLAPSE_THRESHOLD = 0.5  # a lower diversity counts as mode collapse
MIN_SHARE = 0.05  # recall and coverage below which a precision says nothing
CHUNK = 1000  # rows of a distance matrix per product


def precision_and_recall(generated: Features, real: Features) -> tuple[float, float]:
    """Returns the fractions of generated images near a real one, and of real images near a generated one.

    Both lie in [0, 1]; higher is better (Kynkäänniemi et al. 2019, eq. 2). A point is near a reference point if it lies
    within the distance of that point to its third nearest neighbor. The larger set is truncated to the size of the
    smaller, because neighborhoods shrink as sets grow.
    """
    count = min(len(generated), len(real))
    generated, real = generated[:count], real[:count]
    return float(in_manifold(generated, real).mean()), float(in_manifold(real, generated).mean())


def coverage(generated: Features, real: Features) -> float:
    """Returns the fraction of real images whose neighborhood contains a generated one (Naeem et al. 2020, eq. 4).

    In [0, 1]; higher is better. Unlike precision, it is near 0 if all generated images lie in the neighborhoods of a
    few real ones, as noise does near an outlier. Two sets of the same distribution have about 1 - 2 ** -NUM_NEIGHBORS.
    """
    count = min(len(generated), len(real))
    generated, real = generated[:count], real[:count]
    nearest = np.concatenate([part.min(1) for part in pairwise_distances(real, generated)])
    return float((nearest <= neighborhood_radius(real)).mean())


def is_precision_meaningful(recall: float, coverage: float) -> bool:
    """Returns whether samples reach more than a few real images; otherwise even noise can have a precision of 1."""
    return recall >= MIN_SHARE and coverage >= MIN_SHARE


def in_manifold(points: Features, reference: Features) -> Bool[np.ndarray, " _"]:
    """Returns whether each point lies in the neighborhood of a reference point."""
    radius = neighborhood_radius(reference)
    return np.concatenate([(part <= radius).any(1) for part in pairwise_distances(points, reference)])


def neighborhood_radius(reference: Features) -> Float[np.ndarray, " _"]:
    """Returns the distance of each reference point to its third nearest neighbor."""
    distances = pairwise_distances(reference, reference)
    return np.concatenate([np.partition(part, NUM_NEIGHBORS, 1)[:, NUM_NEIGHBORS] for part in distances])


def diversity(generated: Features, real: Features) -> float:
    """Returns the spread of generated images relative to the spread of equally many real ones.

    1: like the data; 0: all images are equal. The result is the smaller of two ratios: of the root mean squared
    distance of all pairs, which falls if modes are missing, and of the mean distance to the nearest other image, which
    falls if images repeat each other.
    """
    count = min(len(generated), len(real))
    spread, nearest = pairwise_spread(generated[:count])
    real_spread, real_nearest = pairwise_spread(real[:count])
    return min(spread / max(real_spread, 1e-12), nearest / max(real_nearest, 1e-12))


def pairwise_spread(features: Features) -> tuple[float, float]:
    """Returns the root mean squared distance of all pairs, and the mean distance to the nearest other point."""
    squared = 2 * features.var(axis=0).sum() * len(features) / max(len(features) - 1, 1)
    nearest = [np.partition(part, 1, 1)[:, 1] for part in pairwise_distances(features, features)]
    return float(np.sqrt(squared)), float(np.concatenate(nearest).mean())


def pairwise_distances(points: Features, reference: Features) -> Iterator[Float[np.ndarray, "_ _"]]:
    """Yields Euclidean distances [rows, reference] for CHUNK rows of `points` at a time."""
    squares = np.square(reference).sum(1)
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK]
        squared = np.square(part).sum(1)[:, None] + squares - 2 * part @ reference.T
        yield np.sqrt(np.maximum(squared, 0))
