"""Optimisers and learning-rate schedules, from plain numbers."""

import optax


def decayed(rate: float, steps: int, decay: str, final: float = 0.02) -> optax.ScalarOrSchedule:
    """A learning rate over `steps`: "none", or "cosine" down to `final` times itself.

    Raises:
      ValueError: the rate is not positive or the decay is unknown.
    """
    if not rate > 0:
        raise ValueError(f"a learning rate of {rate} must be positive; see the config's `rates`")
    if decay == "none":
        return rate
    if decay == "cosine":
        return optax.cosine_decay_schedule(rate, steps, alpha=final)
    raise ValueError(f'decay="{decay}" is unknown; choose "none" or "cosine"')
