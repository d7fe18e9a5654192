"""A folder of images: classes and splits, decoding of each kind of file, the cache, and every error message."""

import errno
import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import COND_AAE, launch_here, read_config
from PIL import Image

from jaxgen import models
from jaxgen.config.base import base_config
from jaxgen.config.presets import DATASETS
from jaxgen.data import fingerprint, image_files, load_dataset
from jaxgen.data.splits import stratified_splits
from jaxgen.evaluation.figures import cycle_classes
from jaxgen.metrics.style_content import LabeledCodes, style_leakage
from jaxgen.types import DatasetSpec, Split

H, W = 8, 10


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.delenv("JAXGEN_FACES", raising=False)
    return folder / "jaxgen" / "data"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded instead of loaded from the cache."""
    decode, names = image_files.decode, []
    monkeypatch.setattr(image_files, "decode", lambda path, options: names.append(path.name) or decode(path, options))
    return names


def data_config(path, **changes):
    data = base_config("aae.AAE").data
    data.update({"source": "folder", "path": str(path), **changes})
    return data


def save(path: Path, pixels, **options) -> None:
    """Writes pixels, or 8×10 gray pixels of one value, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((H, W), pixels, np.uint8) if np.isscalar(pixels) else np.asarray(pixels)
    Image.fromarray(pixels).save(path, **options)


def make_flat_folder(root: Path, count: int = 5) -> Path:
    """Makes a folder without subfolders, whose image number i is filled with 10 i."""
    for i in range(count):
        save(root / f"{i:03}.png", 10 * i)
    return root


def join_splits(dataset) -> Split:
    """Returns the examples of all splits, sorted by the first pixel."""
    image, label = (np.concatenate(parts) for parts in zip(*dataset[1:4], strict=True))
    order = np.argsort(image[:, 0, 0, 0], kind="stable")
    return Split(image[order], label[order])


def decode_one(root: Path, name: str, **changes) -> np.ndarray:
    """Loads one file, [H, W, C]; two copies are added because a data set needs three images."""
    for copy in "ab":
        shutil.copy(root / name, root / f"{copy}-{name}")
    image = join_splits(load_dataset(data_config(root, **changes))).image
    np.testing.assert_array_equal(image, np.broadcast_to(image[:1], image.shape))
    return image[0]


# --- classes and splits


def test_subfolders_are_classes_sorted_by_name_with_all_nested_files(tmp_path):
    for i in range(4):
        save(tmp_path / "set" / "zebra" / f"{i}.png", i)
        save(tmp_path / "set" / "ape" / "deep" / "er" / f"{i}.jpg", 100 + i)
        save(tmp_path / "set" / "Bee" / f"{i}.webp", 200 + i, lossless=True)
    data = load_dataset(data_config(tmp_path / "set"))
    assert data.spec == DatasetSpec("set", (H, W, 1), 3, ("Bee", "ape", "zebra"))
    image, label = join_splits(data)
    np.testing.assert_array_equal(label, [2] * 4 + [1] * 4 + [0] * 4)  # Bee, ape, zebra
    np.testing.assert_array_equal(image[:, 0, 0, 0], [0, 1, 2, 3, 100, 101, 102, 103, 200, 201, 202, 203])
    assert (image.dtype, label.dtype) == (np.uint8, np.int32)


def test_a_folder_without_subfolders_is_one_class_with_the_name_of_the_folder(tmp_path):
    data = load_dataset(data_config(make_flat_folder(tmp_path / "faces")))
    assert data.spec == DatasetSpec("faces", (H, W, 1), 1, ("faces",))
    assert [len(split.label) for split in data[1:4]] == [3, 1, 1]
    np.testing.assert_array_equal(join_splits(data).image[:, 3, 4, 0], [0, 10, 20, 30, 40])
    assert load_dataset(data_config(tmp_path / "faces", name="mine")).name == "mine"


def test_other_files_hidden_files_and_folders_without_images_are_ignored(tmp_path, caplog):
    caplog.set_level("WARNING", "jaxgen")
    root = make_flat_folder(tmp_path / "set")
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(b"")
    save(root / ".git" / "x.png", 1)
    save(root / "__MACOSX" / "._000.png", 1)
    (root / "empty").mkdir()
    data = load_dataset(data_config(root, on_bad_image="stop"))
    assert len(join_splits(data).label) == 5
    assert data.num_classes == 1
    assert not caplog.records


def test_a_link_to_a_folder_is_followed_and_a_cycle_of_links_ends(tmp_path):
    make_flat_folder(tmp_path / "elsewhere", 3)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "cycle").symlink_to(tmp_path / "set")
    assert len(join_splits(load_dataset(data_config(tmp_path / "set"))).label) == 3


@pytest.mark.parametrize(
    ("counts", "holdout_fraction", "held_out"),
    [((30, 50), 0.1, (3, 5)), ((3, 4), 0.1, (1, 1)), ((20, 3), 0.45, (9, 1)), ((5, 10), 0.2, (1, 2))],
)
def test_every_class_is_in_every_split_in_proportion(counts, holdout_fraction, held_out):
    label = np.repeat([0, 1], counts)
    splits = stratified_splits(label, holdout_fraction, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(splits)), np.arange(sum(counts)))  # disjoint and complete
    training = tuple(count - 2 * part for count, part in zip(counts, held_out, strict=True))
    assert [tuple(np.bincount(label[part])) for part in splits] == [training, held_out, held_out]


def test_every_part_of_a_split_has_the_classes_in_proportion_and_each_class_in_order():
    label = np.repeat([0, 1, 2], [200, 100, 100])
    for part in stratified_splits(label, 0.25, seed=0):
        for start in range(0, len(part), 20):
            assert np.abs(np.bincount(label[part[start : start + 20]]) - [10, 5, 5]).max() <= 1
        for k in range(3):
            assert np.all(np.diff(part[label[part] == k]) > 0)
    assert all(np.all(np.diff(part) > 0) for part in stratified_splits(np.zeros(40, int), 0.25, seed=0))


def test_the_splits_depend_only_on_the_names_and_the_split_seed(tmp_path):
    def load_splits(root, **changes):
        return [set(split.image[:, 0, 0, 0]) for split in load_dataset(data_config(root, **changes))[1:4]]

    first = load_splits(make_flat_folder(tmp_path / "one", 20))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    os.utime(tmp_path / "two" / "003.png", (1, 1))
    assert load_splits(tmp_path / "two") == first
    assert load_splits(tmp_path / "two", image_size=4, channels=3) == first
    assert load_splits(tmp_path / "two", split_seed=1) != first
    assert [len(part) for part in load_splits(tmp_path / "two", holdout_fraction=0.25)] == [10, 5, 5]


# --- one file's pixels


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, os.strerror(errno.EIO))])
def test_an_error_of_the_machine_is_not_cached_as_damage_of_the_files(error, tmp_path, cache, monkeypatch):
    root = make_flat_folder(tmp_path / "set", 6)

    def fail(image, channels):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(image_files, "to_gray_or_rgb", fail)
        with pytest.raises(type(error)):
            load_dataset(data_config(root))
    assert not list(cache.glob("*.npz"))
    assert len(join_splits(load_dataset(data_config(root))).label) == 6


def test_gray_is_30_59_and_11_hundredths_of_red_green_and_blue(tmp_path):
    save(tmp_path / "set" / "x.png", np.broadcast_to(np.uint8([200, 100, 50]), (H, W, 3)))
    assert decode_one(tmp_path / "set", "x.png").shape == (H, W, 3)
    # 0.30 · 200 + 0.59 · 100 + 0.11 · 50 = 124.5; Pillow's weights 0.299, 0.587 and 0.114 give 124.2.
    assert load_dataset(data_config(tmp_path / "set", channels=1)).train.image[0, 0, 0].tolist() == [124]


def test_gray_files_stay_gray_unless_a_file_is_in_color(tmp_path):
    root = make_flat_folder(tmp_path / "set", 3)
    assert load_dataset(data_config(root)).image_shape == (H, W, 1)
    assert load_dataset(data_config(root, channels=3)).image_shape == (H, W, 3)
    save(root / "zzz.png", np.broadcast_to(np.uint8([250, 3, 7]), (H, W, 3)))
    np.testing.assert_array_equal(
        join_splits(load_dataset(data_config(root))).image[:, 0, 0], [[0] * 3, [10] * 3, [20] * 3, [250, 3, 7]]
    )


def test_a_palette_of_grays_is_gray_and_a_palette_of_colors_is_in_color(tmp_path):
    ramp = np.arange(H * W, dtype=np.uint8).reshape(H, W)
    image = Image.fromarray(ramp).convert("P")
    (tmp_path / "gray").mkdir()
    image.save(tmp_path / "gray" / "x.png")
    assert Image.open(tmp_path / "gray" / "x.png").mode == "P"
    np.testing.assert_array_equal(decode_one(tmp_path / "gray", "x.png")[..., 0], ramp)
    image.putpalette([value for i in range(256) for value in (i, 0, 255 - i)])
    (tmp_path / "color").mkdir()
    image.save(tmp_path / "color" / "x.png")
    np.testing.assert_array_equal(
        decode_one(tmp_path / "color", "x.png"), np.stack([ramp, 0 * ramp, 255 - ramp], axis=-1)
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pixels_become_black(tmp_path, channels):
    pixels = np.full((H, W, 4), 200, np.uint8)
    pixels[..., 3] = 0
    pixels[2, 5, 3] = 255
    save(tmp_path / "set" / "x.png", pixels)
    expected = np.zeros((H, W, channels), np.uint8)
    expected[2, 5] = 200
    np.testing.assert_array_equal(decode_one(tmp_path / "set", "x.png", channels=channels), expected)


def test_photos_are_turned_upright_by_exif(tmp_path):
    pixels = np.arange(H * W, dtype=np.uint8).reshape(H, W)
    exif = Image.Exif()
    exif[0x0112] = 6  # Exif 2.32, 4.6.4: row 0 is the right-hand side; the image needs a quarter turn clockwise
    save(tmp_path / "set" / "x.png", pixels, exif=exif)
    np.testing.assert_array_equal(decode_one(tmp_path / "set", "x.png")[..., 0], np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["1", "LA", "CMYK", "RGBA"])
def test_files_of_every_common_mode_are_read(tmp_path, mode):
    (tmp_path / "set").mkdir()
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new("RGB", (W, H), "white").convert(mode).save(tmp_path / "set" / f"x.{suffix}")
    assert decode_one(tmp_path / "set", f"x.{suffix}").min() >= 250


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        # A white square of 4×4 in the middle of 4×12, with gray (100) on both sides.
        ("crop", [[255] * 4] * 4),
        ("pad", [[0] * 12] * 4 + [[100] * 4 + [255] * 4 + [100] * 4] * 4 + [[0] * 12] * 4),
        ("stretch", [[100] * 4 + [255] * 4 + [100] * 4] * 12),
    ],
)
def test_images_are_made_square_by_cropping_padding_or_stretching(tmp_path, resize, expected):
    size = len(expected)
    save(tmp_path / "set" / "x.png", [np.repeat(np.uint8([100, 255, 100]), 4)] * 4)
    image = decode_one(tmp_path / "set", "x.png", image_size=size, resize=resize)
    assert image.shape == (size, size, 1)
    np.testing.assert_allclose(image[..., 0].astype(int), expected, atol=1)


def test_a_large_jpeg_is_scaled_like_the_same_png(tmp_path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    pixels = np.add.outer(ramp // 2, ramp // 2)
    for suffix in ("png", "jpg"):
        save(tmp_path / suffix / f"x.{suffix}", pixels)
    one, other = (decode_one(tmp_path / suffix, f"x.{suffix}", image_size=16) for suffix in ("png", "jpg"))
    np.testing.assert_allclose(one.astype(int), other.astype(int), atol=3)
    assert np.ptp(one) > 200


# --- files that cannot be used


def make_bad_file(name: str, root: Path) -> Path:
    """Writes a file that cannot be used; the other images of the folder have 8×10 pixels."""
    path = root / f"{name}.png"
    if name == "empty":
        path.write_bytes(b"")
    elif name == "text":
        path.write_text("<html>not found</html>")
    elif name == "cut":
        noise = np.random.default_rng(0).integers(0, 256, (H, W), dtype=np.uint8)
        save(path, noise)
        path.write_bytes(path.read_bytes()[:90])
    elif name == "animated":
        frames = [Image.new("L", (W, H), value) for value in (10, 200)]
        frames[0].save(path, save_all=True, append_images=frames[1:])
    elif name == "negative":
        path = path.with_suffix(".tif")
        Image.fromarray(np.full((H, W), -1, np.int32)).save(path)
    elif name == "nan":
        path = path.with_suffix(".tif")
        Image.fromarray(np.full((H, W), np.nan, np.float32)).save(path)
    elif name == "pages":
        path = path.with_suffix(".tif")
        Image.new("L", (W, H)).save(path, save_all=True, append_images=[Image.new("L", (W, H))])
    elif name == "phone":
        path = path.with_suffix(".HEIC")
        path.write_bytes(b"a picture of a phone")
    elif name == "bomb":
        Image.new("1", (200, 101)).save(path)
    elif name == "dangling":
        path.symlink_to(root / "nowhere")
    return path


REASONS = {
    "empty": "1 empty (empty.png)",
    "text": "1 not an image that Pillow reads (text.png)",
    "cut": "1 truncated or damaged (cut.png)",
    "animated": "1 animated (animated.png)",
    "negative": "1 negative pixels (negative.tif)",
    "nan": "1 pixels that are not finite (nan.tif)",
    "pages": "1 several pages (pages.tif)",
    "phone": "1 .heic, a format that is not read (phone.HEIC)",
    "bomb": "1 more than 10,000 pixels (bomb.png)",
    "dangling": "1 not readable (dangling.png)",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_bad_file_is_reported_with_its_reason_and_left_out_or_stops_the_run(tmp_path, caplog, monkeypatch, name):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    root = make_flat_folder(tmp_path / "set")
    make_bad_file(name, root)
    for _ in range(2):  # the second load is from the cache
        caplog.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = load_dataset(data_config(root))
        np.testing.assert_array_equal(join_splits(data).image[:, 0, 0, 0], [0, 10, 20, 30, 40])
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert f"1 of the 6 images in {root} cannot be used: {REASONS[name]}; they are left out" in caplog.text
    with pytest.raises(ValueError, match=r"1 of the 6 .*: --config.data.on_bad_image=skip") as caught:
        load_dataset(data_config(root, on_bad_image="stop"))
    assert REASONS[name] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files_are_counted_by_reason_and_a_few_are_named(tmp_path, caplog):
    root = make_flat_folder(tmp_path / "set")
    for i in range(5):
        (root / f"e{i}.jpg").write_bytes(b"")
    make_bad_file("text", root)
    assert len(join_splits(load_dataset(data_config(root))).label) == 5
    assert "6 of the 11 images" in caplog.text
    assert "5 empty (e0.jpg, e1.jpg, e2.jpg, and 2 more); 1 not an image that Pillow reads (text.png);" in caplog.text


def test_images_beside_the_class_folders_are_left_out_by_name(tmp_path, caplog):
    make_flat_folder(tmp_path / "set", 2)
    for k in "ab":
        make_flat_folder(tmp_path / "set" / k, 3)
    data = load_dataset(data_config(tmp_path / "set"))
    assert data.num_classes == 2
    assert len(join_splits(data).label) == 6
    assert "2 of the 8 images" in caplog.text
    assert "2 beside the subfolders, which are the classes (000.png, 001.png)" in caplog.text


def test_a_name_with_a_line_break_does_not_break_the_line(tmp_path):
    root = make_flat_folder(tmp_path / "set")
    (root / "two\nlines.png").write_bytes(b"")
    with pytest.raises(ValueError, match="1 empty") as caught:
        load_dataset(data_config(root, on_bad_image="stop"))
    assert "\n" not in str(caught.value)


def test_a_jpeg_with_a_second_smaller_picture_is_not_an_animation(tmp_path):
    large, small = (np.full((H, W, 3), value, np.uint8) for value in (200, 10))
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "x.jpg"
    Image.fromarray(large).save(path, "MPO", save_all=True, append_images=[Image.fromarray(small)])
    assert Image.open(path).n_frames == 2
    assert (decode_one(tmp_path / "set", "x.jpg") == 200).all()


# --- the cache


def test_a_second_start_and_a_copy_of_the_folder_decode_nothing(tmp_path, cache, decoded):
    first = load_dataset(data_config(make_flat_folder(tmp_path / "one")))
    assert sorted(decoded) == [f"{i:03}.png" for i in range(5)]
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for root in ("one", "two"):
        again = load_dataset(data_config(tmp_path / root))
        assert [*map(fingerprint, again[1:4])] == [*map(fingerprint, first[1:4])]
    assert len(decoded) == 5
    assert [path.suffix for path in cache.iterdir()] == [".npz"]


@pytest.mark.parametrize("change", ["content", "name", "added", "size", "resize", "channels"])
def test_changed_files_and_options_are_decoded_again(tmp_path, decoded, change):
    root = make_flat_folder(tmp_path / "set")
    load_dataset(data_config(root, image_size=4))
    before, options = len(decoded), {"image_size": 4}
    if change == "content":
        stat = (root / "001.png").stat()
        save(root / "001.png", 11)
        os.utime(root / "001.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "name":
        (root / "001.png").rename(root / "0011.png")
    elif change == "added":
        save(root / "1.png", 60)
    else:
        options |= {"size": {"image_size": 5}, "resize": {"resize": "pad"}, "channels": {"channels": 3}}[change]
    load_dataset(data_config(root, **options))
    assert len(decoded) > before


# --- error messages


def make_mixed_sizes(root: Path) -> Path:
    make_flat_folder(root, 3)
    save(root / "other.png", np.zeros((7, 9), np.uint8))
    return root


def make_empty_folder(root: Path) -> Path:
    root.mkdir()
    return root


def make_bad_folder(root: Path) -> Path:
    make_bad_file("empty", make_empty_folder(root))
    return root


def make_file(root: Path) -> Path:
    root.write_text("x")
    return root


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (lambda root: "", {}, r"data\.path is empty .* --config\.data\.path=DIR$"),
        (lambda root: "", {"name": "anime_faces"}, r"--config\.data\.path=DIR; .*the anime .*JAXGEN_FACES.*any folder"),
        (lambda root: root, {}, r"data\.path='.*set' does not exist; .*--config\.data\.path=DIR"),
        (make_file, {}, r"data\.path='.*set' is a file; .*--config\.data\.path=DIR"),
        (
            make_empty_folder,
            {},
            r"set has no \.png, \.jpg, \.jpeg, \.webp file; .*--config\.data\.path=DIR",
        ),
        (make_bad_folder, {}, r"all of the 1 images in .*1 empty \(empty\.png\); .*--config\.data\.path=DIR"),
        (
            make_mixed_sizes,
            {},
            r"mixes images of 10×8 \(000\.png\) and 9×7 \(other\.png\); .*--config\.data\.image_size=7",
        ),
        (lambda root: make_flat_folder(root, 2), {}, r"has 2 usable images; at least 3 are needed.*add some"),
        (make_flat_folder, {"resize": "cut"}, r"data\.resize='cut' must be one of crop, pad, stretch"),
        (make_flat_folder, {"resize": "croop"}, r"did you mean .crop"),
        (make_flat_folder, {"on_bad_image": "ignore"}, r"data\.on_bad_image='ignore' must be one of skip, stop"),
        (make_flat_folder, {"channels": 2}, r"data\.channels=2 must be one of 0, 1, 3"),
        (
            make_flat_folder,
            {"image_size": -1},
            r"data\.image_size=-1 must be at least 0; try --config\.data\.image_size=0",
        ),
        (make_flat_folder, {"split_seed": -1}, r"data\.split_seed=-1 must be at least 0"),
        (
            make_flat_folder,
            {"holdout_fraction": 0.5},
            r"data\.holdout_fraction=0\.5 must be between 0 and 0\.5.*holdout_fraction=0\.1",
        ),
    ],
)
def test_folders_and_options_that_cannot_be_used_are_rejected_in_one_line_with_a_fix(tmp_path, make, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(data_config(make(tmp_path / "set"), **changes))
    assert "\n" not in str(caught.value)


# --- the anime faces


def test_the_faces_are_read_from_the_folder_in_the_environment_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXGEN_FACES", str(make_flat_folder(tmp_path / "somewhere")))
    data = load_dataset(data_config("", **DATASETS["anime_faces"]))
    assert data.spec == DatasetSpec("anime_faces", (H, W, 1), 1, ("anime_faces",))
    with pytest.raises(ValueError, match=r"data\.path is empty"):  # the variable is only for the faces
        load_dataset(data_config(""))
    monkeypatch.setenv("JAXGEN_FACES", "/nowhere")
    with pytest.raises(ValueError, match="JAXGEN_FACES='/nowhere' does not exist"):
        load_dataset(data_config("", **DATASETS["anime_faces"]))


def test_the_1044_faces_of_the_tutorial_are_read(decoded):
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("JAXGEN_TEST_DATA", default)) / "anime_faces"
    if not root.is_dir():
        pytest.skip(f"no faces in {root}; JAXGEN_TEST_DATA names the directory above anime_faces/")
    data = load_dataset(data_config(root, **DATASETS["anime_faces"]))
    assert data.spec == DatasetSpec("anime_faces", (30, 30, 1), 1, ("anime_faces",))
    assert [len(split.label) for split in data[1:4]] == [836, 104, 104]
    assert len(decoded) == 1044
    one = np.asarray(Image.open(root / "face1.png").convert("L"))
    assert sum((image[..., 0] == one).all() for split in data[1:4] for image in split.image) == 1


# --- color by class


def test_gray_digits_are_tinted_by_class():
    gray = load_dataset(data_config("", source="digits"))
    tinted = load_dataset(data_config("", source="digits", tint_by_class=True))
    assert tinted.spec == DatasetSpec("digits", (28, 28, 3), 10)
    for before, after in zip(gray[1:4], tinted[1:4], strict=True):
        assert after.image.dtype == np.uint8
        np.testing.assert_array_equal(after.label, before.label)
        np.testing.assert_array_equal(
            after.image.max(-1), before.image[..., 0]
        )  # the maximum of the channels is the gray value
    zeros, fives = (tinted.train.image[tinted.train.label == k].reshape(-1, 3).astype(int) for k in (0, 5))
    brightest = zeros[:, 0].argmax()
    assert zeros[brightest].tolist() == [255, 51, 51]  # hue 0, saturation 0.8: red
    assert fives[fives[:, 1].argmax()].tolist() == [51, 255, 255]  # hue 1/2: cyan


def test_the_colors_of_ten_classes_are_distinct():
    data = load_dataset(data_config("", source="digits", tint_by_class=True)).train
    colors = np.array([data.image[data.label == k].reshape(-1, 3).max(0) for k in range(10)], int)
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)[np.triu_indices(10, 1)]
    assert distances.min() > 80


def test_color_images_are_not_tinted(tmp_path):
    with pytest.raises(
        ValueError, match=r"data\.tint_by_class=True .* set has color images\. Try --config\.data\.tint_by_class=false"
    ):
        load_dataset(data_config(make_flat_folder(tmp_path / "set"), channels=3, tint_by_class=True))


# --- one class, small classes


@pytest.mark.parametrize(
    ("name", "presets"), [("cond_aae", ""), ("cond_aae", "tutorial"), ("semi_aae", ""), ("aae", "mixture,labeled")]
)
def test_a_family_that_uses_labels_rejects_a_single_class(name, presets):
    with pytest.raises(
        ValueError, match="faces must have at least 2 classes for a model that uses labels; got 1"
    ) as caught:
        models.build_model(read_config(name, presets), DatasetSpec("faces", (H, W, 3), 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "presets"), [("cond_aae", ""), ("semi_aae", ""), ("gan", "conditional"), ("vae", "conditional")]
)
def test_a_family_that_uses_labels_rejects_a_class_of_two_images(tmp_path, name, presets):
    make_flat_folder(tmp_path / "set" / "many", 5)
    data = load_dataset(data_config(make_flat_folder(tmp_path / "set" / "two", 2).parent))
    with pytest.raises(
        ValueError, match=r"set has classes with too few usable images \(two: 2\) .*; at least 3 .*add or remove"
    ) as caught:
        models.build_model(read_config(name, presets), data.spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["aae", "cluster_aae"])
def test_a_family_without_labels_accepts_a_single_class(name):
    config = read_config(name)
    assert models.build_model(config, DatasetSpec("faces", (H, W, 3), 1)).info.num_classes == 1


@pytest.mark.slow
def test_a_model_of_color_images_is_trained_and_evaluated_end_to_end(tmp_path):
    noise = np.random.default_rng(0)
    for k, name in enumerate(("red", "green", "blue")):
        for i in range(7):
            pixels = np.zeros((9, 12, 3), np.uint8)
            pixels[..., k] = noise.integers(100, 256, (9, 12))
            save(tmp_path / "set" / name / f"{i}.png", pixels)
    source = ("--config.data.source=folder", "--config.data.path=set", "--config.data.image_size=8")
    small = ("--config.hidden_sizes=(16,16)", "--config.critic_hidden_sizes=(16,16)")
    run = launch_here(f"{COND_AAE}:smoke", *source, *small, "--workdir=run", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "(15 training images, each about 7 times a step)" in run.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["dataset"] == "set"
    assert all(np.isfinite(value) for value in results["metrics"].values())
    assert results["metrics"]["classifier_accuracy"] == 1.0  # the color identifies the class
    with Image.open(tmp_path / "run" / "figures" / "image_styles.png") as picture:
        assert len(picture.getcolors(1 << 20)) > 50


def test_rows_that_cycle_through_the_classes_end_with_the_smallest_class():
    label = np.array([1, 0, 2, 1, 0, 1, 2, 1, 1])
    split = Split(np.zeros((9, H, W, 3), np.uint8), label)
    assert cycle_classes(split, 10).tolist() == [1, 0, 2, 4, 3, 6]
    assert cycle_classes(split, 4).tolist() == [1, 0, 2, 4]


def test_leakage_can_be_measured_on_a_few_images():
    code = np.repeat(np.float32([[0, 1], [5, 0], [9, 9]]), 2, axis=0)
    codes = LabeledCodes(code, np.repeat(np.arange(3), 2))
    assert style_leakage(codes, codes, epochs=200) == 1.0
