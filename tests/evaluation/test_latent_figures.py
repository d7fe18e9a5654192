"""Figures of latent space: pairs, dimensions and scales that they show, and their pixels."""

from unittest import mock

import jax
import numpy as np
import pytest
from helpers import C, H, K, W, tiny_data, tiny_trained_model
from pixel_codes import Z, pixel_model

from jaxgen import plotting
from jaxgen.data import Dataset
from jaxgen.evaluation import latent_figures
from jaxgen.evaluation.latent_figures import LATENT_FIGURES
from jaxgen.types import Split


@pytest.fixture(scope="module")
def model():
    return tiny_trained_model("cond_aae")


@pytest.fixture(scope="module")
def split():
    return Split(*jax.device_get(tiny_data(24)))


def test_both_images_of_a_pair_have_one_class_if_the_decoder_is_conditional(model, split):
    first, second = latent_figures.select_interpolation_pairs(model, split, 6)
    np.testing.assert_array_equal(first.labels, [0, 1, 2, 3, 0, 1])
    np.testing.assert_array_equal(second.labels, first.labels)
    np.testing.assert_allclose(first.images[1] * 255, split.image[1], atol=1e-4)
    np.testing.assert_allclose(second.images[1] * 255, split.image[5], atol=1e-4)  # labels are 0, 1, 2, 3, 0, …


def test_a_pair_is_two_consecutive_images_if_the_decoder_is_unconditional(split):
    first, second = latent_figures.select_interpolation_pairs(pixel_model(), split, 2)
    np.testing.assert_allclose(first.images * 255, split.image[[0, 2]], atol=1e-4)
    np.testing.assert_allclose(second.images * 255, split.image[[1, 3]], atol=1e-4)


def test_the_dimensions_of_highest_variance_come_first():
    pixels = np.zeros((20, 1, Z + 1, 1), np.uint8)
    pixels[::2, 0, :Z, 0] = 10, 200, 50
    found = latent_figures.find_highest_variance_dims(pixel_model(), Split(pixels, np.zeros(20, np.int32)), most=2)
    np.testing.assert_array_equal(found, [1, 2])


def test_traversals_are_scaled_by_the_prior_std_or_by_the_code_stds_without_a_prior():
    pixels = np.zeros((20, 1, Z + 1, 1), np.uint8)
    pixels[::2, 0, :Z, 0] = 102, 204, 51
    split = Split(pixels, np.zeros(20, np.int32))
    assert latent_figures.traversal_scale(pixel_model(), split) == 0.1
    code_stds = latent_figures.traversal_scale(pixel_model(matches_prior=False), split)
    np.testing.assert_allclose(code_stds, [0.2, 0.4, 0.1], atol=1e-6)


@pytest.mark.parametrize("name", LATENT_FIGURES)
@pytest.mark.parametrize("config", ["aae", "cond_aae", "cluster_aae"])
def test_every_latent_figure_is_plotted_for_every_kind_of_decoder(name, config, split):
    dataset = Dataset("tiny", split, split, split, K)
    picture = LATENT_FIGURES[name](tiny_trained_model(config), dataset, split)
    assert picture.dtype == np.uint8
    assert picture.std() > 5


def test_sample_grids_contain_decoded_samples_of_the_prior(model, split):
    dataset = Dataset("tiny", split, split, split, K)
    expected = model.sample(25, np.arange(25) % K, seed=0).reshape(5, 5, H, W, C)
    picture = LATENT_FIGURES["samples_25"](model, dataset, split)
    np.testing.assert_array_equal(picture, plotting.image_grid(expected, scale=2))


def test_the_ends_of_interpolations_are_reconstructions_of_the_pair(model, split):
    first, second = latent_figures.select_interpolation_pairs(model, split, 2)
    with mock.patch.object(model, "interpolate", wraps=model.interpolate) as calls:
        rows = latent_figures.decode_interpolations(model, first, second, spherical=False)
    assert calls.call_count == 2
    ends = model.decode(model.encode_mean(first.images), first.labels)
    np.testing.assert_allclose(rows[:, 0], ends, atol=1e-6)
    assert rows.shape == (2, 9, H, W, C)
