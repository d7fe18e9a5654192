"""A run is extended, resumed with other settings, and used by its workdir alone; `--step` selects a checkpoint."""

import io
import json
import shutil
from contextlib import redirect_stderr
from functools import partial

import jax
import numpy as np
import pytest
from helpers import REPOSITORY, launch_here, read_config, same
from PIL import Image

import jaxgen
from jaxgen.cli.run_config import resolve_config
from jaxgen.io import workdir
from jaxgen.io.checkpoints import CheckpointManager
from jaxgen.training import batches

RECIPE = f"--config={REPOSITORY}/configs/denoising_ae.py"
SMALL = ("--config.hidden_sizes=(8,)", "--config.latent_size=2", "--config.lr_schedule=constant")
STEPS = ("--config.log_every=10", "--config.eval_every=1000", "--config.checkpoint_every=10", "--config.max_to_keep=9")


def train(folder, *flags, expected=0):
    """Runs the command line in a folder, with the workdir `run`."""
    run = launch_here(*flags, "--workdir=run", cwd=folder)
    assert run.returncode == expected, run.stderr
    return run


def saved_state(folder):
    """Returns everything in the newest checkpoint: parameters, statistics and optimizer states."""
    with CheckpointManager(folder / "run" / "checkpoints") as checkpoints:
        step = checkpoints.all_steps()[-1]
        leaves, _ = checkpoints._read(step)
    return step, leaves


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Returns a folder with a finished run of 30 steps, made by overrides, in its subfolder run."""
    folder = tmp_path_factory.mktemp("finished")
    train(folder, f"{RECIPE}:smoke", *SMALL, *STEPS, "--config.steps=30")
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """Returns a folder with a copy of the finished run, which a test may change."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path


@pytest.mark.slow
def test_a_finished_run_is_extended_to_the_state_of_a_longer_run(copied, tmp_path_factory):
    extended = train(copied, RECIPE, "--config.steps=45", "--config.log_every=20", "--config.checkpoint_every=20")
    assert "resuming at step 30 of 45" in extended.stdout + extended.stderr
    assert (
        "the config changes at step 30: checkpoint_every: 10 → 20; log_every: 10 → 20; steps: 30 → 45"
        in (copied / "run" / "log.txt").read_text()
    )
    longer = tmp_path_factory.mktemp("longer")
    train(longer, f"{RECIPE}:smoke", *SMALL, *STEPS, "--config.steps=45")
    (step, leaves), (expected_step, expected) = saved_state(copied), saved_state(longer)
    assert step == expected_step == 45
    assert leaves.keys() == expected.keys()
    assert same(leaves, expected)  # optimizer states included
    config = json.loads((copied / "run" / "config.json").read_text())
    assert (config["steps"], config["log_every"], config["hidden_sizes"]) == (45, 20, [8])
    (change,) = map(json.loads, (copied / "run" / "config_history.jsonl").read_text().splitlines())
    assert change["changes"] == {"checkpoint_every": [10, 20], "log_every": [10, 20], "steps": [30, 45]}
    history = [json.loads(line) for line in (copied / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history if row["split"] == "train"] == [10, 20, 30, 40, 45]  # multiples of log_every
    assert json.loads((copied / "run" / "results.json").read_text())["step"] == 45


@pytest.mark.slow
def test_a_cosine_schedule_follows_the_new_number_of_steps_with_a_message(tmp_path):
    train(tmp_path, f"{RECIPE}:smoke", *SMALL[:2], "--config.steps=20")
    run = train(tmp_path, f"{RECIPE}:smoke", "--config.steps=40")
    message = "lr_schedule=cosine follows the new number of steps: at step 20 the learning rate is 51.0% of its initial"
    assert f"{message} value instead of 2.0%" in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--config.latent_size=3",), "latent_size: 2 there, 3 here"),
        (("--config.seed=1", "--config.latent_size=3"), "(latent_size: 2 there, 3 here; seed: 0 there, 1 here)"),
        (("--config.steps=20",), "steps=20 ends before the last checkpoint of the run in workdir=run, step 30"),
    ],
)
def test_a_value_that_changes_training_is_refused_and_init_from_is_the_alternative(flags, message, finished):
    before = (finished / "run" / "config.json").read_bytes()
    run = train(finished, RECIPE, *flags, expected=2)
    assert message in run.stderr
    assert run.stderr.startswith("error: ")
    assert "start a new run, from its networks if you want: --workdir=DIR --config.init_from=run\n" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert (finished / "run" / "config.json").read_bytes() == before


def test_a_finished_run_says_how_to_extend_it_without_any_override(finished):
    for flags in ((), (RECIPE,), (f"{RECIPE}:smoke",), (f"{RECIPE}:smoke", *SMALL, *STEPS, "--config.steps=30")):
        run = train(finished, *flags)
        assert "is complete (30 steps). To extend it: --config.steps=60" in run.stdout


@pytest.mark.parametrize("recipe", [(), pytest.param((RECIPE,), marks=pytest.mark.slow)], ids=["workdir", "recipe"])
@pytest.mark.parametrize(
    "mode", ["reconstruct", "sample", "evaluate", pytest.param("latent_walk", marks=pytest.mark.slow)]
)
def test_every_mode_uses_the_runs_own_values(mode, recipe, copied):
    (copied / "run" / "results.json").unlink()
    run = train(copied, *recipe, f"--mode={mode}")
    assert "step 30" in run.stdout + run.stderr
    assert "note:" not in run.stderr


def test_an_override_that_a_mode_can_apply_is_reported_in_one_line(copied):
    run = train(copied, "--mode=sample", "--config.seed=5", "--count=3")
    assert "note: the run's own values are replaced: seed: 0 → 5\n" in run.stderr
    with np.load(copied / "run" / "samples.npz") as samples:
        expected = jaxgen.load(copied / "run").sample_prior(3, seed=5)
        np.testing.assert_array_equal(samples["codes"], expected)
    refused = train(copied, "--mode=sample", "--config.latent_size=5", expected=2)
    assert "(latent_size: 2 there, 5 here); --mode=sample uses the run's own values; leave these out" in refused.stderr


@pytest.mark.parametrize("mode", ["train", "evaluate", "sample"])
def test_another_recipe_is_refused_in_one_line_that_names_both_models(mode, finished):
    run = train(finished, f"--config={REPOSITORY}/configs/vae.py", f"--mode={mode}", expected=2)
    assert run.stderr == (
        "error: workdir=run holds a run of model=autoencoder.DenoisingAutoencoder, and --config has model=vae.VAE; "
        "try the run's own recipe, or another --workdir\n"
    )


def test_a_preset_that_the_run_lacks_is_refused_and_one_that_it_has_may_be_left_out(finished):
    run = train(finished, f"{RECIPE}:tutorial", expected=2)
    assert "hidden_sizes: [8] there, [1000, 1000] here" in run.stderr
    assert train(finished, RECIPE).returncode == 0


def test_a_recipe_that_has_changed_since_the_run_began_is_reported_in_one_line(tmp_path):
    recipe, config = tmp_path / "mine.py", read_config("denoising_ae").to_dict()
    text = (REPOSITORY / "configs" / "denoising_ae.py").read_text()
    recipe.write_text(text)
    origin = {"name": "mine:smoke", "overrides": {"latent_size": 2}}
    with workdir.lock_workdir(tmp_path / "run", {**config, "latent_size": 2}, recipe=origin):
        pass
    resolve = partial(resolve_config, f"{recipe}:smoke", {}, str(tmp_path / "run"), "train")
    with redirect_stderr(io.StringIO()) as messages:
        assert resolve()[0].latent_size == 2
    assert messages.getvalue() == ""
    recipe.write_text(
        text.replace(
            "config.input_noise_std, config.mask_ratio = 0.3", "config.input_noise_std, config.mask_ratio = 0.4"
        )
    )
    with redirect_stderr(io.StringIO()) as messages:
        assert resolve()[0].input_noise_std == 0.3
    assert "own values are used: input_noise_std: 0.3 in the run, 0.4 in the recipe\n" in messages.getvalue()


def test_a_run_without_config_or_workdir_or_run_gets_one_line(tmp_path):
    assert "--config is missing" in launch_here("--mode=sample", cwd=tmp_path).stderr
    run = train(tmp_path, "--mode=sample", expected=2)
    assert run.stderr.startswith("error: workdir=run is not a run: it has no config.json")
    assert train(tmp_path, expected=2).stderr.startswith("error: workdir=run is not a run")


@pytest.mark.parametrize("mode", ["reconstruct", pytest.param("sample", marks=pytest.mark.slow)])
def test_a_mode_uses_the_checkpoint_of_a_step_and_names_it(mode, finished):
    run = train(finished, f"--mode={mode}", "--step=10", "--count=4")
    assert "at step 10" in run.stderr
    name = {"reconstruct": "reconstruct", "sample": "samples"}[mode]
    with np.load(finished / "run" / f"{name}_step10.npz") as arrays:
        model = jaxgen.load(finished / "run", step=10)
        key = {"reconstruct": "reconstructions", "sample": "images"}[mode]
        np.testing.assert_allclose(arrays[key], model.decode(arrays["codes"]), atol=1e-5)
    best = train(finished, f"--mode={mode}", "--step=best", "--count=4")
    step = jaxgen.load(finished / "run", step="best").step
    assert f"at step {step}" in best.stderr
    missing = train(finished, f"--mode={mode}", "--step=11", expected=2)
    assert "no checkpoint at step 11" in missing.stderr
    assert "available steps: 10, 20, 30" in missing.stderr


def test_evaluating_another_step_keeps_the_results_of_the_newest(copied):
    before = (copied / "run" / "results.json").read_bytes()
    train(copied, "--mode=evaluate", "--step=10")
    assert (copied / "run" / "results.json").read_bytes() == before
    assert json.loads((copied / "run" / "results_step10.json").read_text())["step"] == 10


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--mode=sample", "--step=bset"), "--step=bset must be the step of a checkpoint, such as --step=1000, or"),
        (("--mode=train", "--step=10"), "--step is for --mode=evaluate or sample"),
        (("--mode=smaple",), '(did you mean "sample"?)'),
        (("--mode=sample", "--sampler=mixtrue"), '(did you mean "mixture"?)'),
    ],
)
def test_a_wrong_step_mode_or_sampler_gets_one_line(flags, message, finished):
    run = train(finished, *flags, expected=2)
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_all_mistakes_of_a_config_are_reported_at_once_one_line_each(tmp_path):
    flags = ("--config.log_every=7", "--config.dropout_rate=1.5", "--config.best_metric=x", "--config.latent_sise=3")
    run = launch_here(RECIPE, *flags, "--config.steps=1.5", "--config.shift_pad_mode=edge", cwd=tmp_path)
    lines = run.stderr.splitlines()
    assert run.returncode == 2
    assert all(line.startswith("error: ") for line in lines)
    mistakes = ("latent_sise", "steps=1.5", "eval_every=1000", "checkpoint_every=1000", "dropout_rate=1.5")
    for mistake in (*mistakes, "shift_pad_mode=edge has no effect", 'best_metric="x"'):
        assert sum(mistake in line for line in lines) == 1, mistake
    assert len(lines) == 7
    assert not list(tmp_path.iterdir())


def test_dispatches_end_at_multiples_of_log_every_after_any_step():
    assert [batches.next_dispatch(step, 20) for step in (0, 19, 20, 30)] == [20, 20, 40, 40]


@pytest.mark.slow
def test_a_streamed_run_is_extended_from_a_step_between_two_dispatches(tmp_path):
    folder = tmp_path / "images"
    generator = np.random.default_rng(0)
    for number in range(60):
        (folder / str(number % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (64, 64), dtype=np.uint8)).save(
            folder / f"{number % 2}/{number}.png"
        )
    data = ("--config.data.source=folder", f"--config.data.path={folder}", "--config.data.memory_budget_mib=0")
    flags = (f"{RECIPE}:smoke", *SMALL, *data, "--config.batch_size=8")
    for name, steps in (("extended", (15, 47)), ("longer", (47,))):
        (tmp_path / name).mkdir()
        for count in steps:
            train(tmp_path / name, *flags, f"--config.steps={count}", "--config.log_every=20", *STEPS[1:2],
                  "--config.checkpoint_every=20")  # fmt: skip
    (_, extended), (_, longer) = saved_state(tmp_path / "extended"), saved_state(tmp_path / "longer")
    assert same(jax.tree.map(np.asarray, extended), longer)
