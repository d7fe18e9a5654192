"""Latent methods of TrainedModel: interpolation, traversal, walks and attributes, on codes that are pixels."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import C, H, W, tiny_trained_model
from pixel_codes import WithoutCodes, Z, pixel_image, pixel_model

from jaxgen.inference.trained_model import TrainedModel

FIRST, SECOND = pixel_image(0.2, 0.4, 0.4), pixel_image(0.6, 0.0, 0.4)


def test_interpolation_decodes_the_straight_line_between_mean_codes():
    found = pixel_model().interpolate(FIRST, SECOND, interior=3)
    by_hand = [(0.2, 0.4, 0.4), (0.3, 0.3, 0.4), (0.4, 0.2, 0.4), (0.5, 0.1, 0.4), (0.6, 0.0, 0.4)]
    np.testing.assert_allclose(found[:, 0, :Z, 0], by_hand, atol=1e-6)


def test_spherical_interpolation_changes_the_norm_linearly():
    found = pixel_model().interpolate(FIRST, SECOND, interior=3, spherical=True)[:, 0, :Z, 0]
    norms = np.linspace(0.6, np.sqrt(0.52), 5)  # √(0.04 + 0.16 + 0.16) = 0.6
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), norms, rtol=1e-5)


def test_interpolation_decodes_with_the_label_of_the_nearer_image():
    model = pixel_model(is_conditional=True)
    label_pixels = model.interpolate(FIRST, SECOND, interior=2, labels=[1, 3])[:, 0, Z, 0]
    np.testing.assert_allclose(label_pixels, [0.1, 0.1, 0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(model.interpolate(FIRST, SECOND, interior=2, labels=2)[:, 0, Z, 0], 0.2, atol=1e-6)
    with pytest.raises(ValueError, match="labels are missing"):
        model.interpolate(FIRST, SECOND)


def test_binary_codes_are_interpolated_and_traversed_by_flips():
    model = pixel_model(has_binary_latent=True)
    found = model.interpolate(pixel_image(0, 1, 0), pixel_image(1, 1, 1), interior=1)
    np.testing.assert_array_equal(found[:, 0, :Z, 0], [[0, 1, 0], [1, 1, 0], [1, 1, 1]])
    found = model.traverse(pixel_image(0, 1, 0), dims=[1, 2])
    np.testing.assert_array_equal(found[:, :, 0, :Z, 0], [[[0, 1, 0], [0, 0, 0]], [[0, 1, 0], [0, 1, 1]]])


def test_a_traversal_is_centered_on_the_code_of_the_image_and_scaled_by_the_prior_std():
    found = pixel_model().traverse(pixel_image(0.4, 0.5, 0.6), steps=5, dims=[2, 0])[..., 0, :Z, 0]
    assert found.shape == (2, 5, Z)
    np.testing.assert_allclose(found[:, 2], [[0.4, 0.5, 0.6]] * 2, atol=1e-6)
    np.testing.assert_allclose(found[0, :, 2], [0.3, 0.45, 0.6, 0.75, 0.9], atol=1e-6)  # 0.6 ± 3 × 0.1
    np.testing.assert_allclose(found[1, :, 0], [0.1, 0.25, 0.4, 0.55, 0.7], atol=1e-6)


def test_a_latent_walk_passes_the_codes_of_its_sampler_and_is_closed():
    anchors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    sampler = SimpleNamespace(sample=lambda count, seed: anchors[:count])
    found = pixel_model().latent_walk(anchors=3, between=1, sampler=sampler)[:, 0, :Z, 0]
    half = np.sqrt(0.5)
    by_hand = [[1, 0, 0], [half, half, 0], [0, 1, 0], [0, half, half], [0, 0, 1], [half, 0, half]]
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_a_direction_is_added_to_codes_at_each_strength():
    model = pixel_model(is_conditional=True)
    pixels = [(0.5, 0.1, 0), (0.7, 0.1, 0), (0.2, 0.1, 0.1), (0.2, 0.3, 0.1)]
    images = np.stack([pixel_image(*values) for values in pixels])
    direction = model.attribute_vector(images, [True, True, False, False])
    np.testing.assert_allclose(direction, [0.4, -0.1, -0.1], atol=1e-6)
    found = model.apply_direction(images[:2], direction, (-1, 0, 0.5), labels=[2, 3])[..., 0, :, 0]
    np.testing.assert_allclose(found[0], [[0.1, 0.2, 0.1, 0.2], [0.5, 0.1, 0, 0.2], [0.7, 0.05, -0.05, 0.2]], atol=1e-6)
    np.testing.assert_allclose(found[1, :, Z], 0.3, atol=1e-6)


def test_a_direction_of_binary_codes_is_rounded_to_bits():
    model, direction = pixel_model(has_binary_latent=True), np.array([0.4, -0.6, 0.6])
    found = model.apply_direction(pixel_image(0, 1, 0)[None], direction, [1.0])
    np.testing.assert_array_equal(found[0, 0, 0, :Z, 0], [0, 0, 1])


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.interpolate(FIRST, SECOND),
        lambda model: model.traverse(FIRST),
        lambda model: model.latent_walk(),
        lambda model: model.sample(3),
        lambda model: model.attribute_vector(np.stack([FIRST, SECOND]), [True, False]),
    ],
)
def test_a_model_without_codes_has_no_latent_methods(use):
    with pytest.raises(ValueError, match=r"WithoutCodes has no codes; use model.colorize\(images\)"):
        use(TrainedModel(WithoutCodes(), {}, {}))


@pytest.fixture(scope="module")
def conditional_model():
    return tiny_trained_model("cond_aae")


def test_codes_of_a_stochastic_encoder_scatter_around_the_mean_code(conditional_model):
    one = np.random.default_rng(0).random((1, H, W, C)).astype(np.float32)
    mean = conditional_model.encode_mean(one)[0]
    codes = conditional_model.encode(np.repeat(one, 4000, axis=0))
    std = codes.std(axis=0)
    assert std.min() > 0.05  # e^-2 = 0.14 at initialization
    np.testing.assert_allclose(codes.mean(axis=0), mean, atol=5 * std.max() / np.sqrt(4000))


def test_a_negative_number_of_interior_images_is_rejected(conditional_model):
    with pytest.raises(ValueError, match="interior=-1 must be at least 0"):
        conditional_model.interpolate(np.zeros((H, W, C)), np.zeros((H, W, C)), interior=-1, labels=1)
