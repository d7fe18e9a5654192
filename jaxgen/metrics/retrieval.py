"""How well a code finds images of the same class: mean average precision of a ranking by distance.

A query is relevant to the base images of its own label. The whole base is ranked, and ties are taken in every order:
codes of few bits tie by the thousand, where a sort would credit whatever order the base happens to have.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

CHUNK = 250  # queries at once, each against the whole base
Values = Float[np.ndarray, "..."] | Int[np.ndarray, "..."]


def mean_average_precision(
    query_codes: Values, query_labels: np.ndarray, base_codes: Values, base_labels: np.ndarray, distance: str
) -> float:
    """Mean over queries of the expected average precision, in [0, 1], ties at random.

    Args:
      query_codes: [Q, Z].
      query_labels: [Q].
      base_codes: [M, Z]; all of it is ranked for every query.
      base_labels: [M].
      distance: "hamming" for bits, 0 or 1; "euclidean" for any values, compared in float32.

    Raises:
      ValueError: the distance is unknown, the codes are no bits, or no query's label is in the base.
    """
    if distance not in PRECISIONS:
        raise ValueError(f'distance="{distance}" is unknown; choose from {", ".join(PRECISIONS)}')
    known = np.isin(query_labels, base_labels)  # a query without anything to find has no precision
    if not known.any():
        raise ValueError(f"none of the {len(query_labels)} queries has a label of the base: there is nothing to find")
    precisions = PRECISIONS[distance](query_codes[known], base_codes)
    labels, total = query_labels[known], 0.0
    for start in range(0, len(labels), CHUNK):
        relevant = labels[start : start + CHUNK, None] == base_labels[None, :]
        total += precisions(start, relevant).sum()
    return float(total / len(labels))


def expected_average_precision(
    count: Int[np.ndarray, "Q G"], relevant: Int[np.ndarray, "Q G"]
) -> Float[np.ndarray, " Q"]:
    """The mean average precision over all orders of the images within each of G groups, nearest group first.

    Args:
      count: the images n of each group, which may be none.
      relevant: how many of them are relevant, r.

    The i-th image of a group, N images with R relevant ones before it, is relevant with probability r / n, and then
    R + 1 + (i - 1)(r - 1)/(n - 1) of N + i are, on average. The sum over i is closed, by harmonic numbers
    (McSherry & Najork 2008, section 3).
    """
    reached = np.cumsum(count, axis=-1)
    before, relevant_before = reached - count, np.cumsum(relevant, axis=-1) - relevant
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, reached.max() + 1))])
    ones = harmonic[reached] - harmonic[before]  # Σ_i 1 / (N + i)
    steps = count - (before + 1) * ones  # Σ_i (i - 1) / (N + i)
    inner = (relevant_before + 1) * ones + (relevant - 1) / np.maximum(count - 1, 1) * steps
    return (relevant / np.maximum(count, 1) * inner).sum(-1) / relevant.sum(-1)


Precisions = Callable[[int, Bool[np.ndarray, "C M"]], Float[np.ndarray, " C"]]  # of C queries from a place on


def _by_hamming(query: Values, base: Values) -> Precisions:
    """Groups are the distances 0, …, bits: counted, never sorted."""
    for name, codes in (("query", query), ("base", base)):
        if not np.isin(codes, (0, 1)).all():
            raise ValueError(f"{name} codes have values other than 0 and 1; Hamming distance compares bits")
    bits = base.shape[1]
    query, base = 2 * query.astype(np.float32) - 1, 2 * base.astype(np.float32) - 1

    def precisions(start, relevant):
        part = query[start : start + CHUNK]
        distance = ((bits - part @ base.T) / 2).astype(np.int32)  # exact: sums of ±1
        place = distance + np.arange(len(part), dtype=np.int32)[:, None] * (bits + 1)
        shape, size = (len(part), bits + 1), len(part) * (bits + 1)
        count = np.bincount(place.ravel(), minlength=size).reshape(shape)
        return expected_average_precision(count, np.bincount(place[relevant], minlength=size).reshape(shape))

    return precisions


def _by_euclid(query: Values, base: Values) -> Precisions:
    """Groups are runs of equal distances in the sorted base."""
    query, base = query.astype(np.float32), base.astype(np.float32)
    squared_norm = np.square(base).sum(1)

    def precisions(start, relevant):
        # |b|² - 2 q·b ranks as |q - b|² does.
        distances = squared_norm - 2 * query[start : start + CHUNK] @ base.T
        return np.array([precision(*row) for row in zip(distances, relevant, strict=True)])

    def precision(distance, relevant):
        order = np.argsort(distance)
        distance, relevant = distance[order], relevant[order]
        first = np.flatnonzero(np.concatenate([[True], distance[1:] != distance[:-1]]))
        count = np.diff(first, append=len(distance))
        return expected_average_precision(count[None], np.add.reduceat(relevant.astype(np.int64), first)[None])[0]

    return precisions


PRECISIONS = {"hamming": _by_hamming, "euclidean": _by_euclid}


def pca_sign_codes(
    train: Float[np.ndarray, "N *D"], images: Float[np.ndarray, "M *D"], bits: int
) -> Int[np.ndarray, "M {bits}"]:
    """The baseline of a learned code: on which side of the training mean an image lies along each leading component.

    Principal components of the training images (Gong & Lazebnik 2011, section 2.1, without the rotation).

    Raises:
      ValueError: more bits than there are components.
    """
    from sklearn.decomposition import PCA

    train, images = train.reshape(len(train), -1), images.reshape(len(images), -1)
    if bits > min(train.shape):
        raise ValueError(f"bits={bits} must be at most {min(train.shape)}, the components of the training images")
    return (PCA(bits, random_state=0).fit(train).transform(images) > 0).astype(np.int32)
