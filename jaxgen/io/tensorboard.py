"""Writes a TensorBoard event file, flushed to the disk after every event.

The file formats are tensorboardX's. Its SummaryWriter writes in a thread: a full disk ends the thread silently, and the
next write blocks forever once the queue of ten events is full.
"""

import time
from pathlib import Path
from typing import Any


class TensorBoardWriter:
    """The TensorBoard event file of one run.

    Every method raises an OSError if the disk fails.

    Args:
      folder: folder of the file; created if necessary.
      purge_step: TensorBoard hides the events of earlier files from this step on.
    """

    def __init__(self, folder: Path, purge_step: int):
        # Imported here because tensorboardX imports torch if it is installed.
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        # File names contain the second: without the suffix, a run resumed within a second would truncate the last file.
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=f".{time.time_ns()}")
        self._event, self._summary = Event, summary
        self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def write_scalar(self, name: str, value: float, step: int) -> None:
        """Writes one number."""
        self._write(step=step, summary=self._summary.scalar(name, value))

    def write_image(self, name: str, png: bytes, shape: tuple[int, int], step: int) -> None:
        """Writes a color image.

        Args:
          name: tag of the image.
          png: contents of a PNG file.
          shape: height and width in pixels.
          step: step of the event.
        """
        height, width = shape
        image = {"height": height, "width": width, "colorspace": 3, "encoded_image_string": png}
        self._write(step=step, summary={"value": [{"tag": name, "image": image}]})

    def write_text(self, name: str, text: str, step: int) -> None:
        """Writes a text in Markdown."""
        self._write(step=step, summary=self._summary.text(name, text))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, **event: Any) -> None:
        self._writer.write_event(self._event(wall_time=time.time(), **event))
        self._writer.flush()
