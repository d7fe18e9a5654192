"""benchmarks.speed.scaling on simulated devices, and its count of the bytes that devices exchange."""

import json
import os
import subprocess
import sys

import pytest
from helpers import REPOSITORY

from benchmarks.speed import scaling


def run(*arguments, timeout=300):
    command = [sys.executable, "-m", "benchmarks.speed.scaling", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("scaling") / "rows.jsonl"
    few = ("--configs=cond_aae", "--presets=smoke", "--simulate=4", "--devices=1,4", "--steps=2", "--repeats=2")
    process = run(*few, f"--out={out}")
    assert process.returncode == 0, process.stderr
    assert "simulated devices share the cores of one" in process.stdout
    return {(row["growth"], row["way"], row["devices"]): row for row in map(json.loads, out.read_text().splitlines())}


@pytest.mark.slow
def test_every_way_and_growth_is_compared_with_one_device(rows):
    assert set(rows) == {(g, w, n) for g in ("strong", "weak") for w in ("jit", "pmap") for n in (1, 4)}
    assert rows["strong", "jit", 1]["speedup"] == 1
    assert all(row["simulated"] and row["images_per_s"] > 0 for row in rows.values())
    assert all(row["speedup_min"] <= row["speedup"] <= row["speedup_max"] for row in rows.values())


@pytest.mark.slow
def test_weak_growth_gives_each_device_a_whole_batch(rows):
    alone = rows["weak", "jit", 1]["batch_size"]
    assert rows["weak", "jit", 4]["batch_size"] == 4 * alone
    assert rows["strong", "jit", 4]["batch_size"] == alone


@pytest.mark.slow
def test_a_step_exchanges_the_gradients_and_little_else(rows):
    assert rows["strong", "jit", 1]["collective_bytes"] == 0
    assert rows["strong", "pmap", 4]["collective_bytes"] is None
    row = rows["strong", "jit", 4]
    assert row["gradient_bytes"] <= row["collective_bytes"] < 1.001 * row["gradient_bytes"]


def test_only_the_outputs_of_collectives_are_counted():
    program = """
      %a = f32[2,3]{1,0} add(%x, %y)
      %b = (f32[10]{0}, bf16[4,2]{1,0}) all-reduce(%p, %q), channel_id=1
      %c = f32[] all-reduce-start(%r)
      %cd = f32[] all-reduce-done(%c)
      %d = u32[5]{0} all-gather(%s), dimensions={0}
      %e = (s16[2]{0}, s16[8]{0}) all-gather-start(%t), dimensions={0}
      %ed = s16[8]{0} all-gather-done(%e)
      %f = pred[3]{0} all-reduce(%u)
    """
    assert scaling.collective_bytes(program) == 40 + 16 + 4 + 20 + 16 + 3


@pytest.mark.slow
def test_a_batch_not_divisible_by_the_devices_is_refused_with_a_suggestion(tmp_path):
    few = ("--configs=gan", "--presets=smoke", "--simulate=4", "--batch_size=6", "--steps=1", "--repeats=1")
    process = run(*few, f"--out={tmp_path / 'rows.jsonl'}")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == "error: batch_size=6 must be divisible by 4 devices; try --batch_size=4"


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--devices=9", "devices=9 must be 1 to "),
        ("--ways=pmpa", 'ways="pmpa" is unknown; choose from jit, pmap'),
        ("--growths=week", 'growths="week" is unknown; choose from strong, weak'),
        ("--configs=ae,zzz", 'config "zzz" is unknown'),
    ],
)
def test_impossible_measurements_are_refused_in_one_line(flag, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scaling.processes, "set_up_jax", lambda simulate: None)
    monkeypatch.setattr(scaling, "measure_rows", None)  # a call would fail
    assert scaling.main([flag, f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
