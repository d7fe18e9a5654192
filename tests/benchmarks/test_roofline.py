"""benchmarks/floor.py: what a step's arithmetic and memory would take."""

import json

import jax
import pytest
from helpers import tiny_model

from benchmarks.speed import roofline


@pytest.mark.slow
def test_a_rows_shares_add_up(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    few = ["--configs=vae", "--presets=smoke", "--steps=2", "--repeats=2", f"--out={out}"]
    assert roofline.main(few) == 0, capsys.readouterr().err
    row = json.loads(out.read_text())
    assert row["floor_ms"] == pytest.approx(row["matrix_ms"] + row["memory_ms"])
    assert row["distance"] == pytest.approx(row["step_ms"] / row["floor_ms"])
    assert row["distance"] < row["distance_overlapped"]
    assert {"device", "versions", "date"} <= row.keys()


def test_what_a_step_needs_is_divided_by_the_machines_rates():
    shares = roofline.shares(gflop=2.0, state_mb=50.0, matrix=100.0, memory=10.0, step_ms=60.0)
    assert shares["matrix_ms"] == pytest.approx(20)
    assert shares["memory_ms"] == pytest.approx(10)  # read and written
    assert shares["distance"] == pytest.approx(2)
    assert shares["distance_overlapped"] == pytest.approx(3)


def test_the_state_is_counted_whole():
    model = tiny_model("vae")
    state = model.init(jax.random.key(0))
    assert roofline.state_bytes(model) == sum(leaf.nbytes for leaf in jax.tree.leaves(state))


def test_an_unknown_config_is_refused_in_one_line(tmp_path, capsys):
    assert roofline.main(["--configs=vea", f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert 'error: config "vea" is unknown (did you mean "vae"?)' in capsys.readouterr().err
    assert not (tmp_path / "rows.jsonl").exists()


def test_where_operations_can_not_be_counted_nothing_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert roofline.main(["--configs=vae", f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert capsys.readouterr().err.startswith('error: JAX_PLATFORMS="cuda" leaves out the CPU, where')
