"""Bytes and quality of stored images: counted by hand, and the command with a stand-in for a trained model."""

import json

import numpy as np
import pytest

from benchmarks.quality import compression
from benchmarks.quality.compression import Point
from jaxgen.data import Dataset
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.types import Split

N, H, W, C, BITS = 6, 8, 10, 1, 24


class Gray(TrainedModel):
    """Draws gray whatever the code, whose bits are those of the image's first pixels."""

    def __init__(self, name="tiny"):
        self.config = {"data": {"source": "tfds", "name": name}}
        self.step = 20

    def encode(self, images, labels=None, seed=0):
        return (images.reshape(len(images), -1)[:, :BITS] > 0.5).astype(np.float32)

    def decode(self, codes, labels=None):
        assert codes.shape[1] == BITS
        return np.full((len(codes), H, W, C), 0.5, np.float32)


@pytest.fixture
def dataset():
    numbers = np.random.default_rng(0)

    def split(count):
        return Split(numbers.integers(0, 256, (count, H, W, C)).astype(np.uint8), np.zeros(count, np.int32))

    return Dataset("tiny", split(20), split(4), split(N), 1)


def test_a_models_bytes_are_its_bits_by_8_and_its_quality_that_of_what_it_decodes(dataset):
    (point,) = compression.of_models({"runs/gray": Gray()}, dataset, "test")
    assert point[:3] == ("autoencoder", "gray", 3.0)
    squared = ((dataset.test.image / 255 - 0.5) ** 2).mean((1, 2, 3))
    assert point.psnr == pytest.approx(np.mean(-10 * np.log10(squared)), rel=1e-5)


def test_a_code_that_is_not_binary_is_refused(dataset):
    model = Gray()
    model.encode = lambda images: np.arange(len(images) * 3.0).reshape(-1, 3)
    with pytest.raises(ValueError, match="runs/real has codes of real numbers"):
        list(compression.of_models({"runs/real": model}, dataset, "test"))


def test_the_scan_of_a_jpeg_file_is_what_follows_its_last_header():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    for image in (pixels, pixels[..., :1]):
        file = compression.jpeg(image, 50)
        start = file.index(b"\xff\xda")  # the length of the scan's header: 6 + 2 a component (ITU T.81, B.2.3)
        assert compression.scan_bytes(file) == len(file) - (start + 2 + 6 + 2 * image.shape[-1]) - 2
        assert file[-2:] == b"\xff\xd9"


def test_jpeg_costs_more_and_is_better_at_a_higher_quality_and_its_scan_is_a_part_of_it(dataset):
    points = list(compression.baselines(dataset, "test"))
    whole, scan = ([p for p in points if p.codec == name] for name in ("jpeg", "jpeg without headers"))
    assert [p.setting for p in whole] == [f"quality {quality}" for quality in compression.QUALITIES]
    assert whole[0].bytes < whole[-1].bytes
    assert whole[0].psnr < whole[-1].psnr > 30
    assert all(s.bytes < w.bytes and s.psnr == w.psnr for s, w in zip(scan, whole, strict=True))


def test_coefficients_take_the_nearest_of_256_levels_within_the_training_range():
    train = np.array([[0.0, 3.0], [255.0, 3.0]])
    found = compression.quantized(np.array([[7.4, 3.0], [7.6, 3.0], [300.0, 9.0], [-4.0, 2.0]]), train)
    np.testing.assert_allclose(found, [[7.0, 3.0], [8.0, 3.0], [255.0, 3.0], [0.0, 3.0]], atol=1e-6)


def test_images_of_two_components_come_back_from_two_bytes():
    numbers = np.random.default_rng(0)
    axes = np.linalg.qr(numbers.normal(size=(H * W, 2)))[0].T
    along = numbers.uniform(-0.5, 0.5, (40, 2))
    images = (0.5 + along @ axes).reshape(40, H, W, 1).astype(np.float32)
    one, two, *_ = compression.of_components(images, images)
    assert (one.bytes, two.bytes) == (1.0, 2.0)
    step = 1.0 / 255  # of a coefficient, nearly: an error of std step / √12 each, in 80 pixels
    assert two.psnr > -10 * np.log10(2 * step**2 / 12 / (H * W)) - 3
    assert one.psnr < 40


def test_no_more_components_are_asked_for_than_the_training_images_have(dataset):
    points = compression.of_components(*(each.image / np.float32(255) for each in (dataset.train, dataset.test)))
    assert [point.bytes for point in points] == [1, 2, 4, 8, 16]  # of 20 images


@pytest.fixture
def stand_ins(dataset, monkeypatch):
    monkeypatch.setattr(compression.jaxgen, "load", lambda run: Gray(name="other" if "other" in run else "tiny"))
    monkeypatch.setattr(compression, "load_dataset", lambda config: dataset)


@pytest.mark.usefixtures("stand_ins")
def test_the_command_records_a_row_a_point_prints_and_draws_them(tmp_path, capsys):
    out, picture = tmp_path / "rows.jsonl", tmp_path / "curve.png"
    assert compression.main(["runs/a", "runs/b", f"--out={out}", f"--draw={picture}"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["setting"] for row in rows if row["codec"] == "autoencoder"] == ["a", "b"]
    assert len(rows) == 2 + 2 * len(compression.QUALITIES) + 5
    assert all(row["trained"] == {"a": 20, "b": 20} for row in rows)  # steps: a run of seconds is told from a real one
    assert {"dataset", "split", "device", "versions", "date", "bytes", "psnr", "ssim"} < set(rows[0])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(rows) + 1
    assert printed[-1].endswith(f"{len(rows)} rows added to {out}")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("stand_ins")
def test_runs_of_two_data_sets_are_refused_in_one_line(tmp_path, capsys):
    assert compression.main(["runs/a", "runs/other", f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    expected = "error: runs/other is of other, runs/a of tiny: compare runs of one data set\n"
    assert capsys.readouterr().err == expected


def test_the_picture_has_two_panels_with_a_color_a_codec():
    points = [Point("pca", "components 1", 1.0, 10.0, 0.1), Point("pca", "components 2", 2.0, 12.0, 0.2)]
    alone = compression.drawn(points, "tiny")
    both = compression.drawn([*points, Point("autoencoder", "a", 4.0, 15.0, 0.5)], "tiny")
    color = np.array([int(compression.plotting.PALETTE[1][i : i + 2], 16) for i in (1, 3, 5)])
    for half in np.array_split(both, 2, axis=1):
        assert (half == color).all(-1).any()
    assert not (alone == color).all(-1).any()
