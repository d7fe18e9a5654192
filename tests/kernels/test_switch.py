"""One environment variable makes every kernel run the library call that it replaces."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from jaxgen.kernels import use_reference
from jaxgen.kernels.switch import REFERENCE_VARIABLE, replaces

# Prints what a few training steps make of the parameters, and which operations the steps consist of.
STEPS = """
import json
import jax
import jax.numpy as jnp
from helpers import tiny_batch, tiny_model
from jaxgen.optimization.players import make_update

found = {}
for name in ("aae", "conv_ae", "gan"):
    model = tiny_model(name, "smoke")
    update = make_update(model.players, model.update_order)
    run = jax.jit(lambda state, batches, rng: jax.lax.scan(lambda s, b: update(s, b, rng), state, batches))
    batches = jax.tree.map(lambda x: jnp.stack([x] * 3), tiny_batch())
    inputs = jax.jit(model.init)(jax.random.key(0)), batches, jax.random.key(1)
    lowered = run.lower(*inputs)
    state, metrics = lowered.compile()(*inputs)
    sums = {net: float(sum(jnp.abs(x).sum() for x in jax.tree.leaves(params))) for net, params in state.params.items()}
    metrics = {key: float(value[-1]) for key, value in metrics.items()}
    found[name] = {"sums": sums, "metrics": metrics, "loops": lowered.as_text().count("stablehlo.while")}
print(json.dumps(found))
"""


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True), (None, False)])
def test_the_variable_decides(monkeypatch, value, expected):
    monkeypatch.delenv(REFERENCE_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(REFERENCE_VARIABLE, value)
    assert use_reference() is expected


def test_a_kernel_runs_its_reference_under_the_switch(monkeypatch):
    @replaces(lambda x, y=2: ("reference", x, y))
    def kernel(x, y=2):
        """A docstring."""
        return "fast", x, y

    monkeypatch.setenv(REFERENCE_VARIABLE, "0")
    assert kernel(1, y=3) == ("fast", 1, 3)
    monkeypatch.setenv(REFERENCE_VARIABLE, "1")
    assert kernel(1) == ("reference", 1, 2)
    assert kernel.fast(1) == ("fast", 1, 2)
    assert kernel.__doc__ == "A docstring."


def test_asking_for_the_switch_imports_no_jax(repository):
    code = "import sys, jaxgen.kernels; jaxgen.kernels.use_reference(); print('jax' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=repository)
    assert run.stdout.strip() == "False"


@pytest.mark.slow
def test_training_steps_by_references_equal_those_by_kernels(repository):
    def run(value):
        path = os.pathsep.join([str(repository), str(repository / "tests")])
        environment = {**os.environ, REFERENCE_VARIABLE: value, "PYTHONPATH": path}
        command = [sys.executable, "-c", STEPS]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    fast, reference = run("0"), run("1")
    for name, found in fast.items():
        for part in ("sums", "metrics"):
            for key, value in found[part].items():
                np.testing.assert_allclose(
                    value, reference[name][part][key], rtol=1e-4, atol=1e-5, err_msg=f"{name} {key}"
                )
    # Besides the loop over steps, jax.random has loops over the rounds of its generator.
    assert [fast[name]["loops"] for name in ("aae", "gan")] == [1, 1]
    assert all(reference[name]["loops"] > 1 for name in ("aae", "gan"))
