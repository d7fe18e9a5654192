"""Checkpoints come back bit for bit, the best ones are kept, and damaged ones are detected."""

import errno
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import REPOSITORY

from jaxgen.io.checkpoint_files import list_checkpoints, read_latest_metadata
from jaxgen.io.checkpoints import CheckpointManager, CheckpointWriteError
from jaxgen.types import TrainState

TX = optax.chain(optax.clip(1.0), optax.adam(1e-3))
BEST = ("validation/nll", "min")


def make_state(step, size=7):
    """Returns a state with every kind of leaf: float32, bfloat16, int32, scalars, empty dicts, named tuples."""
    kernel = jax.random.normal(jax.random.key(step), (size, 33))
    params = {"encoder": {"Dense_0": {"kernel": kernel, "bias": jnp.full((33,), step, jnp.bfloat16)}}}
    _, opt_state = TX.update(params, TX.init(params), params)
    stats = {"encoder": {}, "critic": {"mean": jnp.full((5,), 0.1 * step)}}
    return TrainState(step=jnp.asarray(step), params=params, stats=stats, opt_states={"reconstruction": opt_state})


def make_target(size=7):
    return make_state(0, size)


def save_steps(directory, *steps, nll=None, **options):
    with CheckpointManager(directory, **options) as checkpoints:
        for step in steps:
            checkpoints.save(make_state(step), {"config": {"seed": 0}}, {} if nll is None else {BEST[0]: nll[step]})


def assert_same_state(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def data_file(step):
    """Returns the file with the bytes of the arrays."""
    return max((step / "state" / "d").iterdir(), key=lambda path: path.stat().st_size)


def truncate(step):
    path = data_file(step)
    path.write_bytes(path.read_bytes()[:-50])


def flip_bit(step):
    path = data_file(step)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def delete_data(step):
    data_file(step).unlink()


def change_config(step):
    path = step / "meta" / "metadata"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))


def empty_folder(step):
    shutil.rmtree(step)
    step.mkdir()


def delete_metadata(step):
    shutil.rmtree(step / "meta")


def overwrite_orbax_metadata(step):
    (step / "_CHECKPOINT_METADATA").write_text("{")
    (step / "state" / "_METADATA").write_text("{")


def truncate_metadata(step):
    path = step / "meta" / "metadata"
    path.write_text(path.read_text()[:20])


DAMAGE = [
    truncate,
    flip_bit,
    delete_data,
    change_config,
    empty_folder,
    delete_metadata,
    overwrite_orbax_metadata,
    truncate_metadata,
]


def test_a_restored_state_equals_the_saved_one_bit_for_bit(tmp_path):
    meta = {"config": {"sizes": (784, 10), "rate": np.float32(0.5)}, "versions": {"jax": "0.10"}}
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(make_state(3), meta, {"validation/nll": np.float32(1.5), "accuracy": jnp.asarray(0.5)})
    with CheckpointManager(tmp_path) as checkpoints:
        restored = checkpoints.restore(make_target())
    assert restored.step == 3
    assert_same_state(restored.state, make_state(3))
    assert re.fullmatch("[0-9a-f]{8}", restored.meta.pop("checksum"))
    assert restored.meta == {
        "config": {"sizes": [784, 10], "rate": 0.5},
        "versions": {"jax": "0.10"},
        "step": 3,
        "metrics": {"validation/nll": 1.5, "accuracy": 0.5},
    }


def test_a_state_donated_right_after_the_save_is_saved_unchanged(tmp_path):
    update = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    state = make_state(0, size=10_000)
    with CheckpointManager(tmp_path, keep=3) as checkpoints:
        for _ in range(3):
            checkpoints.save(state, {}, {})
            state = update(state)
        for step in range(3):
            expected = make_state(0, size=10_000)
            for _ in range(step):
                expected = update(expected)
            assert_same_state(checkpoints.restore(state, step).state, expected)


def test_an_empty_or_absent_folder_restores_nothing_and_is_not_created(tmp_path):
    with CheckpointManager(tmp_path / "absent") as checkpoints:
        assert checkpoints.restore(make_target()) is None
        assert checkpoints.restore(make_target(), "best") is None
        assert checkpoints.all_steps() == []
    assert list_checkpoints(tmp_path / "absent") == []
    assert not (tmp_path / "absent").exists()


def test_the_newest_and_the_best_survive_pruning(tmp_path):
    nll = {1: 5.0, 2: 1.0, 3: 4.0, 4: 3.0, 5: 2.0}
    save_steps(tmp_path, 1, 2, 3, nll=nll, best=BEST)
    save_steps(tmp_path, 4, 5, nll=nll, best=BEST)  # a resumed run reads the metrics of the best from the disk
    assert list_checkpoints(tmp_path) == [2, 4, 5]
    with CheckpointManager(tmp_path, best=BEST) as checkpoints:
        assert checkpoints.all_steps() == [2, 4, 5]
        assert checkpoints.restore(make_target(), "best").step == 2
        assert checkpoints.restore(make_target()).step == 5


def test_the_best_is_the_largest_in_mode_max(tmp_path):
    best = (BEST[0], "max")
    save_steps(tmp_path, 1, 2, 3, 4, nll={1: 1.0, 2: 7.0, 3: 3.0, 4: 2.0}, best=best, keep=1)
    assert list_checkpoints(tmp_path) == [2, 4]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_metric_that_is_not_finite_is_never_the_best(tmp_path, mode):
    nll = {1: 3.0, 2: float("nan"), 3: float("inf"), 4: -float("inf"), 5: float("nan")}
    save_steps(tmp_path, 1, 2, 3, 4, 5, nll=nll, best=(BEST[0], mode), keep=1)
    assert list_checkpoints(tmp_path) == [1, 5]
    with CheckpointManager(tmp_path, best=(BEST[0], mode)) as checkpoints:
        assert checkpoints.restore(make_target(), "best").step == 1


def test_best_without_a_finite_metric_is_rejected(tmp_path):
    save_steps(tmp_path, 1, nll={1: float("nan")}, best=BEST)
    with CheckpointManager(tmp_path, best=BEST) as checkpoints:
        with pytest.raises(ValueError, match=r"no checkpoint in .* has a finite validation/nll; available steps: 1$"):
            checkpoints.restore(make_target(), "best")
        with pytest.raises(ValueError, match="step='bset' must be a number, 'best' or None"):
            checkpoints.restore(make_target(), "bset")


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda function: function.__name__)
def test_a_damaged_newest_checkpoint_is_reported_and_the_previous_one_used(tmp_path, damage, caplog):
    save_steps(tmp_path, 1, 2)
    damage(tmp_path / "2")
    with CheckpointManager(tmp_path) as checkpoints, caplog.at_level(logging.WARNING):
        restored = checkpoints.restore(make_target())
        assert restored.step == 1
        assert_same_state(restored.state, make_state(1))
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert re.search(r"damaged: step 2 .*; using step 1 instead$", caplog.messages[0])
        assert "\n" not in caplog.messages[0]
        assert checkpoints.all_steps() == [1]
        checkpoints.save(make_state(2), {}, {})
        assert checkpoints.restore(make_target()).step == 2
    assert list_checkpoints(tmp_path) == [1, 2]
    assert (tmp_path / "damaged" / "2").is_dir()


def test_restoring_changes_nothing_on_the_disk(tmp_path):
    save_steps(tmp_path, 1, 2)
    truncate(tmp_path / "2")
    before = sorted(tmp_path.rglob("*"))
    with CheckpointManager(tmp_path) as checkpoints:
        assert checkpoints.restore(make_target()).step == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_best_checkpoint_is_replaced_by_the_second_best(tmp_path, caplog):
    save_steps(tmp_path, 1, 2, 3, nll={1: 1.0, 2: 3.0, 3: 2.0}, best=BEST)
    truncate(tmp_path / "1")
    with CheckpointManager(tmp_path, best=BEST) as checkpoints:
        assert checkpoints.restore(make_target(), "best").step == 3
    assert "using step 3 instead" in caplog.text


def test_damage_of_every_checkpoint_is_an_error_instead_of_a_new_start(tmp_path, caplog):
    save_steps(tmp_path, 1, 2)
    empty_folder(tmp_path / "1")
    truncate(tmp_path / "2")
    with CheckpointManager(tmp_path) as checkpoints:
        for _ in range(2):
            with pytest.raises(
                ValueError, match=r"^every checkpoint in .* is damaged: step 2 .*; step 1 has no state;"
            ):
                checkpoints.restore(make_target())
    assert "instead" not in caplog.text


def test_an_absent_or_damaged_step_is_rejected_with_the_available_steps(tmp_path):
    save_steps(tmp_path, 1, 2, 3, keep=3)
    empty_folder(tmp_path / "2")
    with CheckpointManager(tmp_path) as checkpoints:
        with pytest.raises(ValueError, match=r"no checkpoint at step 9 in .*; available steps: 1, 2, 3$"):
            checkpoints.restore(make_target(), 9)
        with pytest.raises(ValueError, match=r"damaged: step 2 has no state; available steps: 1, 3$"):
            checkpoints.restore(make_target(), 2)
        assert checkpoints.restore(make_target(), 1).step == 1
        assert checkpoints.restore(make_target(), np.int64(1)).step == 1


def test_another_models_checkpoint_is_rejected_with_the_first_mismatch_and_kept(tmp_path):
    save_steps(tmp_path, 1, 2)
    message = r"step 2 .* another model: params/encoder/Dense_0/kernel is float32\[7, 33\] there, float32\[6, 33\] here"
    with CheckpointManager(tmp_path) as checkpoints:
        with pytest.raises(ValueError, match=message):
            checkpoints.restore(make_target(size=6))
        fewer = make_target().replace(stats={"encoder": {}})
        with pytest.raises(ValueError, match=r"stats/critic/mean is float32\[5\] there, absent here"):
            checkpoints.restore(fewer)
        half = make_target().replace(stats={"encoder": {}, "critic": {"mean": jnp.zeros((5,), jnp.float16)}})
        with pytest.raises(ValueError, match=r"stats/critic/mean is float32\[5\] there, float16\[5\] here"):
            checkpoints.restore(half)
        checkpoints.save(make_state(3), {}, {})
    assert list_checkpoints(tmp_path) == [2, 3]


def test_the_newest_readable_metadata_is_read_without_the_arrays(tmp_path):
    assert read_latest_metadata(tmp_path) is None
    save_steps(tmp_path, 1, 2)
    assert read_latest_metadata(tmp_path)["step"] == 2
    truncate_metadata(tmp_path / "2")
    truncate(tmp_path / "1")
    assert read_latest_metadata(tmp_path)["config"] == {"seed": 0}
    delete_metadata(tmp_path / "1")
    with pytest.raises(ValueError, match=r"every checkpoint in .* is damaged: no metadata can be read; steps: 1, 2;"):
        read_latest_metadata(tmp_path)


def test_the_second_save_of_a_step_changes_nothing(tmp_path):
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(make_state(4), {"first": True}, {})
        checkpoints.save(make_state(4), {"first": False}, {})  # still being written
        checkpoints.wait_until_finished()
        checkpoints.save(make_state(4), {"first": False}, {})
        assert checkpoints.restore(make_target()).meta["first"]
        assert checkpoints.all_steps() == [4]


def test_a_step_below_the_latest_can_be_saved(tmp_path):
    save_steps(tmp_path, 8, 9)
    save_steps(tmp_path, 4)
    assert 4 in list_checkpoints(tmp_path)


def test_the_files_of_a_killed_save_are_ignored_and_removed_by_the_next_save(tmp_path):
    save_steps(tmp_path, 1)
    left_over = tmp_path / "2.orbax-checkpoint-tmp"
    (left_over / "state").mkdir(parents=True)
    with CheckpointManager(tmp_path) as checkpoints:
        assert checkpoints.restore(make_target()).step == 1
        assert left_over.exists()
        checkpoints.save(make_state(2), {}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b"), "No space left on device"),
        (ValueError("OUT_OF_RANGE: Error writing: File too large [os_error_code='27']"), "File too large"),
        (
            ValueError(
                'Error writing "0/0.0": No space left on device [os_error_code=\'28\'] [spec=\'{\\"a\\": {},\n\\"io_x'
            ),
            "No space left on device",
        ),
        (ValueError("one line\nand a page of settings"), "one line"),
    ],
)
def test_a_failed_save_is_reported_in_one_line_with_the_reason_of_the_system(error, reason, tmp_path, monkeypatch):
    def fail(self):
        raise error

    with CheckpointManager(tmp_path) as checkpoints:
        monkeypatch.setattr(type(checkpoints._manager), "wait_until_finished", fail)
        with pytest.raises(
            CheckpointWriteError, match=re.escape(f"written in {tmp_path} ({reason}); earlier checkpoints are kept")
        ):
            checkpoints.wait_until_finished()
        monkeypatch.undo()


def test_a_save_that_fails_during_close_is_reported_and_hides_no_other_error(tmp_path, monkeypatch):
    def fail(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(type(CheckpointManager(tmp_path)._manager), "close", fail)
    with (
        pytest.raises(CheckpointWriteError, match=r"No space left on device.*the same command resumes"),
        CheckpointManager(tmp_path),
    ):
        pass
    with pytest.raises(KeyError, match="mine"), CheckpointManager(tmp_path):
        raise KeyError("mine")


def test_a_relative_path_is_resolved_before_the_process_changes_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with CheckpointManager("run/checkpoints") as checkpoints:
        monkeypatch.chdir("/")
        checkpoints.save(make_state(1), {}, {})
    assert list_checkpoints(tmp_path / "run" / "checkpoints") == [1]


def test_the_background_threads_end_with_close(tmp_path):
    before = threading.active_count()
    checkpoints = CheckpointManager(tmp_path)
    checkpoints.save(make_state(1), {}, {})
    checkpoints.close()
    checkpoints.close()
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    ("options", "message"), [({"keep": 0}, "keep=0"), ({"best": ("nll", "least")}, "'min' or 'max'")]
)
def test_invalid_options_are_rejected(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        CheckpointManager(tmp_path, **options)


def run_python(code, directory, **environment):
    """Runs code in a new process that can import this file's functions."""
    folders = [os.path.dirname(__file__), str(REPOSITORY / "tests"), str(REPOSITORY)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "JAX_PLATFORMS": "cpu", **environment}
    code = f"from test_checkpoints import *\n{textwrap.dedent(code)}"
    command = [sys.executable, "-c", code, str(directory)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_kill_9_during_a_save_leaves_the_previous_checkpoint(tmp_path):
    code = """
        with CheckpointManager(sys.argv[1]) as checkpoints:
            checkpoints.save(make_state(1, size=10_000), {}, {})
            checkpoints.wait_until_finished()
            checkpoints.save(make_state(2, size=10_000), {}, {})
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_python(code, tmp_path).returncode == -signal.SIGKILL
    with CheckpointManager(tmp_path) as checkpoints:
        restored = checkpoints.restore(make_target(size=10_000))
        assert_same_state(restored.state, make_state(restored.step, size=10_000))


def test_a_checkpoint_of_one_device_resumes_on_two(tmp_path):
    save_steps(tmp_path, 5)
    code = """
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
        placed = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placed), make_target())
        with CheckpointManager(sys.argv[1]) as checkpoints:
            state = checkpoints.restore(target).state
            assert all(len(leaf.sharding.device_set) == 2 for leaf in jax.tree.leaves(state))
            assert_same_state(state, make_state(5))
            state = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)(state)
            checkpoints.save(jax.block_until_ready(state), {}, {})
    """
    environment = {"JAX_NUM_CPU_DEVICES": "2", "PJRT_NPROC": "16"}
    result = run_python(code, tmp_path, **environment)
    assert result.returncode == 0, result.stderr
    with CheckpointManager(tmp_path) as checkpoints:
        restored = checkpoints.restore(make_target())
    assert restored.step == 6
    assert_same_state(restored.state, jax.tree.map(lambda leaf: leaf + 1, make_state(5)))


def test_listing_checkpoints_needs_no_orbax(tmp_path):
    for name in ("10", "9", "07", "damaged", "11.orbax-checkpoint-tmp"):
        (tmp_path / name).mkdir()
    code = """
        assert list_checkpoints(sys.argv[1]) == [9, 10]
        print("orbax.checkpoint" in sys.modules)
    """
    result = run_python(code, tmp_path)
    assert result.stdout == "False\n", result.stderr
