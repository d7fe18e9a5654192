"""How near one image is to another: peak signal-to-noise ratio and structural similarity, of pixels in [0, 1]."""

import numpy as np
from jaxtyping import Float

Images = Float[np.ndarray, "N H W C"]

MAX_PSNR_DB = 100.0  # of equal images, whose ratio is infinite, so that a mean over images stays finite
WINDOW, WINDOW_STD = 11, 1.5  # pixels
K1, K2 = 0.01, 0.03
CHUNK = 500  # images at once


def psnr(first: Images, second: Images) -> Float[np.ndarray, " N"]:
    """Peak signal-to-noise ratio of each pair in dB: 10 log10(1 / MSE), the peak being 1; at most 100 dB.

    The squared error is the mean over pixels and channels of an image. A mean of this over images is not the ratio of
    their mean squared error: an image that comes out well weighs more here.
    """
    squared = np.square(first - second).mean((1, 2, 3), dtype=np.float64)
    return -10 * np.log10(np.maximum(squared, 10 ** (-MAX_PSNR_DB / 10)))


def ssim(first: Images, second: Images) -> Float[np.ndarray, " N"]:
    """Structural similarity of each pair, 1 for equal images (Wang et al. 2004, eq. 13, with their constants).

    Means, variances and covariance are weighted by a Gaussian window of 11×11 pixels and std 1.5; the mean is over
    the places where the window lies inside the image, then over channels. An image below 11 pixels takes the largest
    odd window that fits.
    """
    parts = [_ssim(first[i : i + CHUNK], second[i : i + CHUNK]) for i in range(0, len(first), CHUNK)]
    return np.concatenate([np.zeros(0), *parts])


def _ssim(first: Images, second: Images) -> Float[np.ndarray, " N"]:
    height, width = first.shape[1:3]
    size = min(WINDOW, height, width)
    size -= 1 - size % 2
    down, across = _window_at_every_place(height, size), _window_at_every_place(width, size)

    def weighted(values):
        return down @ values @ across.T

    x, y = (np.moveaxis(images, -1, 1).astype(np.float64) for images in (first, second))  # [N, C, H, W]
    x_mean, y_mean = weighted(x), weighted(y)
    x_variance, y_variance = weighted(x * x) - x_mean**2, weighted(y * y) - y_mean**2
    covariance = weighted(x * y) - x_mean * y_mean
    luminance = (2 * x_mean * y_mean + K1**2) / (x_mean**2 + y_mean**2 + K1**2)
    structure = (2 * covariance + K2**2) / (x_variance + y_variance + K2**2)
    return (luminance * structure).mean((1, 2, 3))


def _window_at_every_place(length: int, size: int) -> Float[np.ndarray, "P L"]:
    """The normalised Gaussian window as the rows of a matrix, one for each place inside `length` pixels.

    The window is a product of two, so that filtering an image is a matrix product from either side.
    """
    offset = np.arange(size) - size // 2
    window = np.exp(-0.5 * (offset / WINDOW_STD) ** 2)
    matrix = np.zeros((length - size + 1, length))
    for place, row in enumerate(matrix):
        row[place : place + size] = window / window.sum()
    return matrix
