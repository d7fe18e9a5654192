"""How far two sets of images are apart, by features of both: the Fréchet and the kernel distance.

Whose features they are makes the figure: those of a local classifier, as here, give neither an FID nor a KID, which
are these distances on one fixed Inception network, and no figure of one data set compares with another's.
"""

import numpy as np
from jaxtyping import Float

Features, Mean = Float[np.ndarray, "_ F"], Float[np.ndarray, " F"]
Covariance = Float[np.ndarray, "F F"]

CHUNK = 1000  # rows of the kernel matrix at once


def frechet_distance(first: Features, second: Features) -> float:
    """Squared 2-Wasserstein distance of the Gaussians fitted to two sets of features (Heusel et al. 2017, eq. 6).

    Covariances are divided by n - 1. Biased upwards, the more the fewer images there are: compare at equal numbers.
    """
    fits = [(each.mean(0), np.cov(each, rowvar=False)) for each in (_double(first), _double(second))]
    return gaussian_frechet_distance(*fits[0], *fits[1])


def gaussian_frechet_distance(
    first_mean: Mean, first_covariance: Covariance, second_mean: Mean, second_covariance: Covariance
) -> float:
    """|m₁ - m₂|² + tr(S₁ + S₂ - 2 (S₁ S₂)^½) of two Gaussians (Dowson & Landau 1982).

    S₁ S₂ has the eigenvalues of the symmetric S₁^½ S₂ S₁^½, which are real and stable where S₁ S₂ is near singular.
    """
    values, vectors = np.linalg.eigh(first_covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    shared = np.linalg.eigvalsh(root @ second_covariance @ root)
    traces = np.trace(first_covariance) + np.trace(second_covariance) - 2 * np.sqrt(np.maximum(shared, 0)).sum()
    return float(np.square(first_mean - second_mean).sum() + traces)


def kernel_distance_of_features(first: Features, second: Features) -> float:
    """Squared maximum mean discrepancy under (x·y / F + 1)³, unbiased, so that it can fall below 0.

    Over all pairs at once, not as a mean over blocks (Bińkowski et al. 2018, section 4); at least two of each.
    """
    first, second = _double(first), _double(second)
    within = [_kernel_sum(each, each) - _kernel(each, each).sum() for each in (first, second)]
    pairs = [len(each) * (len(each) - 1) for each in (first, second)]
    across = _kernel_sum(first, second) / (len(first) * len(second))
    return float(within[0] / pairs[0] + within[1] / pairs[1] - 2 * across)


def _kernel(first: Features, second: Features) -> Float[np.ndarray, " _"]:
    """The kernel of each row with the row beside it."""
    return ((first * second).sum(1) / first.shape[1] + 1) ** 3


def _kernel_sum(first: Features, second: Features) -> float:
    """The kernel summed over all pairs of rows."""
    parts = (first[start : start + CHUNK] @ second.T for start in range(0, len(first), CHUNK))
    return float(sum(((part / first.shape[1] + 1) ** 3).sum() for part in parts))


def _double(features: Features) -> Features:
    return features.astype(np.float64)
