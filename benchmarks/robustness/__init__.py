"""Benchmarks of robustness: runs that are killed and resumed."""
