"""Plots of codes with matplotlib: codes and prior, codes by label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxgen.plotting.captions import Picture
from jaxgen.plotting.fonts import FAMILY, find_fallback_families, shorten_name
from jaxgen.plotting.grids import require_same_shape

# Paul Tol's "muted" scheme and black: distinct with common color blindness, and from the gray of the prior.
PALETTE = ("#332288", "#CC6677", "#44AA99", "#DDAA33", "#88CCEE", "#117733", "#882255", "#999933", "#AA4499", "#000000")
PRIOR_GRAY = "#cdcdcd"
MAX_POINTS = 2000  # in a scatter plot; more points only hide each other
MAX_DIMENSIONS = 12  # panels of densities
BINS = 30  # of a density
DPI = 110
CHARACTERS_PER_INCH = 12  # of a legend
MAX_TICKS = 25  # of a color bar


def plot_codes_vs_prior(
    codes: ArrayLike, prior_codes: ArrayLike, labels: ArrayLike, names: Sequence[str] = ()
) -> Picture:
    """Returns a plot of codes [N, Z] and of samples [M, Z] of the prior.

    Left: the first two dimensions, codes in the colors of their labels over the prior in gray (at most 2000 points).
    Right: the densities of the first 12 dimensions, with the standard deviation of the codes. `names` are the class
    names by label; without names, the labels are shown.

    Raises:
      ValueError: the shapes do not fit together, or a code is not finite.
    """
    codes, prior_codes = (np.asarray(x, np.float32) for x in (codes, prior_codes))
    labels = np.asarray(labels)
    if codes.ndim != 2 or prior_codes.shape[1:] != codes.shape[1:] or 0 in codes.shape + prior_codes.shape:
        raise ValueError(f"codes {codes.shape} and prior_codes {prior_codes.shape} must be [N, Z] and [M, Z], N, Z > 0")
    require_same_shape("labels", labels.shape, "one label per code", codes.shape[:1])
    if not (np.isfinite(codes).all() and np.isfinite(prior_codes).all()):
        raise ValueError("codes and prior_codes must be finite; found NaN or infinity: check which loss diverged")

    rows, columns = _panel_layout(min(codes.shape[1], MAX_DIMENSIONS))
    widths = [5.8, 1.25 * max(columns, 5)]
    figure = new_figure(sum(widths), max(5.2, 1.1 * rows))
    left, right = figure.subfigures(1, 2, width_ratios=widths)
    _scatter_codes(left, codes, prior_codes, labels, names)
    _plot_densities(right, codes, prior_codes, rows, columns)
    return render_figure(figure)


def plot_codes_by_label(codes: ArrayLike, labels: ArrayLike, names: Sequence[str] = ()) -> Picture:
    """Returns a scatter plot of codes [N, Z] colored by label, at most 2000 points; in 3-D for Z > 2.

    Beyond three dimensions, the first three principal components are shown. `names`: see `plot_codes_vs_prior`.

    Raises:
      ValueError: the shapes do not fit together, or a code is not finite.
    """
    codes, labels = np.asarray(codes, np.float32), np.asarray(labels)
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"codes of shape {codes.shape} must be [N, Z], N, Z > 0")
    require_same_shape("labels", labels.shape, "one label per code", codes.shape[:1])
    if not np.isfinite(codes).all():
        raise ValueError("codes must be finite; found NaN or infinity: check which loss diverged")
    axis_names = [f"code dimension {z}" for z in range(codes.shape[1])]
    if codes.shape[1] > 3:
        centered = codes - codes.mean(0)
        codes = centered @ np.linalg.svd(centered, full_matrices=False)[2][:3].T
        codes = np.pad(codes, ((0, 0), (0, 3 - codes.shape[1])))  # one or two codes have fewer components
        axis_names = [f"principal component {z} of the codes" for z in range(3)]
    figure = new_figure(7.2, 6.4)
    axes = figure.add_subplot(projection="3d" if codes.shape[1] > 2 else None)
    if codes.shape[1] == 1:
        codes, axis_names = np.stack([codes[:, 0], labels], axis=1), [*axis_names, "class"]
        _name_label_axis(axes, labels, names)
    kept = _thin_indices(len(codes))
    for name, set_label in zip(
        axis_names, (axes.set_xlabel, axes.set_ylabel, getattr(axes, "set_zlabel", None)), strict=False
    ):
        set_label(name)
    _scatter_by_label(figure, axes, codes[kept], labels[kept], names)
    return render_figure(figure)


def _scatter_codes(
    figure: Any,
    codes: Float[np.ndarray, "N Z"],
    prior: Float[np.ndarray, "M Z"],
    labels: np.ndarray,
    names: Sequence[str],
) -> None:
    axes = figure.subplots()
    by_label = " by label" if len(np.unique(labels)) > 1 else ""
    axes.set_title(f"codes{by_label}, over samples of the prior (gray)")
    axes.set_xlabel("code dimension 0")
    axes.set_ylabel("code dimension 1" if codes.shape[1] > 1 else "class (the code has one dimension)")
    axes.set_axisbelow(True)
    axes.grid(alpha=0.25)
    if codes.shape[1] == 1:
        _name_label_axis(axes, labels, names)
    else:
        prior = prior[_thin_indices(len(prior))]
        axes.scatter(prior[:, 0], prior[:, 1], s=12, color=PRIOR_GRAY, linewidths=0, label="prior")
        axes.set_aspect("equal", adjustable="datalim")
    kept = _thin_indices(len(codes))
    labels = labels[kept]
    points = np.stack([codes[kept, 0], codes[kept, 1] if codes.shape[1] > 1 else labels], axis=1)
    _scatter_by_label(figure, axes, points, labels, names)


def _name_label_axis(axes: Any, labels: np.ndarray, names: Sequence[str]) -> None:
    """Names the classes along a y-axis that shows labels."""
    classes = np.unique(labels)
    if len(classes) <= MAX_TICKS:
        axes.set_yticks(classes, [get_class_name(label, names) for label in classes])


def _scatter_by_label(
    figure: Any, axes: Any, points: Float[np.ndarray, "N D"], labels: np.ndarray, names: Sequence[str]
) -> None:
    """Plots points in 2-D or 3-D in the colors of their labels, with a legend if there are several labels."""
    style = {"s": 12, "alpha": 0.85, "linewidths": 0}
    classes = np.unique(labels)
    if len(classes) > len(PALETTE):
        _scatter_many_classes(figure, axes, points, labels, names)
        return
    legend = [get_class_name(label, names) for label in classes]
    for color, label, name in zip(PALETTE, classes, legend, strict=False):
        axes.scatter(*points[labels == label].T, color=color, label=name, **style)
    if len(classes) == 1:
        return
    widest = max(len(name) for name in legend) + 3.5  # characters, with the marker and the gap
    columns = max(1, int(figure.bbox.width / DPI * CHARACTERS_PER_INCH / widest))
    figure.legend(
        loc="outside lower center", ncols=columns, frameon=False, markerscale=2.0, columnspacing=0.9, handletextpad=0.0
    )


def _scatter_many_classes(
    figure: Any, axes: Any, points: Float[np.ndarray, "N D"], labels: np.ndarray, names: Sequence[str]
) -> None:
    """Plots points whose classes are too many for a legend, with a color bar that names some of the classes."""
    points = axes.scatter(*points.T, c=labels, cmap="viridis", s=12, alpha=0.85, linewidths=0)
    bar = figure.colorbar(points, label="class", shrink=0.8)
    classes = np.unique(labels)
    shown = classes[np.linspace(0, len(classes) - 1, min(len(classes), MAX_TICKS)).astype(int)]
    bar.set_ticks(shown, labels=[get_class_name(label, names) for label in shown])


def get_class_name(label: int | np.integer, names: Sequence[str]) -> str:
    """Returns the name of a class for a matplotlib text; without names, the label itself."""
    return "unlabeled" if label < 0 else escape_legend_text(shorten_name(names[label])) if len(names) else str(label)


def escape_legend_text(name: str) -> str:
    """Returns a name that a legend shows unchanged: $ would begin a formula, and a leading _ would hide the entry."""
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def _plot_densities(
    figure: Any, codes: Float[np.ndarray, "N Z"], prior: Float[np.ndarray, "M Z"], rows: int, columns: int
) -> None:
    """Plots the densities of codes and prior, one panel per dimension."""
    size, count = codes.shape[1], min(codes.shape[1], MAX_DIMENSIONS)
    subject = f"the first {count} of {size} dimensions" if count < size else "every dimension"
    figure.suptitle(f"density of {subject}: codes (line), prior (gray)", fontsize=12)
    figure.supxlabel(f"code value ({len(prior)} prior samples have a std of {prior.std():.2f})", fontsize=10)
    figure.supylabel("density", fontsize=10)
    low, high = np.percentile(np.concatenate([codes[:, :count], prior[:, :count]]), [0.1, 99.9])
    edges = np.linspace(low - 1e-3, high + 1e-3, BINS + 1)
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for dim, panel in enumerate(panels):
        if dim >= count:
            panel.set_axis_off()
            continue
        panel.set_title(f"{dim}:  std {codes[:, dim].std():.2f}", fontsize=8)
        panel.set_yticks([])
        panel.tick_params(labelsize=8)
        panel.stairs(_density(prior[:, dim], edges), edges, fill=True, color=PRIOR_GRAY)
        panel.stairs(_density(codes[:, dim], edges), edges, color=PALETTE[0], linewidth=1.3)


def _density(values: Float[np.ndarray, " N"], edges: Float[np.ndarray, " _"]) -> Float[np.ndarray, " _"]:
    """Returns the density of the values in each bin; zeros if all lie outside of the bins."""
    counts = np.histogram(values, edges)[0]
    return counts / (max(counts.sum(), 1) * np.diff(edges))


def new_figure(width: float, height: float) -> Any:
    """Returns an empty matplotlib figure of that size in inches."""
    from matplotlib.figure import Figure  # pyplot would keep every figure in a global list

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    return figure


def render_figure(figure: Any) -> Picture:
    """Returns the pixels of a matplotlib figure, with text in DejaVu Sans."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    texts = "".join(text.get_text() for text in figure.findobj(Text))
    families = [FAMILY, *find_fallback_families(texts)]
    with matplotlib.rc_context({"font.family": ["sans-serif"], "font.sans-serif": families}):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def _thin_indices(count: int) -> np.ndarray:
    """Returns at most MAX_POINTS evenly spaced indices below `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(int))


def _panel_layout(count: int) -> tuple[int, int]:
    """Returns the numbers of rows and columns for `count` small panels, slightly more columns than rows."""
    columns = min(8, count, int(np.ceil(np.sqrt(1.3 * count))))
    return -(-count // columns), columns
