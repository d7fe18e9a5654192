"""How far two sets of images are apart, by features of both: the Fréchet and the kernel distance.

Whose features they are makes the figure: those of a local classifier, as here, give neither an FID nor a KID, which
are these distances on one fixed Inception network, and no figure of one data set compares with another's.
"""

import numpy as np
from jaxtyping import Float

Features, Mean = Float[np.ndarray, "_ F"], Float[np.ndarray, " F"]
Covariance = Float[np.ndarray, "F F"]


def frechet_distance(first: Features, second: Features) -> float:
    """Squared 2-Wasserstein distance of the Gaussians fitted to two sets of features (Heusel et al. 2017, eq. 6).

    Covariances are divided by n - 1. Biased upwards, the more the fewer images there are: compare at equal numbers.
    """
    fits = [(each.mean(0), np.cov(each, rowvar=False)) for each in (_to_float64(first), _to_float64(second))]
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


def _to_float64(features: Features) -> Features:
    return features.astype(np.float64)
