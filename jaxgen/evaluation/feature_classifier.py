"""Independent classifier of generated images: trained on the training split, then cached.

No model is trained against it. For a data set of a single class it learns to recognize rotations by quarter turns,
which also requires features of the image content (Gidaris et al. 2018). Images that are not square are rotated by half
turns, because their shape would reveal a quarter turn.
"""

import functools
import logging
from collections.abc import Callable
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxgen.io.atomic import cache_dir, to_file_name, write_bytes_atomic
from jaxgen.networks import ConvClassifier
from jaxgen.types import Split

VERSION = 2  # of the training recipe; part of the key of the cache
BATCH_SIZE = 100
log = logging.getLogger("jaxgen")


class FeatureClassifier:
    """Trained `ConvClassifier` that maps images [N, H, W, C] in [0, 1] to labels [N] or `features` [N, 128].

    For a data set of a single class the labels are rotations in quarter or half turns, with 0 for upright images.
    """

    def __init__(self, params, num_outputs: int, predicts_rotation: bool):
        network = ConvClassifier(num_outputs)
        self.params, self.predicts_rotation = params, predicts_rotation

        def features(params, image):
            _, sown = network.apply({"params": params}, image, train=False, mutable="intermediates")
            return sown["intermediates"]["features"][0]

        self._predict = jax.jit(lambda params, image: network.apply({"params": params}, image, train=False).argmax(-1))
        self._features = jax.jit(features)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._apply_in_chunks(self._predict, images)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Returns the activations [N, 128] of the dense layer after the ReLU, without dropout."""
        return self._apply_in_chunks(self._features, images)

    def _apply_in_chunks(self, compiled: Callable, images: np.ndarray, chunk: int = 1000) -> np.ndarray:
        parts = []
        for start in range(0, len(images), chunk):
            part = images[start : start + chunk]
            padded = np.pad(part, ((0, chunk - len(part)), (0, 0), (0, 0), (0, 0)))  # one shape, so one compilation
            parts.append(np.asarray(compiled(self.params, padded))[: len(part)])
        return np.concatenate(parts)

    def accuracy(self, data: Split) -> float:
        """Returns the fraction of correct predictions on a split; for rotations, over all rotations of each image."""
        images = data.image.astype(np.float32) / 255
        if not self.predicts_rotation:
            return float((self(images) == data.label).mean())
        turns = rotation_turns(images.shape[1:])
        return float(np.mean([self(np.rot90(images, turn, (1, 2))) == number for number, turn in enumerate(turns)]))


def rotation_turns(image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the rotations that keep the shape of an image, in quarter turns."""
    return (0, 1, 2, 3) if image_shape[0] == image_shape[1] else (0, 2)


def count_outputs(num_classes: int, image_shape: tuple[int, ...]) -> int:
    """Returns the number of classes that the classifier distinguishes."""
    return num_classes if num_classes > 1 else len(rotation_turns(image_shape))


def describe_task(num_classes: int, image_shape: tuple[int, ...]) -> str:
    """Describes what the classifier predicts."""
    if num_classes > 1:
        return f"{num_classes} classes"
    return f"rotations by {'quarter' if len(rotation_turns(image_shape)) == 4 else 'half'} turns"


def load_or_train_classifier(train: Split, num_classes: int, steps: int, key: str) -> FeatureClassifier:
    """Returns the classifier of a training split, from the cache if possible.

    Args:
      train: the training split.
      num_classes: number of classes.
      steps: number of training steps of 100 images.
      key: the fingerprint of the split, which names the cache file.
    """
    rotated, num_outputs = num_classes == 1, count_outputs(num_classes, train.image.shape[1:])
    name = f"{key}-rotations-{steps}" if rotated else f"{key}-{steps}"
    path = cache_dir("classifiers") / f"{to_file_name(name)}-v{VERSION}.msgpack"
    network = ConvClassifier(num_outputs)

    def init(rng):
        return network.init(rng, jnp.zeros((1, *train.image.shape[1:])), train=False)["params"]

    try:
        like = jax.eval_shape(init, jax.random.key(0))
        return FeatureClassifier(flax.serialization.from_bytes(like, path.read_bytes()), num_outputs, rotated)
    except FileNotFoundError:
        log.info("Training the independent classifier (%d steps, once; cached in %s)", steps, path)
    except (ValueError, KeyError, OSError) as error:
        log.warning("The cached classifier %s cannot be read (%s); training it again", path, error)
    params = jax.device_get(train_classifier(network, jax.jit(init)(jax.random.key(0)), train, steps, rotated))
    write_cache(path, flax.serialization.to_bytes(params))
    return FeatureClassifier(params, num_outputs, rotated)


def train_classifier(network: ConvClassifier, params, train: Split, steps: int, rotated: bool = False):
    """Trains with Adam 2e-3 and cosine decay on batches shifted by up to 2 pixels, and rotated with `rotated`."""
    tx = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    image, label = jnp.asarray(train.image), jnp.asarray(train.label)

    def loss_of(params, image, label, rng):
        logits = network.apply({"params": params}, image, train=True, rngs={"dropout": rng})
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, image, label, number):
        params, opt_state = carry
        rng = jax.random.fold_in(jax.random.key(1), number)
        index_rng, shift_rng, dropout_rng = jax.random.split(rng, 3)
        index = jax.random.randint(index_rng, (BATCH_SIZE,), 0, len(image))
        shift = jax.random.randint(shift_rng, (2,), -2, 3)
        shifted = jnp.roll(image[index].astype(jnp.float32) / 255, shift, (1, 2))
        batch = random_rotation(shifted, jax.random.fold_in(rng, 3)) if rotated else (shifted, label[index])
        gradient = jax.grad(loss_of)(params, *batch, dropout_rng)
        updates, opt_state = tx.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state

    carry = (jax.tree.map(jnp.copy, params), tx.init(params))
    for number in range(steps):
        carry = step(carry, image, label, number)
    return carry[0]


def random_rotation(image: Float[Array, "B H W C"], rng: Array) -> tuple[Float[Array, "B H W C"], Int[Array, " B"]]:
    """Returns each image in one of the rotations of `rotation_turns` at random, and the number of the rotation."""
    turns = rotation_turns(image.shape[1:])
    number = jax.random.randint(rng, (len(image),), 0, len(turns))
    rotations = jnp.stack([jnp.rot90(image, turn, (1, 2)) for turn in turns])
    return rotations[number, jnp.arange(len(image))], number


def write_cache(path: Path, content: bytes) -> None:
    """Writes the cache; a failure is only logged, because it costs nothing but time."""
    try:
        write_bytes_atomic(path, content)
    except OSError as error:
        log.warning("The classifier cannot be cached in %s (%s)", path, error)
