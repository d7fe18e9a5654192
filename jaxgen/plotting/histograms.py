"""Small histograms in rows, all in one of matplotlib's axes: of twenty axes the drawing takes seconds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

BINS = 30
WIDE = 0.9  # of a panel, in its cell of 1 × 1
LINES = 22  # of text that the rows together are high, nearly
FRAME = {"facecolor": "none", "edgecolor": "black", "linewidth": 0.8}


def density_panels(
    axes: Any, sets: Sequence[tuple[Float[np.ndarray, "_ D"], dict]], titles: Sequence[str], rows: int, columns: int
) -> None:
    """The densities of D dimensions, a panel each, of several sets of values over each other.

    Args:
      axes: matplotlib's, which is left with no axis of its own.
      sets: each the values, and how their polygons look.
      titles: of the dimensions.
      rows: of panels.
      columns: of panels.
    """
    from matplotlib.collections import PolyCollection

    axes.set(xlim=(0, columns), ylim=(0, rows), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    low, high = np.percentile(np.concatenate([values for values, _ in sets]), [0.1, 99.9])
    edges = np.linspace(low - 1e-3, high + 1e-3, BINS + 1)
    outlines = [np.stack([_outline(each, edges) for each in values.T]) for values, _ in sets]
    line = rows / LINES
    size = np.array([WIDE, 1 - 1.4 * line])
    scale = size / [edges[-1] - edges[0], 1.05 * max(each[..., 1].max() for each in outlines)]
    number = np.arange(len(titles))
    corners = np.stack([number % columns + (1 - WIDE) / 2, rows - 1 - number // columns], axis=1)
    for outline, (_, look) in zip(outlines, sets, strict=True):
        axes.add_collection(PolyCollection((outline - [edges[0], 0]) * scale + corners[:, None], closed=False, **look))
    frame = size * [[0, 0], [0, 1], [1, 1], [1, 0]]
    axes.add_collection(PolyCollection(frame + corners[:, None], **FRAME))
    for title, (x, y) in zip(titles, corners + size * [0.5, 1] + [0, line / 6], strict=True):
        axes.text(x, y, title, fontsize=8, ha="center", va="bottom")
    for value in _round_values(low, high):
        along = np.array([(value - edges[0]) * scale[0], 0])
        _mark(axes, corners[-columns:] + along, f"{value:g}", line / 3)  # below the lowest panel of each column


def _outline(values: Float[np.ndarray, " N"], edges: Float[np.ndarray, " E"]) -> Float[np.ndarray, "2*E 2"]:
    """The stairs of a density, [value, density] each, from 0 and back to it."""
    density = np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))
    return np.stack([np.repeat(edges, 2), np.concatenate([[0], np.repeat(density, 2), [0]])], axis=1)


def _round_values(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    return [value for value in MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= value <= high]


def _mark(axes: Any, places: Float[np.ndarray, "P 2"], text: str, below: float) -> None:
    """A tick at each place, and the text below it."""
    from matplotlib.markers import TICKDOWN

    axes.plot(*places.T, linestyle="none", marker=TICKDOWN, markersize=3, color="black", clip_on=False)
    for x, y in places:
        axes.text(x, y - below, text, fontsize=8, ha="center", va="top")
