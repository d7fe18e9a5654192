"""TODO: benchmarks.quality."""
