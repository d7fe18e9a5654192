"""Binarised images: drawn by their greys, the same for everybody, and as named."""

import numpy as np
import pytest
from helpers import read_config

from jaxgen.data import load_dataset
from jaxgen.data.binarization import binarize_dataset, binarize_split
from jaxgen.types import Split


def digits(how):
    config = read_config("vae")
    config.data.binarization = how
    return load_dataset(config.data)


def test_a_pixel_is_white_with_the_probability_of_its_grey():
    grey = np.tile(np.array([0, 51, 255], np.uint8), (6000, 1))[:, None, :, None]
    drawn = binarize_split(Split(grey, np.zeros(6000, np.int32)), 0).image
    assert set(np.unique(drawn)) == {0, 255}
    np.testing.assert_allclose((drawn == 255).mean((0, 1, 3)), [0, 0.2, 1], atol=0.02)
    assert (drawn[..., 0, :] == 0).all()
    assert (drawn[..., 2, :] == 255).all()


def test_static_draws_every_split_once_and_for_all():
    first, again, grey = digits("static"), digits("static"), digits("none")
    for split in ("train", "validation", "test"):
        image = getattr(first, split).image
        np.testing.assert_array_equal(image, getattr(again, split).image)
        assert set(np.unique(image)) == {0, 255}
        assert np.abs(image / 255 - getattr(grey, split).image / 255).mean() > 0.05
    assert first.name == "digits, static binarisation"


def test_dynamic_leaves_the_training_images_to_training():
    dynamic, static, grey = digits("dynamic"), digits("static"), digits("none")
    np.testing.assert_array_equal(dynamic.train.image, grey.train.image)
    np.testing.assert_array_equal(dynamic.test.image, static.test.image)
    assert dynamic.name == "digits, dynamic binarisation"


def test_none_is_the_data_set_itself():
    data = digits("none")
    assert binarize_dataset(data, "none") is data
    assert data.name == "digits"


@pytest.mark.parametrize("number", [0, 1])
def test_each_split_has_a_draw_of_its_own(number):
    grey = Split(np.full((4, 5, 6, 1), 128, np.uint8), np.zeros(4, np.int32))
    assert not np.array_equal(binarize_split(grey, number).image, binarize_split(grey, number + 1).image)
