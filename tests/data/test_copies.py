"""Images that are in several splits are counted, before a random binarization makes them differ."""

import numpy as np
import pytest
from helpers import read_config
from PIL import Image

from jaxgen.data import load_dataset
from jaxgen.data.copies import count_copies
from jaxgen.types import Split


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def split_of(image):
    return Split(image, np.zeros(len(image), np.int32))


def test_copies_are_counted_by_their_pixels(numbers):
    train, other = numbers.integers(0, 256, (2, 10, 4, 5, 3)).astype(np.uint8)
    test = np.concatenate([train[:3], train[:1], other[:4]])
    found = count_copies(split_of(train), validation=split_of(other), test=split_of(test))
    assert found == {"validation": 0, "test": 4}


@pytest.mark.parametrize("binarization", ["none", "static"])
def test_a_folder_with_every_image_twice_reports_its_copies(numbers, tmp_path, binarization):
    for number, image in enumerate(numbers.integers(0, 256, (30, 8, 8)).astype(np.uint8)):
        for name in "ab":
            Image.fromarray(image).save(tmp_path / f"{name}{number}.png")
    config = read_config("ae").data
    config.update({"source": "folder", "path": str(tmp_path), "name": "", "binarization": binarization})
    data = load_dataset(config)
    assert 4 <= data.copies["test"] <= len(data.test.label) == 6


def test_the_bundled_digits_have_no_copies():
    assert load_dataset(read_config("ae").data).copies == {"validation": 0, "test": 0}
