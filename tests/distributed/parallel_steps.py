"""Takes the same steps on 1, 2 and 8 simulated devices; run by test_parallel.py in a process of its own.

Prints one JSON object: for each case the largest difference of any parameter or metric from one device under jit
(relative where values exceed 1), and the largest step that any parameter took, for scale.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
from helpers import tiny_data, tiny_model

from jaxgen.data import gather_batch, to_batch
from jaxgen.models.priors import Gaussian
from jaxgen.optimization.players import make_update
from jaxgen.types import Split

STEPS, BATCH = 5, 16


class Ones(Gaussian):
    """A prior that draws one code."""

    def sample(self, rng, count):
        return jnp.ones((count, self.size))


def take_steps(players, schedule, state, devices, how, streamed=False):
    mesh = devices.data_mesh(jax.devices()[:devices])

    def make_step(axis_name):
        update = make_update(players, schedule, axis_name)
        return lambda state, data, index, rng: update(
            state, gather_batch(data, index) if data else to_batch(index), rng
        )

    steps = devices.compile_steps(make_step, mesh, how)
    index = np.random.default_rng(0).integers(0, 18, (STEPS, BATCH)).astype(np.int32)
    placed = (devices.replicate(tree, mesh) for tree in (state, tiny_data(), jax.random.key(1)))
    state, data, rng = placed
    if streamed:
        data, index = None, devices.place_batches(Split(*(np.asarray(array)[index] for array in data)), mesh, how)
    state, metrics = steps(state, data, index, rng)
    assert state.step.sharding.is_equivalent_to(devices.replicated_sharding(mesh), 0)
    return jax.device_get((state.params, state.stats, metrics))


def largest(a, b):
    """The largest difference, relative where values exceed 1."""
    return max(
        float((np.abs(x - y) / np.maximum(np.abs(x), 1)).max())
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def main():
    differences = {}
    # Noise on: dropout, draws from posterior and prior. SGD, as Adam would hide a gradient that is wrong by a factor.
    noisy = tiny_model("cond_aae", "smoke", dropout_rate=0.3, critic_dropout_rate=0.3)
    # Noise off: no dropout, no posterior to draw from, and the critic, which draws from the prior, sits out.
    quiet = tiny_model("cond_aae", "smoke", gaussian_posterior=False, kl_weight=0.0)
    # Players that look at one forward pass, normalised by the batch. All codes are one: by the label images differ.
    gan = tiny_model("gan", "conditional,smoke", ema_decay=0.0)
    told = dataclasses.replace(gan, prior=Ones(gan.latent_size))
    cases = (("jit", noisy, ()), ("pmap", quiet, ("critic",)), ("gan,jit", gan, ()), ("gan,pmap", told, ()))
    for schedule in ("alternating", "simultaneous"):
        for case, model, skip in cases:
            how, rate = case.split(",")[-1], 5e-4 if "gan" in case else 1e-2  # a game is soon chaotic: rounding grows
            players = tuple(dataclasses.replace(p, tx=optax.sgd(rate)) for p in model.players if p.name not in skip)
            state = jax.device_get(jax.jit(model.init)(jax.random.key(0)))
            state = state.replace(
                opt_states={p.name: p.tx.init({n: state.params[n] for n in p.networks}) for p in players}
            )
            reference = take_steps(players, schedule, state, 1, "jit")
            differences[f"moved/{schedule}/{case}"] = largest(reference[0], state.params)
            for devices in (2, 8) if how == "jit" else (1, 2, 8):
                taken = take_steps(players, schedule, state, devices, how)
                differences[f"{schedule}/{case}/{devices}"] = largest(reference, taken)
            if "gan" not in case:
                taken = take_steps(players, schedule, state, 8, how, streamed=True)
                differences[f"{schedule}/{case}/8 streamed"] = largest(reference, taken)
    print(json.dumps(differences))


if __name__ == "__main__":
    main()
