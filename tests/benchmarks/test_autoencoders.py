"""The autoencoders' tables: every row names a recipe that exists, runs that differ have workdirs of their own."""

import ast

import numpy as np
import pytest

from benchmarks.common import records, tables
from benchmarks.quality import autoencoders, gans
from jaxgen.config.base import validate_config

ROWS = [
    pytest.param(row, id=f"{table}: {row.name}")
    for module in (autoencoders, gans)
    for table, rows in module.TABLES.items()
    for row in rows
]


@pytest.mark.parametrize("budget", tables.BUDGETS)
@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_recipe_that_can_be_run(row, budget):
    config = records.recipe(*row.config.partition(":")[::2])
    for key, value in tables.values(row, autoencoders.parse(["--budget", budget])).items():
        config.update_from_flattened_dict({key: ast.literal_eval(value) if isinstance(value, str) else value})
    validate_config(config)


def test_rows_share_a_workdir_exactly_where_they_share_a_run():
    options = autoencoders.parse(["--override=data.path=/somewhere"])
    rows = [row for rows in autoencoders.TABLES.values() for row in rows]
    runs = {(row.config, row.vae, row.cpu_steps, row.start is None) for row in rows}
    assert len({tables.folder(row, options) for row in rows}) == len(runs)
    assert not any("somewhere" in str(tables.folder(row, options)) for row in rows)


def test_a_colorizer_on_a_vaes_faces_is_told_the_vaes_workdir():
    options = autoencoders.parse(["--override=data.path=/faces", "--workdir=here"])
    row = autoencoders.TABLES["colors"][0]
    assert tables.overrides(row, options) == ["num_seeds=3", "data.path=/faces", "base_model_workdir=here/anime_vae-num_seeds=3"]


def test_the_run_that_goes_on_by_the_weighted_bound_begins_with_the_vaes_networks(monkeypatch):
    ran = []
    monkeypatch.setattr(records, "finished_run", lambda config, workdir, overrides: ran.append((workdir, overrides)))
    row = next(row for row in autoencoders.TABLES["likelihood"] if row.start)
    tables.finished(row, autoencoders.parse(["--workdir=here"]))
    (first, vae), (_, weighted) = ran
    assert "num_importance_samples=50" in set(weighted) - set(vae)
    assert weighted[-1] == f"init_from={first}"


def test_rows_whose_seeds_are_runs_apart_are_put_together(monkeypatch):
    ran = []

    def finished_run(config, workdir, overrides):
        ran.append((workdir.name, overrides))
        seed = int(overrides[-1].removeprefix("seed="))
        return {
            "metrics": {"mse": float(seed)},
            "seconds": 60.0,
            "step": 5,
            "device": "cpu",
            "versions": {"commit": f"c{seed}"},
        }

    monkeypatch.setattr(records, "finished_run", finished_run)
    options = gans.parse(["faces", "--override=data.path=/faces", "--override=seed=1", "--seeds=2"])
    found = tables.finished(gans.TABLES["faces"][0], options)
    assert ran == [
        ("vaegan-faces-num_seeds=1-seed=1", ("num_seeds=1", "data.path=/faces", "seed=1")),
        ("vaegan-faces-num_seeds=1-seed=2", ("num_seeds=1", "data.path=/faces", "seed=2")),
    ]
    assert (found["metrics"]["mse"], found["std"]["mse"]) == (1.5, pytest.approx(0.5**0.5))
    assert (found["per_seed"], found["seconds"]) == ([{"mse": 1.0}, {"mse": 2.0}], 120.0)
    assert (found["versions"], found["device"]) == ({"commit": "c1, c2"}, "cpu")


def test_an_unknown_table_is_refused_in_one_line(capsys):
    assert autoencoders.main(["likelyhood"]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: table "likelyhood" is unknown (did you mean "likelihood"?); choose from')
    assert len(error.splitlines()) == 1


def test_an_override_without_a_value_is_refused_in_one_line(capsys):
    assert gans.main(["faces", "--override=steps"]) == 2
    assert capsys.readouterr().err == "error: override=steps must be KEY=VALUE; try --override=steps=100\n"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--only=vea*", "only=vea* names no row of faces; choose from ['anime_vae"),
        ("--seeds=0", "must be a whole number"),
    ],
)
def test_what_leaves_nothing_to_run_is_refused(argument, said, capsys):
    try:
        status = autoencoders.main(["faces", argument])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_principal_components_lose_nothing_of_images_that_they_span():
    rng = np.random.default_rng(0)
    span, mean = rng.normal(size=(3, 12)) / 40, 0.5
    train, images = (mean + rng.normal(size=(count, 3)) @ span for count in (30, 5))
    np.testing.assert_allclose(autoencoders.projected(train, images, 3), images, atol=1e-8)
    assert autoencoders.squared_error(autoencoders.projected(train, images, 2), images) > 1e-6


def test_what_is_shown_is_mean_and_std_to_the_digits_that_count():
    assert tables.shown(0.0273456, None) == "0.02735"
    assert tables.shown(89.6543, 0.0871) == "89.65 ± 0.087"


def test_only_the_rows_that_are_asked_for_are_run(monkeypatch):
    ran = []
    monkeypatch.setattr(tables, "finished", lambda row, options: ran.append(row.config))
    monkeypatch.setattr(tables, "summary_of", lambda table, row, options, results: {"row": row.name})
    options = autoencoders.parse(["samplers", "--only=ae, *"])
    rows = list(autoencoders.measured("samplers", options))
    assert [row["row"] for row in rows] == ["ae, prior", "ae, mixture", "ae, two-stage"]
    assert set(ran) == {"ae:mnist"}
