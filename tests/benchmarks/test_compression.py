"""benchmarks.quality.compression: bytes and quality of images, and the command with a stub for a trained model."""

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
    """Stub: decodes every code to gray; the bits of a code are the image's first pixels."""

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
    rng = np.random.default_rng(0)

    def split(count):
        return Split(rng.integers(0, 256, (count, H, W, C)).astype(np.uint8), np.zeros(count, np.int32))

    return Dataset("tiny", split(20), split(4), split(N), 1)


def test_a_model_has_an_eighth_of_its_bits_in_bytes_and_the_quality_of_its_reconstructions(dataset):
    (point,) = compression.model_points({"runs/gray": Gray()}, dataset, "test")
    assert point[:3] == ("autoencoder", "gray", 3.0)
    squared = ((dataset.test.image / 255 - 0.5) ** 2).mean((1, 2, 3))
    assert point.psnr == pytest.approx(np.mean(-10 * np.log10(squared)), rel=1e-5)


def test_a_code_that_is_not_binary_is_refused(dataset):
    model = Gray()
    model.encode = lambda images: np.arange(len(images) * 3.0).reshape(-1, 3)
    with pytest.raises(ValueError, match="runs/real has codes of real numbers"):
        list(compression.model_points({"runs/real": model}, dataset, "test"))


def test_the_scan_of_a_jpeg_file_follows_its_last_header():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    for image in (pixels, pixels[..., :1]):
        file = compression.encode_jpeg(image, 50)
        start = file.index(b"\xff\xda")  # the scan's header has 6 bytes, and 2 for each component (ITU T.81, B.2.3)
        assert compression.scan_bytes(file) == len(file) - (start + 2 + 6 + 2 * image.shape[-1]) - 2
        assert file[-2:] == b"\xff\xd9"


def test_a_higher_jpeg_quality_has_more_bytes_and_psnr_and_a_scan_is_smaller_than_its_file(dataset):
    points = list(compression.baseline_points(dataset, "test"))
    whole, scan = ([p for p in points if p.codec == name] for name in ("jpeg", "jpeg without headers"))
    assert [p.setting for p in whole] == [f"quality {quality}" for quality in compression.QUALITIES]
    assert whole[0].bytes < whole[-1].bytes
    assert whole[0].psnr < whole[-1].psnr > 30
    assert all(s.bytes < w.bytes and s.psnr == w.psnr for s, w in zip(scan, whole, strict=True))


def test_coefficients_are_rounded_to_256_levels_within_the_training_range():
    train = np.array([[0.0, 3.0], [255.0, 3.0]])
    quantized = compression.quantize(np.array([[7.4, 3.0], [7.6, 3.0], [300.0, 9.0], [-4.0, 2.0]]), train)
    np.testing.assert_allclose(quantized, [[7.0, 3.0], [8.0, 3.0], [255.0, 3.0], [0.0, 3.0]], atol=1e-6)


def test_images_of_two_components_are_decoded_from_two_bytes():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(H * W, 2)))[0].T
    along = rng.uniform(-0.5, 0.5, (40, 2))
    images = (0.5 + along @ axes).reshape(40, H, W, 1).astype(np.float32)
    one, two, *_ = compression.component_points(images, images)
    assert (one.bytes, two.bytes) == (1.0, 2.0)
    step = 1.0 / 255  # about; each coefficient then has an error of std step / √12, over 80 pixels
    assert two.psnr > -10 * np.log10(2 * step**2 / 12 / (H * W)) - 3
    assert one.psnr < 40


def test_the_number_of_components_is_limited_by_the_training_images(dataset):
    points = compression.component_points(*(each.image / np.float32(255) for each in (dataset.train, dataset.test)))
    assert [point.bytes for point in points] == [1, 2, 4, 8, 16]  # of 20 images


@pytest.fixture
def stubs(dataset, monkeypatch):
    monkeypatch.setattr(compression.jaxgen, "load", lambda run: Gray(name="other" if "other" in run else "tiny"))
    monkeypatch.setattr(compression, "load_dataset", lambda config: dataset)


@pytest.mark.usefixtures("stubs")
def test_the_command_records_prints_and_plots_a_row_for_each_point(tmp_path, capsys):
    out, figure = tmp_path / "rows.jsonl", tmp_path / "curve.png"
    assert compression.main(["runs/a", "runs/b", f"--out={out}", f"--draw={figure}"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["setting"] for row in rows if row["codec"] == "autoencoder"] == ["a", "b"]
    assert len(rows) == 2 + 2 * len(compression.QUALITIES) + 5
    assert all(
        row["trained"] == {"a": 20, "b": 20} for row in rows
    )  # steps, which distinguish a short run from a full one
    assert {"dataset", "split", "device", "versions", "date", "bytes", "psnr", "ssim"} < set(rows[0])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(rows) + 1
    assert printed[-1].endswith(f"{len(rows)} rows added to {out}")
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("stubs")
def test_runs_of_two_data_sets_are_refused_in_one_line(tmp_path, capsys):
    assert compression.main(["runs/a", "runs/other", f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    expected = "error: runs/other is trained on other, runs/a on tiny; compare runs on the same data set\n"
    assert capsys.readouterr().err == expected


def test_the_figure_has_two_panels_with_a_color_for_each_codec():
    points = [Point("pca", "components 1", 1.0, 10.0, 0.1), Point("pca", "components 2", 2.0, 12.0, 0.2)]
    alone = compression.plot_points(points, "tiny")
    both = compression.plot_points([*points, Point("autoencoder", "a", 4.0, 15.0, 0.5)], "tiny")
    color = np.array([int(compression.plotting.PALETTE[1][i : i + 2], 16) for i in (1, 3, 5)])
    for half in np.array_split(both, 2, axis=1):
        assert (half == color).all(-1).any()
    assert not (alone == color).all(-1).any()
