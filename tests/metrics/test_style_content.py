import numpy as np
import pytest

from jaxgen.evaluation import feature_classifier
from jaxgen.metrics import style_content
from jaxgen.metrics.mmd import imq_mmd
from jaxgen.metrics.style_content import LabeledCodes
from jaxgen.types import Split

N, H, W, C, Z, K = 40, 8, 10, 1, 5, 4


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def draw_label(codes, labels):
    """A decoder that draws the label as the brightness of the picture, whatever the code."""
    return np.broadcast_to(labels[:, None, None, None] / K, (len(codes), H, W, C))


def read_label(images):
    return np.rint(images.mean((1, 2, 3)) * K).astype(int)


def test_content_accuracy_of_a_decoder_that_draws_as_asked_is_1(numbers):
    assert style_content.content_accuracy(numbers.normal(size=(N, Z)), draw_label, read_label, K) == 1.0


def test_content_accuracy_of_a_decoder_that_draws_the_same_whatever_is_asked_is_chance(numbers):
    def stubborn(codes, labels):
        return draw_label(codes, np.ones_like(labels))

    assert style_content.content_accuracy(numbers.normal(size=(N, Z)), stubborn, read_label, K) == 1 / K


def test_swap_accuracy_leaves_the_images_own_label_out(numbers):
    labels = np.arange(N) % K
    codes = numbers.normal(size=(N, Z))
    codes[:, 0] = labels

    def draws_its_own(codes, asked):  # ignores what is asked: right only where its own label is asked for
        return draw_label(codes, codes[:, 0])

    assert style_content.swap_accuracy(LabeledCodes(codes, labels), draws_its_own, read_label, K) == 0.0
    assert style_content.content_accuracy(codes, draws_its_own, read_label, K) == 1 / K


def test_leakage_of_codes_that_hold_the_label_is_1_and_of_noise_near_chance(numbers):
    labels = np.arange(2000) % K
    noise = numbers.normal(size=(2000, Z)).astype(np.float32)
    told = noise + 4 * np.eye(K, Z, dtype=np.float32)[labels] * 3

    def leakage(codes):
        return style_content.style_leakage(
            LabeledCodes(codes[:1500], labels[:1500]), LabeledCodes(codes[1500:], labels[1500:]), 30
        )

    assert leakage(told) > 0.99
    assert abs(leakage(noise) - 1 / K) < 0.08  # 500 draws: 4 standard deviations


def test_leakage_finds_a_label_that_no_linear_probe_could_read(numbers):
    codes = numbers.normal(size=(3000, 2)).astype(np.float32)
    labels = (codes[:, 0] * codes[:, 1] > 0).astype(int)  # exclusive or
    assert (
        style_content.style_leakage(
            LabeledCodes(codes[:2500], labels[:2500]), LabeledCodes(codes[2500:], labels[2500:]), 60
        )
        > 0.9
    )


def bar(slant, width, size=41):
    """A bright bar through the middle that moves `slant` pixels to the right for each pixel up."""
    row, column = np.mgrid[:size, :size] - size // 2
    return (np.abs(column + slant * row) <= width / 2).astype(np.float32)[..., None]


@pytest.mark.parametrize("slant", [-0.5, 0.0, 0.3])
def test_slant_and_ink_of_a_bar_are_those_it_was_drawn_with(slant):
    ink, measured = style_content.stroke_measures(bar(slant, 5)[None])[0]
    assert measured == pytest.approx(slant, abs=0.03)
    assert ink == pytest.approx(5 / 41, rel=0.1)


def test_consistency_is_1_where_a_code_slants_every_label_alike_and_0_where_each_label_takes_its_own_dimension(numbers):
    code = numbers.uniform(-0.5, 0.5, (300, 2 * K))

    def shared(codes, labels):
        return np.stack([bar(z[0], 5 + 4 * z[1]) for z in codes])

    def own(codes, labels):
        return np.stack([bar(z[2 * k], 5 + 4 * z[2 * k + 1]) for z, k in zip(codes, labels, strict=True)])

    assert style_content.style_consistency(code, shared, K) == pytest.approx(1.0)
    assert abs(style_content.style_consistency(code, own, K)) < 0.1


def test_kernel_distance_of_two_draws_of_one_distribution_is_near_0_and_grows_with_a_shift(numbers):
    first, second, shifted = numbers.normal(size=(3, 500, Z))
    near = imq_mmd(first, second, 1.0)
    assert abs(near) < 0.01
    assert imq_mmd(first, shifted + 0.5, 1.0) > 0.02 > near
    assert imq_mmd(first, shifted + 1.0, 1.0) > imq_mmd(first, shifted + 0.5, 1.0)


def test_kernel_distance_is_the_unbiased_sum_written_out(numbers):
    first, second = numbers.normal(size=(3, 2)), numbers.normal(size=(4, 2))

    def kernel(a, b):
        return 4 / (4 + ((a - b) ** 2).sum())  # c = 2 · 2 dimensions · 1²

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]) for x in (first, second)
    ]
    across = np.mean([kernel(a, b) for a in first for b in second])
    assert imq_mmd(first, second, 1.0) == pytest.approx(sum(within) - 2 * across, rel=1e-9)


@pytest.fixture
def blobs(numbers):
    """Two classes: bright above, bright below."""
    label = (np.arange(200) % 2).astype(np.int32)
    image = numbers.integers(0, 60, (200, 12, 12, 1))
    image[label == 0, 2:5] += 150
    image[label == 1, 7:10] += 150
    return Split(image.astype(np.uint8), label)


def test_the_classifier_learns_is_cached_and_comes_back_the_same(blobs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trained = feature_classifier.load_or_train_classifier(blobs, 2, 60, "blobs")
    assert trained.accuracy(blobs) > 0.95
    monkeypatch.setattr(feature_classifier, "train_classifier", lambda *_: pytest.fail("trained again"))
    again = feature_classifier.load_or_train_classifier(blobs, 2, 60, "blobs")
    images = blobs.image.astype(np.float32) / 255
    np.testing.assert_array_equal(trained(images), again(images))


def test_a_damaged_classifier_cache_is_trained_again(blobs, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    feature_classifier.load_or_train_classifier(blobs, 2, 2, "blobs")
    path = next((tmp_path / "jaxgen" / "classifiers").glob("*.msgpack"))
    path.write_bytes(b"\x00damaged")
    feature_classifier.load_or_train_classifier(blobs, 2, 2, "blobs")
    assert "cannot be read" in caplog.text
    assert len(path.read_bytes()) > 1000
