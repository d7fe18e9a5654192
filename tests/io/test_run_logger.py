"""What a run leaves behind in its workdir, and what it shows meanwhile."""

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


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def steps(workdir):
    return [line["step"] for line in lines(workdir)]


def events(workdir):
    """The events of all files, oldest first: each a TFRecord (length u64, its crc u32, data, its crc u32)."""
    found = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            found.append(Event.FromString(content[at + 12 : at + 12 + length]))
            at += length + 16
    return found


def values(workdir):
    return [(event.step, value) for event in events(workdir) for value in event.summary.value]


def run(workdir, first, last, start_step=0):
    with RunLogger(workdir, 10, start_step=start_step, progress=False) as out:
        for step in range(first, last + 1):
            out.log_metrics(step, {"critic/loss": step / 10})


def test_each_log_call_is_at_once_a_line_of_json(tmp_path):
    with RunLogger(tmp_path, 10, progress=False) as out:
        out.log_metrics(2, {"critic/loss": np.float32(0.5), "mse": np.array(0.25)}, images_per_s=1000)
        first = lines(tmp_path)[0]
        assert first.pop("time") > 1.7e9  # Unix seconds
        assert first == {"step": 2, "split": "train", "critic/loss": 0.5, "mse": 0.25, "images_per_s": 1000.0}
        out.log_metrics(2, {"mse": 0.75}, split="validation")
        assert [line["split"] for line in lines(tmp_path)] == ["train", "validation"]


def test_what_is_not_finite_becomes_null_and_nan_again_in_the_history(tmp_path):
    with RunLogger(tmp_path, 10, progress=False) as out:
        out.log_metrics(1, {"a": float("nan"), "b": float("inf"), "c": -1.0})
        text = (tmp_path / "metrics.jsonl").read_text()
        assert '"a": null, "b": null, "c": -1.0' in text
        assert np.isnan(out.history["train/a"][0][1])
        assert out.history["train/c"] == [(1, -1.0)]


def test_a_metric_may_not_take_the_name_of_a_lines_own_key(tmp_path):
    with RunLogger(tmp_path, 10, progress=False) as out, pytest.raises(ValueError, match="metric 'time' has a name"):
        out.log_metrics(1, {"time": 3.0})


def test_a_resumed_run_repeats_no_step(tmp_path):
    run(tmp_path, 1, 7)  # killed after step 7, its last checkpoint at 4
    run(tmp_path, 5, 10, start_step=4)
    assert steps(tmp_path) == list(range(1, 11))


def test_a_run_that_starts_anew_drops_what_a_killed_one_left(tmp_path):
    run(tmp_path, 0, 3)
    run(tmp_path, 0, 2)
    assert steps(tmp_path) == [0, 1, 2]


@pytest.mark.parametrize("torn", [b'{"step": 4, "split": "tr', b'{"step": 4, "spl\xc3', b"\0\0\0\0", b"7", b"\n\n"])
def test_a_torn_last_line_is_dropped_on_resuming(tmp_path, torn):
    run(tmp_path, 1, 3)
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(torn)
    run(tmp_path, 4, 5, start_step=4)
    assert steps(tmp_path) == [1, 2, 3, 4, 5]


def test_a_whole_last_line_without_its_newline_is_kept(tmp_path):
    run(tmp_path, 1, 3)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text().rstrip("\n"))
    run(tmp_path, 4, 5, start_step=3)
    assert steps(tmp_path) == [1, 2, 3, 4, 5]


def test_history_is_by_split_and_name_in_order_of_step_across_a_resume(tmp_path):
    run(tmp_path, 1, 2)
    with RunLogger(tmp_path, 10, start_step=2, progress=False) as out:
        out.log_metrics(3, {"critic/loss": 0.5})
        out.log_metrics(3, {"mse": 0.1}, split="validation")
        out.log_metrics(3, {"mse": 0.2}, split="validation")  # evaluated once more: the newest word counts
        assert out.history == {"train/critic/loss": [(1, 0.1), (2, 0.2), (3, 0.5)], "validation/mse": [(3, 0.2)]}


def test_tensorboard_holds_scalars_by_split_and_hides_the_steps_of_a_killed_run(tmp_path):
    run(tmp_path, 1, 7)
    run(tmp_path, 5, 6, start_step=4)
    scalars = [(step, value.tag, round(value.simple_value, 6)) for step, value in values(tmp_path)]
    assert scalars[:2] == [(1, "train/critic/loss", 0.1), (2, "train/critic/loss", 0.2)]
    starts = [event.step for event in events(tmp_path) if event.session_log.status == SessionLog.START]
    assert starts == [0, 5]  # whatever came before from this step on


def test_a_disk_that_fails_tensorboard_is_told_at_once_and_all_is_closed(tmp_path, monkeypatch):
    out = RunLogger(tmp_path, 10, progress=False)
    out.log_metrics(1, {"loss": 1.0})
    monkeypatch.setattr("tensorboardX.record_writer.RecordWriter.flush", no_space)
    with pytest.raises(OSError, match="No space left"):
        out.log_metrics(2, {"loss": 1.0})
    with pytest.raises(OSError, match="No space left"):
        out.close()
    assert out._metrics_file.closed
    assert not run_logger.LOGGER.handlers


def no_space(self):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_screen_that_is_closed_ends_nothing(tmp_path):
    code = """
from jaxgen.telemetry import Telemetry
with Telemetry("run", 3, progress=False) as out:
    for text in ("a", "b", "c"):
        out.message(text)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        process.stdout.close()
        assert process.wait(timeout=100) == 0
    told = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.split()[-1] for line in told] == ["a", "b", "c"]


def test_tensorboard_is_not_asked_to_draw_nan(tmp_path, caplog):
    with RunLogger(tmp_path, 10, progress=False) as out:
        out.log_metrics(1, {"a": float("nan"), "b": 1.0})
    assert [value.tag for _, value in values(tmp_path)] == ["train/b"]
    assert not caplog.records


def test_a_figure_is_a_png_and_a_tensorboard_image_and_the_newest_replaces_it(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    with RunLogger(tmp_path, 10, progress=False) as out:
        out.log_figure(3, "samples", image)
        out.log_figure(5, "samples", 255 - image)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["samples.png"]  # no temporary left
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "figures" / "samples.png")), 255 - image)
    shown = [(step, value.tag, value.image.height, value.image.width) for step, value in values(tmp_path)]
    assert shown == [(3, "figures/samples", H, W), (5, "figures/samples", H, W)]


def test_a_figure_that_fails_to_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    image = np.zeros((H, W, 3), np.uint8)

    def fail(*_):
        raise OSError("the disk is gone")

    with RunLogger(tmp_path, 10, progress=False) as out:
        out.log_figure(1, "samples", image)
        monkeypatch.setattr(run_logger.os, "replace", fail)
        with pytest.raises(OSError, match="the disk is gone"):
            out.log_figure(2, "samples", image + 255)
    assert np.array(Image.open(tmp_path / "figures" / "samples.png")).max() == 0


def test_a_message_is_on_the_screen_once_and_in_the_log_with_its_time(tmp_path, capsys):
    with RunLogger(tmp_path, 10, progress=False) as out:
        out.log_message("checkpoint at step 4")
        logging.getLogger("jaxgen.checkpoints").info("its checksum is right")
    assert capsys.readouterr().out == "checkpoint at step 4\nits checksum is right\n"
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert first.startswith("20")
    assert first.endswith("  checkpoint at step 4")
    assert second.endswith("  its checksum is right")


def test_handlers_are_never_doubled_and_leave_with_the_run(tmp_path, capsys):
    forgotten = RunLogger(tmp_path / "a", 10, progress=False)
    with RunLogger(tmp_path / "b", 10, progress=False) as out:
        out.log_message("once")
    assert capsys.readouterr().out == "once\n"
    assert (tmp_path / "a" / "log.txt").read_text() == ""
    assert (tmp_path / "b" / "log.txt").read_text().count("once") == 1
    forgotten.close()
    out.close()
    logger = logging.getLogger("jaxgen")
    assert logger.propagate
    assert not logger.handlers


def test_a_table_is_aligned_on_the_screen_and_in_the_log_and_a_table_in_tensorboard(tmp_path, capsys):
    with RunLogger(tmp_path, 10, progress=False) as out:
        out.log_metrics(7, {"loss": 1.0})
        capsys.readouterr()
        out.log_table("Test split", {"content_accuracy": 0.99412345, "nll": np.float32(100.25), "note": "z 15"})
    expected = [
        "Test split",
        "----------",
        "content_accuracy  0.9941",
        "nll               100.2",
        "note              z 15",
    ]
    assert capsys.readouterr().out.splitlines() == expected
    assert (tmp_path / "log.txt").read_text().splitlines()[1:] == expected[1:]
    step, text = values(tmp_path)[-1]
    assert step == 7
    assert text.tag.startswith("Test split")
    assert b"| content_accuracy | 0.9941 |" in text.tensor.string_val[0]


def test_without_a_terminal_progress_is_a_plain_line_every_ten_seconds_and_the_last(tmp_path, capsys, monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 4.0))  # every look at the clock is 4 s later; the first is in __init__
    monkeypatch.setattr(
        run_logger, "time", SimpleNamespace(monotonic=lambda: next(clock), time=lambda: 0.0, time_ns=int)
    )
    with RunLogger(tmp_path, 8) as out:  # pytest's stderr is no terminal
        for step in range(1, 9):
            out.log_metrics(step, {"critic/accuracy": 0.5, "critic/loss": step / 4}, images_per_s=35210.4)
            out.log_metrics(step, {"mse": 0.5}, split="validation")
    shown = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in shown] == ["1/8", "4/8", "7/8", "8/8"]
    assert shown[1] == "step 4/8 (50%)  35,210 images/s  critic/loss 1  00:16 left"


def test_a_bar_shows_losses_and_images_per_second_and_starts_where_the_run_resumes(tmp_path, capsys):
    with RunLogger(tmp_path, 10, start_step=4, progress=True) as out:
        out.log_metrics(6, {"critic/loss": 0.25, "critic/accuracy": 0.5}, images_per_s=35210.4)
        out.log_message("above the bar")
    captured = capsys.readouterr()
    assert "4/10" in captured.err
    assert "6/10" in captured.err
    assert "35,210 images/s  critic/loss 0.25" in captured.err
    assert "accuracy" not in captured.err
    assert captured.out == "above the bar\n"


def test_a_complete_run_that_is_only_evaluated_shows_no_bar_and_loses_no_line(tmp_path, capsys):
    run(tmp_path, 1, 10)
    capsys.readouterr()
    with RunLogger(tmp_path, 10, start_step=10, progress=True) as out:
        out.log_metrics(10, {"mse": 0.5}, split="test")
    assert capsys.readouterr().err == ""
    assert steps(tmp_path) == [*range(1, 11), 10]
