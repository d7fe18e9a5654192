"""benchmarks.quality.style_content: the table, its runs, and the figure of the trade-off."""

import json

import pytest

from benchmarks.common import records
from benchmarks.quality import style_content

ROW = {
    "presets": "mnist",
    "overrides": "steps=2500 learning_rates.adversarial=1e-3",
    "dataset": "mnist",
    "split": "validation",
    "mse": [0.02, 0.04],
    "style_leakage": [0.1, 0.3],
    "style_consistency": [0.7, 0.9],
}


def test_a_cell_is_the_mean_and_the_sample_standard_deviation():
    assert style_content.format_seeds([1.0, 2.0, 3.0]) == "2 ± 1"  # divided by n - 1
    assert style_content.format_seeds([0.5]) == "0.5"


def test_a_caption_names_the_overrides_except_those_of_the_length():
    assert style_content.format_caption(ROW) == "mnist learning_rates.adversarial=1e-3\nconsistency 0.80"
    assert style_content.format_caption(ROW | {"presets": "", "overrides": ""}) == "default\nconsistency 0.80"


def test_the_trade_off_has_a_panel_for_each_data_set_and_split():
    one, two = style_content.plot_trade_off([ROW]), style_content.plot_trade_off([ROW, ROW | {"split": "test"}])
    assert one.shape[2] == 3
    assert abs(two.shape[1] - 2 * one.shape[1]) <= 2
    assert (one != 255).any()


def test_the_captions_of_the_trade_off_lie_inside_of_their_frames(monkeypatch):
    kept, render = [], style_content.plotting.render_figure
    monkeypatch.setattr(style_content.plotting, "render_figure", lambda figure: kept.append(figure) or render(figure))
    long = "learning_rates.adversarial=1e-3 kl_weight=0.3"
    rows = [ROW | {"mse": [0.01 * k], "overrides": f"{long} seed={k}"} for k in range(1, 4)]
    style_content.plot_trade_off(rows)
    (axes,) = kept[-1].axes
    frame = axes.get_window_extent()
    for text in axes.texts:
        assert frame.x0 < text.get_window_extent().x0
        assert text.get_window_extent().x1 < frame.x1


def test_a_row_replaces_earlier_rows_of_its_recipe(tmp_path, capsys):
    other = ROW | {"split": "test"}
    assert style_content.newest_rows([ROW, other, ROW | {"mse": [0.5]}]) == [ROW | {"mse": [0.5]}, other]
    assert style_content.main([f"--draw={tmp_path / 'x.png'}", f"--out={tmp_path / 'none.jsonl'}"]) == 2
    assert "has no rows to draw" in capsys.readouterr().err


def test_each_variant_is_a_row_of_runs_of_one_seed_each(tmp_path, capsys, monkeypatch):
    runs = []

    def load_or_run(config, workdir, overrides):
        runs.append((config, workdir.name, overrides))
        common = {"dataset": "digits", "split": "validation", "step": 5, "device": "cpu", "versions": {"commit": "c"}}
        metrics = dict.fromkeys(style_content.METRICS, float(overrides[-1].removeprefix("seed=")))
        return common | {"metrics": metrics, "seconds": 60.0}

    monkeypatch.setattr(records, "load_or_run", load_or_run)
    options = ["--presets=,mnist+tutorial", "--seeds=0,2", "--split=validation", "--overrides=kl_weight=0.3"]
    assert style_content.main([*options, f"--out={tmp_path / 'rows.jsonl'}"]) == 0
    changed = ("kl_weight=0.3", "evaluation.split=validation")
    folder = "cond_aae-mnist-tutorial-kl_weight=0.3-evaluation.split=validation-seed2"
    assert [config for config, *_ in runs] == ["cond_aae:"] * 2 + ["cond_aae:mnist,tutorial"] * 2
    assert runs[-1] == ("cond_aae:mnist,tutorial", folder, (*changed, "seed=2"))
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["presets"] for row in rows] == ["", "mnist,tutorial"]
    assert all(row["mse"] == [0.0, 2.0] and row["minutes"] == pytest.approx(1) for row in rows)
    assert "1 ± 1.4" in capsys.readouterr().out
