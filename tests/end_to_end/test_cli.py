"""The command line, as a user meets it: one line and exit code 2 for a mistake, a whole run, what follows it."""

import json
import time

import jax
import numpy as np
import pytest
from helpers import COND_AAE, CONFIGS, REPOSITORY, SMALL, digits_preset, launch, launch_here
from PIL import Image

import jaxgen
from jaxgen.cli import explore
from jaxgen.cli import main as cli
from jaxgen.config import base
from jaxgen.config.base import base_config
from jaxgen.data import load_dataset
from jaxgen.distributed import devices
from jaxgen.inference import samplers
from jaxgen.training import loop

EXPLORING = {  # what each mode makes
    "reconstruct": {"reconstruct.png", "reconstruct.npz"},
    "interpolate": {"interpolate_linear.png", "interpolate_spherical.png", "interpolate.gif"},
    "traverse": {"traverse.png", "traverse.gif"},
    "latent_walk": {"latent_walk.png", "latent_walk.gif"},
}


MISTAKES = [
    ((), "--config is missing"),
    (("--config=configs/cond_aea.py",), 'configs/cond_aea.py does not exist (did you mean "cond_aae.py"?)'),
    (("--config=elsewhere/gan.py",), f"; try --config={REPOSITORY}/configs/gan.py"),
    ((f"--config={REPOSITORY}/README.md",), "README.md must be a recipe, a Python file; for example --config="),
    ((COND_AAE, "--config.num_seeds=0"), "seeds=0 must be at least 1; try --config.num_seeds=1"),
    ((f"{COND_AAE}:mnits",), 'error: token "mnits" is unknown (did you mean "mnist"?)'),
    ((f"{COND_AAE}:mnist,digits",), "error: the tokens mnist and digits are two data sets; give one"),
    ((f"{COND_AAE}:mnits",), "choose from digits, mnist, fashion_mnist, kmnist, "),
    ((COND_AAE, "--config.latent_sise=3"), 'Did you mean "latent_size"'),
    ((COND_AAE, "--config.latent_sise=3"), 'the config has no key "latent_sise"; Did you mean'),
    ((COND_AAE, "--config.learning_rates.zzz=1.0"), 'the config has no key "zzz"; its keys stand in'),
    ((COND_AAE, "--config.steps=many"), "steps"),
    ((COND_AAE, "--config.seed=-1"), "seed=-1 must be at least 0"),
    ((COND_AAE, "--config.hidden_sizes=abc"), "must be widths, whole numbers of at least 1"),
    ((COND_AAE, "--config.data.path=/nowhere"), "is not read: the digits are bundled"),
    ((COND_AAE, "--config.data.image_size=-3"), "data.size=-3 must be at least 0"),
    ((COND_AAE, "--mode=evaluate", "--config.evaluation.split=tset"), 'evaluation.split="tset" is unknown'),
    (
        (f"--config={REPOSITORY}/configs/vae.py", "--config.likelihood=gaussian"),
        "try --config.data.binarization=none",
    ),
    ((COND_AAE, "--mode=trian"), "trian"),
    ((COND_AAE, "extra"), '"extra" is no flag'),
    ((COND_AAE, "--workdri=x"), "workdri"),
    (("--config.steps=3", COND_AAE), "comes before --config"),
    ((COND_AAE, "--config.data.source=imagenet"), "data.source='imagenet' must be"),
    ((f"{COND_AAE}:mnist", "--config.data.path=/nowhere"), "download"),
    (
        (COND_AAE, "--config.data.source=folder"),
        "data.path is empty and must name a folder of images",
    ),
    ((COND_AAE, "--config.data.source=folder", f"--config.data.path={REPOSITORY}/configs"), "holds no .png, .jpg"),
    (
        (COND_AAE, "--config.data.source=folder", "--config.data.path=/nowhere"),
        "='/nowhere' does not exist; name a folder",
    ),
    ((f"{COND_AAE}:anime_faces",), "the environment variable JAXGEN_FACES names, and any folder of images serves"),
    ((COND_AAE, "--config.latent_size=0"), "latent_size=0 must be at least 1"),
    ((COND_AAE, "--config.learning_rates.critic=-0.1"), "rates.critic=-0.1 must be a learning rate, at least 0"),
    ((COND_AAE, "--config.learning_rates.critic=nan"), "rates.critic=nan must be a learning rate, at least 0"),
    ((COND_AAE, "--config.dropout_rate=1.5"), "dropout=1.5 must lie in [0, 1)"),
    ((COND_AAE, "--config.encoder_negative_slope=-0.1"), "encoder_leak=-0.1 must lie in [0, 1)"),
    ((COND_AAE, "--config.hidden_sizes=(1000,0)"), "hidden=(1000, 0) must be widths, whole numbers"),
    ((f"{COND_AAE}:tutorial", "--config.kl_weight=1.0"), "0 without gaussian_posterior"),
    ((COND_AAE, "--config.learning_rates.kl=0.001"), "try --config.kl_weight=0.0 or --config.learning_rates.kl=0.0"),
    ((COND_AAE, "--config.r1_r2_weight=-1.0"), "gradient_penalty=-1.0 must be at least 0"),
    ((COND_AAE, "--config.steps=0"), "steps=0 must be at least 1"),
    ((COND_AAE, "--config.log_every=7"), "must be a multiple of log_every=7; try"),
    ((COND_AAE, "--config.parallel=pmpa"), 'parallel="pmpa" is unknown; choose "jit" or "pmap"'),
    ((COND_AAE, "--config.evaluation.split=tset"), 'evaluation.split="tset" is unknown; choose "test" or "val'),
    ((COND_AAE, "--config.best_metric=loss"), 'best_metric="loss" is not measured; choose one of mse, nll'),
    ((COND_AAE, "--config.update_order=altrnating"), 'schedule="altrnating" is unknown'),
    ((COND_AAE, "--config.kernel_init=he"), 'kernel_init="he" is unknown; choose one of he_normal'),
    ((COND_AAE, "--config.model=aae.Nothing"), 'algorithm="aae.Nothing" is unknown'),
    ((COND_AAE, "--mode=evaluate"), "is no run"),
    ((COND_AAE, "--mode=sample"), "is no run"),
    *(((COND_AAE, f"--mode={mode}"), "is no run") for mode in (*EXPLORING, "attributes")),
    ((COND_AAE, "--mode=sample", "--sampler=mixtrue"), "mixtrue"),
    ((COND_AAE, "--mode=sample", "--count=0"), "count"),
    ((COND_AAE, "--sampler=mixture"), "--sampler is for --mode=sample or walk, not for --mode=train"),
    ((COND_AAE, "--mode=walk", "--images=x"), "--images is for --mode=reconstruct or interpolate or traverse"),
    ((COND_AAE, "--workdir=/dev/null"), "/dev/null is a file"),
    ((COND_AAE, "--workdir=/proc/run"), "cannot be written"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_gets_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "compile_init", not_reached)
    run = launch_here(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())  # nothing was made


def test_ctrl_c_outside_of_the_steps_gets_one_line(tmp_path, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train_and_evaluate", stopped)
    assert cli.run_mode(None, tmp_path, "train", False, {}) == 130
    assert capsys.readouterr().err == "SIGINT: stopped at once; what was saved is kept, and the same command goes on\n"


def not_reached(*_):
    raise AssertionError("a mistake is found before anything is compiled")


@pytest.mark.parametrize(("arguments", "message"), MISTAKES[::26])
def test_a_mistake_ends_the_process(arguments, message, tmp_path):
    began = time.monotonic()
    run = launch(*arguments, cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("error: ")
    assert time.monotonic() - began < 60
    assert not list(tmp_path.iterdir())  # nothing was made


def test_a_batch_that_the_devices_do_not_divide_is_refused(tmp_path):
    run = launch(COND_AAE, cwd=tmp_path, XLA_FLAGS="--xla_force_host_platform_device_count=8")
    assert run.returncode == 2
    assert "batch_size=100 must be divisible by 8 devices; try --config.batch_size=96" in run.stderr


def test_help_teaches_and_names_every_recipe(tmp_path):
    run = launch("--help", cwd=tmp_path)
    assert run.returncode == 0
    assert "--workdir=DIR" in run.stdout
    assert all(f"{mode}: " in run.stdout for mode in ("evaluate", "sample", *EXPLORING))
    assert all(f"configs/{name}.py" in run.stdout for name in CONFIGS)


SMOKE = [(name, ",".join(filter(None, (digits_preset(name), "smoke")))) for name in CONFIGS]


EVERY_CONFIG = [*SMOKE, ("cond_aae", "tutorial,smoke"), ("vae", "conditional,smoke")]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [pytest.param(*each, marks=[] if each == ("cond_aae", "smoke") else pytest.mark.slow) for each in EVERY_CONFIG],
)
def test_every_config_runs_end_to_end(name, tokens, tmp_path):
    flags = (f"--config={REPOSITORY}/configs/{name}.py:{tokens}", "--workdir=run")
    run = launch_here(*flags, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert set(results) >= {"config", "dataset", "step", "seconds", "metrics", "versions"}
    assert results["step"] == 20
    assert all(np.isfinite(value).all() for value in results["metrics"].values())
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert made >= {"config.json", "checkpoints", "tensorboard", "metrics.jsonl", "log.txt", "figures", "results.json"}
    assert list((tmp_path / "run" / "figures").glob("*.png"))


def single(metrics):
    """Those that are one number, by name."""
    return {name: value for name, value in metrics.items() if not isinstance(value, list)}


def numbers_of(path):
    return single(json.loads(path.read_text())["metrics"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished smoke run's folder."""
    folder = tmp_path_factory.mktemp("finished")
    run = launch(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", cwd=folder)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.slow
def test_a_finished_run_says_so(finished):
    run = launch(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", cwd=finished)
    assert run.returncode == 0
    assert "is complete (20 steps)" in run.stdout + run.stderr


def test_another_config_in_a_runs_folder_is_refused_with_what_differs(finished):
    before = (finished / "run" / "config.json").read_bytes()
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--config.latent_size=3", cwd=finished)
    assert run.returncode == 2
    assert "latent_size: 15 there, 3 here" in run.stderr
    assert (finished / "run" / "config.json").read_bytes() == before


def test_evaluating_again_finds_the_same_numbers(finished):
    path = finished / "run" / "results.json"
    before = numbers_of(path)
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=evaluate", cwd=finished)
    assert run.returncode == 0, run.stderr
    assert numbers_of(path) == pytest.approx(before, rel=1e-5)


@pytest.mark.slow
def test_a_run_can_be_judged_by_the_validation_split(finished):
    path, flags = finished / "run" / "results.json", (f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=evaluate")
    test = json.loads(path.read_text())
    run = launch_here(*flags, "--config.evaluation.split=validation", cwd=finished)
    assert run.returncode == 0, run.stderr
    assert "digits, validation split, step 20" in run.stdout + run.stderr
    validation = json.loads(path.read_text())
    assert (test["split"], validation["split"]) == ("test", "validation")
    assert validation["metrics"]["mse"] != test["metrics"]["mse"]
    history = [json.loads(line) for line in (finished / "run" / "metrics.jsonl").open()]
    of_run = [row for row in history if row.get("split") == "validation" and row["step"] == 20]
    assert of_run[0]["nll"] == pytest.approx(validation["metrics"]["nll"], rel=1e-5)  # as seen in training
    assert launch_here(*flags, cwd=finished).returncode == 0  # and back
    assert numbers_of(path) == pytest.approx(single(test["metrics"]), rel=1e-5)


def test_sampling_writes_a_grid_and_its_images_labels_and_codes(finished):
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=sample", cwd=finished)
    assert run.returncode == 0, run.stderr
    assert (finished / "run" / "samples.png").stat().st_size > 1000
    with np.load(finished / "run" / "samples.npz") as samples:
        assert samples["images"].shape == (100, 28, 28, 1)
        assert samples["codes"].shape == (100, 15)
        np.testing.assert_array_equal(samples["labels"], np.tile(np.arange(10), 10))


def test_sampling_from_a_fitted_sampler_keeps_it_and_counts_what_is_asked_for(finished):
    flags = (f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=sample", "--sampler=mixture", "--count=30")
    run = launch_here(*flags, cwd=finished)
    assert run.returncode == 0, run.stderr
    assert "fitting the sampler mixture to the codes of 1,400 training images" in run.stdout + run.stderr
    assert [path.name for path in (finished / "run" / "samplers").iterdir()] == ["mixture-20.npz"]
    with np.load(finished / "run" / "samples_mixture.npz") as samples:
        codes = samples["codes"]
        assert samples["images"].shape == (30, 28, 28, 1)
    again = launch_here(*flags, cwd=finished)
    assert "fitting" not in again.stdout + again.stderr
    with np.load(finished / "run" / "samples_mixture.npz") as samples:
        np.testing.assert_array_equal(samples["codes"], codes)


def test_the_command_line_offers_the_samplers_and_modes_that_there_are():
    # Neither it nor the config starts jax, and so they name them themselves.
    assert samplers.NAMES == base.SAMPLERS
    assert set(cli.MODES) == {"train", "evaluate", *explore.MODES}


PICTURES_OF_A_GAN = {
    "real_images.png",
    "samples_100.png",
    "prior_interpolation.png",
    "samples_by_epoch.png",
    "samples_by_epoch.gif",
}


@pytest.mark.slow
def test_a_generator_is_explored_by_drawn_codes_and_refuses_in_a_line_what_needs_an_encoder(tmp_path):
    flags = (f"--config={REPOSITORY}/configs/gan.py:smoke", "--workdir=run")
    run = launch_here(*flags, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    folder, results = tmp_path / "run", json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    protocol = json.loads((folder / "results.json").read_text())["protocol"]
    assert "classifier of 10 classes, 20 steps" in protocol["features"]
    assert "collapsed: what is drawn is" in (folder / "log.txt").read_text()  # after 20 steps it is
    keys = {"frechet_distance", "kernel_distance", "precision", "recall", "diversity", "collapsed", "d_real", "d_fake"}
    assert keys <= set(results)
    assert sum(results["class_fractions"]) == pytest.approx(1)
    assert {path.name for path in (folder / "figures").iterdir()} >= PICTURES_OF_A_GAN
    assert launch_here(*flags, "--mode=interpolate", cwd=tmp_path).returncode == 0
    assert {"interpolate_linear.png", "interpolate_spherical.png"} <= {path.name for path in folder.iterdir()}
    for refused in (("--mode=traverse",), ("--mode=sample", "--sampler=mixture")):
        run = launch_here(*flags, *refused, cwd=tmp_path)
        assert run.returncode == 2
        assert "GAN encodes no images" in run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.parametrize("mode", EXPLORING)
def test_every_mode_makes_what_it_says(mode, finished):
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", f"--mode={mode}", cwd=finished)
    assert run.returncode == 0, run.stderr
    said = run.stdout.removeprefix("wrote ").strip().split(", ")
    assert {path.removeprefix("run/") for path in said} == EXPLORING[mode]
    for path in said:
        assert (finished / path).stat().st_size > 1000
        if path.endswith((".png", ".gif")):
            with Image.open(finished / path) as picture:
                assert np.asarray(picture.convert("L")).std() > 10
                assert getattr(picture, "n_frames", 1) > 1 or path.endswith(".png")


@pytest.mark.slow
def test_a_model_told_nothing_is_sampled_by_count_and_moved_towards_each_class(tmp_path, finished):
    flags = (f"--config={REPOSITORY}/configs/vae.py:smoke", "--config.hidden_sizes=(32,)", "--workdir=run")
    assert launch_here(*flags, cwd=tmp_path).returncode == 0
    assert launch_here(*flags, "--mode=sample", "--count=13", cwd=tmp_path).returncode == 0
    with np.load(tmp_path / "run" / "samples.npz") as samples:
        assert samples["images"].shape == (13, 28, 28, 1)
    for number in range(3):
        Image.new("L", (20, 20), 80 * number).save(tmp_path / f"{number}.png")
    own = (*flags, "--mode=reconstruct", "--images=0.png,1.png,2.png")
    for count, expected in (((), 3), (("--count=2",), 2)):
        assert launch_here(*own, *count, cwd=tmp_path).returncode == 0
        with np.load(tmp_path / "run" / "reconstruct.npz") as arrays:
            np.testing.assert_allclose(arrays["images"][:, 0, 0, 0] * 255, 80 * np.arange(expected), atol=1e-3)
    assert launch_here(*flags, "--mode=attributes", cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "attributes.png").stat().st_size > 1000
    told = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=attributes", cwd=finished)
    assert told.returncode == 2
    assert "the codes of ConditionalAAE are without the class" in told.stderr
    other = launch_here(f"{COND_AAE}:smoke", "--workdir=run", "--mode=sample", cwd=tmp_path)
    assert other.returncode == 2
    assert "holds a run of algorithm=vae.VAE, and --config says aae.ConditionalAAE" in other.stderr


@pytest.mark.slow
def test_a_vaegan_shows_reconstructions_samples_interpolations_and_attributes(tmp_path):
    flags = (
        f"--config={REPOSITORY}/configs/vaegan.py:smoke",
        "--config.base_channels=4",
        "--config.standardize_latents=true",
        "--workdir=run",
    )
    assert launch_here(*flags, cwd=tmp_path).returncode == 0
    figures = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert figures >= {"reconstructions.png", "samples_100.png", "interpolation.png", "traversal.png"}
    for mode in ("sample", "interpolate", "attributes"):
        assert launch_here(*flags, f"--mode={mode}", cwd=tmp_path).returncode == 0
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert made >= {"samples.png", "interpolate_linear.png", "interpolate_spherical.png", "attributes.png"}


def test_reconstructions_are_those_of_the_held_out_images(finished):
    flags = (f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=reconstruct", "--count=13")
    run = launch_here(*flags, cwd=finished)
    assert run.returncode == 0, run.stderr
    test = load_dataset(base_config("aae.AAE").data).test
    with np.load(finished / "run" / "reconstruct.npz") as arrays:
        np.testing.assert_allclose(arrays["images"] * 255, test.image[:13], atol=1e-3)
        assert arrays["codes"].shape == (13, 15)
        model = jaxgen.load(finished / "run")
        expected = model.decode(arrays["codes"], test.label[:13])
        np.testing.assert_allclose(arrays["reconstructions"], expected, atol=1e-4)


def test_own_images_without_labels_are_refused_where_the_decoder_needs_them(finished):
    Image.new("L", (30, 30), 90).save(finished / "mine.png")
    flags = (f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=reconstruct", "--images=mine.png")
    run = launch_here(*flags, cwd=finished)
    assert run.returncode == 2
    assert "error: images=mine.png have no labels, which ConditionalAAE decodes under" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "said",
    [
        "INTERNAL: Error dispatching computation: Out of memory allocating 36000000000000 bytes.",  # jax's, on a CPU
        "RESOURCE_EXHAUSTED: Failed to instantiate CUDA graph: CUDA_ERROR_OUT_OF_MEMORY: out of memory\n[jit_run]",
    ],
)
def test_a_device_without_room_ends_the_run_in_one_line(said, monkeypatch, capsys):
    def run(config, workdir, profile):
        raise jax.errors.JaxRuntimeError(said)

    monkeypatch.setattr(loop, "train_and_evaluate", run)
    assert cli.run_mode(None, "run", "train", False, {}) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: a device's memory is full ({said.splitlines()[0]}); what was saved is kept: try")
    assert len(error.splitlines()) == 1


def test_another_fault_of_jax_keeps_its_traceback(monkeypatch):
    def run(config, workdir, profile):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(loop, "train_and_evaluate", run)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        cli.run_mode(None, "run", "train", False, {})
