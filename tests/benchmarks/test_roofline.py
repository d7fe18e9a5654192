"""benchmarks.speed.roofline: the time that a step's arithmetic and memory traffic need."""

import json

import jax
import pytest
from helpers import tiny_model

from benchmarks.speed import roofline


@pytest.mark.slow
def test_the_parts_of_a_row_add_up(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    few = ["--configs=vae", "--presets=smoke", "--steps=2", "--repeats=2", f"--out={out}"]
    assert roofline.main(few) == 0, capsys.readouterr().err
    row = json.loads(out.read_text())
    assert row["floor_ms"] == pytest.approx(row["matrix_ms"] + row["memory_ms"])
    assert row["distance"] == pytest.approx(row["step_ms"] / row["floor_ms"])
    assert row["distance"] < row["distance_overlapped"]
    assert {"device", "versions", "date"} <= row.keys()


def test_operations_and_bytes_are_divided_by_the_machines_rates():
    row = roofline.compare_with_roofline(gflop=2.0, state_mb=50.0, matrix=100.0, memory=10.0, step_ms=60.0)
    assert row["matrix_ms"] == pytest.approx(20)
    assert row["memory_ms"] == pytest.approx(10)  # read and written
    assert row["distance"] == pytest.approx(2)
    assert row["distance_overlapped"] == pytest.approx(3)


@pytest.mark.slow
def test_all_of_the_state_is_counted():
    model = tiny_model("vae")
    state = model.init(jax.random.key(0))
    assert roofline.state_bytes(model) == sum(leaf.nbytes for leaf in jax.tree.leaves(state))


def test_an_unknown_config_is_refused_in_one_line(tmp_path, capsys):
    assert roofline.main(["--configs=vea", f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert 'error: config "vea" is unknown (did you mean "vae"?)' in capsys.readouterr().err
    assert not (tmp_path / "rows.jsonl").exists()


def test_nothing_is_measured_if_operations_cannot_be_counted(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert roofline.main(["--configs=vae", f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert capsys.readouterr().err.startswith('error: JAX_PLATFORMS="cuda" leaves out the CPU, where')
