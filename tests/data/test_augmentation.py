"""What training does to a batch first: each change by itself, and nothing where nothing is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import read_config

from jaxgen.data import Augmentation
from jaxgen.data.transforms import random_flip_left_right, random_shift
from jaxgen.types import Batch

IMAGE = jnp.asarray(np.random.default_rng(0).random((40, 5, 7, 3)), jnp.float32)


def test_about_half_of_the_images_are_mirrored_left_to_right():
    out = np.asarray(random_flip_left_right(IMAGE, jax.random.key(0)))
    same = [np.array_equal(a, b) for a, b in zip(out, IMAGE, strict=True)]
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(out, np.asarray(IMAGE), strict=True)]
    assert sum(same) + sum(flipped) == 40
    assert 10 < sum(flipped) < 30


@pytest.mark.parametrize("pad_mode", ["zeros", "edge"])
def test_what_comes_in_at_the_edge_is_black_or_the_edge_again(pad_mode):
    image = jnp.ones((60, 5, 7, 1)).at[:, 0].set(0.5)
    out = np.asarray(random_shift(image, jax.random.key(1), 2, pad_mode))
    assert out.shape == image.shape
    assert set(np.unique(out)) == ({0.5, 1.0} if pad_mode == "edge" else {0.0, 0.5, 1.0})


def test_each_move_is_one_of_those_asked_for():
    image = jnp.zeros((60, 5, 7, 1)).at[:, 2, 3].set(1.0)
    at = np.argwhere(np.asarray(random_shift(image, jax.random.key(1), 1))[..., 0])[:, 1:]
    assert len(at) == 60
    assert {tuple(each) for each in at} == {(row, column) for row in (1, 2, 3) for column in (2, 3, 4)}


def test_dynamic_binarisation_draws_each_pixel_by_its_grey():
    grey = Batch(jnp.full((4000, 1, 2, 1), 0.3), jnp.zeros(4000, jnp.int32), jnp.ones(4000))
    out = np.asarray(Augmentation(resample_binarization=True)(grey, jax.random.key(0)).image)
    assert set(np.unique(out)) == {0.0, 1.0}
    assert out.mean() == pytest.approx(0.3, abs=0.03)


def test_the_config_says_which_and_by_default_there_is_none():
    config = read_config("ae")
    assert not any(Augmentation.from_config(config))
    config.random_flip, config.random_shift, config.data.binarization = True, 2, "dynamic"
    assert Augmentation.from_config(config) == Augmentation(
        random_flip=True, random_shift=2, resample_binarization=True
    )
