"""Training of a run: the loop, its batches, its metrics, signals and profiling."""
