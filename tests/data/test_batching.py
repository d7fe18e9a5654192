"""The order of the training examples, batches, and fingerprints of examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.data import batch_indices, fingerprint, gather_batch, padded_batches
from jaxgen.data.batching import _permutations, epoch_permutation
from jaxgen.types import Split


def make_random_data(n=11):
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, 8, 10, 3), dtype=np.uint8), rng.integers(0, 4, n, dtype=np.int32))


# --- the order of the examples


@pytest.mark.parametrize(("batch_size", "num_examples"), [(4, 12), (5, 12), (13, 5), (1, 3)])
def test_each_epoch_visits_every_example_once(batch_size, num_examples):
    stream = batch_indices(3, 0, 60, batch_size, num_examples).ravel()
    epochs = stream[: len(stream) // num_examples * num_examples].reshape(-1, num_examples)
    assert len(epochs) >= 5
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(num_examples), (len(epochs), 1)))
    assert len(np.unique(epochs, axis=0)) > 1


def test_a_run_resumed_at_any_step_receives_the_same_examples():
    whole = batch_indices(0, 0, 10, 7, 23)
    assert whole.shape == (10, 7)
    assert whole.dtype == np.int32
    for step in range(11):
        _permutations.cache_clear()
        np.testing.assert_array_equal(whole[step:], batch_indices(0, step, 10, 7, 23))


def test_another_seed_gives_another_order():
    assert not np.array_equal(batch_indices(0, 0, 3, 7, 21), batch_indices(1, 0, 3, 7, 21))


def test_the_order_equals_that_of_earlier_versions():
    """The expected order is recorded: a change would give other examples to every resumed run."""
    np.testing.assert_array_equal(epoch_permutation(0, 1, 8), [3, 7, 4, 2, 1, 6, 5, 0])


# --- batches


def test_gathered_images_are_those_of_the_index_in_0_to_1_under_jit():
    data, index = make_random_data(), np.array([10, 0, 3, 3], np.int32)
    batch = jax.jit(gather_batch)(jax.tree.map(jnp.asarray, data), index)
    np.testing.assert_allclose(batch.image, data.image[index] / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(batch.label, data.label[index])
    np.testing.assert_array_equal(batch.mask, [1, 1, 1, 1])
    assert batch.image.dtype == jnp.float32


@pytest.mark.parametrize(("batch_size", "batches"), [(3, 4), (11, 1), (16, 1), (1, 11)])
def test_padded_batches_keep_every_example(batch_size, batches):
    data = make_random_data(11)
    padded = list(padded_batches(data, batch_size))
    assert [len(batch.label) for batch in padded] == [batch_size] * batches
    image, label, mask = (np.concatenate(parts) for parts in zip(*padded, strict=True))
    np.testing.assert_array_equal(mask, np.arange(batch_size * batches) < 11)
    np.testing.assert_allclose(image[:11], data.image / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(label[:11], data.label)
    assert (image[11:] == 0).all()
    assert (label[11:] == -1).all()
    assert [part.dtype for part in padded[0]] == [np.float32, np.int32, np.float32]


def test_the_orders_of_several_seeds_are_computed_once():
    _permutations.cache_clear()
    for _ in range(3):  # steps at the end of an epoch
        for seed in range(10):
            epoch_permutation(seed, 0, 7), epoch_permutation(seed, 1, 7)
    assert [_permutations(seed, 7).cache_info().misses for seed in range(10)] == [2] * 10


def test_a_fingerprint_depends_on_pixels_labels_and_shape():
    data = make_random_data()
    image, label = data
    changed = [
        Split(image ^ (np.arange(image.size) == 5).reshape(image.shape).astype(np.uint8), label),
        Split(image, label[::-1]),
        Split(image.swapaxes(1, 2).reshape(image.shape), label),
        Split(image.reshape(11, 10, 8, 3), label),
        Split(image[:5], label[:5]),
    ]
    assert len({fingerprint(other) for other in [data, *changed]}) == 6
    assert fingerprint(jax.tree.map(jnp.asarray, data)) == fingerprint(Split(image.copy(), label.copy()))
