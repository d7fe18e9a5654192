"""The files that a run logs to, and the progress that it shows."""

import errno
import json
import logging
import os
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import REPOSITORY
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog

from jaxgen.io import run_logger
from jaxgen.io.run_logger import RunLogger

H, W = 8, 10
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY)}


def read_lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def read_steps(workdir):
    return [line["step"] for line in read_lines(workdir)]


def read_events(workdir):
    """Returns the events of all files, oldest first; each is a TFRecord: length u64, CRC u32, data, CRC u32."""
    events = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            events.append(Event.FromString(content[at + 12 : at + 12 + length]))
            at += length + 16
    return events


def read_values(workdir):
    return [(event.step, value) for event in read_events(workdir) for value in event.summary.value]


def log_steps(workdir, first, last, start_step=0):
    with RunLogger(workdir, 10, start_step=start_step, progress=False) as logger:
        for step in range(first, last + 1):
            logger.log_metrics(step, {"critic/loss": step / 10})


def test_each_call_writes_a_line_of_json_immediately(tmp_path):
    with RunLogger(tmp_path, 10, progress=False) as logger:
        logger.log_metrics(2, {"critic/loss": np.float32(0.5), "mse": np.array(0.25)}, images_per_s=1000)
        first = read_lines(tmp_path)[0]
        assert first.pop("time") > 1.7e9  # Unix seconds
        assert first == {"step": 2, "split": "train", "critic/loss": 0.5, "mse": 0.25, "images_per_s": 1000.0}
        logger.log_metrics(2, {"mse": 0.75}, split="validation")
        assert [line["split"] for line in read_lines(tmp_path)] == ["train", "validation"]


def test_values_that_are_not_finite_become_null_in_the_file_and_nan_in_the_history(tmp_path):
    with RunLogger(tmp_path, 10, progress=False) as logger:
        logger.log_metrics(1, {"a": float("nan"), "b": float("inf"), "c": -1.0})
        text = (tmp_path / "metrics.jsonl").read_text()
        assert '"a": null, "b": null, "c": -1.0' in text
        assert np.isnan(logger.history["train/a"][0][1])
        assert logger.history["train/c"] == [(1, -1.0)]


def test_a_metric_with_a_reserved_name_is_rejected(tmp_path):
    with RunLogger(tmp_path, 10, progress=False) as logger, pytest.raises(ValueError, match="metric 'time' has a name"):
        logger.log_metrics(1, {"time": 3.0})


def test_a_resumed_run_repeats_no_step(tmp_path):
    log_steps(tmp_path, 1, 7)  # killed after step 7, its last checkpoint at 4
    log_steps(tmp_path, 5, 10, start_step=4)
    assert read_steps(tmp_path) == list(range(1, 11))


def test_a_run_from_step_0_drops_the_lines_of_a_killed_run(tmp_path):
    log_steps(tmp_path, 0, 3)
    log_steps(tmp_path, 0, 2)
    assert read_steps(tmp_path) == [0, 1, 2]


@pytest.mark.parametrize("partial", [b'{"step": 4, "split": "tr', b'{"step": 4, "spl\xc3', b"\0\0\0\0", b"7", b"\n\n"])
def test_a_partial_last_line_is_dropped_on_resuming(tmp_path, partial):
    log_steps(tmp_path, 1, 3)
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(partial)
    log_steps(tmp_path, 4, 5, start_step=4)
    assert read_steps(tmp_path) == [1, 2, 3, 4, 5]


def test_a_complete_last_line_without_its_newline_is_kept(tmp_path):
    log_steps(tmp_path, 1, 3)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text().rstrip("\n"))
    log_steps(tmp_path, 4, 5, start_step=3)
    assert read_steps(tmp_path) == [1, 2, 3, 4, 5]


def test_history_is_by_split_and_name_in_order_of_step_across_a_resume(tmp_path):
    log_steps(tmp_path, 1, 2)
    with RunLogger(tmp_path, 10, start_step=2, progress=False) as logger:
        logger.log_metrics(3, {"critic/loss": 0.5})
        logger.log_metrics(3, {"mse": 0.1}, split="validation")
        logger.log_metrics(3, {"mse": 0.2}, split="validation")  # evaluated again: the last line counts
        assert logger.history == {"train/critic/loss": [(1, 0.1), (2, 0.2), (3, 0.5)], "validation/mse": [(3, 0.2)]}


def test_tensorboard_holds_scalars_by_split_and_hides_the_steps_of_a_killed_run(tmp_path):
    log_steps(tmp_path, 1, 7)
    log_steps(tmp_path, 5, 6, start_step=4)
    scalars = [(step, value.tag, round(value.simple_value, 6)) for step, value in read_values(tmp_path)]
    assert scalars[:2] == [(1, "train/critic/loss", 0.1), (2, "train/critic/loss", 0.2)]
    starts = [event.step for event in read_events(tmp_path) if event.session_log.status == SessionLog.START]
    assert starts == [0, 5]  # the step from which earlier events are hidden


def test_a_failing_disk_is_reported_by_the_next_tensorboard_write_and_every_file_is_closed(tmp_path, monkeypatch):
    logger = RunLogger(tmp_path, 10, progress=False)
    logger.log_metrics(1, {"loss": 1.0})
    monkeypatch.setattr("tensorboardX.record_writer.RecordWriter.flush", fail_without_space)
    with pytest.raises(OSError, match="No space left"):
        logger.log_metrics(2, {"loss": 1.0})
    with pytest.raises(OSError, match="No space left"):
        logger.close()
    assert logger._metrics_file.closed
    assert not run_logger.LOGGER.handlers


def fail_without_space(self):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_closed_stdout_does_not_end_the_run(tmp_path):
    code = """
from jaxgen.io.run_logger import RunLogger
with RunLogger("run", 3, progress=False) as logger:
    for text in ("a", "b", "c"):
        logger.log_message(text)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        process.stdout.close()
        assert process.wait(timeout=100) == 0
    logged = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.split()[-1] for line in logged] == ["a", "b", "c"]


def test_tensorboard_receives_no_nan(tmp_path, caplog):
    with RunLogger(tmp_path, 10, progress=False) as logger:
        logger.log_metrics(1, {"a": float("nan"), "b": 1.0})
    assert [value.tag for _, value in read_values(tmp_path)] == ["train/b"]
    assert not caplog.records


def test_a_figure_is_a_png_and_a_tensorboard_image_and_the_next_one_replaces_it(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    with RunLogger(tmp_path, 10, progress=False) as logger:
        logger.log_figure(3, "samples", image)
        logger.log_figure(5, "samples", 255 - image)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["samples.png"]  # no temporary file is left
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "figures" / "samples.png")), 255 - image)
    images = [(step, value.tag, value.image.height, value.image.width) for step, value in read_values(tmp_path)]
    assert images == [(3, "figures/samples", H, W), (5, "figures/samples", H, W)]


def test_a_failed_write_of_a_figure_leaves_the_previous_one(tmp_path, monkeypatch):
    image = np.zeros((H, W, 3), np.uint8)

    def fail(*_):
        raise OSError("the disk is gone")

    with RunLogger(tmp_path, 10, progress=False) as logger:
        logger.log_figure(1, "samples", image)
        monkeypatch.setattr(run_logger.os, "replace", fail)
        with pytest.raises(OSError, match="the disk is gone"):
            logger.log_figure(2, "samples", image + 255)
    assert np.array(Image.open(tmp_path / "figures" / "samples.png")).max() == 0


def test_a_message_appears_once_on_the_screen_and_with_its_time_in_the_log(tmp_path, capsys):
    with RunLogger(tmp_path, 10, progress=False) as logger:
        logger.log_message("checkpoint at step 4")
        logging.getLogger("jaxgen.checkpoints").info("its checksum is right")
    assert capsys.readouterr().out == "checkpoint at step 4\nits checksum is right\n"
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert first.startswith("20")
    assert first.endswith("  checkpoint at step 4")
    assert second.endswith("  its checksum is right")


def test_handlers_are_never_duplicated_and_are_removed_with_the_run(tmp_path, capsys):
    unclosed = RunLogger(tmp_path / "a", 10, progress=False)
    with RunLogger(tmp_path / "b", 10, progress=False) as logger:
        logger.log_message("once")
    assert capsys.readouterr().out == "once\n"
    assert (tmp_path / "a" / "log.txt").read_text() == ""
    assert (tmp_path / "b" / "log.txt").read_text().count("once") == 1
    unclosed.close()
    logger.close()
    logger = logging.getLogger("jaxgen")
    assert logger.propagate
    assert not logger.handlers


def test_a_table_is_aligned_text_on_the_screen_and_in_the_log_and_a_table_in_tensorboard(tmp_path, capsys):
    with RunLogger(tmp_path, 10, progress=False) as logger:
        logger.log_metrics(7, {"loss": 1.0})
        capsys.readouterr()
        logger.log_table("Test split", {"content_accuracy": 0.99412345, "nll": np.float32(100.25), "note": "z 15"})
    expected = [
        "Test split",
        "----------",
        "content_accuracy  0.9941",
        "nll               100.2",
        "note              z 15",
    ]
    assert capsys.readouterr().out.splitlines() == expected
    assert (tmp_path / "log.txt").read_text().splitlines()[1:] == expected[1:]
    step, text = read_values(tmp_path)[-1]
    assert step == 7
    assert text.tag.startswith("Test split")
    assert b"| content_accuracy | 0.9941 |" in text.tensor.string_val[0]


def test_without_a_terminal_progress_is_a_line_every_ten_seconds_and_at_the_end(tmp_path, capsys, monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 4.0))  # each call returns 4 s more; the first call is in __init__
    monkeypatch.setattr(
        run_logger, "time", SimpleNamespace(monotonic=lambda: next(clock), time=lambda: 0.0, time_ns=int)
    )
    with RunLogger(tmp_path, 8) as logger:  # pytest's stderr is not a terminal
        for step in range(1, 9):
            logger.log_metrics(step, {"critic/accuracy": 0.5, "critic/loss": step / 4}, images_per_s=35210.4)
            logger.log_metrics(step, {"mse": 0.5}, split="validation")
    shown = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in shown] == ["1/8", "4/8", "7/8", "8/8"]
    assert shown[1] == "step 4/8 (50%)  35,210 images/s  critic/loss 1  00:16 left"


def test_a_bar_shows_losses_and_images_per_second_and_starts_where_the_run_resumes(tmp_path, capsys):
    with RunLogger(tmp_path, 10, start_step=4, progress=True) as logger:
        logger.log_metrics(6, {"critic/loss": 0.25, "critic/accuracy": 0.5}, images_per_s=35210.4)
        logger.log_message("above the bar")
    captured = capsys.readouterr()
    assert "4/10" in captured.err
    assert "6/10" in captured.err
    assert "35,210 images/s  critic/loss 0.25" in captured.err
    assert "accuracy" not in captured.err
    assert captured.out == "above the bar\n"


def test_an_evaluation_of_a_complete_run_shows_no_bar_and_keeps_every_line(tmp_path, capsys):
    log_steps(tmp_path, 1, 10)
    capsys.readouterr()
    with RunLogger(tmp_path, 10, start_step=10, progress=True) as logger:
        logger.log_metrics(10, {"mse": 0.5}, split="test")
    assert capsys.readouterr().err == ""
    assert read_steps(tmp_path) == [*range(1, 11), 10]
