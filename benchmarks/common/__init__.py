"""TODO: benchmarks.common."""
