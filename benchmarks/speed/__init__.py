"""TODO: benchmarks.speed."""
