"""Augmentation of training batches: each change alone, and no change by default."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import read_config

from jaxgen.data import Augmentation
from jaxgen.data.transforms import random_flip_left_right, random_shift
from jaxgen.types import Batch

IMAGE = jnp.asarray(np.random.default_rng(0).random((40, 5, 7, 3)), jnp.float32)


def test_about_half_of_the_images_are_flipped_left_to_right():
    out = np.asarray(random_flip_left_right(IMAGE, jax.random.key(0)))
    same = [np.array_equal(a, b) for a, b in zip(out, IMAGE, strict=True)]
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(out, np.asarray(IMAGE), strict=True)]
    assert sum(same) + sum(flipped) == 40
    assert 10 < sum(flipped) < 30


@pytest.mark.parametrize("pad_mode", ["zeros", "edge"])
def test_a_shift_brings_in_black_pixels_or_copies_of_the_edge(pad_mode):
    image = jnp.ones((60, 5, 7, 1)).at[:, 0].set(0.5)
    out = np.asarray(random_shift(image, jax.random.key(1), 2, pad_mode))
    assert out.shape == image.shape
    assert set(np.unique(out)) == ({0.5, 1.0} if pad_mode == "edge" else {0.0, 0.5, 1.0})


def test_shifts_are_up_to_the_maximum_in_each_direction():
    image = jnp.zeros((60, 5, 7, 1)).at[:, 2, 3].set(1.0)
    positions = np.argwhere(np.asarray(random_shift(image, jax.random.key(1), 1))[..., 0])[:, 1:]
    assert len(positions) == 60
    assert {tuple(position) for position in positions} == {(row, column) for row in (1, 2, 3) for column in (2, 3, 4)}


def test_dynamic_binarization_samples_each_pixel_with_its_value_as_probability():
    gray = Batch(jnp.full((4000, 1, 2, 1), 0.3), jnp.zeros(4000, jnp.int32), jnp.ones(4000))
    out = np.asarray(Augmentation(resample_binarization=True)(gray, jax.random.key(0)).image)
    assert set(np.unique(out)) == {0.0, 1.0}
    assert out.mean() == pytest.approx(0.3, abs=0.03)


def test_the_config_selects_the_changes_and_by_default_there_are_none():
    config = read_config("ae")
    assert not Augmentation.from_config(config).changes_images
    config.random_flip, config.random_shift, config.data.binarization = True, 2, "dynamic"
    expected = Augmentation(random_flip=True, random_shift=2, resample_binarization=True)
    assert Augmentation.from_config(config) == expected
    assert expected.changes_images
