"""Image files of a user: order, size, channels, orientation and transparency, and files that are rejected."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import image_files
from jaxgen.data.image_files import read_user_images


def test_user_images_are_read_in_order_with_the_size_and_channels_of_the_model(tmp_path):
    pixels = np.zeros((6, 12, 3), np.uint8)
    pixels[:, :6] = 255, 0, 0
    Image.fromarray(pixels).save(tmp_path / "b.png")
    Image.fromarray(np.full((5, 5), 51, np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    found = read_user_images(str(tmp_path), (6, 12, 3))
    assert found.shape == (2, 6, 12, 3)
    np.testing.assert_allclose(found[0], 0.2, atol=0.01)
    np.testing.assert_allclose(found[1, 0, 0], [1, 0, 0], atol=1e-6)
    gray = read_user_images(f"{tmp_path / 'b.png'},{tmp_path / 'a.jpg'}", (3, 6, 1))
    assert gray.shape == (2, 3, 6, 1)
    assert gray[0, 0, 0, 0] == pytest.approx(0.299, abs=0.005)  # the weight of red in luma


def test_user_images_are_decoded_like_those_of_a_training_folder(tmp_path):
    clear = np.full((6, 12, 4), 255, np.uint8)
    clear[:, 6:, 3] = 0  # transparent
    Image.fromarray(clear).save(tmp_path / "a.png")
    rotated = Image.fromarray(np.repeat(clear[..., :1] * (np.arange(12) < 6)[:, None].astype(np.uint8), 3, axis=2))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    rotated.save(tmp_path / "b.png", exif=exif)
    options = image_files.DecodeOptions(size=0, resize="stretch", channels=1)
    found = read_user_images(str(tmp_path), (6, 12, 1))
    for image, name in zip(found, ("a.png", "b.png"), strict=True):
        np.testing.assert_allclose(image, image_files.decode(tmp_path / name, options) / 255, atol=1e-6)
    assert found[0, 0, 0, 0] == found[1, 0, -1, 0] == 1
    assert found[0, 0, -1, 0] == found[1, 0, 0, 0] == 0


def test_user_images_of_16_bits_per_channel_are_rejected(tmp_path):
    Image.fromarray(np.full((6, 12), 40_000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(
        ValueError, match=r"a.png cannot be used: mode I;16 instead of 8 bits per channel; leave it out"
    ):
        read_user_images(str(tmp_path), (6, 12, 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", "none.png does not exist; name one folder"),
        ("folder,", "folder is a folder in a list of files; name one folder"),
        ("a.png", "not a PNG, JPEG, WebP, BMP, GIF or TIFF image"),
        ("cut.png", "truncated or damaged"),
        ("", "no image file"),
    ],
)
def test_files_that_are_not_images_are_rejected(name, message, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 10)).astype(np.uint8)).save(tmp_path / "cut.png")
    os.truncate(tmp_path / "cut.png", 80)
    with pytest.raises(ValueError, match=message):
        read_user_images(str(tmp_path / name) if name else str(tmp_path / "folder"), (4, 4, 1))
