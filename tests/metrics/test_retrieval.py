"""Mean average precision, against scikit-learn, counting by hand, and all orders of a tie."""

import itertools

import numpy as np
import pytest

from jaxgen.metrics.retrieval import CHUNK, expected_average_precision, mean_average_precision, pca_sign_codes

BITS, K = 5, 3


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def average_precision(relevant):
    """Returns the average precision of a ranking without ties: the mean precision at each relevant rank."""
    ranks = np.flatnonzero(relevant)
    return np.mean([(i + 1) / (rank + 1) for i, rank in enumerate(ranks)])


def test_average_precision_by_hand():
    base = np.array([[1.0], [2.0], [3.0], [4.0]])
    found = mean_average_precision(np.zeros((1, 1)), np.array([7]), base, np.array([7, 1, 7, 1]), "euclidean")
    assert found == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_without_ties_the_result_equals_scikit_learn(numbers):
    from sklearn.metrics import average_precision_score

    count = CHUNK + 3  # the last chunk has another size
    query, base = numbers.normal(size=(count, 6)), numbers.normal(size=(40, 6))
    query_labels, base_labels = numbers.integers(0, K, count), numbers.integers(0, K, 40)
    expected = [
        average_precision_score(base_labels == label, -np.linalg.norm(base - code, axis=1))
        for code, label in zip(query, query_labels, strict=True)
    ]
    found = mean_average_precision(query, query_labels, base, base_labels, "euclidean")
    assert found == pytest.approx(np.mean(expected), abs=1e-9)


@pytest.mark.parametrize("groups", [[[1, 0, 0]], [[0, 1], [1, 1, 0], [1]], [[0, 0], [1, 0, 1, 0]], [[1, 1], [0]]])
def test_ties_contribute_the_mean_over_all_orders(groups):
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    expected = np.mean([average_precision(np.concatenate(order)) for order in orders])
    count, relevant = np.array([[len(g) for g in groups]]), np.array([[sum(g) for g in groups]])
    np.testing.assert_allclose(expected_average_precision(count, relevant), [expected], rtol=1e-12)


def test_empty_groups_change_nothing():
    count, relevant = np.array([[0, 3, 0, 4]]), np.array([[0, 1, 0, 2]])
    expected = expected_average_precision(count[:, 1::2], relevant[:, 1::2])
    np.testing.assert_allclose(expected_average_precision(count, relevant), expected, rtol=1e-12)


def test_hamming_and_euclidean_distance_rank_bits_equally_including_ties(numbers):
    query, base = numbers.integers(0, 2, (CHUNK + 7, BITS)), numbers.integers(0, 2, (60, BITS))
    labels, base_labels = numbers.integers(0, K, CHUNK + 7), numbers.integers(0, K, 60)
    hamming = mean_average_precision(query, labels, base, base_labels, "hamming")
    assert hamming == pytest.approx(mean_average_precision(query, labels, base, base_labels, "euclidean"), abs=1e-9)


def test_the_order_of_the_database_does_not_matter_if_all_distances_are_equal(numbers):
    labels = np.sort(numbers.integers(0, K, 30))
    same = np.zeros((30, BITS))
    forwards = mean_average_precision(same[:1], labels[:1], same, labels, "hamming")
    assert mean_average_precision(same[:1], labels[:1], same, labels[::-1], "hamming") == forwards


def test_codes_of_the_class_are_perfect_and_queries_of_an_unknown_class_are_left_out():
    labels = np.arange(12) % K
    codes = np.eye(K, BITS)[labels]
    query_labels = np.append(labels, K)  # the database has no class K
    assert mean_average_precision(np.append(codes, codes[:1], 0), query_labels, codes, labels, "hamming") == 1.0


@pytest.mark.parametrize(
    ("codes", "labels", "distance", "message"),
    [
        (np.zeros((2, BITS)), [0, 1], "cosine", 'distance="cosine" is unknown; choose from hamming, euclidean'),
        (np.full((2, BITS), -1.0), [0, 1], "hamming", "query codes have values other than 0 and 1"),
        (np.zeros((2, BITS)), [5, 6], "hamming", "none of the 2 queries has a label that occurs in the database"),
    ],
)
def test_invalid_codes_labels_and_distances_are_rejected(codes, labels, distance, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(codes, np.array(labels), np.zeros((3, BITS)), np.array([0, 1, 1]), distance)


def test_pca_signs_are_the_side_of_the_mean_along_each_component(numbers):
    axes = np.array([[3.0, 4.0, 0.0], [-4.0, 3.0, 0.0]]) / 5  # orthonormal
    scores = numbers.normal(size=(400, 2)) * [5.0, 1.0]
    train = (scores @ axes + [10.0, 20.0, 30.0]).reshape(400, 3, 1, 1)
    side = np.array([[1, 1], [1, -1], [-1, 1]])
    images = (side * 4 @ axes + [10.0, 20.0, 30.0]).reshape(3, 3, 1, 1)
    codes = pca_sign_codes(train, images, 2)
    for bit in range(2):  # a component's sign is arbitrary
        assert list(codes[:, bit]) in (list(side[:, bit] > 0), list(side[:, bit] < 0))


def test_more_bits_than_components_are_rejected():
    with pytest.raises(ValueError, match="bits=7 must be at most 6, the number of components"):
        pca_sign_codes(np.zeros((9, 6)), np.zeros((2, 6)), 7)
