"""The clustering error and the assignment of classes to clusters, against counts by hand."""

import numpy as np
import pytest

from jaxgen.metrics.clustering import clustering_error, majority_class_per_cluster


def test_a_cluster_has_its_most_frequent_class_and_an_empty_cluster_has_none():
    # Cluster 0 contains the classes 1, 1 and 2; cluster 1 is empty; cluster 2 contains 0 and 0.
    classes = majority_class_per_cluster(np.array([0, 0, 0, 2, 2]), np.array([1, 1, 2, 0, 0]), 3)
    assert classes.tolist() == [1, -1, 0]
    assert clustering_error(np.array([0, 2, 0]), np.array([2, 0, 1]), classes) == pytest.approx(1 / 3)
    assert clustering_error(np.array([1]), np.array([0]), classes) == 1.0  # no class is correct for an empty cluster
