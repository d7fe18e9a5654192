"""Animations: frames as a GIF that loops."""

import io
from collections.abc import Sequence

from jaxgen.plotting.captions import Picture
from jaxgen.plotting.grids import require_same_shape


def encode_gif(frames: Sequence[Picture], frame_ms: int = 100) -> bytes:
    """Returns the bytes of a GIF that repeats forever and shows each frame for `frame_ms` milliseconds.

    GIF has 256 colors.

    Raises:
      ValueError: there is no frame, or the shapes of the frames differ.
    """
    from PIL import Image

    if not len(frames):
        raise ValueError("a GIF needs at least one frame; got none")
    for number, frame in enumerate(frames):
        require_same_shape(f"frame {number}", frame.shape, "frame 0", frames[0].shape)
    first, *others = (Image.fromarray(frame) for frame in frames)
    gif = io.BytesIO()
    first.save(gif, format="GIF", save_all=True, append_images=others, duration=frame_ms, loop=0)
    return gif.getvalue()


def ping_pong(frames: Sequence[Picture]) -> list[Picture]:
    """Returns the frames followed by the interior frames in reverse order, so that the loop has no jump."""
    return [*frames, *frames[-2:0:-1]]
