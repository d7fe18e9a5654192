"""The metrics of the separation of style and content, for decoders and codes with known results."""

import numpy as np
import pytest

from jaxgen.metrics import style_content
from jaxgen.metrics.style_content import LabeledCodes

N, H, W, C, Z, K = 40, 8, 10, 1, 5, 4


@pytest.fixture
def numbers():
    return np.random.default_rng(0)


def decode_label(codes, labels):
    """Decodes the label to the brightness of the image and ignores the code."""
    return np.broadcast_to(labels[:, None, None, None] / K, (len(codes), H, W, C))


def read_label(images):
    """Returns the label of an image from `decode_label`."""
    return np.rint(images.mean((1, 2, 3)) * K).astype(int)


def test_content_accuracy_of_a_decoder_that_follows_the_label_is_1(numbers):
    assert style_content.content_accuracy(numbers.normal(size=(N, Z)), decode_label, read_label, K) == 1.0


def test_content_accuracy_of_a_decoder_that_ignores_the_label_is_chance(numbers):
    def decode_label_1(codes, labels):
        return decode_label(codes, np.ones_like(labels))

    assert style_content.content_accuracy(numbers.normal(size=(N, Z)), decode_label_1, read_label, K) == 1 / K


def test_swap_accuracy_leaves_out_the_label_of_the_image(numbers):
    labels = np.arange(N) % K
    codes = numbers.normal(size=(N, Z))
    codes[:, 0] = labels

    def decode_code(codes, labels):  # ignores the label: correct only for the label of the image
        del labels
        return decode_label(codes, codes[:, 0])

    assert style_content.swap_accuracy(LabeledCodes(codes, labels), decode_code, read_label, K) == 0.0
    assert style_content.content_accuracy(codes, decode_code, read_label, K) == 1 / K


def test_leakage_is_1_for_codes_that_contain_the_label_and_near_chance_for_noise(numbers):
    labels = np.arange(2000) % K
    noise = numbers.normal(size=(2000, Z)).astype(np.float32)
    informative = noise + 4 * np.eye(K, Z, dtype=np.float32)[labels] * 3

    def leakage(codes):
        train, held_out = LabeledCodes(codes[:1500], labels[:1500]), LabeledCodes(codes[1500:], labels[1500:])
        return style_content.style_leakage(train, held_out, 30)

    assert leakage(informative) > 0.99
    assert abs(leakage(noise) - 1 / K) < 0.08  # 4 standard deviations of 500 samples


def test_leakage_finds_a_label_that_a_linear_probe_could_not_read(numbers):
    codes = numbers.normal(size=(3000, 2)).astype(np.float32)
    labels = (codes[:, 0] * codes[:, 1] > 0).astype(int)  # exclusive or
    train, held_out = LabeledCodes(codes[:2500], labels[:2500]), LabeledCodes(codes[2500:], labels[2500:])
    assert style_content.style_leakage(train, held_out, 60) > 0.9


def bar(slant, width, size=41):
    """Returns an image of a bright bar through the middle, shifted right by `slant` pixels per pixel upwards."""
    row, column = np.mgrid[:size, :size] - size // 2
    return (np.abs(column + slant * row) <= width / 2).astype(np.float32)[..., None]


@pytest.mark.parametrize("slant", [-0.5, 0.0, 0.3])
def test_slant_and_ink_of_a_bar_are_measured(slant):
    ink, measured = style_content.stroke_measures(bar(slant, 5)[None])[0]
    assert measured == pytest.approx(slant, abs=0.03)
    assert ink == pytest.approx(5 / 41, rel=0.1)


def test_consistency_is_1_for_shared_dimensions_and_0_if_each_label_has_its_own_dimensions(numbers):
    code = numbers.uniform(-0.5, 0.5, (300, 2 * K))

    def decode_shared(codes, labels):
        return np.stack([bar(z[0], 5 + 4 * z[1]) for z in codes])

    def decode_separate(codes, labels):
        return np.stack([bar(z[2 * k], 5 + 4 * z[2 * k + 1]) for z, k in zip(codes, labels, strict=True)])

    assert style_content.style_consistency(code, decode_shared, K) == pytest.approx(1.0)
    assert abs(style_content.style_consistency(code, decode_separate, K)) < 0.1


def test_the_quadratic_probe_finds_classes_of_other_mean_or_covariance_and_no_others():
    rng = np.random.default_rng(0)
    label = np.arange(2000) % 4
    codes = {"none": rng.normal(size=(2000, 3)).astype(np.float32)}
    codes["mean"] = codes["none"] + 3 * label[:, None].astype(np.float32)
    codes["scale"] = codes["none"] * (10.0 ** label[:, None]).astype(np.float32)
    found = {}
    for name, code in codes.items():
        train, held_out = (
            style_content.LabeledCodes(code[part], label[part]) for part in (slice(1200), slice(1200, None))
        )
        found[name] = style_content.quadratic_style_leakage(train, held_out, 4)
    assert found["none"] < 0.32  # chance is 0.25
    assert found["mean"] > 0.6
    assert found["scale"] > 0.4
