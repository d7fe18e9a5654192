"""Configs: the keys of every recipe, the keys of each model family, presets, and checks of values."""
