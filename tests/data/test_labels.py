"""The labels that training may use, and the places of labeled examples in batches."""

import numpy as np
import pytest
from helpers import read_config

from jaxgen.config.base import validate_config
from jaxgen.data import batch_indices, insert_labeled_examples, keep_labels
from jaxgen.training.batches import training_indices
from jaxgen.types import Split

K, N = 4, 60


@pytest.fixture
def data():
    label = np.random.default_rng(0).permutation(np.arange(N) % K).astype(np.int32)
    return Split(np.zeros((N, 8, 10, 1), np.uint8), label)


@pytest.mark.parametrize(("count", "expected"), [(12, [3, 3, 3, 3]), (14, [4, 4, 3, 3]), (0, [0, 0, 0, 0])])
def test_kept_labels_are_correct_and_balanced(data, count, expected):
    label = keep_labels(data, count, K, seed=0).label
    assert np.bincount(label[label >= 0], minlength=K).tolist() == expected
    np.testing.assert_array_equal(label[label >= 0], data.label[label >= 0])


def test_the_seed_selects_the_labels_that_are_kept(data):
    first, again, other = (keep_labels(data, 12, K, seed).label for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("count", [-1, N])
def test_minus_1_and_the_number_of_images_keep_all_labels(data, count):
    np.testing.assert_array_equal(keep_labels(data, count, K, seed=0).label, data.label)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (61, "num_labeled=61 must be at most 60"),
        (3, "num_labeled=3 must be at least 4, one per class; try --config.num_labeled=4"),
    ],
)
def test_more_labels_than_images_or_fewer_than_classes_are_rejected(data, count, message):
    with pytest.raises(ValueError, match=message):
        keep_labels(data, count, K, seed=0)


def test_more_labels_of_a_class_than_it_has_are_rejected(data):
    rare = Split(data.image, np.where(data.label == 3, 0, data.label))
    rare.label[:2] = 3
    with pytest.raises(ValueError, match=r"num_labeled=12 needs 3 labeled images of class 3; got 2; .*num_labeled=8"):
        keep_labels(rare, 12, K, seed=0)


def test_every_nth_place_of_a_batch_has_a_labeled_example_and_the_others_are_unchanged(data):
    label, index = keep_labels(data, 8, K, seed=0).label, batch_indices(0, 4, 8, 6, N)
    mixed = insert_labeled_examples(index, label, 3, seed=0, start=4)
    assert (label[mixed[:, ::3]] >= 0).all()
    others = np.delete(np.arange(6), [0, 3])
    np.testing.assert_array_equal(mixed[:, others], index[:, others])
    assert set(mixed[:, ::3].ravel()) == set(
        np.flatnonzero(label >= 0)
    )  # 8 places are an epoch of the labeled examples


def test_a_resumed_run_receives_the_same_labeled_examples(data):
    config = read_config("aae")
    config.num_labeled, config.labeled_every_n, config.batch_size = 8, 2, 6
    label = keep_labels(data, 8, K, seed=0).label
    whole = training_indices(config, label, 0, 10)
    np.testing.assert_array_equal(training_indices(config, label, 7, 10), whole[7:])


@pytest.mark.parametrize(
    ("labels", "every", "message"),
    [(-2, 0, "num_labeled=-2 must be"), (9, -1, "labeled_every_n=-1"), (0, 2, "but num_labeled=0")],
)
def test_invalid_counts_of_labels_are_rejected(labels, every, message):
    config = read_config("aae")
    config.num_labeled, config.labeled_every_n = labels, every
    with pytest.raises(ValueError, match=message):
        validate_config(config)
