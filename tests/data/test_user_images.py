"""Image files of a user: order, size, channels, orientation and transparency, and files that are rejected."""

import os

import numpy as np
import pytest
from helpers import read_config
from PIL import Image

from jaxgen import models
from jaxgen.data import image_files, load_dataset
from jaxgen.data.image_files import DecodeOptions
from jaxgen.data.user_images import prepare_images
from jaxgen.inference.trained_model import TrainedModel


def save_gray(path, value=51, shape=(5, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)
    return path


def test_user_images_are_read_in_order_with_the_size_and_channels_of_the_model(tmp_path):
    pixels = np.zeros((6, 12, 3), np.uint8)
    pixels[:, :6] = 255, 0, 0
    Image.fromarray(pixels).save(tmp_path / "b.png")
    save_gray(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    found = prepare_images(str(tmp_path), DecodeOptions((6, 12), "stretch", 3))
    assert found.shape == (2, 6, 12, 3)
    np.testing.assert_allclose(found[0], 0.2, atol=0.01)
    np.testing.assert_allclose(found[1, 0, 0], [1, 0, 0], atol=1e-6)
    gray = prepare_images(f"{tmp_path / 'b.png'},{tmp_path / 'a.jpg'}", DecodeOptions((3, 6), "stretch", 1))
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
    options = DecodeOptions(size=0, resize="stretch", channels=1)
    found = prepare_images(str(tmp_path), DecodeOptions((6, 12), "crop", 1))
    for image, name in zip(found, ("a.png", "b.png"), strict=True):
        np.testing.assert_allclose(image, image_files.decode(tmp_path / name, options) / 255, atol=1e-6)
    assert found[0, 0, 0, 0] == found[1, 0, -1, 0] == 1
    assert found[0, 0, -1, 0] == found[1, 0, 0, 0] == 0


def test_a_large_jpeg_of_a_user_has_the_pixels_of_training(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (80, 120, 3)).astype(np.uint8)
    Image.fromarray(photo).resize((600, 400)).save(tmp_path / "a.jpg")
    for resize in image_files.RESIZE_MODES:
        trained = image_files.decode(tmp_path / "a.jpg", DecodeOptions(16, resize, 0))
        np.testing.assert_array_equal(prepare_images(tmp_path, DecodeOptions((16, 16), resize, 3))[0] * 255, trained)


def test_user_images_of_16_bits_per_channel_are_scaled(tmp_path):
    Image.fromarray(np.full((6, 12), 51 * 257, np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_allclose(prepare_images(tmp_path, DecodeOptions((6, 12), "crop", 1)), 0.2, atol=1e-6)


def test_files_in_subfolders_are_found_and_a_broken_file_is_left_out_as_in_training(tmp_path, caplog):
    for number, name in enumerate(("b.png", "deep/a.png", "deep/er/c.tif")):
        save_gray(tmp_path / "mine" / name, 10 * number)
    save_gray(tmp_path / "mine" / ".hidden.png")
    (tmp_path / "mine" / "cut.png").write_text("no image")
    (tmp_path / "mine" / "x.heic").write_bytes(b"x")
    options = DecodeOptions((5, 5), "crop", 1)
    found = prepare_images(str(tmp_path / "mine"), options)
    np.testing.assert_allclose(found[:, 0, 0, 0] * 255, [0, 10, 20])
    assert "2 of the 5 images in" in caplog.text
    assert "1 .heic, a format that is not read (x.heic); 1 not an image that Pillow reads (cut.png)" in caplog.text
    with pytest.raises(ValueError, match=r"2 of the 5 images .*on_bad_image=skip"):
        prepare_images(str(tmp_path / "mine"), options, on_bad_image="stop")
    assert len(prepare_images(str(tmp_path / "mine"), options, count=1)) == 1


def test_a_model_prepares_images_with_the_size_the_fit_and_the_filter_of_its_training_images(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    row, column = np.mgrid[:24, :48]
    for number in range(6):  # circles in wide images
        disk = (row - 12) ** 2 + (column - 24) ** 2 < (4 + number) ** 2
        save_gray(tmp_path / "set" / f"{number}.png", 0)
        Image.fromarray(np.where(disk, 255, 40).astype(np.uint8)).save(tmp_path / "set" / f"{number}.png")
    for resize in image_files.RESIZE_MODES:
        config = read_config("ae")
        config.data.update({"source": "folder", "path": str(tmp_path / "set"), "image_size": 8, "resize": resize})
        dataset = load_dataset(config.data)
        trained = TrainedModel(models.build_model(config, dataset.spec), {}, {}, config.to_dict())
        found = trained.prepare_images(tmp_path / "set")
        stored = np.concatenate([getattr(dataset, name).image for name in ("train", "validation", "test")])
        expected = stored[np.argsort(stored.sum((1, 2, 3)))].astype(np.float32) / 255
        np.testing.assert_array_equal(found[np.argsort(found.sum((1, 2, 3)))], expected)
    assert trained.prepare_images([tmp_path / "set" / "0.png"], count=1).shape == (1, 8, 8, 1)


@pytest.mark.parametrize("where", ["a,b.png", "a,b.png,c.png", ("a,b.png", "c.png"), "c.png,a,b.png,folder"])
def test_a_comma_belongs_to_a_name_if_the_file_exists(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a,b.png", "c.png", "folder/d.png")):
        save_gray(tmp_path / name, 10 * number)
    expected = {"a,b.png": [0], "c.png,a,b.png,folder": [10, 0, 20]}.get(where, [0, 10])
    found = prepare_images(where, DecodeOptions((5, 5), "crop", 1))
    np.testing.assert_allclose(found[:, 0, 0, 0] * 255, expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", "none.png does not exist; name a folder"),
        ("a.png,none.png", "none.png does not exist; name a folder"),
        ("folder,", "has no .png, .jpg, .jpeg, .webp file"),
        ("a.png", "not an image that Pillow reads"),
        ("cut.png", "truncated or damaged"),
        ("", "has no .png, .jpg, .jpeg, .webp file"),
        ("heic", "has no .* either, but 1 .heic; convert its files"),
    ],
)
def test_files_that_are_not_images_are_rejected(name, message, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "heic").mkdir()
    (tmp_path / "heic" / "x.HEIC").write_bytes(b"x")
    (tmp_path / "a.png").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 10)).astype(np.uint8)).save(tmp_path / "cut.png")
    os.truncate(tmp_path / "cut.png", 80)
    with pytest.raises(ValueError, match=message) as caught:
        prepare_images(str(tmp_path / name) if name else str(tmp_path / "folder"), DecodeOptions((4, 4), "crop", 1))
    assert "\n" not in str(caught.value)
