"""Pictures from arrays: image grids, codes against the prior, training curves. No model and no device is known here.

Every function returns the finished picture as uint8 [H', W', 3]; `write_png` puts one on disk. Images come in as floats
in [0, 1] with 1 or 3 channels. Inputs are checked by hand, not by annotation, so that a caller's mistake gets one line.
"""

import io
import os
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from jaxgen.files import write_atomically

Picture = UInt8[np.ndarray, "_ _ 3"]  # no letters: a function may take one size and return another
History = dict[str, list[tuple[int, float]]]

SPLITS = ("train", "validation", "test")
# Paul Tol's "muted" scheme and black: told apart under the common colour blindnesses, and none is the prior's grey.
PALETTE = ("#332288", "#CC6677", "#44AA99", "#DDAA33", "#88CCEE", "#117733", "#882255", "#999933", "#AA4499", "#000000")
PRIOR_GREY = "#cdcdcd"
WHITE, BLACK = 255, (0, 0, 0)
MAX_POINTS = 2000  # in a scatter: more only hide each other
MAX_DIMENSIONS = 32  # histograms: more are too small to read
DPI = 110


# ----------------------------------------------------------------------------------------------------- image grids


def grid(images: ArrayLike, padding: int = 2, scale: int = 1) -> Picture:
    """Images [R, Cc, H, W, C] as R rows of Cc, with white lines of `padding` pixels between and around them.

    Image (r, c) begins at pixel (padding + r (scale H + padding), padding + c (scale W + padding)); `scale` repeats
    pixels, so that nothing is interpolated. Grey is repeated to RGB.

    Raises:
      ValueError: the shape is not [R, Cc, H, W, 1 or 3], or a value lies outside [0, 1].
    """
    images = _checked("images", images, "R Cc H W C")
    cells = np.repeat(np.repeat(_bytes(images), scale, axis=2), scale, axis=3)
    rows, columns, height, width, _ = cells.shape
    canvas = np.full((rows, height + padding, columns, width + padding, 3), WHITE, np.uint8)
    canvas[:, :height, :, :width] = cells.transpose(0, 2, 1, 3, 4)
    canvas = canvas.reshape(rows * (height + padding), columns * (width + padding), 3)
    return np.pad(canvas, ((padding, 0), (padding, 0), (0, 0)), constant_values=WHITE)


def style_grid(images: ArrayLike, originals: ArrayLike | None = None, scale: int = 2) -> Picture:
    """Decoded images [R, K, H, W, C]: one style a row, the labels 0..K-1 as headed columns.

    Args:
      images: a row is one style, a column one label.
      originals: [R, H, W, C], the images the styles were read from: a first column, headed "original" and set apart.
      scale: how often a pixel is repeated.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or originals that do not match the images' rows.
    """
    images = _checked("images", images, "R K H W C")
    headings = [str(label) for label in range(images.shape[1])]
    body = grid(images, scale=scale)
    cell = scale * images.shape[3] + 2
    picture = _headed(body, headings, [2 + cell * k + (cell - 2) / 2 for k in range(len(headings))], cell)
    if originals is None:
        return picture
    originals = _checked("originals", originals, "R H W C")
    _same_shape("originals", originals.shape, "images without their label axis", images[:, 0].shape)
    column = _headed(grid(originals[:, None], scale=scale), ["original"], [2 + (cell - 2) / 2], cell)
    gap = np.full((picture.shape[0], max(8, cell // 4), 3), WHITE, np.uint8)
    return np.concatenate([column, gap, picture], axis=1)


def reconstruction_pairs(images: ArrayLike, reconstructions: ArrayLike, columns: int = 10, scale: int = 2) -> Picture:
    """Images [N, H, W, C] above their reconstructions: rows alternate, marked "in" and "out" in the left margin.

    Raises:
      ValueError: a wrong shape, a value outside [0, 1], or two inputs of different shapes.
    """
    images, outputs = _checked("images", images, "N H W C"), _checked("reconstructions", reconstructions, "N H W C")
    _same_shape("reconstructions", outputs.shape, "images", images.shape)
    columns = min(columns, len(images))
    blank = np.ones((-len(images) % columns, *images.shape[1:]), images.dtype)
    pairs = np.stack([np.concatenate([x, blank]).reshape(-1, columns, *x.shape[1:]) for x in (images, outputs)], axis=1)
    strips = [_marked(grid(pair, scale=scale), ["in", "out"]) for pair in pairs]
    gap = np.full((max(4, scale * images.shape[1] // 8), strips[0].shape[1], 3), WHITE, np.uint8)
    return np.concatenate([part for strip in strips for part in (strip, gap)][:-1], axis=0)


def write_png(path: str | os.PathLike, image: Picture) -> None:
    """Writes the picture so that a reader finds the old file or the new one, never half of one."""
    from PIL import Image

    png = io.BytesIO()
    Image.fromarray(image).save(png, format="PNG")
    write_atomically(path, png.getvalue())


# ------------------------------------------------------------------------------------------------------------ plots


def codes_against_prior(codes: ArrayLike, prior_codes: ArrayLike, labels: ArrayLike) -> Picture:
    """Codes [N, Z] beside samples [M, Z] of the prior that they ought to fill.

    Left: the first two dimensions, each code drawn in its label's colour over the prior in grey (evenly thinned to
    2000 points). Right: the density of every dimension, at most 32, with its standard deviation.

    Raises:
      ValueError: the shapes do not fit together, or a code is not finite.
    """
    codes, prior_codes = (np.asarray(x, np.float32) for x in (codes, prior_codes))
    labels = np.asarray(labels)
    if codes.ndim != 2 or prior_codes.shape[1:] != codes.shape[1:] or 0 in codes.shape + prior_codes.shape:
        raise ValueError(f"codes {codes.shape} and prior_codes {prior_codes.shape} must be [N, Z] and [M, Z], N, Z > 0")
    _same_shape("labels", labels.shape, "one label a code", codes.shape[:1])
    if not (np.isfinite(codes).all() and np.isfinite(prior_codes).all()):
        raise ValueError("codes and prior_codes must be finite; found NaN or infinity: look for the loss that diverged")

    rows, columns = _panels(min(codes.shape[1], MAX_DIMENSIONS))
    widths = [5.8, 1.25 * max(columns, 5)]
    figure = new_figure(sum(widths), max(5.2, 1.1 * rows))
    left, right = figure.subfigures(1, 2, width_ratios=widths)
    _scatter(left, codes, prior_codes, labels)
    _histograms(right, codes, prior_codes, rows, columns)
    return render(figure)


def curves(history: History) -> Picture:
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
        return render(figure)

    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = new_figure(4.4 * columns, 3.0 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    for panel, (group, lines) in zip(panels, groups.items(), strict=False):
        _curve_panel(panel, group, lines)
    return render(figure)


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


def _scatter(figure: Any, codes: Float[np.ndarray, "N Z"], prior: Float[np.ndarray, "M Z"], labels: np.ndarray) -> None:
    axes = figure.subplots()
    axes.set_title("codes by label, over samples of the prior (grey)")
    axes.set_xlabel("code dimension 0")
    axes.set_ylabel("code dimension 1" if codes.shape[1] > 1 else "label (the code has one dimension)")
    axes.set_axisbelow(True)
    axes.grid(alpha=0.25)
    if codes.shape[1] > 1:
        prior = prior[_thinned(len(prior))]
        axes.scatter(prior[:, 0], prior[:, 1], s=12, color=PRIOR_GREY, linewidths=0, label="prior")
        axes.set_aspect("equal", adjustable="datalim")
    kept = _thinned(len(codes))
    labels = labels[kept]
    x, y = codes[kept, 0], codes[kept, 1] if codes.shape[1] > 1 else labels
    look = {"s": 12, "alpha": 0.85, "linewidths": 0}
    classes = np.unique(labels)
    if len(classes) > len(PALETTE):
        figure.colorbar(axes.scatter(x, y, c=labels, cmap="viridis", **look), label="label", shrink=0.8)
        return
    for colour, label in zip(PALETTE, classes, strict=False):
        name = str(label) if label >= 0 else "unlabelled"
        axes.scatter(x[labels == label], y[labels == label], color=colour, label=name, **look)
    figure.legend(
        loc="outside lower center", ncols=11, frameon=False, markerscale=2.0, columnspacing=0.9, handletextpad=0.0
    )


def _histograms(
    figure: Any, codes: Float[np.ndarray, "N Z"], prior: Float[np.ndarray, "M Z"], rows: int, columns: int
) -> None:
    size, shown = codes.shape[1], min(codes.shape[1], MAX_DIMENSIONS)
    of = f"the first {shown} of {size} dimensions" if shown < size else "every dimension"
    figure.suptitle(f"density of {of}: codes (line), prior (grey)", fontsize=12)
    low, high = np.percentile(np.concatenate([codes[:, :shown], prior[:, :shown]]), [0.1, 99.9])
    edges = np.linspace(low - 1e-3, high + 1e-3, 31)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for z, panel in enumerate(panels):
        if z >= shown:
            panel.set_axis_off()
            continue
        panel.stairs(_density(prior[:, z], edges), edges, fill=True, color=PRIOR_GREY)
        panel.stairs(_density(codes[:, z], edges), edges, color=PALETTE[0], linewidth=1.3)
        panel.set_title(f"{z}:  std {codes[:, z].std():.2f}", fontsize=8, pad=3)
        panel.set_yticks([])
        panel.tick_params(labelsize=8)
    figure.supxlabel(f"code value (the prior's std is {prior.std():.2f})", fontsize=10)
    figure.supylabel("density", fontsize=10)


# ---------------------------------------------------------------------------------------------------------- helpers


def _checked(name: str, images: ArrayLike, shape: str) -> Float[np.ndarray, "..."]:
    images = np.asarray(images, np.float32)
    if images.ndim != len(shape.split()) or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(f"{name} of shape {images.shape} must be [{', '.join(shape.split())}], C=1 or 3, not empty")
    low, high = images.min(), images.max()
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # written so that NaN is refused too; 1e-4 forgives rounding
        raise ValueError(f"{name} has values in [{low:.4g}, {high:.4g}], must lie in [0, 1]; divide bytes by 255")
    return images


def _same_shape(name: str, shape: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"{name} of shape {shape} must have the shape of {other}, {expected}")


def _bytes(images: Float[np.ndarray, "*N H W C"]) -> UInt8[np.ndarray, "*N H W 3"]:
    channels = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return np.broadcast_to(channels, (*channels.shape[:-1], 3))


def _font(cell: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=int(np.clip(cell / 3.2, 10, 28)))


def _headed(body: Picture, headings: list[str], centres: list[float], cell: int) -> Picture:
    """The body under a strip of headings, widened to both sides where a heading would stick out."""
    from PIL import Image, ImageDraw

    font = _font(cell)
    extra = max(0, int(np.ceil(max(font.getlength(text) for text in headings))) + 4 - cell)
    strip = int(1.5 * font.size)
    canvas = np.pad(body, ((strip, 0), (extra // 2, extra - extra // 2), (0, 0)), constant_values=WHITE)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for text, x in zip(headings, centres, strict=True):
        draw.text((extra // 2 + x, strip / 2), text, fill=BLACK, font=font, anchor="mm")
    return np.array(picture)


def _marked(body: Picture, marks: list[str]) -> Picture:
    """The body with a left margin that names its rows, which are all of one height."""
    from PIL import Image, ImageDraw

    height = body.shape[0] / len(marks)
    font = _font(int(height))
    margin = int(max(font.getlength(mark) for mark in marks)) + 10
    picture = Image.fromarray(np.pad(body, ((0, 0), (margin, 0), (0, 0)), constant_values=WHITE))
    draw = ImageDraw.Draw(picture)
    for row, mark in enumerate(marks):
        draw.text((margin - 5, (row + 0.5) * height), mark, fill=BLACK, font=font, anchor="rm")
    return np.array(picture)


def new_figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # not pyplot, which keeps every figure in a global list

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    return figure


def render(figure: Any) -> Picture:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def _without_split(name: str) -> tuple[str, str]:
    first, _, rest = name.partition("/")
    return (first, rest) if first in SPLITS and rest else ("", name)


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(int))


def _density(values: Float[np.ndarray, " N"], edges: Float[np.ndarray, " E"]) -> Float[np.ndarray, " bins"]:
    return np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))


def _panels(count: int) -> tuple[int, int]:
    """Rows and columns for `count` small panels, somewhat wider than high."""
    columns = min(8, count, int(np.ceil(np.sqrt(1.3 * count))))
    return -(-count // columns), columns
