"""The independent classifier that reads what a model draws: trained on the training split alone, then cached.

It never takes part in training a model, so a model can't learn to please it.
"""

import functools
import logging
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.files import cache_folder, write_atomically
from jaxgen.networks import ConvClassifier
from jaxgen.types import Data

VERSION = 2  # of the recipe below: part of the cache's key
BATCH_SIZE = 100
log = logging.getLogger("jaxgen")


class Classifier:
    """A trained `ConvClassifier`: images [N, H, W, C] in [0, 1] -> labels [N]."""

    def __init__(self, params, num_classes: int):
        network = ConvClassifier(num_classes)
        self.params = params
        self._read = jax.jit(lambda params, image: network.apply({"params": params}, image, train=False).argmax(-1))

    def __call__(self, images: np.ndarray, chunk: int = 1000) -> np.ndarray:
        parts = []
        for start in range(0, len(images), chunk):
            part = images[start : start + chunk]
            padded = np.pad(part, ((0, chunk - len(part)), (0, 0), (0, 0), (0, 0)))  # one shape: compiled once
            parts.append(np.asarray(self._read(self.params, padded))[: len(part)])
        return np.concatenate(parts)

    def accuracy(self, data: Data) -> float:
        """The share of a split that it reads rightly."""
        return float((self(data.image.astype(np.float32) / 255) == data.label).mean())


def trained_classifier(train: Data, num_classes: int, steps: int, key: str) -> Classifier:
    """The classifier of a training split, from the cache where it is there.

    Args:
      train: the training split.
      num_classes: K.
      steps: how many batches of 100 it learns from.
      key: the split's fingerprint, which names the cache file.
    """
    path = cache_folder("classifiers") / f"{key}-{steps}-v{VERSION}.msgpack"
    network = ConvClassifier(num_classes)

    def init(rng):
        return network.init(rng, jnp.zeros((1, *train.image.shape[1:])), train=False)["params"]

    try:
        like = jax.eval_shape(init, jax.random.key(0))
        return Classifier(flax.serialization.from_bytes(like, path.read_bytes()), num_classes)
    except FileNotFoundError:
        log.info("Training the independent classifier (%d steps, once; kept in %s)", steps, path)
    except (ValueError, KeyError, OSError) as error:
        log.warning("The cached classifier %s can't be read (%s): training it again", path, error)
    params = jax.device_get(fit(network, jax.jit(init)(jax.random.key(0)), train, steps))
    store(path, flax.serialization.to_bytes(params))
    return Classifier(params, num_classes)


def fit(network: ConvClassifier, params, train: Data, steps: int):
    """Adam 2e-3 with cosine decay; every batch shifted by up to 2 pixels either way."""
    tx = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    image, label = jnp.asarray(train.image), jnp.asarray(train.label)

    def loss_of(params, image, label, rng):
        logits = network.apply({"params": params}, image, train=True, rngs={"dropout": rng})
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, image, label, rng):
        params, opt_state = carry
        index_rng, shift_rng, dropout_rng = jax.random.split(rng, 3)
        index = jax.random.randint(index_rng, (BATCH_SIZE,), 0, len(image))
        shift = jax.random.randint(shift_rng, (2,), -2, 3)
        shifted = jnp.roll(image[index].astype(jnp.float32) / 255, shift, (1, 2))
        gradient = jax.grad(loss_of)(params, shifted, label[index], dropout_rng)
        updates, opt_state = tx.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state

    carry = (jax.tree.map(jnp.copy, params), tx.init(params))
    for number in range(steps):
        carry = step(carry, image, label, jax.random.fold_in(jax.random.key(1), number))
    return carry[0]


def store(path: Path, content: bytes) -> None:
    """A cache that can't be written only costs time."""
    try:
        write_atomically(path, content)
    except OSError as error:
        log.warning("The classifier can't be cached in %s (%s)", path, error)
