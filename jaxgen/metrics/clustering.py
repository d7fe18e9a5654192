"""Agreement between clusters found without labels and the classes."""

import numpy as np
from jaxtyping import Int

Cluster, Label = Int[np.ndarray, " N"], Int[np.ndarray, " N"]


def majority_class_per_cluster(cluster: Cluster, label: Label, num_clusters: int) -> Int[np.ndarray, " K"]:
    """Returns the most frequent class of each cluster, which makes the fewest errors; -1 for an empty cluster."""
    counts = np.zeros((num_clusters, label.max() + 1), np.int64)
    np.add.at(counts, (cluster, label), 1)
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1)


def clustering_error(cluster: Cluster, label: Label, classes: Int[np.ndarray, " K"]) -> float:
    """Returns the fraction of examples of another class than their cluster's class; in [0, 1], lower is better."""
    return float((classes[cluster] != label).mean())
