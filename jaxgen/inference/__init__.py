"""Trained models for use in Python: loading, latent paths and samplers."""
