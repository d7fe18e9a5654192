"""How a number is written: its unit, the digits that mean something, mean ± standard deviation over seeds."""

import math
import statistics
from collections.abc import Sequence

PERCENT = (
    *("content_accuracy", "swap_accuracy", "style_leakage", "test_error", "cluster_error", "prior_component_accuracy"),
    *("min_class_fraction", "retrieval_map", "retrieval_map_pca_sign", "retrieval_map_pixels", "classifier_accuracy"),
)
NATS = ("nll", "elbo", "parzen_log_likelihood", "kl")
DECIBEL = ("psnr", "psnr_gain")


def unit_of(metric: str) -> str:
    """Returns the unit that a metric is written with, with its leading space if it needs one."""
    if metric in PERCENT:
        return "%"
    return " nats" if metric in NATS else " dB" if metric in DECIBEL else ""


def in_unit(values: Sequence[float], metric: str) -> list[float]:
    """Returns recorded values in the unit that they are written with: fractions become percentages."""
    return [100 * value if metric in PERCENT else value for value in values]


def format_seeds(values: Sequence[float], unit: str = "") -> str:
    """Returns "mean ± standard deviation" (n - 1) with its unit; the mean alone for one seed."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{format_number(mean)}{unit}"
    std = statistics.stdev(values)
    decimals = min(decimals_for(std, 2), decimals_for(mean, 4)) if std > 1e-12 * abs(mean) else decimals_for(mean, 4)
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}{unit}" if std else f"{format_number(mean)} ± 0{unit}"


def format_number(value: float, digits: int = 4) -> str:
    """Returns a number with so many significant digits, a thousands separator, and no trailing zeros."""
    text = f"{value:,.{decimals_for(value, digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimals_for(value: float, digits: int) -> int:
    """Returns the decimals, at least 0, that show so many significant digits of a value."""
    if not value or not math.isfinite(value):
        return 0
    return max(0, digits - 1 - math.floor(math.log10(abs(value))))
