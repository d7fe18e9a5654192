"""How far clusters that were found without labels agree with the classes."""

import numpy as np
from jaxtyping import Int

Cluster, Label = Int[np.ndarray, " N"], Int[np.ndarray, " N"]


def majority_class_per_cluster(cluster: Cluster, label: Label, heads: int) -> Int[np.ndarray, "{heads}"]:
    """The commonest class of each cluster's examples, which makes the fewest errors; -1 for an empty cluster."""
    counts = np.zeros((heads, label.max() + 1), np.int64)
    np.add.at(counts, (cluster, label), 1)
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1)


def clustering_error(cluster: Cluster, label: Label, classes: Int[np.ndarray, " heads"]) -> float:
    """The share of examples whose class is not that of their cluster."""
    return float((classes[cluster] != label).mean())
