"""A TensorBoard event file, on the disk as soon as it is told.

The formats are tensorboardX's. Its own SummaryWriter leaves writing to a thread: a full disk kills it unseen, and once
its queue of ten is full, whoever tells it more waits for good.
"""

import time
from pathlib import Path
from typing import Any


class TensorBoardWriter:
    """What TensorBoard shows of a run, each at its step.

    Args:
      folder: where the file goes; made if absent.
      purge_step: TensorBoard hides what earlier files say of this step and later ones.

    Every method raises an OSError where the disk fails.
    """

    def __init__(self, folder: Path, purge_step: int):
        # Late: where torch is installed, this imports it.
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        # Files are named by the second: without a suffix, a run resumed within one would empty the last one's file.
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=f".{time.time_ns()}")
        self._event, self._summary = Event, summary
        self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def write_scalar(self, name: str, value: float, step: int) -> None:
        self._write(step=step, summary=self._summary.scalar(name, value))

    def write_image(self, name: str, png: bytes, shape: tuple[int, int], step: int) -> None:
        """A colour image, as a PNG file holds it, of so many rows and columns."""
        high, wide = shape
        image = {"height": high, "width": wide, "colorspace": 3, "encoded_image_string": png}
        self._write(step=step, summary={"value": [{"tag": name, "image": image}]})

    def write_text(self, name: str, write_text: str, step: int) -> None:
        self._write(step=step, summary=self._summary.text(name, write_text))

    def close(self) -> None:
        self._writer.close()

    def _write(self, **event: Any) -> None:
        self._writer.write_event(self._event(wall_time=time.time(), **event))
        self._writer.flush()
