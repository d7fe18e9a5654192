"""Binarized images: sampled with their gray values as probabilities, once or by training."""

import numpy as np
import pytest
from helpers import read_config

from jaxgen.data import load_dataset
from jaxgen.data.binarization import binarize_dataset, binarize_split
from jaxgen.types import Split


def load_digits(how):
    config = read_config("vae")
    config.data.binarization = how
    return load_dataset(config.data)


def test_a_pixel_is_white_with_its_gray_value_as_probability():
    gray = np.tile(np.array([0, 51, 255], np.uint8), (6000, 1))[:, None, :, None]
    pixels = binarize_split(Split(gray, np.zeros(6000, np.int32)), 0).image
    assert set(np.unique(pixels)) == {0, 255}
    np.testing.assert_allclose((pixels == 255).mean((0, 1, 3)), [0, 0.2, 1], atol=0.02)
    assert (pixels[..., 0, :] == 0).all()
    assert (pixels[..., 2, :] == 255).all()


def test_static_binarization_samples_every_split_once():
    first, again, gray = load_digits("static"), load_digits("static"), load_digits("none")
    for split in ("train", "validation", "test"):
        image = getattr(first, split).image
        np.testing.assert_array_equal(image, getattr(again, split).image)
        assert set(np.unique(image)) == {0, 255}
        assert np.abs(image / 255 - getattr(gray, split).image / 255).mean() > 0.05
    assert first.name == "digits, static binarization"


def test_dynamic_binarization_leaves_the_training_images_unchanged():
    dynamic, static, gray = load_digits("dynamic"), load_digits("static"), load_digits("none")
    np.testing.assert_array_equal(dynamic.train.image, gray.train.image)
    np.testing.assert_array_equal(dynamic.test.image, static.test.image)
    assert dynamic.name == "digits, dynamic binarization"


def test_no_binarization_returns_the_data_set_itself():
    data = load_digits("none")
    assert binarize_dataset(data, "none") is data
    assert data.name == "digits"


@pytest.mark.parametrize("number", [0, 1])
def test_each_split_has_its_own_random_sample(number):
    gray = Split(np.full((4, 5, 6, 1), 128, np.uint8), np.zeros(4, np.int32))
    assert not np.array_equal(binarize_split(gray, number).image, binarize_split(gray, number + 1).image)
