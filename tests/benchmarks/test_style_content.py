"""The separation table and its trade-off picture."""

from benchmarks.quality import style_content

ROW = {
    "presets": "mnist",
    "overrides": "steps=2500 rates.encoder=1e-3",
    "dataset": "mnist",
    "split": "validation",
    "mse": [0.02, 0.04],
    "style_leakage": [0.1, 0.3],
    "style_consistency": [0.7, 0.9],
}


def test_a_cell_is_the_mean_and_the_sample_standard_deviation():
    assert style_content.mean_and_std([1.0, 2.0, 3.0]) == "2 ± 1"  # divided by n - 1
    assert style_content.mean_and_std([0.5]) == "0.5"


def test_a_caption_names_what_was_changed_but_not_how_long_the_run_was():
    assert style_content.caption(ROW) == "mnist rates.encoder=1e-3\nconsistency 0.80"
    assert style_content.caption(ROW | {"presets": "", "overrides": ""}) == "default\nconsistency 0.80"


def test_the_trade_off_has_a_panel_a_data_set_and_split():
    one, two = style_content.trade_off([ROW]), style_content.trade_off([ROW, ROW | {"split": "test"}])
    assert one.shape[2] == 3
    assert abs(two.shape[1] - 2 * one.shape[1]) <= 2
    assert (one != 255).any()


def test_a_row_replaces_those_of_its_recipe_before_it(tmp_path, capsys):
    other = ROW | {"split": "test"}
    assert style_content.newest([ROW, other, ROW | {"mse": [0.5]}]) == [ROW | {"mse": [0.5]}, other]
    assert style_content.main([f"--draw={tmp_path / 'x.png'}", f"--out={tmp_path / 'none.jsonl'}"]) == 2
    assert "has no rows to draw" in capsys.readouterr().err
