"""Similarity of image pairs with pixels in [0, 1]: peak signal-to-noise ratio and structural similarity."""

import numpy as np
from jaxtyping import Float

Images = Float[np.ndarray, "N H W C"]

MAX_PSNR_DB = 100.0  # equal images have an infinite ratio; the limit keeps means over images finite
WINDOW, WINDOW_STD = 11, 1.5  # pixels
K1, K2 = 0.01, 0.03
CHUNK = 500  # images per call of _ssim


def psnr(first: Images, second: Images) -> Float[np.ndarray, " N"]:
    """Returns the peak signal-to-noise ratio of each pair in dB: 10 log10(1 / MSE), at most 100 dB; higher is better.

    The peak is 1, and the squared error is the mean over pixels and channels of one image. The mean of this ratio over
    images differs from the ratio of their mean squared error: accurately reconstructed images weigh more.
    """
    squared = np.square(first - second).mean((1, 2, 3), dtype=np.float64)
    return -10 * np.log10(np.maximum(squared, 10 ** (-MAX_PSNR_DB / 10)))


def ssim(first: Images, second: Images) -> Float[np.ndarray, " N"]:
    """Returns the structural similarity of each pair (Wang et al. 2004, eq. 13, with their constants).

    In [-1, 1]; 1 for equal images. Means, variances and covariances are weighted by a Gaussian window of 11×11 pixels
    and std 1.5. The result is the mean over all positions where the window lies inside the image, and over channels.
    Images smaller than 11 pixels use the largest odd window that fits.
    """
    parts = [_ssim(first[i : i + CHUNK], second[i : i + CHUNK]) for i in range(0, len(first), CHUNK)]
    return np.concatenate([np.zeros(0), *parts])


def _ssim(first: Images, second: Images) -> Float[np.ndarray, " N"]:
    """Returns the structural similarity of each pair of one chunk."""
    height, width = first.shape[1:3]
    size = min(WINDOW, height, width)
    size -= 1 - size % 2
    rows, columns = _window_matrix(height, size), _window_matrix(width, size)

    def filter_image(values):
        return rows @ values @ columns.T

    x, y = (np.moveaxis(images, -1, 1).astype(np.float64) for images in (first, second))  # [N, C, H, W]
    x_mean, y_mean = filter_image(x), filter_image(y)
    x_variance, y_variance = filter_image(x * x) - x_mean**2, filter_image(y * y) - y_mean**2
    covariance = filter_image(x * y) - x_mean * y_mean
    luminance = (2 * x_mean * y_mean + K1**2) / (x_mean**2 + y_mean**2 + K1**2)
    structure = (2 * covariance + K2**2) / (x_variance + y_variance + K2**2)
    return (luminance * structure).mean((1, 2, 3))


def _window_matrix(length: int, size: int) -> Float[np.ndarray, "P L"]:
    """Returns a matrix whose rows are the normalized Gaussian window at each position inside `length` pixels.

    The window is separable, so filtering an image is one matrix product per axis.
    """
    offset = np.arange(size) - size // 2
    window = np.exp(-0.5 * (offset / WINDOW_STD) ** 2)
    matrix = np.zeros((length - size + 1, length))
    for position, row in enumerate(matrix):
        row[position : position + size] = window / window.sum()
    return matrix
