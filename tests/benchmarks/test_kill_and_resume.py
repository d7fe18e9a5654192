"""benchmarks.robustness.kill_and_resume: it detects damaged files, and kills one run."""

import json
from collections import Counter

import pytest

from benchmarks.robustness import kill_and_resume


@pytest.mark.slow
def test_a_run_killed_once_ends_identically(tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    assert kill_and_resume.main(["--kills=1", "--seed=5", f"--out={out}"]) == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["kills"], row["unreadable"]) == (1, [])
    assert row["runs"] == row["identical"] >= 1  # a run may finish before its kill, if the first one was slow
    assert sum(row["moments"].values()) == 1
    assert "identical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content"),
    [("results.json", b"{"), ("metrics.jsonl", b'{"step": 1}\n{"st'), ("figures/a.png", b"\x89PNG"), (".x.7.tmp", b"")],
)
def test_incomplete_files_are_found(tmp_path, name, content):
    (tmp_path / "figures").mkdir()
    (tmp_path / "config.json").write_text("{}")
    assert kill_and_resume.find_unreadable_files(tmp_path) == []
    (tmp_path / name).write_bytes(content)
    (message,) = kill_and_resume.find_unreadable_files(tmp_path)
    assert name in message


def test_the_moment_of_a_kill_follows_from_the_files(tmp_path):
    folder = tmp_path / "checkpoints"
    assert kill_and_resume.find_moment(tmp_path) == "before the first checkpoint"
    (folder / "400.orbax-checkpoint-tmp").mkdir(parents=True)
    assert kill_and_resume.find_moment(tmp_path) == "saving"
    (folder / "400.orbax-checkpoint-tmp").rename(folder / "40")
    assert kill_and_resume.find_moment(tmp_path) == "training"
    (folder / str(kill_and_resume.STEPS)).mkdir()
    assert kill_and_resume.find_moment(tmp_path) == "after the last step"


def test_a_run_that_finishes_before_its_kill_is_not_counted(tmp_path, monkeypatch):
    class FinishedProcess:
        returncode = 0

        def communicate(self, timeout):
            return "", None

    monkeypatch.setattr(kill_and_resume, "start_run", lambda workdir: FinishedProcess())
    moments = Counter()
    assert not kill_and_resume.start_and_kill(tmp_path, 1, moments)
    assert not moments


@pytest.mark.slow
def test_a_run_that_cannot_be_resumed_ends_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(kill_and_resume, "RUN", ("--config.steps=-1",))
    with pytest.raises(RuntimeError, match=r"can't be resumed: .*steps=-1"):
        kill_and_resume.finish(tmp_path / "run")
