"""PSNR, SSIM and active units, against closed forms and the definition in loops."""

import numpy as np
import pytest

from jaxgen.metrics.image_similarity import CHUNK, psnr, ssim
from jaxgen.metrics.latent import active_units

N, H, W, C = 3, 14, 17, 2
C1, C2 = 0.01**2, 0.03**2


@pytest.fixture
def pair():
    numbers = np.random.default_rng(0)
    first = numbers.uniform(size=(N, H, W, C)).astype(np.float32)
    return first, np.clip(first + numbers.normal(size=first.shape) * 0.2, 0, 1).astype(np.float32)


def constant(value, count=1, height=H, width=W):
    return np.full((count, height, width, C), value, np.float32)


def test_psnr_of_an_error_of_a_tenth_everywhere_is_20_db():
    first = np.concatenate([constant(0.5), constant(0.25)])
    second = np.concatenate([constant(0.6), constant(0.75)])
    np.testing.assert_allclose(psnr(first, second), [20.0, 10 * np.log10(4)], atol=1e-5)


def test_psnr_is_computed_from_the_mean_squared_error_of_an_image():
    second = constant(0.5)
    second[0, :7, :, 0] = 0.9  # 0.16 on a quarter of the values
    assert psnr(constant(0.5), second)[0] == pytest.approx(-10 * np.log10(0.04), abs=1e-5)


def test_equal_images_have_a_psnr_of_100_db_and_an_ssim_of_1(pair):
    np.testing.assert_array_equal(psnr(pair[0], pair[0]), [100.0] * N)
    np.testing.assert_allclose(ssim(pair[0], pair[0]), 1.0, rtol=1e-12)


def test_ssim_of_constant_images_is_the_luminance_term():
    expected = (2 * 0.25 * 0.75 + C1) / (0.25**2 + 0.75**2 + C1)  # no variance: the other factor is C2 / C2
    np.testing.assert_allclose(ssim(constant(0.25), constant(0.75)), expected, rtol=1e-6)


def ssim_in_loops(first, second, size):
    """Returns SSIM by Wang et al. 2004, eq. 13 to 16, with a loop over window positions."""
    offset = np.arange(size) - (size - 1) / 2
    window = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for row in range(first.shape[0] - size + 1):
        for column in range(first.shape[1] - size + 1):
            x, y = (image[row : row + size, column : column + size].astype(np.float64) for image in (first, second))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + C1) * (2 * cov + C2) / ((mx**2 + my**2 + C1) * (vx + vy + C2)))
    return np.mean(values)


@pytest.mark.parametrize(("height", "width", "window"), [(14, 17, 11), (8, 10, 7), (17, 5, 5)])
def test_ssim_equals_its_definition_in_loops(pair, height, width, window):
    first, second = (np.resize(images, (N, height, width, C)) for images in pair)
    expected = [
        np.mean([ssim_in_loops(first[n, ..., c], second[n, ..., c], window) for c in range(C)]) for n in range(N)
    ]
    np.testing.assert_allclose(ssim(first, second), expected, rtol=1e-9)
    assert max(expected) < 0.97


def test_ssim_agrees_with_scikit_image_if_installed(pair):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    for first, second, found in zip(*pair, ssim(*pair), strict=True):
        _, values = metrics.structural_similarity(first, second, channel_axis=-1, full=True, **options)
        assert found == pytest.approx(values[5:-5, 5:-5].mean(), rel=1e-5)


def test_ssim_does_not_depend_on_the_chunk():
    numbers = np.random.default_rng(1)
    first, second = numbers.uniform(size=(2, CHUNK + 2, 6, 5, 1)).astype(np.float32)
    whole = ssim(first, second)
    assert whole.shape == (CHUNK + 2,)
    np.testing.assert_allclose(whole[-3:], ssim(first[-3:], second[-3:]), rtol=1e-9)


def test_a_unit_is_active_if_the_variance_of_its_mean_exceeds_a_hundredth():
    codes = np.zeros((4, 5), np.float32)
    codes[:, 1] = 7.0  # constant and nonzero
    codes[:, 2] = [0.09, -0.09, 0.09, -0.09]  # variance 0.0081
    codes[:, 3] = [0.11, -0.11, 0.11, -0.11]  # 0.0121
    codes[:, 4] = [3.0, 3.0, 5.0, 5.0]
    assert active_units(codes) == 2
    assert active_units(codes, threshold=0.005) == 3
