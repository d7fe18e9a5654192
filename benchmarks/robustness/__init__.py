"""TODO: benchmarks.robustness."""
