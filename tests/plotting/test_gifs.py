"""Animated GIFs: frames, durations and loops."""

import numpy as np
import pytest
from PIL import Image

from jaxgen import plotting
from jaxgen.io.atomic import write_bytes_atomic


def test_a_gif_loops_over_its_frames(tmp_path):
    shades = (0, 80, 160, 240)
    frames = [np.full((8, 10, 3), shade, np.uint8) for shade in shades]
    write_bytes_atomic(tmp_path / "x.gif", plotting.encode_gif(plotting.ping_pong(frames), 120))
    with Image.open(tmp_path / "x.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (6, (10, 8), 0)
        found = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            assert gif.info["duration"] == 120
            found.append(np.asarray(gif.convert("RGB"))[0, 0, 0])
    np.testing.assert_allclose(found, [0, 80, 160, 240, 160, 80], atol=2)


def test_frames_of_different_shapes_are_rejected():
    with pytest.raises(ValueError, match=r"frame 1 of shape \(8, 9, 3\) must have the shape of frame 0"):
        plotting.encode_gif([np.zeros((8, 10, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)])
