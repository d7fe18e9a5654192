"""benchmarks.speed.startup: the second start finds its programs compiled."""

import json

import pytest

from benchmarks.speed import startup


@pytest.mark.slow
def test_starts_are_timed_to_their_first_steps_and_later_ones_do_not_compile_the_step(tmp_path, capsys, monkeypatch):
    steps, measure_start = [], startup.measure_start

    def start(config, folder, number):
        seconds = measure_start(config, folder, number)
        steps.append({path.name for path in (folder / "compiled").glob("jit_run-*-cache")})
        return seconds

    monkeypatch.setattr(startup, "measure_start", start)
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "false")  # other benchmarks leave it so in this process
    out = tmp_path / "rows.jsonl"
    assert startup.main(["--config=ae:smoke", "--repeats=2", f"--out={out}"]) == 0, capsys.readouterr().err
    assert steps[0]
    assert steps == [steps[0]] * 3
    row = json.loads(out.read_text())
    assert row["second_s_min"] <= row["second_s"] <= row["second_s_max"]
    assert row["second_s_min"] > 0
    assert row["first_s"] > 0
    assert {"device", "versions", "date"} <= row.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=cond_aea"], 'config "cond_aea" is unknown (did you mean "cond_aae"?)'),
        (["--config=ae:anime_faces"], "can't be started ("),
    ],
)
def test_a_recipe_that_cannot_start_is_reported_in_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAXGEN_FACES", "")
    assert startup.main([*arguments, f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert message in capsys.readouterr().err
