"""Bit depths, color by content, and the formats that Pillow reads."""

import numpy as np
import pytest
from PIL import Image, features

from jaxgen.config.base import base_config
from jaxgen.data import ImageStream, load_dataset
from jaxgen.data.image_files import DecodeOptions, decode
from jaxgen.data.pixel_modes import has_no_color

H, W = 8, 10
RAMP = np.linspace(0, 255, H * W).astype(np.uint8).reshape(H, W)
AS_IT_IS = DecodeOptions(0, "crop", 0)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def load(root, **changes):
    data = base_config("aae.AAE").data
    data.update({"source": "folder", "path": str(root), **changes})
    return load_dataset(data)


def save(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("16.png", RAMP.astype(np.uint16) * 257),
        ("16.tif", RAMP.astype(np.uint16) * 257),
        ("big_endian.tif", RAMP.astype(">u2") * 257),
        ("16.pgm", RAMP.astype(np.uint16) * 257),
        ("16_in_32.tif", RAMP.astype(np.int32) * 257),
        ("8_in_32.tif", RAMP.astype(np.int32)),
        ("float.tif", RAMP.astype(np.float32) / 255),
        ("float_255.tif", RAMP.astype(np.float32)),
        ("float_65535.tif", RAMP.astype(np.float32) * 257),
    ],
)
def test_gray_of_every_depth_is_scaled_to_8_bits(tmp_path, name, pixels):
    np.testing.assert_array_equal(decode(save(tmp_path / name, pixels), AS_IT_IS)[..., 0], RAMP)
    color = decode(tmp_path / name, AS_IT_IS._replace(channels=3))
    np.testing.assert_array_equal(color, np.repeat(RAMP[..., None], 3, axis=2))


def test_one_bit_pixels_are_black_and_white(tmp_path):
    pixels = decode(save(tmp_path / "1.png", RAMP > 127), AS_IT_IS)
    np.testing.assert_array_equal(pixels[..., 0], np.where(RAMP > 127, 255, 0))


def test_a_transparent_16_bit_value_becomes_black(tmp_path):
    pixels = np.full((H, W), 40_000, np.uint16)
    pixels[2, 3] = 50_000
    path = save(tmp_path / "x.png", pixels, transparency=50_000)
    found = decode(path, AS_IT_IS)[..., 0]
    assert (found[2, 3], found[0, 0]) == (0, 156)


def test_a_set_of_gray_images_stays_gray_however_they_are_stored(tmp_path):
    root, color = tmp_path / "set", np.repeat(RAMP[..., None], 3, axis=2)
    save(root / "a.png", RAMP)
    save(root / "b.png", RAMP, "RGB")
    save(root / "c.png", RAMP, "RGBA")
    save(root / "d.png", RAMP, "LA")
    save(root / "e.png", RAMP.astype(np.uint16) * 257)
    save(root / "f.jpg", color, quality=95)
    save(root / "g.bmp", RAMP, "RGB")
    if features.check("webp"):
        save(root / "h.webp", color, quality=80)
    data = load(root)
    assert data.image_shape == (H, W, 1)
    images = np.concatenate([getattr(data, name).image for name in ("train", "validation", "test")])
    np.testing.assert_allclose(images[..., 0].astype(int), np.broadcast_to(RAMP, images.shape[:3]), atol=6)
    assert (images[..., 0] == RAMP).all((1, 2)).sum() >= 6


def test_a_color_file_makes_the_set_color_in_memory_and_streamed(tmp_path):
    tinted = np.stack([RAMP, RAMP, np.maximum(RAMP, 2) - 2], axis=-1)  # a difference that counts as gray
    for number in range(5):
        save(tmp_path / "set" / f"{number}.png", tinted)
    assert load(tmp_path / "set").image_shape == (H, W, 1)
    save(tmp_path / "set" / "red.png", np.full((H, W, 3), [255, 0, 0], np.uint8))
    data, streamed = load(tmp_path / "set"), load(tmp_path / "set", memory_budget_mib=0)
    assert data.image_shape == (H, W, 3)
    stored = {image.tobytes() for name in ("train", "validation", "test") for image in getattr(data, name).image}
    assert tinted.tobytes() in stored
    assert isinstance(streamed.train_source.image, ImageStream)
    np.testing.assert_array_equal(streamed.train_source.image.read_all(), data.train.image)


def test_a_single_colored_pixel_is_color():
    pixels = np.full((33, 21, 3), 7, np.uint8)
    assert has_no_color(pixels)
    pixels[31, 5, 0] = 10
    assert not has_no_color(pixels)


@pytest.mark.parametrize(
    "suffix",
    ["bmp", "tif", "TIFF", "gif", "jfif", "webp", "jpe", "ppm", "tga", "pcx", "jp2", "avif", "qoi", "sgi", "dds", "im"],
)
def test_every_format_that_pillow_reads_is_read(tmp_path, suffix):
    Image.init()
    form = {"jfif": "JPEG", "jpe": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(suffix, suffix.upper())
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {form}")
    color = np.full((16, 24, 3), [200, 100, 50], np.uint8)
    for number in range(3):
        save(tmp_path / "set" / f"{number}.{suffix}", color, format=form)
    train = load(tmp_path / "set").train.image
    assert train.shape == (1, 16, 24, 3)
    np.testing.assert_allclose(train[0].astype(int), color, atol=12)


def test_files_that_are_no_images_are_counted_by_suffix(tmp_path, caplog):
    caplog.set_level("INFO")
    for number in range(3):
        save(tmp_path / "set" / f"{number}.png", RAMP)
        (tmp_path / "set" / f"{number}.txt").write_text("a caption")
    (tmp_path / "set" / "LICENSE").write_text("free")
    load(tmp_path / "set")
    assert "files that are no images are ignored: 3 .txt, 1 without suffix" in caplog.text
    caplog.clear()
    for number in range(2):
        (tmp_path / "set" / f"{number}.heic").write_bytes(b"x")
    load(tmp_path / "set")
    assert "2 of the 5 images" in caplog.text
    assert "2 .heic, a format that is not read (0.heic, 1.heic)" in caplog.text
