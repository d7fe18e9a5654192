"""TrainedModel: shapes, seeds, chunks, and inputs that are rejected."""

import numpy as np
import pytest
from helpers import C, H, K, W, tiny_trained_model

import jaxgen

Z = 15


@pytest.fixture(scope="module")
def trained():
    return tiny_trained_model("cond_aae")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((7, H, W, C)).astype(np.float32)


@pytest.fixture(scope="module")
def labels():
    return np.arange(7) % K


def test_codes_images_and_samples_have_the_documented_shapes(trained, images, labels):
    codes = trained.encode(images, labels)
    assert codes.shape == (7, Z)
    assert trained.decode(codes, labels).shape == trained.reconstruct(images, labels).shape == (7, H, W, C)
    assert trained.sample(9, np.arange(9) % K, seed=0).shape == (9, H, W, C)


def test_the_style_of_an_image_is_encoded_without_its_label(trained, images, labels):
    np.testing.assert_array_equal(trained.encode(images), trained.encode(images, labels))


def test_a_seed_fixes_the_codes_and_the_samples(trained, images, labels):
    np.testing.assert_array_equal(trained.encode(images, labels, seed=3), trained.encode(images, labels, seed=3))
    np.testing.assert_array_equal(trained.sample(4, 1, seed=3), trained.sample(4, 1, seed=3))
    assert np.abs(trained.sample(4, 1, seed=3) - trained.sample(4, 1, seed=4)).max() > 1e-3


def test_many_images_are_returned_in_order_over_several_chunks(trained, images, labels):
    many, many_labels = np.tile(images, (200, 1, 1, 1)), np.tile(labels, 200)
    means = [trained.decode(np.zeros((len(x), Z)), x).mean((1, 2, 3)) for x in (many_labels, labels)]
    assert trained.encode(many, many_labels).shape == (1400, Z)
    np.testing.assert_allclose(means[0], np.tile(means[1], 200), rtol=1e-5)


def test_noise_differs_from_chunk_to_chunk(trained, images, labels):
    same = np.repeat(images[:1], 1500, axis=0)
    codes = trained.encode(same, np.zeros(1500, int))
    assert np.abs(codes[0] - codes[1000]).max() > 1e-4


def test_one_label_applies_to_all(trained):
    np.testing.assert_array_equal(trained.sample(3, 2), trained.sample(3, np.array([2, 2, 2])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[..., 0], r"images of shape \(7, 8, 10\) must be \[N, 8, 10, 1\]"),
        (lambda x: x[:, 1:], r"images of shape \(7, 7, 10, 1\) must be"),
        (lambda x: (x * 255).astype(np.uint8), "images of dtype uint8 must be floats in .*; try images / 255"),
        (lambda x: x * 255, r"must lie in \[0, 1\] and be finite; try images / 255"),
        (lambda x: x - 1, r"must lie in \[0, 1\]"),
        (lambda x: np.where(x > 0.5, np.nan, x), "must lie in .* and be finite"),
    ],
)
def test_images_of_a_wrong_shape_range_or_dtype_are_rejected(trained, images, labels, change, message):
    with pytest.raises(ValueError, match=message):
        trained.encode(change(images), labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "labels are missing: ConditionalAAE is conditioned on labels"),
        ([0, 1], r"labels of shape \(2,\) must be \[7\]"),
        ([1, 9, 1, 1, 1, 1, 1], r"label 9 must lie in \[0, 4\)"),
        ([0.5] * 7, "labels of dtype float64 must be integers"),
    ],
)
def test_labels_of_a_wrong_shape_range_or_dtype_are_rejected(trained, images, labels, message):
    with pytest.raises(ValueError, match=message):
        trained.reconstruct(images, labels)


def test_zero_codes_need_zero_labels(trained):
    assert trained.decode(np.zeros((0, 15)), []).shape == (0, H, W, C)


def test_codes_of_another_size_are_rejected(trained):
    with pytest.raises(ValueError, match=r"codes of shape \(2, 3\) must be \[N, 15\]"):
        trained.decode(np.zeros((2, 3)), 0)


def test_a_negative_count_is_rejected(trained):
    assert trained.sample_codes(0).shape == (0, trained.model.latent_size)
    with pytest.raises(ValueError, match="count=-1 must be at least 0"):
        trained.sample(-1, labels=0)


def test_the_error_for_a_folder_that_is_not_a_run_shows_the_command_for_one(tmp_path):
    with pytest.raises(ValueError, match=r"is not a run: it has no config.json; make one: python launch.py"):
        jaxgen.load(tmp_path)
