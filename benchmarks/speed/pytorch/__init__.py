"""TODO: benchmarks.speed.pytorch."""
