"""The sources of data sets: the digits of scikit-learn, TFDS image sets, and the cache of their arrays."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxgen.config.base import base_config
from jaxgen.data import Dataset, find_prepared_dataset, fingerprint, load_dataset
from jaxgen.data.sources import digits as digits_source
from jaxgen.data.sources import tfds
from jaxgen.types import DatasetSpec


def data_config(source="tfds", name="mnist", path=None, download=False, **changes):
    data = base_config("aae.AAE").data
    data.update({"source": source, "name": name, "path": str(path or ""), "download": download, **changes})
    return data


def count_classes(data):
    return np.bincount(data.label, minlength=10)


# --- the bundled digits


@pytest.fixture(scope="module")
def digits():
    return load_dataset(data_config(source="digits"))


def test_the_digits_have_three_stratified_splits(digits):
    assert [len(split.label) for split in (digits.train, digits.validation, digits.test)] == [1400, 147, 250]
    # Alpaydin & Kaynak 1998, optdigits.names: the classes of the 1,797 testing examples.
    total = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    for split in (digits.train, digits.validation, digits.test):
        assert np.abs(count_classes(split) - total * len(split.label) / 1797).max() <= 1
    np.testing.assert_array_equal(sum(count_classes(split) for split in digits[1:4]), total)


def test_the_digits_are_loaded_from_the_cache_without_scikit_learn(digits, monkeypatch):
    def fail():
        raise AssertionError("the digits are computed again")

    monkeypatch.setattr(digits_source, "_enlarge_digits", fail)
    again = load_dataset(data_config(source="digits"))
    assert again.content_id == digits.content_id
    monkeypatch.setattr(digits_source, "VERSION", 0)  # the cache is of another version
    with pytest.raises(AssertionError, match="the digits are computed again"):
        load_dataset(data_config(source="digits"))


def test_the_splits_of_the_digits_are_disjoint(digits):
    from sklearn.datasets import load_digits

    original = {image.tobytes() for image in load_digits().images}
    splits = [{image.tobytes() for image in split.image} for split in digits[1:4]]
    assert len(set.union(*splits)) == sum(map(len, splits)) == len(original)


def test_the_digits_are_28x28_bytes_on_a_black_background(digits):
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
        correlation = max(np.corrcoef(small, other)[0, 1] for other in originals[int(label)])
        assert correlation > 0.95


# --- TFDS sets


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory):
    """A directory in which the set `tiny_shapes` is prepared as a user prepares one, without a network.

    Image number i is filled with i and has the label i % 4.
    """
    import tensorflow_datasets as tfds

    class TinyShapes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [  # noqa: RUF012
            tfds.core.BuilderConfig(name=name) for name in ("plain", "untested", "mixed", "unlabeled", "offline")
        ]

        def _info(self):
            features = {"image": tfds.features.Image(shape=(None, None, 3))}
            if self.builder_config.name != "unlabeled":
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
        load_dataset(data_config(name="tiny_shapes/plain", path=root, download=True))
    return root


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxgen" / "data"


@pytest.fixture
def reads(monkeypatch):
    """The directories that were read from TFDS instead of the cache."""
    read, directories = tfds._read_tfds, []
    monkeypatch.setattr(tfds, "_read_tfds", lambda directory: directories.append(directory) or read(directory))
    return directories


def equals(one: Dataset, other: Dataset) -> bool:
    return one.spec == other.spec and [*map(fingerprint, one[1:4])] == [*map(fingerprint, other[1:4])]


def test_a_downloaded_set_is_read_back_without_tensorflow(tiny_root, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    data = load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root))
    assert data.spec == DatasetSpec("tiny_shapes/plain", (8, 10, 3), 4)
    assert [len(split.label) for split in data[1:4]] == [44, 4, 12]
    for split in data[1:4]:
        assert (split.image == split.image[:, :1, :1, :1]).all()
        np.testing.assert_array_equal(split.image[:, 0, 0, 0] % 4, split.label)
    assert set(data.test.image.flat) == set(range(48, 60))
    assert {*data.train.image.flat, *data.validation.image.flat} == set(range(48))


@pytest.mark.parametrize("name", ["plain", "untested"])
def test_a_set_over_the_budget_is_streamed_with_the_same_splits(tiny_root, cache, reads, monkeypatch, name):
    options = {"name": f"tiny_shapes/{name}", "path": tiny_root, "download": True}
    memory = load_dataset(data_config(**options))
    reads.clear()
    streamed = load_dataset(data_config(**options, memory_budget_mib=0))
    assert not reads
    assert equals(streamed, memory)  # the subsets in memory contain every image of this small set
    np.testing.assert_array_equal(streamed.train_source.image.read_all(), memory.train.image)
    np.testing.assert_array_equal(streamed.train_source.label, memory.train.label)
    monkeypatch.setattr(tfds, "_read_labels", lambda directory: pytest.fail("read again"))
    assert equals(load_dataset(data_config(**options, memory_budget_mib=0)), memory)


def test_without_a_test_split_a_seventh_of_the_training_split_is_held_out(tiny_root, cache, caplog):
    caplog.set_level("INFO", logger="jaxgen")
    data = load_dataset(data_config(name="tiny_shapes/untested", path=tiny_root, download=True))
    assert [len(split.label) for split in data[1:4]] == [39, 3, 6]
    assert sorted(np.concatenate([split.image[:, 0, 0, 0] for split in data[1:4]])) == list(range(48))
    assert "no test split" in caplog.text


@pytest.mark.parametrize(
    ("name", "message"), [("mixed", "one size is needed"), ("unlabeled", "class label are needed")]
)
def test_a_set_without_labels_or_with_images_of_several_sizes_is_rejected(tiny_root, cache, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(data_config(name=f"tiny_shapes/{name}", path=tiny_root, download=True))
    assert "\n" not in str(caught.value)


def test_a_failed_download_is_reported_in_one_line_with_its_cause(tiny_root):
    with pytest.raises(ValueError, match=r"could not be downloaded.*no route to host.*data\.path") as caught:
        load_dataset(data_config(name="tiny_shapes/offline", path=tiny_root, download=True))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_an_unknown_name_is_rejected_without_a_network(tmp_path):
    with pytest.raises(ValueError, match=r"'fashion_mnsit' is not a TFDS data set.*did you mean .fashion_mnist"):
        load_dataset(data_config(name="fashion_mnsit", path=tmp_path, download=True))


@pytest.mark.parametrize("name", ["", "../mnist", "/etc", "mnist/..", "a b"])
def test_an_invalid_name_is_rejected(name):
    with pytest.raises(ValueError, match=r"data\.name=.* must name a TFDS image set"):
        load_dataset(data_config(name=name))


def test_a_set_that_is_not_prepared_is_rejected_within_2_seconds(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # slow to import, and not needed for the error
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(ValueError, match="not prepared") as caught:
        load_dataset(data_config())
    assert time.monotonic() - started < 2
    for words in (f"{tmp_path}/mnist", "--config.data.download=true", "--config.data.path", "TFDS_DATA_DIR"):
        assert words in str(caught.value)


def test_a_misspelled_name_is_compared_with_the_prepared_sets(tiny_root):
    with pytest.raises(ValueError, match=r"did you mean .tiny_shapes/plain"):
        load_dataset(data_config(name="tiny_shape/plain", path=tiny_root))


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
def test_a_directory_that_is_damaged_or_in_another_format_is_rejected_with_a_fix(tmp_path, cache, text):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(text or '{"fileFormat": "array_record"}')  # without data files
    with pytest.raises(ValueError, match=r"3\.0\.1 cannot be read .* remove it .*download=true") as caught:
        load_dataset(data_config(path=tmp_path))
    assert "\n" not in str(caught.value)


def test_an_unknown_source_is_rejected_with_the_choices():
    message = r"data.source='digit' must be .digits. or .tfds. or .folder.*did you mean .digits"
    with pytest.raises(ValueError, match=message):
        load_dataset(data_config(source="digit"))


# --- the cache


def test_a_second_start_reads_the_cache(tiny_root, cache, reads):
    first, second = (load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root)) for _ in range(2))
    assert len(reads) == 1
    assert equals(first, second)
    assert [file.suffix for file in cache.iterdir()] == [".npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "pickle"])
def test_a_damaged_cache_is_computed_again(tiny_root, cache, reads, damage):
    first = load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root))
    (file,) = cache.iterdir()
    stored = bytearray(file.read_bytes())
    stored[len(stored) // 2] ^= 255
    damaged = {"cut": stored[:999], "flipped": stored, "empty": b"", "text": b"no npz", "pickle": b"\x80\x04K\x01."}
    file.write_bytes(damaged[damage])
    assert equals(first, load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root)))
    assert equals(first, load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root)))
    assert len(reads) == 2


def test_a_changed_set_is_read_again(tiny_root, cache, reads):
    load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root))
    os.utime(find_prepared_dataset("tiny_shapes/plain", tiny_root) / "dataset_info.json", (1, 1))
    load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root))
    assert len(reads) == 2
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_only_a_warning(tiny_root, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_dataset(data_config(name="tiny_shapes/plain", path=tiny_root)).test.label) == 12
    assert "cannot be written" in caplog.text


# --- the real MNIST


def test_mnist_has_the_published_sizes_and_classes(cache):
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("JAXGEN_TEST_DATA", default)) / "tfds"
    if find_prepared_dataset("mnist", root) is None:
        pytest.skip(f"no prepared MNIST in {root}; JAXGEN_TEST_DATA names the directory above tfds/")
    mnist = load_dataset(data_config(path=root))
    assert mnist.spec == DatasetSpec("mnist", (28, 28, 1), 10)
    assert [len(split.label) for split in mnist[1:4]] == [55_000, 5_000, 10_000]
    # LeCun, Cortes & Burges: the classes of the 10,000 test and of the 60,000 training examples.
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(count_classes(mnist.test), test)
    np.testing.assert_array_equal(count_classes(mnist.train) + count_classes(mnist.validation), train)
    mean = mnist.train.image[..., 0].mean() / 255
    assert mean == pytest.approx(0.1307, abs=5e-4)  # the constant of many preprocessing pipelines


@pytest.mark.parametrize(
    ("lines", "names"), [("T-shirt/top\nBücher\n", ("T-shirt/top", "Bücher")), ("0\n1\n2\n", ()), (None, ())]
)
def test_a_tfds_set_has_the_class_names_of_its_label_file_unless_they_are_the_labels(tmp_path, lines, names):
    directory = tmp_path / "clothes" / "3.0.1"
    directory.mkdir(parents=True)
    (directory / "dataset_info.json").write_text("{}")
    if lines is not None:
        (directory / "label.labels.txt").write_text(lines, encoding="utf-8")
    assert tfds.read_class_names("clothes", tmp_path, len((lines or "").splitlines())) == names
    assert tfds.read_class_names("other", tmp_path, 2) == ()
