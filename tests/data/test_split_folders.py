"""Subfolders that are splits, splits that are held out of them, and classes with few images."""

import json

import numpy as np
import pytest
from helpers import REPOSITORY, launch_here, read_config
from PIL import Image

from jaxgen import models
from jaxgen.config.base import base_config
from jaxgen.data import load_dataset
from jaxgen.data.splits import stratified_splits
from jaxgen.inference.loading import read_dataset_spec

SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def data_config(path, **changes):
    data = base_config("aae.AAE").data
    data.update({"source": "folder", "path": str(path), **changes})
    return data


def make_tree(root, counts):
    """Makes `counts[folder]` images in each folder, all images with different pixels."""
    value = 0
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((4, 5), value, np.uint8)).save(root / folder / f"{number:02}.png")
            value += 1
    return root


def values(split):
    return sorted(split.image[:, 0, 0, 0].tolist())


TREE = {"test/cat": 2, "test/dog": 2, "train/cat": 5, "train/dog": 4, "val/cat": 2, "val/dog": 1}


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "VALIDATION", "Testing"), ("TRAIN", "valid", "test")]
)
def test_folders_named_train_val_and_test_are_splits_in_any_case(tmp_path, caplog, names):
    caplog.set_level("INFO")
    renamed = dict(zip(("train", "val", "test"), names, strict=True))
    tree = {f"{renamed[folder.split('/')[0]]}/{folder.split('/')[1]}": count for folder, count in TREE.items()}
    data = load_dataset(data_config(make_tree(tmp_path / "set", tree)))
    assert data.class_names == data.spec.class_names == ("cat", "dog")
    assert [np.bincount(getattr(data, name).label).tolist() for name in SPLITS] == [[5, 4], [2, 1], [2, 2]]
    assert len({value for name in SPLITS for value in values(getattr(data, name))}) == 16
    assert "its subfolders are splits: 9 train, 3 validation, 4 test images" in caplog.text
    assert "without effect" not in caplog.text


@pytest.mark.parametrize(
    ("missing", "held_out"), [("val", "validation"), ("test", "test"), ("both", "validation and test")]
)
def test_a_missing_split_is_held_out_of_training(tmp_path, caplog, missing, held_out):
    caplog.set_level("INFO")
    given = [name for name in ("train", "val", "test") if name != missing and (missing != "both" or name == "train")]
    tree = {f"{name}/{k}": 20 if name == "train" else 3 for name in given for k in ("cat", "dog")}
    data = load_dataset(data_config(make_tree(tmp_path / "set", tree), holdout_fraction=0.25))
    assert f"; {held_out} held out of training" in caplog.text
    sizes = {"val": [30, 10, 6], "test": [30, 6, 10], "both": [20, 10, 10]}[missing]
    assert [len(getattr(data, name).label) for name in SPLITS] == sizes
    assert len({value for name in SPLITS for value in values(getattr(data, name))}) == sum(sizes)


def test_splits_are_found_in_the_only_subfolder_of_an_unpacked_archive(tmp_path):
    data = load_dataset(data_config(make_tree(tmp_path / "set", {f"pets/{name}": n for name, n in TREE.items()})))
    assert (data.name, data.class_names) == ("set", ("cat", "dog"))
    assert [len(getattr(data, name).label) for name in SPLITS] == [9, 3, 4]


def test_a_fraction_without_effect_is_reported(tmp_path, caplog):
    root = make_tree(tmp_path / "set", TREE)
    load_dataset(data_config(root, holdout_fraction=0.2, split_seed=1))
    assert "all splits of set are subfolders: data.holdout_fraction=0.2, data.split_seed=1" in caplog.text


def test_splits_need_no_class_folders_and_classes_are_joined(tmp_path):
    flat = load_dataset(data_config(make_tree(tmp_path / "flat", {"train": 5, "val": 1, "test": 2})))
    assert (flat.class_names, [len(getattr(flat, name).label) for name in SPLITS]) == (("flat",), [5, 1, 2])
    joined = load_dataset(data_config(make_tree(tmp_path / "joined", {"train/b": 4, "val/a": 1, "test/c": 2})))
    assert joined.class_names == ("a", "b", "c")
    assert [set(getattr(joined, name).label.tolist()) for name in SPLITS] == [{1}, {0}, {2}]


def test_test_images_without_classes_are_left_out_and_test_images_are_held_out(tmp_path, caplog):
    data = load_dataset(data_config(make_tree(tmp_path / "set", {"train/a": 6, "train/b": 6, "test": 4})))
    assert "4 beside the subfolders, which are the classes (test/00.png" in caplog.text
    assert [len(getattr(data, name).label) for name in SPLITS] == [8, 2, 2]


def test_a_class_may_be_called_train_next_to_other_classes(tmp_path, caplog):
    caplog.set_level("WARNING", "jaxgen")
    data = load_dataset(data_config(make_tree(tmp_path / "traffic", {"bus": 4, "train": 5})))
    assert data.class_names == ("bus", "train")
    assert not caplog.records
    data = load_dataset(data_config(make_tree(tmp_path / "mixed", {"bus": 4, "train": 5, "test": 6})))
    assert data.class_names == ("bus", "test", "train")
    assert "the folders test/, train/ are classes, like the others beside them" in caplog.text


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"train": 3, "val": 2, "Validation": 2}, r"two folders for the same split \(Validation/, train/, val/\)"),
        ({"test": 3, "val": 3}, r"has test/, val/ but no train/; add it"),
        ({"train": 1, "test": 3}, r"set has 1 usable training images; at least 2 are needed"),
    ],
)
def test_layouts_that_cannot_be_used_are_rejected(tmp_path, tree, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(data_config(make_tree(tmp_path / "set", tree)))
    assert "\n" not in str(caught.value)


# --- classes with few images


@pytest.mark.parametrize(("per_class", "sizes"), [(1, [3, 1, 1]), (2, [8, 1, 1])])
def test_classes_of_one_or_two_images_are_divided_together(tmp_path, per_class, sizes):
    data = load_dataset(data_config(make_tree(tmp_path / "set", {f"c{k}": per_class for k in range(5)})))
    assert data.num_classes == 5
    assert [len(getattr(data, name).label) for name in SPLITS] == sizes
    assert len({value for name in SPLITS for value in values(getattr(data, name))}) == sum(sizes)
    for name in ("ae", "vae", "aae", "gan"):
        assert models.build_model(read_config(name), data.spec).info.num_classes == 5
    with pytest.raises(ValueError, match=rf"\(c0: {per_class}, c1: {per_class}, c2: {per_class}, and 2 more\)"):
        models.build_model(read_config("cond_aae"), data.spec)


def test_small_classes_do_not_change_the_splits_of_the_others():
    label = np.repeat([0, 1, 2, 3], [20, 1, 30, 1])
    with_small, without = (stratified_splits(part, 0.1, seed=0) for part in (label, np.repeat([0, 2], [20, 30])))
    for one, other in zip(with_small, without, strict=True):
        kept = one[np.isin(label[one], (0, 2))]
        np.testing.assert_array_equal(np.sort(kept - (kept > 20)), np.sort(other))
    assert {1, 3} <= set(label[with_small[0]])


def test_a_class_without_training_images_is_rejected_by_models_that_use_labels(tmp_path):
    tree = {"train/a": 5, "train/b": 5, "test/a": 3, "test/c": 4}
    data = load_dataset(data_config(make_tree(tmp_path / "set", tree)))
    assert data.spec.rare_classes == ("c: 4",)
    with pytest.raises(ValueError, match=r"set has classes with too few usable images \(c: 4\)"):
        models.build_model(read_config("cond_aae"), data.spec)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hash_ae", "cluster_aae", "vae"])
def test_models_without_labels_train_and_are_evaluated_on_one_image_per_class(tmp_path, name):
    noise = np.random.default_rng(0)
    for k in range(60):  # more classes than clusters
        (tmp_path / "set" / f"c{k:02}").mkdir(parents=True)
        Image.fromarray(noise.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "set" / f"c{k:02}" / "x.png")
    run = train_here(name, tmp_path)
    assert run.returncode == 0, run.stderr
    assert ("retrieval_map is omitted: no test image has a class" in run.stdout) == (name == "hash_ae")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cond_aae", "hash_ae"])
def test_a_class_may_be_missing_from_a_held_out_split(tmp_path, name):
    noise = np.random.default_rng(0)
    for folder in ("train/a", "train/b", "train/c", "val/a", "val/b", "test/b", "test/c"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for number in range(12 if folder.startswith("train") else 5):
            pixels = noise.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / folder / f"{number}.png")
    run = train_here(name, tmp_path)
    assert run.returncode == 0, run.stderr


def train_here(name, folder):
    """Trains the smoke test of a recipe on the images in `folder`/set."""
    recipe, source = f"--config={REPOSITORY}/configs/{name}.py:smoke", ("--config.data.source=folder",)
    return launch_here(recipe, *source, "--config.data.path=set", "--workdir=run", cwd=folder)


def test_a_checkpoint_keeps_the_names_of_the_classes(tmp_path):
    data = load_dataset(data_config(make_tree(tmp_path / "set", {"cat": 4, "dog": 4})))
    stored = json.loads(json.dumps(data.spec._asdict()))
    assert read_dataset_spec(stored) == data.spec
    del stored["class_names"], stored["rare_classes"]  # as in an older checkpoint
    assert read_dataset_spec(stored).class_names == ()
