"""Binarization and likelihood by the kind of data: photographs keep their pixels, digits and MNIST are binary."""

import numpy as np
import pytest
from helpers import read_config
from PIL import Image

from jaxgen import models
from jaxgen.config.automatic import resolve_auto
from jaxgen.data import Augmentation, load_dataset

FOLDER = {"source": "folder", "name": "faces"}


def resolved(presets="", likelihood="auto", **data):
    config = read_config("vae", presets)
    config.likelihood = likelihood if likelihood != "auto" else config.likelihood
    config.data.update(data)
    config = resolve_auto(config)
    return config.likelihood, config.data.binarization


@pytest.mark.parametrize("presets", ["", "weighted", "conditional", "separate_kl", "smoke"])
def test_the_digits_are_binary_and_a_folder_is_gaussian_in_every_variant(presets):
    assert resolved(presets) == ("bernoulli", "dynamic")
    assert resolved(presets, **FOLDER) == ("gaussian", "none")


def test_the_protocol_of_mnist_is_static_and_that_of_the_tutorial_takes_gray_values_as_probabilities():
    assert resolved("mnist") == resolved("mnist,weighted") == ("bernoulli", "static")
    assert resolved("tutorial") == resolved("mnist,tutorial") == ("bernoulli", "none")
    assert resolved("kmnist") == resolved(source="tfds", name="emnist/letters:3.1.0") == ("bernoulli", "dynamic")


def test_gray_and_color_photographs_of_tfds_and_tinted_digits_are_gaussian():
    assert resolved("fashion_mnist") == ("gaussian", "none")
    assert resolved(source="tfds", name="cifar10") == resolved(tint_by_class=True) == ("gaussian", "none")


def test_values_of_the_user_are_kept():
    assert resolved(binarization="static", **FOLDER) == ("bernoulli", "static")
    assert resolved(likelihood="bernoulli", **FOLDER) == ("bernoulli", "none")
    assert resolved(binarization="none") == ("bernoulli", "none")


def test_a_vae_of_a_color_folder_sees_its_pixels(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    caplog.set_level("INFO")
    pixels = np.random.default_rng(0).integers(1, 255, (6, 8, 8, 3)).astype(np.uint8)
    (tmp_path / "set").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "set" / f"{number}.png")
    config = read_config("vae")
    config.data.update({"source": "folder", "path": str(tmp_path / "set")})
    dataset = load_dataset(config.data)
    stored = {image.tobytes() for name in ("train", "validation", "test") for image in getattr(dataset, name).image}
    assert stored == {image.tobytes() for image in pixels}
    assert models.build_model(config, dataset.spec).likelihood == "gaussian"
    assert not Augmentation.from_config(config).changes_images
    assert resolve_auto(config).to_dict()["likelihood"] == "gaussian"
    assert config.likelihood == "auto"  # the caller's config is not changed
    assert "likelihood=gaussian and data.binarization=none by the kind of data" in caplog.text
