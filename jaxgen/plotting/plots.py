"""Plots by matplotlib: codes against the prior, training curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxgen.plotting.grids import Picture, require_same_shape
from jaxgen.plotting.histograms import density_panels

History = dict[str, list[tuple[int, float]]]

SPLITS = ("train", "validation", "test")
# Paul Tol's "muted" scheme and black: told apart under the common colour blindnesses, and none is the prior's grey.
PALETTE = ("#332288", "#CC6677", "#44AA99", "#DDAA33", "#88CCEE", "#117733", "#882255", "#999933", "#AA4499", "#000000")
PRIOR_GRAY = "#cdcdcd"
MAX_POINTS = 2000  # in a scatter: more only hide each other
MAX_DIMENSIONS = 32  # histograms: more are too small to read
DPI = 110


def plot_codes_vs_prior(
    codes: ArrayLike, prior_codes: ArrayLike, labels: ArrayLike, names: Sequence[str] = ()
) -> Picture:
    """Codes [N, Z] beside samples [M, Z] of the prior that they ought to fill.

    Left: the first two dimensions, each code drawn in its label's colour over the prior in grey (evenly thinned to
    2000 points). Right: the density of every dimension, at most 32, with its standard deviation. `names` are those of
    the labels, by number; where there are none, the numbers are.

    Raises:
      ValueError: the shapes do not fit together, or a code is not finite.
    """
    codes, prior_codes = (np.asarray(x, np.float32) for x in (codes, prior_codes))
    labels = np.asarray(labels)
    if codes.ndim != 2 or prior_codes.shape[1:] != codes.shape[1:] or 0 in codes.shape + prior_codes.shape:
        raise ValueError(f"codes {codes.shape} and prior_codes {prior_codes.shape} must be [N, Z] and [M, Z], N, Z > 0")
    require_same_shape("labels", labels.shape, "one label a code", codes.shape[:1])
    if not (np.isfinite(codes).all() and np.isfinite(prior_codes).all()):
        raise ValueError("codes and prior_codes must be finite; found NaN or infinity: look for the loss that diverged")

    rows, columns = _panels(min(codes.shape[1], MAX_DIMENSIONS))
    widths = [5.8, 1.25 * max(columns, 5)]
    figure = new_figure(sum(widths), max(5.2, 1.1 * rows))
    left, right = figure.subfigures(1, 2, width_ratios=widths)
    _scatter(left, codes, prior_codes, labels, names)
    _histograms(right, codes, prior_codes, rows, columns)
    return render_figure(figure)


def plot_codes_by_label(codes: ArrayLike, labels: ArrayLike, names: Sequence[str] = ()) -> Picture:
    """Codes [N, Z] coloured by label, evenly thinned to 2000: in the plane where Z is 1 or 2, else in space.

    Of more than three dimensions, the first three principal components. For `names` see `codes_against_prior`.

    Raises:
      ValueError: the shapes do not fit together, or a code is not finite.
    """
    codes, labels = np.asarray(codes, np.float32), np.asarray(labels)
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"codes of shape {codes.shape} must be [N, Z], N, Z > 0")
    require_same_shape("labels", labels.shape, "one label a code", codes.shape[:1])
    if not np.isfinite(codes).all():
        raise ValueError("codes must be finite; found NaN or infinity: look for the loss that diverged")
    axis_names = [f"code dimension {z}" for z in range(codes.shape[1])]
    if codes.shape[1] > 3:
        centred = codes - codes.mean(0)
        codes = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
        axis_names = [f"principal component {z} of the codes" for z in range(3)]
    figure = new_figure(7.2, 6.4)
    axes = figure.add_subplot(projection="3d" if codes.shape[1] > 2 else None)
    if codes.shape[1] == 1:
        codes, axis_names = np.stack([codes[:, 0], labels], axis=1), [*axis_names, "label"]
    kept = _thinned(len(codes))
    for name, set_label in zip(
        axis_names, (axes.set_xlabel, axes.set_ylabel, getattr(axes, "set_zlabel", None)), strict=False
    ):
        set_label(name)
    _by_label(figure, axes, codes[kept], labels[kept], names)
    return render_figure(figure)


def training_curves(history: History) -> Picture:
    """Metrics over training steps, one panel a group: what stands before a name's last "/" ("train/" etc. set aside).

    A metric keeps its colour over the splits (training solid, validation dashed, test dotted), so that
    "train/critic/loss" and "validation/critic/loss" lie in one panel; a name without a group gets its own. Nothing is
    smoothed; a value that is not finite leaves a gap. The y-axis is logarithmic where all values are positive and
    their range exceeds a factor of 100.
    """
    groups: dict[str, dict[tuple[str, str], list[tuple[int, float]]]] = {}
    for name, points in history.items():
        split, metric = _without_split(name)
        groups.setdefault(metric.rpartition("/")[0] or metric, {})[split, metric.rpartition("/")[2]] = points
    if not groups:
        figure = new_figure(4.0, 1.0)
        figure.text(0.5, 0.5, "nothing logged yet", ha="center", va="center")
        return render_figure(figure)

    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = new_figure(4.4 * columns, 3.0 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    for panel, (group, lines) in zip(panels, groups.items(), strict=False):
        _curve_panel(panel, group, lines)
    return render_figure(figure)


def _curve_panel(panel: Any, group: str, lines: dict[tuple[str, str], list[tuple[int, float]]]) -> None:
    metrics = list(dict.fromkeys(metric for _, metric in lines))
    styles = {"": "-", "train": "-", "validation": "--", "test": ":"}
    finite = []
    for (split, metric), points in lines.items():
        steps, values = np.asarray(points, float).reshape(-1, 2).T
        finite.append(values[np.isfinite(values)])
        panel.plot(
            steps,
            np.where(np.isfinite(values), values, np.nan),
            styles[split],
            color=PALETTE[metrics.index(metric) % len(PALETTE)],
            marker="o" if len(points) <= 30 else None,
            markersize=3,
            linewidth=1.3,
            label=split if split and metric == group else f"{metric} ({split})" if split else metric,
        )
    values = np.concatenate(finite)
    if values.size and values.min() > 0 and values.max() > 100 * values.min():
        panel.set_yscale("log")
    panel.set_xlabel("step")
    panel.margins(x=0.02)
    panel.grid(alpha=0.25)
    legend = panel.legend(
        title=group, loc="lower left", bbox_to_anchor=(-0.02, 1.0), alignment="left", ncols=2, frameon=False, fontsize=8
    )
    legend.get_title().set_fontweight("bold")


def _scatter(
    figure: Any,
    codes: Float[np.ndarray, "N Z"],
    prior: Float[np.ndarray, "M Z"],
    labels: np.ndarray,
    names: Sequence[str],
) -> None:
    axes = figure.subplots()
    by_label = " by label" if len(np.unique(labels)) > 1 else ""
    axes.set_title(f"codes{by_label}, over samples of the prior (grey)")
    axes.set_xlabel("code dimension 0")
    axes.set_ylabel("code dimension 1" if codes.shape[1] > 1 else "label (the code has one dimension)")
    axes.set_axisbelow(True)
    axes.grid(alpha=0.25)
    if codes.shape[1] > 1:
        prior = prior[_thinned(len(prior))]
        axes.scatter(prior[:, 0], prior[:, 1], s=12, color=PRIOR_GRAY, linewidths=0, label="prior")
        axes.set_aspect("equal", adjustable="datalim")
    kept = _thinned(len(codes))
    labels = labels[kept]
    points = np.stack([codes[kept, 0], codes[kept, 1] if codes.shape[1] > 1 else labels], axis=1)
    _by_label(figure, axes, points, labels, names)


def _by_label(
    figure: Any, axes: Any, points: Float[np.ndarray, "N D"], labels: np.ndarray, names: Sequence[str]
) -> None:
    """Points of the plane or of space, in the colours of their labels, which a legend below names if there are two."""
    look = {"s": 12, "alpha": 0.85, "linewidths": 0}
    classes = np.unique(labels)
    if len(classes) > len(PALETTE):
        figure.colorbar(axes.scatter(*points.T, c=labels, cmap="viridis", **look), label="label", shrink=0.8)
        return
    for colour, label in zip(PALETTE, classes, strict=False):
        name = "unlabelled" if label < 0 else escape_legend_text(names[label]) if len(names) else str(label)
        axes.scatter(*points[labels == label].T, color=colour, label=name, **look)
    if len(classes) == 1:
        return
    figure.legend(
        loc="outside lower center", ncols=11, frameon=False, markerscale=2.0, columnspacing=0.9, handletextpad=0.0
    )


def escape_legend_text(name: str) -> str:
    """A name as a legend shows it letter by letter: $ would begin a formula, and a first _ hides what bears it."""
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def _histograms(
    figure: Any, codes: Float[np.ndarray, "N Z"], prior: Float[np.ndarray, "M Z"], rows: int, columns: int
) -> None:
    size, shown = codes.shape[1], min(codes.shape[1], MAX_DIMENSIONS)
    of = f"the first {shown} of {size} dimensions" if shown < size else "every dimension"
    figure.suptitle(f"density of {of}: codes (line), prior (grey)", fontsize=12)
    figure.supxlabel(f"code value ({len(prior)} draws of the prior have a std of {prior.std():.2f})", fontsize=10)
    figure.supylabel("density", fontsize=10)
    line = {"facecolor": "none", "edgecolor": PALETTE[0], "linewidth": 1.3}
    sets = ((prior[:, :shown], {"facecolor": PRIOR_GRAY}), (codes[:, :shown], line))
    titles = [f"{z}:  std {std:.2f}" for z, std in enumerate(codes[:, :shown].std(axis=0))]
    density_panels(figure.subplots(), sets, titles, rows, columns)


def new_figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # not pyplot, which keeps every figure in a global list

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    return figure


def render_figure(figure: Any) -> Picture:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def _without_split(name: str) -> tuple[str, str]:
    first, _, rest = name.partition("/")
    return (first, rest) if first in SPLITS and rest else ("", name)


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(int))


def _panels(count: int) -> tuple[int, int]:
    """Rows and columns for `count` small panels, somewhat wider than high."""
    columns = min(8, count, int(np.ceil(np.sqrt(1.3 * count))))
    return -(-count // columns), columns
