"""Moving pictures: frames as a GIF that loops."""

import io
import os
from collections.abc import Sequence

from jaxgen.io.atomic import write_bytes_atomic
from jaxgen.plotting.grids import Picture, require_same_shape


def write_gif(path: str | os.PathLike, frames: Sequence[Picture], ms: int = 100) -> None:
    """Writes frames of one shape, each shown for `ms` milliseconds, played for ever.

    GIF has 256 colours; a reader finds the old file or the new one, never half of one.

    Raises:
      ValueError: there is no frame, or the frames differ in shape.
    """
    from PIL import Image

    if not len(frames):
        raise ValueError(f"{path} would have no frame; give at least one")
    for number, frame in enumerate(frames):
        require_same_shape(f"frame {number}", frame.shape, "frame 0", frames[0].shape)
    first, *others = (Image.fromarray(frame) for frame in frames)
    gif = io.BytesIO()
    first.save(gif, format="GIF", save_all=True, append_images=others, duration=ms, loop=0)
    write_bytes_atomic(path, gif.getvalue())


def ping_pong(frames: Sequence[Picture]) -> list[Picture]:
    """The frames and then those between the ends in reverse, so that the loop has no jump."""
    return [*frames, *frames[-2:0:-1]]
