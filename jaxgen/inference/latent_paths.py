"""Paths, traversals and directions in latent space: functions from codes to codes, in NumPy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

Code = Float[np.ndarray, " Z"]
Path = Callable[[Code, Code, int], Float[np.ndarray, "{count} Z"]]  # lerp, slerp or bit_interpolation

PARALLEL = 1e-4  # below this sine of the angle between two codes, the great circle through them is undetermined


def lerp(a: Code, b: Code, count: int) -> Float[np.ndarray, "{count} Z"]:
    """Returns `count` equidistant codes on the straight line from a to b, including both."""
    return _weighted_sum(a, b, 1 - _fractions(count), _fractions(count))


def slerp(a: Code, b: Code, count: int) -> Float[np.ndarray, "{count} Z"]:
    """Returns `count` codes from a to b, including both, at equal angles on the great circle (Shoemake 1985).

    The norm changes linearly from |a| to |b|. Samples of N(0, I) in many dimensions lie near a sphere of radius √Z. The
    straight line between two orthogonal samples leaves it by 29% at the midpoint; this path stays on it. If the codes
    are parallel, opposite or 0, the great circle is undetermined, and the path is the straight line.
    """
    norm_a, norm_b = np.linalg.norm(a), np.linalg.norm(b)
    if norm_a == 0 or norm_b == 0:
        return lerp(a, b, count)
    angle = np.arccos(np.clip(np.dot(a / norm_a, b / norm_b), -1, 1))
    if np.sin(angle) < PARALLEL:
        return lerp(a, b, count)
    fraction = _fractions(count)
    norm = (1 - fraction) * norm_a + fraction * norm_b
    weight_a, weight_b = (norm * np.sin(part * angle) / np.sin(angle) for part in (1 - fraction, fraction))
    return _weighted_sum(a, b, weight_a / norm_a, weight_b / norm_b)


def bit_interpolation(a: Code, b: Code, count: int) -> Float[np.ndarray, "{count} Z"]:
    """Returns `count` binary codes from a to b, including both: the differing bits are flipped one after another."""
    differing = np.flatnonzero(a != b)
    flipped = np.rint(_fractions(count) * len(differing)).astype(int)
    codes = np.repeat(np.asarray(a)[None], count, axis=0)
    for code, number in zip(codes, flipped, strict=True):
        code[differing[:number]] = b[differing[:number]]
    return codes


def traversal(
    code: Code, dims: Sequence[int] | np.ndarray, steps: int = 9, reach: float = 3.0, std: Any = 1.0
) -> Float[np.ndarray, "D {steps} Z"]:
    """Returns the code with one dimension changed at a time, by `steps` equidistant offsets in ±reach·std.

    The middle column is the code itself. `std` is one number for all dimensions or one for each, [Z].

    Raises:
      ValueError: `steps` is even or below 3, so there is no middle column, or a dimension is out of range.
    """
    if steps < 3 or steps % 2 == 0:
        raise ValueError(f"steps={steps} of a traversal must be odd and at least 3; try steps=9")
    dims, half = _check_dims(dims, len(code)), steps // 2
    offsets = reach * np.broadcast_to(std, len(code))[dims, None] * np.arange(-half, half + 1) / half
    codes = np.repeat(np.repeat(code[None, None], steps, axis=1), len(dims), axis=0)
    codes[np.arange(len(dims)), :, dims] += offsets.astype(codes.dtype)
    return codes


def bit_flips(code: Code, dims: Sequence[int] | np.ndarray) -> Float[np.ndarray, "D 2 Z"]:
    """Returns the traversal of a binary code: a row per dimension with the code, and the code with this bit flipped."""
    dims = _check_dims(dims, len(code))
    codes = np.repeat(np.repeat(code[None, None], 2, axis=1), len(dims), axis=0)
    codes[np.arange(len(dims)), 1, dims] = 1 - code[dims]
    return codes


def closed_latent_walk(anchors: Float[np.ndarray, "A Z"], between: int, path: Path = slerp) -> Float[np.ndarray, "F Z"]:
    """Returns a closed path through the anchors: F = A (between + 1) codes, for an animation in a loop.

    The first code is the first anchor, which is not repeated at the end.
    """
    ends = np.roll(anchors, -1, axis=0)
    return np.concatenate([path(a, b, between + 2)[:-1] for a, b in zip(anchors, ends, strict=True)])


def to_booleans(has_it: ArrayLike, count: int) -> Bool[np.ndarray, " {count}"]:
    """Returns an attribute of `count` images as booleans.

    Raises:
      ValueError: the values are neither booleans nor the numbers 0 and 1, or are not one for each image.
    """
    values = np.asarray(has_it)
    if values.shape != (count,):
        raise ValueError(f"has_it of shape {values.shape} must be [{count}], one value for each image")
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        found = next(value for value in values.tolist() if value not in (0, 1))
        raise ValueError(f"has_it has the value {found!r}; it must be booleans, or 0 and 1; try labels == {found!r}")
    return values.astype(bool)


def attribute_direction(codes: Float[np.ndarray, "N Z"], has_it: Bool[np.ndarray, " N"]) -> Code:
    """Returns the mean code with an attribute minus the mean code without it (Larsen et al. 2016, section 4.2).

    Raises:
      ValueError: all codes have the attribute, or none.
    """
    if has_it.all() or not has_it.any():
        raise ValueError(f"{has_it.sum()} of {len(has_it)} codes have the attribute; a direction needs both kinds")
    return codes[has_it].mean(axis=0) - codes[~has_it].mean(axis=0)


def _fractions(count: int) -> Float[np.ndarray, " count"]:
    """Returns `count` equidistant numbers from 0 to 1."""
    if count < 2:
        raise ValueError(f"count={count} of a path must be at least 2, because it includes both ends")
    return np.linspace(0, 1, count)


def _weighted_sum(a: Code, b: Code, weight_a, weight_b) -> Float[np.ndarray, "S Z"]:
    """Returns weight_a a + weight_b b for weights [S]; the ends are exactly a and b."""
    codes = (weight_a[:, None] * a + weight_b[:, None] * b).astype(np.result_type(a, b))
    codes[0], codes[-1] = a, b
    return codes


def _check_dims(dims: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    """Returns the dimensions as an array; raises a ValueError if one is out of range."""
    dims = np.asarray(dims, int)
    if dims.ndim != 1 or not len(dims) or dims.min() < 0 or dims.max() >= size:
        raise ValueError(f"dims={dims.tolist()} must be dimensions of the code, in [0, {size})")
    return dims
