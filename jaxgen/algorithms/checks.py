"""Checks of a config's values that several families make."""


def widths(config, *keys: str) -> None:
    """Raises a ValueError where a network would have a layer without a unit."""
    for key in keys:
        if any(width < 1 for width in config[key]):
            raise ValueError(f"{key}={tuple(config[key])} must be widths of at least 1; try --config.{key}=(1000,1000)")


def shares(config, *keys: str) -> None:
    """Raises a ValueError where a value lies outside [0, 1)."""
    for key in keys:
        if not 0 <= config[key] < 1:
            raise ValueError(f"{key}={config[key]} must lie in [0, 1); try --config.{key}=0.2")


def at_least_0(config, *keys: str) -> None:
    """Raises a ValueError where a value is negative."""
    for key in keys:
        if config[key] < 0:
            raise ValueError(f"{key}={config[key]} must be at least 0; try --config.{key}=0.0")
