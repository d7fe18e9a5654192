import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxgen.distributed import devices

# Each case is compared with one device under jit.
CASES = [
    f"{update_order}/{parallel}"
    for update_order in ("alternating", "simultaneous")
    for parallel in (
        *("jit/2", "jit/8", "jit/8 streamed", "pmap/1", "pmap/2", "pmap/8", "pmap/8 streamed"),
        *("gan,jit/8", "gan,pmap/1", "gan,pmap/8"),
    )
]


@pytest.fixture(scope="module")
def differences(repository):
    """The output of parallel_steps.py on 8 simulated devices."""
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("parallel_steps.py"))],
        env={
            **os.environ,
            "JAX_NUM_CPU_DEVICES": "8",
            "PJRT_NPROC": "16",
            "PYTHONPATH": os.pathsep.join([str(repository), str(repository / "tests")]),
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_many_devices_take_the_steps_of_one(differences, case):
    assert differences[f"moved/{case.rpartition('/')[0]}"] > 1e-3
    # Float rounding. Batch normalization under pmap sums over devices, which removes a batch's mean less exactly.
    assert differences[case] < (5e-5 if "gan,pmap" in case else 2e-6)


def test_a_batch_that_the_devices_do_not_divide_is_refused_with_the_nearest_one_that_they_divide():
    mesh = devices.data_mesh(jax.devices()[:1] * 8)
    with pytest.raises(ValueError, match=r"batch_size=100 must be divisible by 8 devices; try --config.batch_size=96"):
        devices.validate_parallelism(100, "jit", mesh)


def test_an_unknown_parallel_mode_is_named():
    with pytest.raises(ValueError, match='parallel="pmpa" is unknown; choose "jit" or "pmap"'):
        devices.validate_parallelism(8, "pmpa", devices.data_mesh(jax.devices()[:1]))


def test_splitting_over_devices_keeps_the_order_of_jit():
    index = np.arange(2 * 6).reshape(2, 6)
    split = devices.reshape_for_pmap(index, 3)
    assert split.shape == (3, 2, 2)
    np.testing.assert_array_equal(split[1], [[2, 3], [8, 9]])


def test_simulated_devices_get_a_thread_pool_that_does_not_deadlock(monkeypatch, tmp_path):
    monkeypatch.delenv("PJRT_NPROC", raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    devices.configure_jax(tmp_path)
    assert os.environ["PJRT_NPROC"] == "16"


def test_a_step_does_not_copy_the_weights_that_it_reads_and_replaces():
    """On a CPU, copying every weight takes up to a tenth of a step's time."""

    def make_step(axis_name):
        del axis_name

        def loss(weights, x):
            return jax.nn.relu(x @ weights[0] @ weights[1]).sum()

        def step(weights, data, index, rng):
            del data, rng
            gradient = jax.grad(loss)(weights, jax.nn.one_hot(index, 7))
            return jax.tree.map(lambda old, gradient: old - 0.1 * gradient, weights, gradient), {}

        return step

    weights = [jax.numpy.ones((7, 5)), jax.numpy.ones((5, 3))]
    steps = devices.compile_steps(make_step, devices.data_mesh(jax.devices()[:1]), "jit")
    program = steps.lower(weights, None, np.zeros((10, 4), np.int32), jax.random.key(0)).compile().as_text()
    assert "f32[7,5]" in program
    assert not re.findall(r"= f32\[(?:7,5|5,3)\]\S* copy\(.*", program)
