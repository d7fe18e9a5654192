"""Takes the same steps on 1, 2 and 8 simulated devices; run by test_devices.py in a process of its own.

Prints one JSON object: for each case the largest difference of any parameter or metric from one device under jit
(relative for values above 1), and the largest change of any parameter, for scale.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
from helpers import tiny_data, tiny_model

from jaxgen.data import gather_batch, to_batch
from jaxgen.distributed import devices
from jaxgen.models.priors import Gaussian
from jaxgen.optimization.players import make_update
from jaxgen.types import Split

STEPS, BATCH = 5, 16


class Ones(Gaussian):
    """A prior whose samples are all ones."""

    def sample(self, rng, count):
        return jnp.ones((count, self.size))


def take_steps(players, update_order, state, num_devices, parallel, streamed=False):
    mesh = devices.data_mesh(jax.devices()[:num_devices])

    def make_step(axis_name):
        update = make_update(players, update_order, axis_name)
        return lambda state, data, index, rng: update(
            state, gather_batch(data, index) if data else to_batch(index), rng
        )

    steps = devices.compile_steps(make_step, mesh, parallel)
    index = np.random.default_rng(0).integers(0, 18, (STEPS, BATCH)).astype(np.int32)
    placed = (devices.replicate(tree, mesh) for tree in (state, tiny_data(), jax.random.key(1)))
    state, data, rng = placed
    if streamed:
        data, index = None, devices.place_batches(Split(*(np.asarray(array)[index] for array in data)), mesh, parallel)
    state, metrics = steps(state, data, index, rng)
    assert state.step.sharding.is_equivalent_to(devices.replicated_sharding(mesh), 0)
    return jax.device_get((state.params, state.stats, metrics))


def largest(a, b):
    """Returns the largest difference, relative for values above 1."""
    return max(
        float((np.abs(x - y) / np.maximum(np.abs(x), 1)).max())
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def main():
    differences = {}
    # With noise: dropout, samples of posterior and prior. SGD, because Adam hides a wrong factor of a gradient.
    noisy = tiny_model("cond_aae", "smoke", dropout_rate=0.3, critic_dropout_rate=0.3)
    # Without noise: no dropout, no sampled posterior, and no player "critic", which samples the prior.
    quiet = tiny_model("cond_aae", "smoke", gaussian_posterior=False, kl_weight=0.0)
    # Players that share a forward pass, with batch normalization. All codes are ones: images differ by their label.
    gan = tiny_model("gan", "conditional,smoke", ema_decay=0.0)
    fixed_codes = dataclasses.replace(gan, prior=Ones(gan.latent_size))
    cases = (("jit", noisy, ()), ("pmap", quiet, ("critic",)), ("gan,jit", gan, ()), ("gan,pmap", fixed_codes, ()))
    for update_order in ("alternating", "simultaneous"):
        for case, model, skip in cases:
            parallel = case.split(",")[-1]
            rate = 5e-4 if "gan" in case else 1e-2  # GAN training soon amplifies rounding
            players = tuple(dataclasses.replace(p, tx=optax.sgd(rate)) for p in model.players if p.name not in skip)
            state = jax.device_get(jax.jit(model.init)(jax.random.key(0)))
            state = state.replace(
                opt_states={p.name: p.tx.init({n: state.params[n] for n in p.networks}) for p in players}
            )
            reference = take_steps(players, update_order, state, 1, "jit")
            differences[f"moved/{update_order}/{case}"] = largest(reference[0], state.params)
            for num_devices in (2, 8) if parallel == "jit" else (1, 2, 8):
                taken = take_steps(players, update_order, state, num_devices, parallel)
                differences[f"{update_order}/{case}/{num_devices}"] = largest(reference, taken)
            if "gan" not in case:
                taken = take_steps(players, update_order, state, 8, parallel, streamed=True)
                differences[f"{update_order}/{case}/8 streamed"] = largest(reference, taken)
    print(json.dumps(differences))


if __name__ == "__main__":
    main()
