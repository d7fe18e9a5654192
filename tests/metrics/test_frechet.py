"""The Fréchet and the kernel distance, against closed forms and scipy, and the features that they rest on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxgen.evaluation import feature_classifier
from jaxgen.metrics.frechet import frechet_distance, gaussian_frechet_distance
from jaxgen.metrics.mmd import CHUNK, polynomial_mmd
from jaxgen.types import Split

F = 4


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def test_gaussians_of_diagonal_covariance_are_apart_by_means_and_standard_deviations():
    first, second = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 0.0])  # standard deviations
    found = gaussian_frechet_distance(np.zeros(3), np.diag(first**2), np.array([0.0, 1.0, 2.0]), np.diag(second**2))
    assert found == pytest.approx(5.0 + (4.0 + 2.25 + 0.0))  # |Δm|² + Σ (s₁ - s₂)²


def test_frechet_distance_is_that_by_scipys_square_root_of_a_matrix(numbers):
    mixing = numbers.normal(size=(2, F, F))
    first, second = numbers.normal(size=(60, F)) @ mixing[0], numbers.normal(size=(50, F)) @ mixing[1] + 1.0
    covariances = np.cov(first.T), np.cov(second.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_fewer_images_than_features_is_finite_and_0_to_itself(numbers):
    few = numbers.normal(size=(3, 20)).astype(np.float32)
    assert frechet_distance(few, few) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(few, few + 1) == pytest.approx(20.0, abs=1e-5)


def test_kernel_distance_is_the_unbiased_sum_written_out(numbers):
    first, second = numbers.normal(size=(3, F)), numbers.normal(size=(5, F))

    def kernel(a, b):
        return (a @ b / F + 1) ** 3

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]) for x in (first, second)
    ]
    across = np.mean([kernel(a, b) for a in first for b in second])
    assert polynomial_mmd(first, second) == pytest.approx(sum(within) - 2 * across, rel=1e-9)


def test_kernel_distance_of_one_distribution_is_near_0_and_that_of_a_shift_is_not(numbers):
    first, second = numbers.normal(size=(2, CHUNK + 100, F)).astype(np.float32)
    near = polynomial_mmd(first, second)
    assert abs(near) < 0.02
    assert polynomial_mmd(first, second + 0.5) > 0.2


@pytest.fixture
def trained(numbers, tmp_path, monkeypatch):
    """A classifier of square images brighter on one side, made by `classes(1 or 2)`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = numbers.integers(0, 60, (120, 8, 8, 1))
    image[:, :3] += 150
    label = (np.arange(120) % 2).astype(np.int32)

    def of(num_classes, steps):
        data = Split(image.astype(np.uint8), label % num_classes)
        return feature_classifier.load_or_train_classifier(data, num_classes, steps, "sides"), image.astype(
            np.float32
        ) / 255

    return of


def test_features_are_what_the_last_layer_reads(trained):
    judge, images = trained(2, 2)
    features = judge.features(images)
    assert features.shape == (120, 128)
    assert features.min() == 0.0  # after the ReLU
    last = judge.params["Dense_1"]
    np.testing.assert_array_equal((features @ last["kernel"] + last["bias"]).argmax(1), judge(images))


def test_a_classifiers_parameters_keep_their_names(trained):
    judge, _ = trained(2, 2)
    assert set(judge.params) == {"Conv_0", "Conv_1", "Dense_0", "Dense_1"}  # those of the caches on users' disks


@pytest.mark.slow
def test_a_single_class_is_read_by_rotation_under_a_cache_key_of_its_own(trained, tmp_path):
    judge, images = trained(1, 50)
    found = [judge(np.ascontiguousarray(np.rot90(images, turns, (1, 2)))) for turns in range(4)]
    assert all((labels == turns).mean() > 0.9 for turns, labels in enumerate(found))
    expected = np.mean([labels == turns for turns, labels in enumerate(found)])
    data = Split(np.round(255 * images).astype(np.uint8), np.zeros(len(images), np.int32))
    assert judge.accuracy(data) == pytest.approx(expected)
    trained(2, 2)
    names = sorted(path.name for path in (tmp_path / "jaxgen" / "classifiers").iterdir())
    assert names == ["sides-2-v2.msgpack", "sides-rotations-50-v2.msgpack"]


def test_each_image_is_turned_by_the_quarter_turns_of_its_label():
    image = jnp.arange(7 * 3 * 3 * 2.0).reshape(7, 3, 3, 2)
    turned, quarters = feature_classifier.random_rotation(image, jax.random.key(0))
    assert len(set(np.asarray(quarters))) > 1
    for before, after, turns in zip(image, turned, np.asarray(quarters), strict=True):
        np.testing.assert_array_equal(after, np.rot90(before, turns))


def test_images_of_a_single_class_that_are_not_square_are_refused():
    data = Split(np.zeros((4, 8, 10, 1), np.uint8), np.zeros(4, np.int32))
    with pytest.raises(ValueError, match="images of 8×10 pixels in a single class must be square"):
        feature_classifier.load_or_train_classifier(data, 1, 2, "wide")
