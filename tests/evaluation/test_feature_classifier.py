"""The classifier that provides features and labels for metrics: training, cache, rotations of a single class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluation import feature_classifier
from jaxgen.types import Split


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


@pytest.fixture
def train(numbers, tmp_path, monkeypatch):
    """A function (num_classes, steps) -> classifier and images, which are brighter on one side."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = numbers.integers(0, 60, (120, 8, 8, 1))
    image[:, :3] += 150
    label = (np.arange(120) % 2).astype(np.int32)

    def load_or_train(num_classes, steps):
        data = Split(image.astype(np.uint8), label % num_classes)
        classifier = feature_classifier.load_or_train_classifier(data, num_classes, steps, "sides")
        return classifier, image.astype(np.float32) / 255

    return load_or_train


def test_features_are_the_inputs_of_the_last_layer(train):
    classifier, images = train(2, 2)
    features = classifier.features(images)
    assert features.shape == (120, 128)
    assert features.min() == 0.0  # after the ReLU
    last = classifier.params["Dense_1"]
    np.testing.assert_array_equal((features @ last["kernel"] + last["bias"]).argmax(1), classifier(images))


def test_the_parameters_keep_their_names(train):
    classifier, _ = train(2, 2)
    assert set(classifier.params) == {"Conv_0", "Conv_1", "Dense_0", "Dense_1"}  # the names in caches on users' disks


@pytest.mark.slow
def test_a_classifier_of_a_single_class_predicts_rotations_and_has_its_own_cache_key(train, tmp_path):
    classifier, images = train(1, 50)
    found = [classifier(np.ascontiguousarray(np.rot90(images, turns, (1, 2)))) for turns in range(4)]
    assert all((labels == turns).mean() > 0.9 for turns, labels in enumerate(found))
    expected = np.mean([labels == turns for turns, labels in enumerate(found)])
    data = Split(np.round(255 * images).astype(np.uint8), np.zeros(len(images), np.int32))
    assert classifier.accuracy(data) == pytest.approx(expected)
    train(2, 2)
    names = sorted(path.name for path in (tmp_path / "jaxgen" / "classifiers").iterdir())
    assert names == ["sides-2-v2.msgpack", "sides-rotations-50-v2.msgpack"]


def test_each_image_is_rotated_by_the_quarter_turns_of_its_label():
    image = jnp.arange(7 * 3 * 3 * 2.0).reshape(7, 3, 3, 2)
    rotated, quarters = feature_classifier.random_rotation(image, jax.random.key(0))
    assert len(set(np.asarray(quarters))) > 1
    for before, after, turns in zip(image, rotated, np.asarray(quarters), strict=True):
        np.testing.assert_array_equal(after, np.rot90(before, turns))


def test_images_of_a_single_class_that_are_not_square_are_rotated_by_half_turns(numbers, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = Split(numbers.integers(0, 60, (40, 8, 10, 1)).astype(np.uint8), np.zeros(40, np.int32))
    data.image[:, :3] += 150
    classifier = feature_classifier.load_or_train_classifier(data, 1, 30, "wide")
    assert classifier.accuracy(data) > 0.9
    assert feature_classifier.describe_task(1, (8, 10, 1)) == "rotations by half turns"
    rotated, number = feature_classifier.random_rotation(jnp.arange(7 * 2 * 3.0).reshape(7, 2, 3, 1), jax.random.key(0))
    assert set(np.asarray(number)) == {0, 1}
    assert rotated.shape == (7, 2, 3, 1)


@pytest.fixture
def blobs(numbers):
    """Images of two classes: bright at the top or at the bottom."""
    label = (np.arange(200) % 2).astype(np.int32)
    image = numbers.integers(0, 60, (200, 12, 12, 1))
    image[label == 0, 2:5] += 150
    image[label == 1, 7:10] += 150
    return Split(image.astype(np.uint8), label)


def test_a_trained_classifier_is_accurate_and_loaded_from_the_cache_unchanged(blobs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trained = feature_classifier.load_or_train_classifier(blobs, 2, 60, "blobs")
    assert trained.accuracy(blobs) > 0.95
    monkeypatch.setattr(feature_classifier, "train_classifier", lambda *_: pytest.fail("trained again"))
    again = feature_classifier.load_or_train_classifier(blobs, 2, 60, "blobs")
    images = blobs.image.astype(np.float32) / 255
    np.testing.assert_array_equal(trained(images), again(images))


def test_a_damaged_classifier_cache_is_trained_again(blobs, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    feature_classifier.load_or_train_classifier(blobs, 2, 2, "blobs")
    path = next((tmp_path / "jaxgen" / "classifiers").glob("*.msgpack"))
    path.write_bytes(b"\x00damaged")
    feature_classifier.load_or_train_classifier(blobs, 2, 2, "blobs")
    assert "cannot be read" in caplog.text
    assert len(path.read_bytes()) > 1000
