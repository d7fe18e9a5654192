"""The command line: one line and exit status 2 for each mistake, whole runs, and every mode afterwards."""

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
from jaxgen.evaluation import descriptions
from jaxgen.inference import samplers
from jaxgen.training import loop

MODE_FILES = {  # files that each mode writes
    "reconstruct": {"reconstruct.png", "reconstruct.npz"},
    "interpolate": {"interpolate_linear.png", "interpolate_spherical.png", "interpolate.gif"},
    "traverse": {"traverse.png", "traverse.gif"},
    "latent_walk": {"latent_walk.png", "latent_walk.gif"},
}


MISTAKES = [
    ((), "--config is missing"),
    (("--config=configs/cond_aea.py",), 'configs/cond_aea.py does not exist (did you mean "cond_aae.py"?)'),
    (("--config=elsewhere/gan.py",), f"; try --config={REPOSITORY}/configs/gan.py"),
    ((f"--config={REPOSITORY}/README.md",), "README.md must be a recipe, a Python file; try --config="),
    ((COND_AAE, "--config.num_seeds=0"), "num_seeds=0 must be at least 1; try --config.num_seeds=1"),
    ((f"{COND_AAE}:mnits",), 'error: preset "mnits" is unknown (did you mean "mnist"?)'),
    ((f"{COND_AAE}:mnist,digits",), "error: the presets mnist and digits are both data sets; choose one"),
    ((f"{COND_AAE}:mnits",), "choose from digits, mnist, fashion_mnist, kmnist, "),
    ((COND_AAE, "--config.latent_sise=3"), 'Did you mean "latent_size"'),
    ((COND_AAE, "--config.latent_sise=3"), 'the config has no key "latent_sise"; Did you mean'),
    ((COND_AAE, "--config.learning_rates.zzz=1.0"), 'no key "zzz"; the recipe\'s file lists its keys'),
    ((COND_AAE, "--config.steps=many"), "steps"),
    ((COND_AAE, "--config.seed=-1"), "seed=-1 must be at least 0"),
    ((COND_AAE, "--config.hidden_sizes=abc"), "must be layer sizes, whole numbers of at least 1"),
    ((COND_AAE, "--config.data.path=/nowhere"), "is not used: the digits are bundled"),
    ((COND_AAE, "--config.data.image_size=-3"), "data.image_size=-3"),
    ((COND_AAE, "--config.data.image_size=32"), "data.image_size=32 has no effect with data.source='digits'; leave it"),
    ((COND_AAE, "--config.data.name=nosuchset"), "or try --config.data.source=tfds --config.data.name=NAME"),
    ((f"{COND_AAE}:mnist", "--config.data.channels=3"), "data.channels=3 has no effect with data.source='tfds'"),
    (
        (COND_AAE, "--config.data.resize=pad", "--config.data.split_seed=1"),
        "data.resize='pad' and data.split_seed=1 have",
    ),
    ((COND_AAE, "--mode=evaluate", "--config.evaluation.split=tset"), 'evaluation.split="tset" is unknown'),
    (
        (f"--config={REPOSITORY}/configs/vae.py", "--config.likelihood=gaussian"),
        "try --config.data.binarization=none",
    ),
    ((COND_AAE, "--mode=trian"), "trian"),
    ((COND_AAE, "--mode=walk"), "latent_walk"),
    ((COND_AAE, "--processes=2"), "processes"),
    ((COND_AAE, "--num_processes=2"), "--num_processes is for runs of several processes; add --distributed"),
    ((COND_AAE, "extra"), '"extra" is not a flag'),
    ((COND_AAE, "--workdri=x"), "workdri"),
    (("--config.steps=3", COND_AAE), "comes before --config"),
    ((COND_AAE, "--config.data.source=imagenet"), "data.source='imagenet' must be"),
    ((f"{COND_AAE}:mnist", "--config.data.path=/nowhere"), "download"),
    (
        (COND_AAE, "--config.data.source=folder"),
        "data.path is empty and must name a folder of images",
    ),
    ((COND_AAE, "--config.data.source=folder", f"--config.data.path={REPOSITORY}/configs"), "has no .png, .jpg"),
    (
        (COND_AAE, "--config.data.source=folder", "--config.data.path=/nowhere"),
        "='/nowhere' does not exist; name a folder",
    ),
    ((f"{COND_AAE}:anime_faces",), "the environment variable JAXGEN_FACES names, and any folder of images can"),
    ((COND_AAE, "--config.latent_size=0"), "latent_size=0 must be at least 1"),
    ((COND_AAE, "--config.learning_rates.critic=-0.1"), "rates.critic=-0.1 must be a finite number, at least 0"),
    ((COND_AAE, "--config.learning_rates.critic=nan"), "rates.critic=nan must be a finite number, at least 0"),
    ((COND_AAE, "--config.dropout_rate=1.5"), "dropout_rate=1.5 must be in [0, 1)"),
    ((COND_AAE, "--config.encoder_negative_slope=-0.1"), "encoder_negative_slope=-0.1 must be in [0, 1)"),
    ((COND_AAE, "--config.hidden_sizes=(1000,0)"), "hidden_sizes=(1000, 0) must be layer sizes, whole numbers"),
    ((f"{COND_AAE}:tutorial", "--config.kl_weight=1.0"), "0 without gaussian_posterior"),
    ((COND_AAE, "--config.learning_rates.kl=0.001"), "try --config.kl_weight=0.0 or --config.learning_rates.kl=0.0"),
    ((COND_AAE, "--config.r1_r2_weight=-1.0"), "r1_r2_weight=-1.0 must be at least 0"),
    ((COND_AAE, "--config.steps=0"), "steps=0 must be at least 1"),
    ((COND_AAE, "--config.log_every=7"), "must be a multiple of log_every=7; try"),
    ((COND_AAE, "--config.parallel=pmpa"), 'parallel="pmpa" is unknown; choose "jit" or "pmap"'),
    ((COND_AAE, "--config.evaluation.split=tset"), 'evaluation.split="tset" is unknown; choose "test" or "val'),
    ((COND_AAE, "--config.best_metric=loss"), 'best_metric="loss" is not computed; choose one of mse, nll'),
    ((COND_AAE, "--config.update_order=altrnating"), 'update_order="altrnating" is unknown'),
    ((COND_AAE, "--config.kernel_init=he"), 'kernel_init="he" is unknown; choose one of he_normal'),
    ((COND_AAE, "--config.model=aae.Nothing"), 'model="aae.Nothing" is unknown'),
    ((COND_AAE, "--mode=evaluate"), "is not a run"),
    ((COND_AAE, "--mode=sample"), "is not a run"),
    *(((COND_AAE, f"--mode={mode}"), "is not a run") for mode in (*MODE_FILES, "attributes")),
    ((COND_AAE, "--mode=sample", "--sampler=mixtrue"), "mixtrue"),
    ((COND_AAE, "--mode=sample", "--count=0"), "count"),
    ((COND_AAE, "--sampler=mixture"), "--sampler is for --mode=sample or latent_walk, not for --mode=train"),
    ((COND_AAE, "--mode=latent_walk", "--images=x"), "--images is for --mode=reconstruct or interpolate or traverse"),
    ((COND_AAE, "--workdir=/dev/null"), "/dev/null is a file"),
    ((COND_AAE, "--workdir=/proc/run"), "cannot be written"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_gets_one_line_and_exit_status_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "compile_init", not_reached)
    run = launch_here(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("error: ")
    assert not list(tmp_path.iterdir())  # nothing was written


def test_ctrl_c_outside_of_the_training_steps_gets_one_line(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train_and_evaluate", interrupt)
    assert cli.run_mode(None, str(tmp_path), "train", False, {}) == 130
    message = "SIGINT: stopped at once; saved checkpoints are kept, and the same command resumes\n"
    assert capsys.readouterr().err == message


def not_reached(*_):
    raise AssertionError("a mistake must be found before anything is compiled")


@pytest.mark.parametrize(("arguments", "message"), MISTAKES[::26])
def test_a_mistake_ends_the_process(arguments, message, tmp_path):
    start = time.monotonic()
    run = launch(*arguments, cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.startswith("error: ")
    assert time.monotonic() - start < 60
    assert not list(tmp_path.iterdir())  # nothing was written


def test_a_batch_size_that_the_devices_do_not_divide_is_refused(tmp_path):
    run = launch(COND_AAE, cwd=tmp_path, XLA_FLAGS="--xla_force_host_platform_device_count=8")
    assert run.returncode == 2
    assert "batch_size=100 must be divisible by 8 devices; try --config.batch_size=96" in run.stderr


def test_help_teaches_and_names_every_recipe(tmp_path):
    run = launch("--help", cwd=tmp_path)
    assert run.returncode == 0
    assert "--workdir=DIR" in run.stdout
    assert all(f"{mode}: " in run.stdout for mode in ("evaluate", "sample", *MODE_FILES))
    assert all(f"configs/{name}.py" in run.stdout for name in CONFIGS)


SMOKE = [(name, ",".join(filter(None, (digits_preset(name), "smoke")))) for name in CONFIGS]


UNJUDGED = {"prior_component_accuracy", "prior_component_accuracy_of_prior"}  # accuracies without a classifier
LAST_LINES = {"figures": "figures", "results": "results.json"}
EVERY_CONFIG = [*SMOKE, ("cond_aae", "tutorial,smoke"), ("vae", "conditional,smoke")]


@pytest.mark.parametrize(
    ("name", "presets"),
    [pytest.param(*each, marks=[] if each == ("cond_aae", "smoke") else pytest.mark.slow) for each in EVERY_CONFIG],
)
def test_every_config_runs_end_to_end(name, presets, tmp_path):
    flags = (f"--config={REPOSITORY}/configs/{name}.py:{presets}", "--workdir=run")
    run = launch_here(*flags, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert set(results) >= {"config", "dataset", "step", "seconds", "metrics", "versions"}
    assert results["step"] == 20
    assert all(np.isfinite(value).all() for value in results["metrics"].values())
    assert set(results["metrics"]) <= descriptions.known_names()
    assert not {name for name in results["metrics"] if "frechet" in name or "accuracy" in name} - UNJUDGED
    assert results["warnings"] == []  # twenty steps are too few for a warning
    if name == "gan":  # a metric of pixels selects the best checkpoint
        assert jaxgen.load(tmp_path / "run", step="best").step in (10, 20)
    assert run.stdout.splitlines()[-2:] == [f"{key}: {tmp_path / 'run' / path}" for key, path in LAST_LINES.items()]
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert written >= {"config.json", "checkpoints", "tensorboard", "metrics.jsonl", "log.txt", "results.json"}
    assert list((tmp_path / "run" / "figures").glob("*.png"))


def scalar_metrics(metrics):
    """Returns the metrics that are one number, by name."""
    return {name: value for name, value in metrics.items() if not isinstance(value, list)}


def read_metrics(path):
    """Returns the scalar metrics in a results.json."""
    return scalar_metrics(json.loads(path.read_text())["metrics"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Returns the folder of a finished smoke run, which is in its subfolder run."""
    folder = tmp_path_factory.mktemp("finished")
    run = launch(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", cwd=folder)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.slow
def test_a_finished_run_is_reported_as_complete(finished):
    run = launch(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", cwd=finished)
    assert run.returncode == 0
    assert "is complete (20 steps)" in run.stdout + run.stderr


def test_another_config_in_a_runs_folder_is_refused_with_the_differing_key(finished):
    before = (finished / "run" / "config.json").read_bytes()
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--config.latent_size=3", cwd=finished)
    assert run.returncode == 2
    assert "latent_size: 15 there, 3 here" in run.stderr
    assert (finished / "run" / "config.json").read_bytes() == before


def test_evaluating_again_gives_the_same_metrics(finished):
    path = finished / "run" / "results.json"
    before = read_metrics(path)
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=evaluate", cwd=finished)
    assert run.returncode == 0, run.stderr
    assert read_metrics(path) == pytest.approx(before, rel=1e-5)


@pytest.mark.slow
def test_a_run_can_be_evaluated_on_the_validation_split(finished):
    path, flags = finished / "run" / "results.json", (f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=evaluate")
    test = json.loads(path.read_text())
    run = launch_here(*flags, "--config.evaluation.split=validation", cwd=finished)
    assert run.returncode == 0, run.stderr
    assert "digits, validation split, step 20" in run.stdout + run.stderr
    assert json.loads(path.read_text()) == test  # the results of the run's own split stay
    validation = json.loads((finished / "run" / "results_validation.json").read_text())
    assert (test["split"], validation["split"]) == ("test", "validation")
    assert validation["metrics"]["mse"] != test["metrics"]["mse"]
    history = [json.loads(line) for line in (finished / "run" / "metrics.jsonl").open()]
    last_rows = [row for row in history if row.get("split") == "validation" and row["step"] == 20]
    assert last_rows[0]["nll"] == pytest.approx(validation["metrics"]["nll"], rel=1e-5)  # as logged in training
    assert launch_here(*flags, cwd=finished).returncode == 0  # back to the test split
    assert read_metrics(path) == pytest.approx(scalar_metrics(test["metrics"]), rel=1e-5)


def test_sampling_writes_a_grid_and_its_images_labels_and_codes(finished):
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=sample", cwd=finished)
    assert run.returncode == 0, run.stderr
    assert (finished / "run" / "samples.png").stat().st_size > 1000
    with np.load(finished / "run" / "samples.npz") as samples:
        assert samples["images"].shape == (100, 28, 28, 1)
        assert samples["codes"].shape == (100, 15)
        np.testing.assert_array_equal(samples["labels"], np.tile(np.arange(10), 10))


def test_sampling_from_a_fitted_sampler_stores_it_and_writes_count_images(finished):
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


def test_the_command_line_lists_every_sampler_and_mode():
    # cli.main and config.base import no jax, so each has its own list of the names.
    assert samplers.NAMES == base.SAMPLERS
    assert set(cli.MODES) == {"train", "evaluate", *explore.MODES}


GAN_FIGURES = {
    "real_images.png",
    "samples_100.png",
    "prior_interpolation.png",
    "samples_by_epoch.png",
    "samples_by_epoch.gif",
}


@pytest.mark.slow
def test_a_gan_is_explored_by_sampled_codes_and_refuses_modes_that_need_an_encoder(tmp_path):
    steps = "--config.evaluation.classifier_steps=500"
    flags = (f"--config={REPOSITORY}/configs/gan.py:smoke", steps, "--workdir=run")
    run = launch_here(*flags, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    folder, results = tmp_path / "run", json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    protocol = json.loads((folder / "results.json").read_text())["protocol"]
    assert "classifier of 10 classes, 500 steps" in protocol["features"]
    text = (folder / "log.txt").read_text()
    assert "collapse" not in text  # 20 steps say nothing about it
    assert "features: classifier of 10 classes, 500 steps on the training split, accuracy 9" in text
    assert "samples: 100 samples and 100 training images, each beside 250 held-out images" in text
    assert {"frechet_distance", "kernel_distance", "recall", "coverage", "diversity"} <= set(results)
    assert {"frechet_distance_train_baseline", "precision_train_baseline", "d_real", "d_fake"} <= set(results)
    assert "precision" not in results
    assert "not measured: precision: recall 0 and coverage" in text
    assert sum(results["class_fractions"]) == pytest.approx(1)
    assert {path.name for path in (folder / "figures").iterdir()} >= GAN_FIGURES
    assert launch_here(*flags, "--mode=interpolate", cwd=tmp_path).returncode == 0
    assert {"interpolate_linear.png", "interpolate_spherical.png"} <= {path.name for path in folder.iterdir()}
    for refused, message in (
        (("--mode=traverse",), "--mode=traverse needs an encoder, which GAN does not have"),
        (("--mode=sample", "--sampler=mixture"), "GAN has no encoder"),
    ):
        run = launch_here(*flags, *refused, cwd=tmp_path)
        assert run.returncode == 2
        assert message in run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.parametrize("mode", MODE_FILES)
def test_every_mode_writes_the_files_that_it_prints(mode, finished):
    run = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", f"--mode={mode}", cwd=finished)
    assert run.returncode == 0, run.stderr
    printed = run.stdout.removeprefix("wrote ").strip().split(", ")
    assert {path.removeprefix("run/") for path in printed} == MODE_FILES[mode]
    for path in printed:
        assert (finished / path).stat().st_size > 1000
        if path.endswith((".png", ".gif")):
            with Image.open(finished / path) as picture:
                assert np.asarray(picture.convert("L")).std() > 10
                assert getattr(picture, "n_frames", 1) > 1 or path.endswith(".png")


@pytest.mark.slow
def test_an_unconditional_model_is_sampled_by_count_and_has_attributes(tmp_path, finished):
    flags = (f"--config={REPOSITORY}/configs/vae.py:smoke", "--config.hidden_sizes=(32,)", "--workdir=run")
    assert launch_here(*flags, cwd=tmp_path).returncode == 0
    assert launch_here(*flags, "--mode=sample", "--count=13", cwd=tmp_path).returncode == 0
    with np.load(tmp_path / "run" / "samples.npz") as samples:
        assert samples["images"].shape == (13, 28, 28, 1)
    for number in range(3):
        Image.new("L", (20, 20), 80 * number).save(tmp_path / f"{number}.png")
    cases = (("--images=0.png,1.png,2.png",), 3), (("--images=0.png", "--images=1.png,2.png", "--count=2"), 2)
    for own_images, expected in cases:
        assert launch_here(*flags, "--mode=reconstruct", *own_images, cwd=tmp_path).returncode == 0
        with np.load(tmp_path / "run" / "reconstruct.npz") as arrays:
            np.testing.assert_allclose(arrays["images"][:, 0, 0, 0] * 255, 80 * np.arange(expected), atol=1e-3)
    assert launch_here(*flags, "--mode=attributes", cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "attributes.png").stat().st_size > 1000
    refused = launch_here(f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=attributes", cwd=finished)
    assert refused.returncode == 2
    assert "ConditionalAAE is conditional: its codes do not contain the class" in refused.stderr
    other = launch_here(f"{COND_AAE}:smoke", "--workdir=run", "--mode=sample", cwd=tmp_path)
    assert other.returncode == 2
    assert "holds a run of model=vae.VAE, and --config has model=aae.ConditionalAAE" in other.stderr


@pytest.mark.slow
def test_a_vaegan_writes_its_figures_and_runs_every_kind_of_mode(tmp_path):
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
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert written >= {"samples.png", "interpolate_linear.png", "interpolate_spherical.png", "attributes.png"}


def test_reconstruct_uses_the_held_out_images(finished):
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


def test_own_images_without_labels_are_refused_if_the_decoder_needs_labels(finished):
    Image.new("L", (30, 30), 90).save(finished / "mine.png")
    flags = (f"{COND_AAE}:smoke", *SMALL, "--workdir=run", "--mode=reconstruct", "--images=mine.png")
    run = launch_here(*flags, cwd=finished)
    assert run.returncode == 2
    assert "error: images=mine.png have no labels, which the decoder of ConditionalAAE needs" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "message",
    [
        "INTERNAL: Error dispatching computation: Out of memory allocating 36000000000000 bytes.",  # on a CPU
        "RESOURCE_EXHAUSTED: Failed to instantiate CUDA graph: CUDA_ERROR_OUT_OF_MEMORY: out of memory\n[jit_run]",
    ],
)
def test_a_full_device_memory_ends_the_run_in_one_line(message, monkeypatch, capsys):
    def run(config, workdir, profile):
        raise jax.errors.JaxRuntimeError(message)

    monkeypatch.setattr(loop, "train_and_evaluate", run)
    assert cli.run_mode(None, "run", "train", False, {}) == 1
    error = capsys.readouterr().err
    first_line = message.splitlines()[0]
    assert error.startswith(f"error: a device's memory is full ({first_line}); saved checkpoints are kept. Try")
    assert len(error.splitlines()) == 1


def test_any_other_error_of_jax_keeps_its_traceback(monkeypatch):
    def run(config, workdir, profile):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(loop, "train_and_evaluate", run)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        cli.run_mode(None, "run", "train", False, {})
