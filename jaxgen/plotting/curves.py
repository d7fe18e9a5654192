"""Training curves: one panel per quantity, with the curves of all splits and the spread over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgen.plotting import plots
from jaxgen.plotting.captions import Picture
from jaxgen.plotting.plots import PALETTE, new_figure
from jaxgen.types import SEED_STD

Points = list[tuple[int, float]]
History = dict[str, Points]

SPLITS = ("train", "validation", "test")
# Ends of the names of reference values, which share the panel of their metric as dashed curves.
REFERENCE_ENDS = {
    "_train_baseline": "training images",
    "_baseline": "baseline",
    "_of_prior": "the prior",
    "_of_training_images": "training images",
}
UNITS = {
    **dict.fromkeys(("nll", "elbo", "negative_elbo", "negative_bound", "kl", "distortion"), "nats per image"),
    **dict.fromkeys(("mse", "color_mse", "denoised_mse"), "pixels in [0, 1]"),
    **dict.fromkeys(("psnr", "psnr_denoised", "psnr_noisy"), "dB"),
    "images_per_s": "images per second",
}
MAX_DISTANCE = 3  # of a reference from the curves, in heights of their panel
STYLES = ("-", "--", ":", "-.")


class Curve(NamedTuple):
    """One line of a panel."""

    split: str  # "" if unknown
    player: str  # the player that logs the metric in training, or ""
    points: Points
    spread: Points  # the standard deviation over seeds at the same steps; empty for one seed
    reference: str = ""  # what a reference value belongs to, or "" for a metric

    @property
    def label(self) -> str:
        """The text of the legend."""
        name = f"{self.split or 'value'} ({self.player})" if self.player else self.split or "value"
        return f"{self.reference} ({self.split})" if self.reference and self.split else self.reference or name


def training_curves(history: History, references: Mapping[str, tuple[str, float]] | None = None) -> Picture:
    """Returns the curves of metrics over training steps, one panel per quantity.

    "train/PLAYER/NAME" shares the panel of "validation/NAME" or of "validation/PLAYER/NAME"; each split has one color.
    Values are not smoothed; a value that is not finite leaves a gap, and a single value is a marker with its number.
    The y-axis is logarithmic if all values are positive and their range exceeds a factor of 100.

    Args:
      history: pairs (step, value) by "split/metric". NAME_seed_std is shown as a band of one standard deviation around
        NAME, and NAME_baseline as a dashed curve beside it.
      references: by the name of a metric, the label and the value of a dashed line, such as ("chance", 0.1).
    """
    panels = group_curves(history)
    if not panels:
        figure = new_figure(4.0, 1.0)
        figure.text(0.5, 0.5, "nothing logged yet", ha="center", va="center")
        return plots.render_figure(figure)
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(4.4 * columns, 2.9 * rows)
    all_axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in all_axes[len(panels) :]:
        axes.set_axis_off()
    for axes, (name, curves) in zip(all_axes, panels.items(), strict=False):
        _plot_panel(axes, name, curves, (references or {}).get(name.rpartition("/")[2]))
    return plots.render_figure(figure)


def group_curves(history: History) -> dict[str, list[Curve]]:
    """Returns the curves by the name of their quantity, such as "nll" or "critic/loss"."""
    names = {name: split_name(name) for name in history if not name.endswith(SEED_STD)}
    bare = {metric for _, metric in names.values() if "/" not in metric}
    sharing = _find_sharing_players([metric for _, metric in names.values()])
    panels: dict[str, list[Curve]] = {}
    for name, (split, metric) in names.items():
        player, _, last = metric.rpartition("/")
        is_shared = last in bare and player in sharing.get(last, ())
        target = _find_referenced_metric(metric, bare)
        panel, reference = target or (last if is_shared else metric, "")
        spread = history.get(f"{name}{SEED_STD}", [])
        panels.setdefault(panel, []).append(Curve(split, player if is_shared else "", history[name], spread, reference))
    order = {split: number for number, split in enumerate(SPLITS)}
    return {name: sorted(curves, key=lambda curve: order.get(curve.split, -1)) for name, curves in panels.items()}


def split_name(name: str) -> tuple[str, str]:
    """Returns the split, "" if there is none, and the rest of the name of a metric."""
    first, _, rest = name.partition("/")
    return (first, rest) if first in SPLITS and rest else ("", name)


def _find_sharing_players(metrics: Sequence[str]) -> dict[str, set[str]]:
    """Returns the players whose metric is the validation metric of the same name.

    If several players log one name, the player "reconstruction" has it: the "nll" of a classifier is another quantity.
    """
    players: dict[str, set[str]] = {}
    for player, _, name in (metric.rpartition("/") for metric in metrics):
        if player:
            players.setdefault(name, set()).add(player)
    return {name: {"reconstruction"} & found or found for name, found in players.items()}


def _find_referenced_metric(name: str, metrics: set[str]) -> tuple[str, str] | None:
    """Returns the metric that a reference value belongs to, and what the value is; None for any other metric."""
    for end, meaning in REFERENCE_ENDS.items():
        if name.endswith(end) and name.removesuffix(end) in metrics:
            return name.removesuffix(end), meaning
    return None


def _plot_panel(axes: Any, name: str, curves: Sequence[Curve], reference: tuple[str, float] | None) -> None:
    """Plots the curves of one quantity, and its reference if it has one."""
    players = list(dict.fromkeys(curve.player for curve in curves if curve.player))
    for curve in curves:
        _plot_curve(axes, curve, STYLES[players.index(curve.player) % len(STYLES) if curve.player else 0])
    values = np.concatenate([np.asarray(curve.points, float).reshape(-1, 2)[:, 1] for curve in curves])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 100 * values.min():
        axes.set_yscale("log")
    else:  # without the common factor that matplotlib writes where the title is
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.6g}")
    axes.set_title(name, fontsize=10, fontweight="bold", loc="left", parse_math=False)
    axes.set_xlabel("step")
    axes.set_ylabel(UNITS.get(name.rpartition("/")[2], ""), fontsize=9)
    axes.margins(x=0.04, y=0.12)
    if reference is not None:
        _plot_reference(axes, *reference)
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)


def _plot_reference(axes: Any, label: str, value: float) -> None:
    """Plots a dashed line; far from the curves it is only named in the legend, because it would flatten them."""
    (low, high), line = axes.get_ylim(), {"color": "0.35", "linestyle": "--", "linewidth": 1.0}
    if low - MAX_DISTANCE * (high - low) <= value <= high + MAX_DISTANCE * (high - low):
        axes.axhline(value, label=f"{label}, {value:.3g}", **line)
    else:
        axes.plot([], [], label=f"{label}, {value:.3g} (not in view)", **line)


def _plot_curve(axes: Any, curve: Curve, style: str) -> None:
    """Plots a metric over steps with its band over seeds; a single value is a marker with its number."""
    steps, values = np.asarray(curve.points, float).reshape(-1, 2).T
    values = np.where(np.isfinite(values), values, np.nan)
    color = PALETTE[1 + SPLITS.index(curve.split) if curve.split and curve.split != "train" else 0]
    few = len(steps) <= 30
    axes.plot(
        steps,
        values,
        "--" if curve.reference else style,
        color="0.35" if curve.reference else color,
        marker="o" if few and (len(steps) == 1 or not curve.reference) else None,
        markersize=6 if len(steps) == 1 else 3,
        linewidth=1.3,
        label=curve.label,
    )
    if len(steps) == 1 and np.isfinite(values[0]):
        offset = {"textcoords": "offset points", "xytext": (7, 4), "fontsize": 8}
        axes.annotate(f"{values[0]:.4g}", (steps[0], values[0]), color=color, **offset)
    if curve.spread:
        spreads = dict(curve.spread)
        spread = np.array([spreads.get(step, np.nan) for step, _ in curve.points], float)
        axes.fill_between(steps, values - spread, values + spread, color=color, alpha=0.2, linewidth=0)
