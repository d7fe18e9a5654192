"""Optimizers, learning rates, players with their update, and training several seeds under vmap."""
