"""Tables of runs: every row names an existing recipe, and different runs have different workdirs."""

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
def test_every_row_is_a_valid_recipe(row, budget):
    config = records.recipe(*row.config.partition(":")[::2])
    for key, value in tables.config_changes(row, autoencoders.parse(["--budget", budget])).items():
        config.update_from_flattened_dict({key: ast.literal_eval(value) if isinstance(value, str) else value})
    validate_config(config)


def test_rows_share_a_workdir_exactly_if_they_share_a_run():
    options = autoencoders.parse(["--override=data.path=/somewhere"])
    rows = [row for rows in autoencoders.TABLES.values() for row in rows]
    runs = {(row.config, row.vae, row.cpu_steps, row.start is None) for row in rows}
    assert len({tables.workdir_of(row, options) for row in rows}) == len(runs)
    assert not any("somewhere" in str(tables.workdir_of(row, options)) for row in rows)


def test_a_colorizer_of_a_vaes_faces_gets_the_vaes_workdir():
    options = autoencoders.parse(["--override=data.path=/faces", "--workdir=here"])
    row = autoencoders.TABLES["colors"][0]
    vae = "base_model_workdir=here/anime_vae-num_seeds=3"
    assert tables.overrides_of(row, options) == ["num_seeds=3", "data.path=/faces", vae]


def test_the_run_with_the_importance_weighted_bound_starts_from_the_vaes_networks(monkeypatch):
    ran = []
    monkeypatch.setattr(records, "load_or_run", lambda config, workdir, overrides: ran.append((workdir, overrides)))
    row = next(row for row in autoencoders.TABLES["likelihood"] if row.start)
    tables.load_or_run(row, autoencoders.parse(["--workdir=here"]))
    (first, vae), (_, weighted) = ran
    assert "num_importance_samples=50" in set(weighted) - set(vae)
    assert weighted[-1] == f"init_from={first}"


def test_rows_with_a_run_for_each_seed_are_joined(monkeypatch):
    ran = []

    def load_or_run(config, workdir, overrides):
        ran.append((workdir.name, overrides))
        seed = int(overrides[-1].removeprefix("seed="))
        return {
            "metrics": {"mse": float(seed)},
            "seconds": 60.0,
            "step": 5,
            "device": "cpu",
            "versions": {"commit": f"c{seed}"},
        }

    monkeypatch.setattr(records, "load_or_run", load_or_run)
    options = gans.parse(["faces", "--override=data.path=/faces", "--override=seed=1", "--seeds=2"])
    joined = tables.load_or_run(gans.TABLES["faces"][0], options)
    assert ran == [
        ("vaegan-faces-num_seeds=1-seed=1", ("num_seeds=1", "data.path=/faces", "seed=1")),
        ("vaegan-faces-num_seeds=1-seed=2", ("num_seeds=1", "data.path=/faces", "seed=2")),
    ]
    assert (joined["metrics"]["mse"], joined["std"]["mse"]) == (1.5, pytest.approx(0.5**0.5))
    assert (joined["per_seed"], joined["seconds"]) == ([{"mse": 1.0}, {"mse": 2.0}], 120.0)
    assert (joined["versions"], joined["device"]) == ({"commit": "c1, c2"}, "cpu")


def test_an_unknown_table_is_refused_in_one_line(capsys):
    assert autoencoders.main(["likelyhood"]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: table "likelyhood" is unknown (did you mean "likelihood"?); choose from')
    assert len(error.splitlines()) == 1


def test_an_override_without_a_value_is_refused_in_one_line(capsys):
    assert gans.main(["faces", "--override=steps"]) == 2
    assert capsys.readouterr().err == "error: override=steps must be KEY=VALUE; try --override=steps=100\n"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--only=vea*", "only=vea* names no row of faces; choose from ['anime_vae"),
        ("--seeds=0", "must be a whole number"),
    ],
)
def test_options_that_leave_nothing_to_run_are_refused(argument, message, capsys):
    try:
        status = autoencoders.main(["faces", argument])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_principal_components_reproduce_images_in_their_span():
    rng = np.random.default_rng(0)
    span, mean = rng.normal(size=(3, 12)) / 40, 0.5
    train, images = (mean + rng.normal(size=(count, 3)) @ span for count in (30, 5))
    np.testing.assert_allclose(autoencoders.project(train, images, 3), images, atol=1e-8)
    assert autoencoders.mean_squared_error(autoencoders.project(train, images, 2), images) > 1e-6


def test_mean_and_std_are_formatted_with_their_significant_digits():
    assert tables.format_mean_and_std(0.0273456, None) == "0.02735"
    assert tables.format_mean_and_std(89.6543, 0.0871) == "89.65 ± 0.087"


def test_only_the_requested_rows_are_run(monkeypatch):
    ran = []
    monkeypatch.setattr(tables, "load_or_run", lambda row, options: ran.append(row.config))
    monkeypatch.setattr(tables, "record", lambda table, row, options, results: {"row": row.name})
    options = autoencoders.parse(["samplers", "--only=ae, *"])
    rows = list(autoencoders.measure_rows("samplers", options))
    assert [row["row"] for row in rows] == ["ae, prior", "ae, mixture", "ae, two-stage"]
    assert set(ran) == {"ae:mnist"}
