"""benchmarks.speed.input_throughput, on few images."""

import json
import os
import subprocess
import sys

import pytest
from helpers import REPOSITORY
from PIL import Image

from benchmarks.speed import input_throughput

SHORT = ("--config=ae", "--batch_size=4", "--steps=2", "--repeats=2")


@pytest.mark.slow
def test_the_three_rates_and_their_ratios_are_recorded(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    assert input_throughput.main([*SHORT, "--images=30", f"--out={out}"]) == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert row["image_shape"] == [64, 64, 3]
    assert row["images"] == 24  # of 30: a tenth each is for validation and for test
    assert min(row[name] for name in ("stream", "step", "together")) > 0
    assert row["ratio"] == pytest.approx(row["stream"] / row["step"])
    assert row["waits"] == pytest.approx(1 - row["together"] / row["step"])
    assert {"device", "versions"} <= row.keys()
    assert "images/s" in capsys.readouterr().out


@pytest.mark.slow
def test_a_users_own_folder_can_replace_the_noise(tmp_path):
    for i in range(5):
        Image.new("RGB", (70, 64), (50 * i, 0, 0)).save(tmp_path / f"{i}.png")
    assert input_throughput.main([*SHORT, f"--path={tmp_path}", f"--out={tmp_path / 'rows.jsonl'}"]) == 0


def test_a_missing_folder_is_refused_in_one_line(tmp_path, capsys):
    assert input_throughput.main([*SHORT, f"--path={tmp_path / 'none'}", f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_a_batch_not_divisible_by_the_devices_is_refused_in_one_line(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.input_throughput", "--batch_size=6", "--images=30",
         f"--out={tmp_path / 'rows.jsonl'}"],
        cwd=REPOSITORY, env=os.environ | {"JAX_NUM_CPU_DEVICES": "4"}, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr == "error: batch_size=6 must be divisible by 4 devices; try --batch_size=4\n"
