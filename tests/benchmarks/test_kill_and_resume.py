"""benchmarks/endurance.py: that it finds what it looks for, and one kill of its own."""

import json
from collections import Counter

import pytest

from benchmarks.robustness import kill_and_resume


@pytest.mark.slow
def test_a_run_that_is_killed_once_is_found_identical(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    assert kill_and_resume.main(["--kills=1", "--seed=5", f"--out={out}"]) == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["kills"], row["unreadable"]) == (1, [])
    assert row["runs"] == row["identical"] >= 1  # on a machine that was slow at first, a run may end before its kill
    assert sum(row["moments"].values()) == 1
    assert "identical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content"),
    [("results.json", b"{"), ("metrics.jsonl", b'{"step": 1}\n{"st'), ("figures/a.png", b"\x89PNG"), (".x.7.tmp", b"")],
)
def test_files_that_are_half_there_are_found(tmp_path, name, content):
    (tmp_path / "figures").mkdir()
    (tmp_path / "config.json").write_text("{}")
    assert kill_and_resume.unreadable_files(tmp_path) == []
    (tmp_path / name).write_bytes(content)
    (found,) = kill_and_resume.unreadable_files(tmp_path)
    assert name in found


def test_a_kill_is_told_by_what_the_run_was_about(tmp_path):
    folder = tmp_path / "checkpoints"
    assert kill_and_resume.moment(tmp_path) == "before the first checkpoint"
    (folder / "400.orbax-checkpoint-tmp").mkdir(parents=True)
    assert kill_and_resume.moment(tmp_path) == "saving"
    (folder / "400.orbax-checkpoint-tmp").rename(folder / "40")
    assert kill_and_resume.moment(tmp_path) == "training"
    (folder / str(kill_and_resume.STEPS)).mkdir()
    assert kill_and_resume.moment(tmp_path) == "after the last step"


def test_a_run_that_ends_before_it_can_be_killed_is_no_kill(tmp_path, monkeypatch):
    class Ended:
        returncode = 0

        def communicate(self, timeout):
            return "", None

    monkeypatch.setattr(kill_and_resume, "started", lambda workdir: Ended())
    moments = Counter()
    assert not kill_and_resume.killed(tmp_path, 1, moments)
    assert not moments


def test_a_run_that_can_t_be_resumed_ends_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(kill_and_resume, "RUN", ("--config.steps=-1",))
    with pytest.raises(RuntimeError, match=r"can't be resumed: .*steps=-1"):
        kill_and_resume.finish(tmp_path / "run")
