"""Retrieval of images of the same class by code: mean average precision of a ranking by distance.

Database images with the label of the query are relevant. The whole database is ranked, and the result is averaged over
all orders of ties: codes of few bits have thousands of ties, and a sort would depend on the order of the database.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

CHUNK = 250  # queries per product with the whole database
Values = Float[np.ndarray, "..."] | Int[np.ndarray, "..."]


def mean_average_precision(
    query_codes: Values, query_labels: np.ndarray, base_codes: Values, base_labels: np.ndarray, distance: str
) -> float:
    """Returns the mean over queries of the expected average precision, in [0, 1]; higher is better.

    Args:
      query_codes: [Q, Z].
      query_labels: [Q].
      base_codes: [M, Z] of the database; every query ranks all of them.
      base_labels: [M].
      distance: "hamming" for bits, 0 or 1; "euclidean" for any values, compared in float32.

    Raises:
      ValueError: the distance is unknown, the codes are not bits, or no label of a query occurs in the database.
    """
    if distance not in PRECISIONS:
        raise ValueError(f'distance="{distance}" is unknown; choose from {", ".join(PRECISIONS)}')
    known = np.isin(query_labels, base_labels)  # the precision of a query without relevant images is undefined
    if not known.any():
        raise ValueError(f"none of the {len(query_labels)} queries has a label that occurs in the database")
    precisions = PRECISIONS[distance](query_codes[known], base_codes)
    labels, total = query_labels[known], 0.0
    for start in range(0, len(labels), CHUNK):
        relevant = labels[start : start + CHUNK, None] == base_labels[None, :]
        total += precisions(start, relevant).sum()
    return float(total / len(labels))


def expected_average_precision(
    count: Int[np.ndarray, "Q G"], relevant: Int[np.ndarray, "Q G"]
) -> Float[np.ndarray, " Q"]:
    """Returns the mean average precision over all orders of the images within each of G groups, nearest group first.

    Let N images, R of them relevant, precede a group of n images with r relevant ones. The i-th image of the group is
    relevant with probability r / n. If it is, R + 1 + (i - 1)(r - 1)/(n - 1) of the first N + i images are relevant on
    average. The sum over i has a closed form with harmonic numbers (McSherry & Najork 2008, section 3).

    Args:
      count: number of images n of each group; may be 0.
      relevant: number of relevant images r of each group.
    """
    reached = np.cumsum(count, axis=-1)
    before, relevant_before = reached - count, np.cumsum(relevant, axis=-1) - relevant
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, reached.max() + 1))])
    ones = harmonic[reached] - harmonic[before]  # Σ_i 1 / (N + i)
    steps = count - (before + 1) * ones  # Σ_i (i - 1) / (N + i)
    inner = (relevant_before + 1) * ones + (relevant - 1) / np.maximum(count - 1, 1) * steps
    return (relevant / np.maximum(count, 1) * inner).sum(-1) / relevant.sum(-1)


# (first query, relevant) -> average precision of C queries
Precisions = Callable[[int, Bool[np.ndarray, "C M"]], Float[np.ndarray, " C"]]


def _hamming_precisions(query: Values, base: Values) -> Precisions:
    """Returns the average precisions by Hamming distance; the groups are the distances 0, …, bits."""
    for name, codes in (("query", query), ("base", base)):
        if not np.isin(codes, (0, 1)).all():
            raise ValueError(f"{name} codes have values other than 0 and 1; Hamming distance compares bits")
    bits = base.shape[1]
    query, base = 2 * query.astype(np.float32) - 1, 2 * base.astype(np.float32) - 1

    def precisions(start, relevant):
        part = query[start : start + CHUNK]
        distance = ((bits - part @ base.T) / 2).astype(np.int32)  # exact: sums of ±1
        group = distance + np.arange(len(part), dtype=np.int32)[:, None] * (bits + 1)
        shape, size = (len(part), bits + 1), len(part) * (bits + 1)
        count = np.bincount(group.ravel(), minlength=size).reshape(shape)
        return expected_average_precision(count, np.bincount(group[relevant], minlength=size).reshape(shape))

    return precisions


def _euclidean_precisions(query: Values, base: Values) -> Precisions:
    """Returns the average precisions by Euclidean distance; the groups are runs of equal distances."""
    query, base = query.astype(np.float32), base.astype(np.float32)
    squared_norm = np.square(base).sum(1)

    def precisions(start, relevant):
        # |b|² - 2 q·b has the same ranking as |q - b|².
        distances = squared_norm - 2 * query[start : start + CHUNK] @ base.T
        return np.array([precision(*row) for row in zip(distances, relevant, strict=True)])

    def precision(distance, relevant):
        order = np.argsort(distance)
        distance, relevant = distance[order], relevant[order]
        first = np.flatnonzero(np.concatenate([[True], distance[1:] != distance[:-1]]))
        count = np.diff(first, append=len(distance))
        return expected_average_precision(count[None], np.add.reduceat(relevant.astype(np.int64), first)[None])[0]

    return precisions


PRECISIONS = {"hamming": _hamming_precisions, "euclidean": _euclidean_precisions}


def pca_sign_codes(
    train: Float[np.ndarray, "N *D"], images: Float[np.ndarray, "M *D"], bits: int
) -> Int[np.ndarray, "M {bits}"]:
    """Returns the signs of the leading principal components, the baseline of a learned binary code.

    Components and mean are those of the training images (Gong & Lazebnik 2011, section 2.1, without the rotation).

    Raises:
      ValueError: the number of bits exceeds the number of components.
    """
    from sklearn.decomposition import PCA

    train, images = train.reshape(len(train), -1), images.reshape(len(images), -1)
    if bits > min(train.shape):
        raise ValueError(
            f"bits={bits} must be at most {min(train.shape)}, the number of components of the training images"
        )
    return (PCA(bits, random_state=0).fit(train).transform(images) > 0).astype(np.int32)
