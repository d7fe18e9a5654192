"""benchmarks.speed.step_throughput and the parts that all benchmarks share."""

import json
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest
from helpers import REPOSITORY, C, H, W, read_config, tiny_data

from benchmarks.common import processes, records
from benchmarks.robustness import kill_and_resume
from benchmarks.speed import input_throughput, scaling, startup, step_throughput
from benchmarks.speed.pytorch import compare
from jaxgen.networks import MLP
from jaxgen.optimization.players import Player, init_opt_states
from jaxgen.training import loop
from jaxgen.types import TrainState

KEYS = (
    "config presets parallel devices simulated batch_size steps_per_s steps_per_s_min steps_per_s_max images_per_s "
    "compile_s gflop_per_step gflop_per_s peak_memory_mib peak_memory_of final_loss device versions date"
)


def tiny_recipe(presets):
    config = read_config("cond_aae", presets)
    config.hidden_sizes = config.critic_hidden_sizes = (16,)
    return config


def marked_step(model, make_step=loop.make_step, **options):
    """Returns the program's step with one more metric, which shows that this step runs."""

    def for_axis(axis_name):
        step = make_step(model, **options)(axis_name)

        def run(*arguments):
            state, metrics = step(*arguments)
            return state, {**metrics, "marker": jnp.float32(7)}

        return run

    return for_axis


@pytest.fixture(scope="module")
def printed_and_rows(tmp_path_factory):
    """The command's output and rows for a tiny config, run in this process."""
    out = tmp_path_factory.mktemp("benchmarks") / "new" / "rows.jsonl"
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "recipes", lambda: {"tiny": tiny_recipe})
        patch.setattr(loop, "make_step", marked_step)
        patch.setattr(processes, "set_up_jax", lambda simulate: None)
        patch.setattr(processes, "run_in_new_process", lambda function, *arguments: function(*arguments))
        patch.setattr("builtins.print", lambda *words, **options: printed.append(" ".join(words)))
        options = ["--presets=smoke", "--devices=1", "--batch_size=6", "--steps=3", "--repeats=3", f"--out={out}"]
        assert step_throughput.main(options) == 0
    return printed, [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.slow
def test_a_row_has_every_key_and_its_numbers_agree(printed_and_rows):
    _, rows = printed_and_rows
    assert [row["parallel"] for row in rows] == ["jit", "pmap"]
    for row in rows:
        assert list(row) == KEYS.split()
        assert (row["config"], row["presets"], row["devices"], row["batch_size"]) == ("tiny", "smoke", 1, 6)
        assert row["images_per_s"] == pytest.approx(6 * row["steps_per_s"])
        assert row["gflop_per_s"] == pytest.approx(row["gflop_per_step"] * row["steps_per_s"])
        assert 0 < row["steps_per_s_min"] <= row["steps_per_s"] <= row["steps_per_s_max"]
        assert row["compile_s"] > 1 / row["steps_per_s_max"]
        assert row["peak_memory_mib"] > 0
        assert row["versions"]["jax"] == jax.__version__
    assert [row["peak_memory_of"] for row in rows] == ["compiled", "process"]


@pytest.mark.slow
def test_the_measured_step_is_the_training_step(printed_and_rows):
    _, rows = printed_and_rows
    for row in rows:
        assert row["final_loss"].pop("marker") == 7
        assert {name.split("/")[0] for name in row["final_loss"]} == {"reconstruction", "critic", "adversarial"}
        assert np.isfinite(list(row["final_loss"].values())).all()


def test_the_command_prints_its_rows_as_a_table(printed_and_rows):
    table = next(text for text in printed_and_rows[0] if "images/s" in text)
    title, *lines = table.splitlines()
    assert len(lines) == 2
    assert {len(title)} == {len(line) for line in lines}


@pytest.fixture
def unchecked_types():
    """Turns type checks off, so that a namespace can replace a model."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked_types")
def test_the_flop_count_of_an_mlp_equals_the_count_by_hand():
    mlp = MLP((64, 32), (10,))

    def loss_of(params, stats, batch, rng):
        loss = jnp.square(mlp.apply({"params": params["mlp"]}, batch.image, train=False)).mean()
        return loss, ({"loss": loss}, stats)

    def init(rng):
        params = {"mlp": mlp.init(rng, jnp.zeros((1, H, W, C)), train=False)["params"]}
        return TrainState(jnp.zeros((), jnp.int32), params, {"mlp": {}}, init_opt_states(players, params))

    players = (Player("mlp", ("mlp",), optax.sgd(1e-2), loss_of),)
    model = SimpleNamespace(players=players, update_order="alternating", init=init)
    # Forward pass, gradient of the weights, gradient of the input: 2·B·in·out each. The images need no gradient.
    weights, first = 80 * 64 + 64 * 32 + 32 * 10, 80 * 64
    by_hand = 2 * 256 * (3 * weights - first)
    counted = 1e9 * step_throughput.gflop_per_step(model, tiny_data(), 256)
    assert by_hand <= counted < 1.05 * by_hand  # the rest: biases, ReLUs, SGD


def test_peak_memory_is_that_of_the_fullest_device_if_devices_report_it():
    devices = [SimpleNamespace(memory_stats=lambda peak=peak: {"peak_bytes_in_use": peak}) for peak in (5, 7)]
    assert step_throughput.peak_memory(None, (), SimpleNamespace(devices=np.array(devices))) == (7, "device")


def test_a_batch_not_divisible_by_the_devices_is_refused_before_anything_is_measured(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.step_throughput", "--configs=cond_aae", "--simulate=4",
         "--batch_size=6", f"--out={tmp_path / 'rows.jsonl'}"],
        cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr == "error: batch_size=6 must be divisible by 4 devices; try --batch_size=4\n"
    assert not list(tmp_path.iterdir())


def test_too_many_devices_and_unknown_configs_are_refused():
    too_many = jax.device_count() + 1
    with pytest.raises(ValueError, match=f"devices={too_many} is more than the .*; on a CPU, try --simulate="):
        step_throughput.make_mesh(too_many)
    with pytest.raises(ValueError, match=r'config "cond_aee" is unknown \(did you mean "cond_aae"\?\)'):
        records.recipe("cond_aee")


def test_simulated_devices_are_requested_before_jax_starts(monkeypatch):
    monkeypatch.setattr(os, "environ", {"XLA_FLAGS": "--xla_dump_to=x"})
    processes.set_up_jax(8)
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=x --xla_force_host_platform_device_count=8"
    assert (os.environ["PJRT_NPROC"], os.environ["JAX_PLATFORMS"]) == ("16", "cpu")
    assert processes.is_simulated() == (jax.default_backend() == "cpu")


def test_every_config_is_found():
    assert set(records.recipes()) == {path.stem for path in (REPOSITORY / "configs").glob("*.py")}


@pytest.mark.parametrize(
    ("benchmark", "option"),
    [
        (kill_and_resume, "kills"),
        (input_throughput, "batch_size"),
        (compare, "repeats"),
        (scaling, "steps"),
        (startup, "repeats"),
    ],
)
@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_counts_below_one_are_refused(benchmark, option, value, capsys):
    with pytest.raises(SystemExit) as error:
        benchmark.main([f"--{option}={value}"])
    assert error.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.endswith(f"error: argument --{option}: {value} must be a whole number, at least 1")


def test_a_loss_that_is_not_a_number_is_recorded_as_null(tmp_path):
    records.append(tmp_path / "rows.jsonl", {"final_loss": {"nll": float("nan")}, "steps": 3})
    assert (tmp_path / "rows.jsonl").read_text() == '{"final_loss": {"nll": null}, "steps": 3}\n'


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"out=.* cannot be written \(Is a directory\); try another --out=FILE"):
        records.prepare(tmp_path)


def test_configs_of_image_folders_are_measured_on_the_digits_without_presets():
    assert step_throughput.presets_of("anime_vae", "") == "digits"
    assert step_throughput.presets_of("anime_vae", "anime_faces+conv") == "anime_faces,conv"
    assert step_throughput.presets_of("cond_aae", "") == ""


def test_a_processors_name_has_its_family_and_model_if_the_system_reports_them():
    entry = "processor\t: {}\ncpu family\t: 25\nmodel\t\t: {}\nmodel name\t: AMD EPYC\nflags\t\t: fpu\n\n"
    assert records.processor_name(entry.format(0, 1) + entry.format(1, 17)) == "AMD EPYC (family 25, model 1)"
    assert records.processor_name("processor\t: 0\nBogoMIPS\t: 50.00\n\n") == (
        platform.processor() or platform.machine()
    )
    assert records.processor_name("")
