"""Benchmarks of speed: training steps, input, start, devices, and the same models in PyTorch."""
