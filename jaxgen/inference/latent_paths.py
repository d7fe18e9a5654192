"""Paths, traversals and directions among codes, in numpy. No model is known here: codes come in, codes go out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Code = Float[np.ndarray, " Z"]
Path = Callable[[Code, Code, int], Float[np.ndarray, "{count} Z"]]  # one of the three below

PARALLEL = 1e-4  # below this sine of their angle, two codes lie on one line, where a great circle is not determined


def lerp(a: Code, b: Code, count: int) -> Float[np.ndarray, "{count} Z"]:
    """`count` codes at even distances on the straight line from a to b, both included."""
    return _weighted(a, b, 1 - _shares(count), _shares(count))


def slerp(a: Code, b: Code, count: int) -> Float[np.ndarray, "{count} Z"]:
    """`count` codes from a to b, both included: at even angles on the great circle (Shoemake 1985, slerp).

    The norm goes evenly from |a| to |b|. Draws from N(0, I) in many dimensions lie near a sphere of radius √Z; the
    straight line between two of them leaves it, by 29% at its middle where they are orthogonal, and this path does not.
    Where the codes are parallel, opposed or 0 there is no one great circle, and the path is the straight line.
    """
    norm_a, norm_b = np.linalg.norm(a), np.linalg.norm(b)
    if norm_a == 0 or norm_b == 0:
        return lerp(a, b, count)
    angle = np.arccos(np.clip(np.dot(a / norm_a, b / norm_b), -1, 1))
    if np.sin(angle) < PARALLEL:
        return lerp(a, b, count)
    share = _shares(count)
    norm = (1 - share) * norm_a + share * norm_b
    weight_a, weight_b = (norm * np.sin(part * angle) / np.sin(angle) for part in (1 - share, share))
    return _weighted(a, b, weight_a / norm_a, weight_b / norm_b)


def bit_interpolation(a: Code, b: Code, count: int) -> Float[np.ndarray, "{count} Z"]:
    """`count` codes of bits from a to b, both included: the bits that differ flip one after another, in order."""
    differing = np.flatnonzero(a != b)
    flipped = np.rint(_shares(count) * len(differing)).astype(int)
    codes = np.repeat(np.asarray(a)[None], count, axis=0)
    for code, number in zip(codes, flipped, strict=True):
        code[differing[:number]] = b[differing[:number]]
    return codes


def traversal(
    code: Code, dims: Sequence[int] | np.ndarray, steps: int = 9, reach: float = 3.0, std: Any = 1.0
) -> Float[np.ndarray, "D {steps} Z"]:
    """The code with one dimension at a time moved, in `steps` even ones, from -reach·std to +reach·std of where it is.

    The middle column is the code itself. (Centred on 0 instead, a row would show another image as soon as the code
    lies elsewhere.) `std` is one for all dimensions or one for each, [Z].

    Raises:
      ValueError: `steps` is even or below 3, so that no column would be in the middle, or a dimension is not there.
    """
    if steps < 3 or steps % 2 == 0:
        raise ValueError(f"steps={steps} of a traversal must be odd and at least 3; try steps=9")
    dims, half = _dims(dims, len(code)), steps // 2
    offsets = reach * np.broadcast_to(std, len(code))[dims, None] * np.arange(-half, half + 1) / half
    codes = np.repeat(np.repeat(code[None, None], steps, axis=1), len(dims), axis=0)
    codes[np.arange(len(dims)), :, dims] += offsets.astype(codes.dtype)
    return codes


def bit_flips(code: Code, dims: Sequence[int] | np.ndarray) -> Float[np.ndarray, "D 2 Z"]:
    """The traversal of a code of bits: the code, and the code with one bit flipped, a row for each dimension."""
    dims = _dims(dims, len(code))
    codes = np.repeat(np.repeat(code[None, None], 2, axis=1), len(dims), axis=0)
    codes[np.arange(len(dims)), 1, dims] = 1 - code[dims]
    return codes


def closed_latent_walk(anchors: Float[np.ndarray, "A Z"], between: int, path: Path = slerp) -> Float[np.ndarray, "F Z"]:
    """A closed walk through the anchors and back to the first: F = A (between + 1) codes, to be played in a loop.

    The first code is the first anchor; it is not repeated at the end.
    """
    ends = np.roll(anchors, -1, axis=0)
    return np.concatenate([path(a, b, between + 2)[:-1] for a, b in zip(anchors, ends, strict=True)])


def attribute_direction(codes: Float[np.ndarray, "N Z"], has_it: Bool[np.ndarray, " N"]) -> Code:
    """The mean code of those that have an attribute less that of those that do not (Larsen et al. 2016, section 4.2).

    Raises:
      ValueError: all have it, or none.
    """
    if has_it.all() or not has_it.any():
        raise ValueError(
            f"{has_it.sum()} of {len(has_it)} codes have the attribute; a direction needs some that do not"
        )
    return codes[has_it].mean(axis=0) - codes[~has_it].mean(axis=0)


def _shares(count: int) -> Float[np.ndarray, " count"]:
    if count < 2:
        raise ValueError(f"count={count} of a path must be at least 2, as both ends are in it")
    return np.linspace(0, 1, count)


def _weighted(a: Code, b: Code, weight_a, weight_b) -> Float[np.ndarray, "S Z"]:
    """weight_a a + weight_b b, [S], the ends set to a and b to the bit."""
    codes = (weight_a[:, None] * a + weight_b[:, None] * b).astype(np.result_type(a, b))
    codes[0], codes[-1] = a, b
    return codes


def _dims(dims: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    dims = np.asarray(dims, int)
    if dims.ndim != 1 or not len(dims) or dims.min() < 0 or dims.max() >= size:
        raise ValueError(f"dims={dims.tolist()} must be dimensions of the code, in [0, {size})")
    return dims
