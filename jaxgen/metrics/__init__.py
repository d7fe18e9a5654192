"""Metrics that make a claim checkable: arrays and callables in, numbers out. No model is known here."""
