"""Evaluators, figures and sample quality: metrics and pictures of a trained model by name."""
