import os
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgen.config.base import base_config
from jaxgen.data import (
    Dataset,
    batch_indices,
    dataset,
    find_prepared_dataset,
    fingerprint,
    gather_batch,
    load_dataset,
    padded_batches,
)
from jaxgen.data.batching import _permutations, epoch_permutation
from jaxgen.data.sources import digits as digits_source
from jaxgen.data.sources import tfds
from jaxgen.types import DatasetSpec, Split


def config(source="tfds", name="mnist", path=None, download=False, **changes):
    data = base_config("aae.AAE").data
    data.update({"source": source, "name": name, "path": str(path or ""), "download": download, **changes})
    return data


def random_data(n=11):
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, 8, 10, 3), dtype=np.uint8), rng.integers(0, 4, n, dtype=np.int32))


def class_counts(data):
    return np.bincount(data.label, minlength=10)


# --- the order of the examples


@pytest.mark.parametrize(("batch_size", "num_examples"), [(4, 12), (5, 12), (13, 5), (1, 3)])
def test_each_epoch_sees_every_example_once(batch_size, num_examples):
    stream = batch_indices(3, 0, 60, batch_size, num_examples).ravel()
    epochs = stream[: len(stream) // num_examples * num_examples].reshape(-1, num_examples)
    assert len(epochs) >= 5
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(num_examples), (len(epochs), 1)))
    assert len(np.unique(epochs, axis=0)) > 1


def test_a_run_resumed_at_any_step_sees_the_same_examples():
    whole = batch_indices(0, 0, 10, 7, 23)
    assert whole.shape == (10, 7)
    assert whole.dtype == np.int32
    for step in range(11):
        _permutations.cache_clear()
        np.testing.assert_array_equal(whole[step:], batch_indices(0, step, 10, 7, 23))


def test_another_seed_gives_another_order():
    assert not np.array_equal(batch_indices(0, 0, 3, 7, 21), batch_indices(1, 0, 3, 7, 21))


def test_the_order_is_the_one_that_earlier_versions_drew():
    """Pinned, not derived: a change would move every resumed run to other examples."""
    np.testing.assert_array_equal(epoch_permutation(0, 1, 8), [3, 7, 4, 2, 1, 6, 5, 0])


# --- batches


def test_gather_gives_the_asked_images_between_0_and_1_under_jit():
    data, index = random_data(), np.array([10, 0, 3, 3], np.int32)
    batch = jax.jit(gather_batch)(jax.tree.map(jnp.asarray, data), index)
    np.testing.assert_allclose(batch.image, data.image[index] / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(batch.label, data.label[index])
    np.testing.assert_array_equal(batch.mask, [1, 1, 1, 1])
    assert batch.image.dtype == jnp.float32


@pytest.mark.parametrize(("batch_size", "batches"), [(3, 4), (11, 1), (16, 1), (1, 11)])
def test_padded_batches_keep_every_example(batch_size, batches):
    data = random_data(11)
    got = list(padded_batches(data, batch_size))
    assert [len(batch.label) for batch in got] == [batch_size] * batches
    image, label, mask = (np.concatenate(parts) for parts in zip(*got, strict=True))
    np.testing.assert_array_equal(mask, np.arange(batch_size * batches) < 11)
    np.testing.assert_allclose(image[:11], data.image / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(label[:11], data.label)
    assert (image[11:] == 0).all()
    assert (label[11:] == -1).all()
    assert [part.dtype for part in got[0]] == [np.float32, np.int32, np.float32]


def test_the_orders_of_many_seeds_are_made_once():
    _permutations.cache_clear()
    for _ in range(3):  # steps at an epoch's end
        for seed in range(10):
            epoch_permutation(seed, 0, 7), epoch_permutation(seed, 1, 7)
    assert [_permutations(seed, 7).cache_info().misses for seed in range(10)] == [2] * 10


def test_a_fingerprint_tells_pixels_labels_and_shape_apart():
    data = random_data()
    image, label = data
    changed = [
        Split(image ^ (np.arange(image.size) == 5).reshape(image.shape).astype(np.uint8), label),
        Split(image, label[::-1]),
        Split(image.swapaxes(1, 2).reshape(image.shape), label),
        Split(image.reshape(11, 10, 8, 3), label),
        Split(image[:5], label[:5]),
    ]
    assert len({fingerprint(each) for each in [data, *changed]}) == 6
    assert fingerprint(jax.tree.map(jnp.asarray, data)) == fingerprint(Split(image.copy(), label.copy()))


# --- the bundled digits


@pytest.fixture(scope="module")
def digits():
    return load_dataset(config(source="digits"))


def test_the_digits_come_in_three_stratified_splits(digits):
    assert [len(split.label) for split in (digits.train, digits.validation, digits.test)] == [1400, 147, 250]
    # Alpaydin & Kaynak 1998, optdigits.names: the classes of the 1,797 testing examples.
    total = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    for split in (digits.train, digits.validation, digits.test):
        assert np.abs(class_counts(split) - total * len(split.label) / 1797).max() <= 1
    np.testing.assert_array_equal(sum(class_counts(split) for split in digits[1:4]), total)


def test_the_digits_are_kept_and_found_again_without_scikit_learn(digits, monkeypatch):
    def not_reached():
        raise AssertionError("the kept digits are read")

    monkeypatch.setattr(digits_source, "_enlarged_digits", not_reached)
    again = load_dataset(config(source="digits"))
    assert again.content_id == digits.content_id
    monkeypatch.setattr(digits_source, "ENLARGED", 0)  # as of another version
    with pytest.raises(AssertionError, match="the kept digits are read"):
        load_dataset(config(source="digits"))


def test_the_splits_of_the_digits_are_disjoint(digits):
    from sklearn.datasets import load_digits

    original = {image.tobytes() for image in load_digits().images}
    splits = [{image.tobytes() for image in split.image} for split in digits[1:4]]
    assert len(set.union(*splits)) == sum(map(len, splits)) == len(original)


def test_the_digits_are_28x28_bytes_on_a_black_ground(digits):
    assert digits.spec == DatasetSpec("digits", (28, 28, 1), 10)
    assert digits.train.image.dtype == np.uint8
    assert digits.train.label.dtype == np.int32
    assert (digits.train.image == 0).mean() > 0.3
    assert digits.train.image.max() == 255


def test_the_enlarged_digits_shrink_back_to_the_originals(digits):
    from sklearn.datasets import load_digits

    original = load_digits()
    originals = {int(k): original.images[original.target == k].reshape(-1, 64) for k in range(10)}
    for image, label in zip(digits.test.image[:20, ..., 0], digits.test.label[:20], strict=True):
        small = np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BOX), np.float32).ravel()
        correlation = max(np.corrcoef(small, each)[0, 1] for each in originals[int(label)])
        assert correlation > 0.95


# --- TFDS sets


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory):
    """A directory in which the set `tiny_shapes` is prepared, as a user prepares one, but for the network.

    Its image number i is filled with i and shows the class i % 4.
    """
    import tensorflow_datasets as tfds

    class TinyShapes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [  # noqa: RUF012
            tfds.core.BuilderConfig(name=name) for name in ("plain", "untested", "mixed", "unlabelled", "offline")
        ]

        def _info(self):
            features = {"image": tfds.features.Image(shape=(None, None, 3))}
            if self.builder_config.name != "unlabelled":
                features["label"] = tfds.features.ClassLabel(num_classes=4)
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            if self.builder_config.name == "offline":
                raise ConnectionError("no route to host\nand a page of advice")
            splits = {"train": self._generate_examples(range(48)), "test": self._generate_examples(range(48, 60))}
            return {"train": splits["train"]} if self.builder_config.name == "untested" else splits

        def _generate_examples(self, numbers):
            for i in numbers:
                height = 9 if self.builder_config.name == "mixed" and i % 2 else 8
                example = {"image": np.full((height, 10, 3), i, np.uint8), "label": i % 4}
                yield i, {key: example[key] for key in self.info.features}

    root = tmp_path_factory.mktemp("tfds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        load_dataset(config(name="tiny_shapes/plain", path=root, download=True))
    return root


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxgen" / "data"


@pytest.fixture
def reads(monkeypatch):
    """The directories that were read from TFDS, not from the cache."""
    read, seen = tfds._read_tfds, []
    monkeypatch.setattr(tfds, "_read_tfds", lambda directory: seen.append(directory) or read(directory))
    return seen


def same(one: Dataset, other: Dataset) -> bool:
    return one.spec == other.spec and [*map(fingerprint, one[1:4])] == [*map(fingerprint, other[1:4])]


def test_a_downloaded_set_is_read_back_without_tensorflow(tiny_root, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    data = load_dataset(config(name="tiny_shapes/plain", path=tiny_root))
    assert data.spec == DatasetSpec("tiny_shapes/plain", (8, 10, 3), 4)
    assert [len(split.label) for split in data[1:4]] == [44, 4, 12]
    for split in data[1:4]:
        assert (split.image == split.image[:, :1, :1, :1]).all()
        np.testing.assert_array_equal(split.image[:, 0, 0, 0] % 4, split.label)
    assert set(data.test.image.flat) == set(range(48, 60))
    assert {*data.train.image.flat, *data.validation.image.flat} == set(range(48))


@pytest.mark.parametrize("name", ["plain", "untested"])
def test_a_set_over_the_budget_is_streamed_in_the_same_splits(tiny_root, cache, reads, monkeypatch, name):
    options = {"name": f"tiny_shapes/{name}", "path": tiny_root, "download": True}
    memory = load_dataset(config(**options))
    reads.clear()
    streamed = load_dataset(config(**options, budget=0))
    assert not reads
    assert same(streamed, memory)  # the parts in memory: of so few images, all
    np.testing.assert_array_equal(streamed.train_source.image.in_memory(), memory.train.image)
    np.testing.assert_array_equal(streamed.train_source.label, memory.train.label)
    monkeypatch.setattr(tfds, "_read_labels", lambda directory: pytest.fail("read again"))
    assert same(load_dataset(config(**options, budget=0)), memory)


def test_without_a_test_split_a_seventh_of_the_training_split_is_held_out(tiny_root, cache, caplog):
    caplog.set_level("INFO", logger="jaxgen")
    data = load_dataset(config(name="tiny_shapes/untested", path=tiny_root, download=True))
    assert [len(split.label) for split in data[1:4]] == [39, 3, 6]
    assert sorted(np.concatenate([split.image[:, 0, 0, 0] for split in data[1:4]])) == list(range(48))
    assert "no test split" in caplog.text


@pytest.mark.parametrize(
    ("name", "message"), [("mixed", "one size is needed"), ("unlabelled", "class label are needed")]
)
def test_a_set_that_is_no_labelled_image_set_of_one_size_is_refused(tiny_root, cache, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(config(name=f"tiny_shapes/{name}", path=tiny_root, download=True))
    assert "\n" not in str(caught.value)


def test_a_failed_download_is_one_line_with_its_cause(tiny_root):
    with pytest.raises(ValueError, match=r"could not be downloaded.*no route to host.*data\.path") as caught:
        load_dataset(config(name="tiny_shapes/offline", path=tiny_root, download=True))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_an_unknown_name_is_not_looked_for_in_the_network(tmp_path):
    with pytest.raises(ValueError, match=r"'fashion_mnsit' is no TFDS data set.*did you mean .fashion_mnist"):
        load_dataset(config(name="fashion_mnsit", path=tmp_path, download=True))


@pytest.mark.parametrize("name", ["", "../mnist", "/etc", "mnist/..", "a b"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match=r"data\.name=.* must name a TFDS image set"):
        load_dataset(config(name=name))


def test_a_set_that_is_not_prepared_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # slow to import, and not needed to say so
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(ValueError, match="not prepared") as caught:
        load_dataset(config())
    assert time.monotonic() - started < 2
    for words in (f"{tmp_path}/mnist", "--config.data.download=true", "--config.data.path", "TFDS_DATA_DIR"):
        assert words in str(caught.value)


def test_a_misspelt_set_is_compared_with_the_prepared_ones(tiny_root):
    with pytest.raises(ValueError, match=r"did you mean .tiny_shapes/plain"):
        load_dataset(config(name="tiny_shape/plain", path=tiny_root))


def test_the_newest_prepared_version_is_found(tmp_path, monkeypatch):
    for version in ("3.0.1", "3.0.10", "3.0.9", "incomplete.X_4.0.0"):
        (tmp_path / "mnist" / version).mkdir(parents=True)
        (tmp_path / "mnist" / version / "dataset_info.json").write_text("{}")
    (tmp_path / "mnist" / "5.0.0").mkdir()
    assert find_prepared_dataset("mnist", tmp_path) == tmp_path / "mnist" / "3.0.10"
    assert find_prepared_dataset("mnist:3.0.9", tmp_path) == tmp_path / "mnist" / "3.0.9"
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert find_prepared_dataset("mnist") == tmp_path / "mnist" / "3.0.10"
    assert find_prepared_dataset("mnist", tmp_path / "elsewhere") is None


@pytest.mark.parametrize("text", ["{}", '{"fileFormat": "tfrecord"}', "{", "[]", None])
def test_a_directory_in_another_format_or_damaged_says_how_to_prepare_it_anew(tmp_path, cache, text):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(text or '{"fileFormat": "array_record"}')  # with no data beside it
    with pytest.raises(ValueError, match=r"3\.0\.1 cannot be read .* remove it .*download=true") as caught:
        load_dataset(config(path=tmp_path))
    assert "\n" not in str(caught.value)


def test_an_unknown_source_names_the_choices():
    message = r"data.source='digit' must be .digits. or .tfds. or .folder.*did you mean .digits"
    with pytest.raises(ValueError, match=message):
        load_dataset(config(source="digit"))


# --- the cache


def test_a_second_start_reads_the_cache(tiny_root, cache, reads):
    first, second = (load_dataset(config(name="tiny_shapes/plain", path=tiny_root)) for _ in range(2))
    assert len(reads) == 1
    assert same(first, second)
    assert [file.suffix for file in cache.iterdir()] == [".npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "pickle"])
def test_a_damaged_cache_is_built_again(tiny_root, cache, reads, damage):
    first = load_dataset(config(name="tiny_shapes/plain", path=tiny_root))
    (file,) = cache.iterdir()
    stored = bytearray(file.read_bytes())
    stored[len(stored) // 2] ^= 255
    damaged = {"cut": stored[:999], "flipped": stored, "empty": b"", "text": b"no npz", "pickle": b"\x80\x04K\x01."}
    file.write_bytes(damaged[damage])
    assert same(first, load_dataset(config(name="tiny_shapes/plain", path=tiny_root)))
    assert same(first, load_dataset(config(name="tiny_shapes/plain", path=tiny_root)))
    assert len(reads) == 2


def test_a_set_that_changed_is_read_again(tiny_root, cache, reads):
    load_dataset(config(name="tiny_shapes/plain", path=tiny_root))
    os.utime(find_prepared_dataset("tiny_shapes/plain", tiny_root) / "dataset_info.json", (1, 1))
    load_dataset(config(name="tiny_shapes/plain", path=tiny_root))
    assert len(reads) == 2
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_time_only(tiny_root, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_dataset(config(name="tiny_shapes/plain", path=tiny_root)).test.label) == 12
    assert "cannot be written" in caplog.text


# --- the real MNIST


def test_mnist_has_its_published_sizes_and_classes(cache):
    beside = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("JAXGEN_TEST_DATA", beside)) / "tfds"
    if find_prepared_dataset("mnist", root) is None:
        pytest.skip(f"no prepared MNIST in {root}; JAXGEN_TEST_DATA names the directory above tfds/")
    mnist = load_dataset(config(path=root))
    assert mnist.spec == DatasetSpec("mnist", (28, 28, 1), 10)
    assert [len(split.label) for split in mnist[1:4]] == [55_000, 5_000, 10_000]
    # LeCun, Cortes & Burges: the classes of the 10,000 test and of the 60,000 training examples.
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(class_counts(mnist.test), test)
    np.testing.assert_array_equal(class_counts(mnist.train) + class_counts(mnist.validation), train)
    assert mnist.train.image[..., 0].mean() / 255 == pytest.approx(
        0.1307, abs=5e-4
    )  # the mean that everybody subtracts
