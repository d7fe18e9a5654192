"""Fréchet distance between two sets of images, computed on features of a classifier.

The value depends on the classifier. The FID is this distance on one fixed Inception network; here the features come
from a classifier of the data set, so values of different data sets cannot be compared with each other or with an FID.
"""

import numpy as np
from jaxtyping import Float

Features, Mean = Float[np.ndarray, "_ F"], Float[np.ndarray, " F"]
Covariance = Float[np.ndarray, "F F"]


def frechet_distance(first: Features, second: Features) -> float:
    """Returns the squared 2-Wasserstein distance of the Gaussians fitted to two sets of features.

    Heusel et al. 2017, eq. 6. At least 0; lower is better. Covariances are divided by n - 1. The estimate is biased
    upwards, and the bias grows as the number of images falls: compare distances only at equal numbers of images.
    """
    fits = [(x.mean(0), np.cov(x, rowvar=False)) for x in (_to_float64(first), _to_float64(second))]
    return gaussian_frechet_distance(*fits[0], *fits[1])


def gaussian_frechet_distance(
    first_mean: Mean, first_covariance: Covariance, second_mean: Mean, second_covariance: Covariance
) -> float:
    """Returns |m₁ - m₂|² + tr(S₁ + S₂ - 2 (S₁ S₂)^½) for two Gaussians (Dowson & Landau 1982).

    The eigenvalues of S₁ S₂ are computed as those of the symmetric S₁^½ S₂ S₁^½. They are real, and stable if S₁ S₂ is
    nearly singular.
    """
    values, vectors = np.linalg.eigh(first_covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    shared = np.linalg.eigvalsh(root @ second_covariance @ root)
    traces = np.trace(first_covariance) + np.trace(second_covariance) - 2 * np.sqrt(np.maximum(shared, 0)).sum()
    return float(np.square(first_mean - second_mean).sum() + traces)


def _to_float64(features: Features) -> Features:
    return features.astype(np.float64)
