"""Evaluations by name, of models whose numbers are known beforehand."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from helpers import C, H, K, W, read_config

from jaxgen import models
from jaxgen.config.base import validate_config
from jaxgen.data import Dataset, load_dataset
from jaxgen.evaluation import evaluators, sample_quality
from jaxgen.inference.trained_model import TrainedModel
from jaxgen.metrics.precision_recall import NUM_NEIGHBORS
from jaxgen.types import Split

Z = 5


@pytest.fixture
def config():
    return read_config("aae", "smoke")


@pytest.fixture
def dataset():
    numbers = np.random.default_rng(0)

    def split(count):
        image = numbers.integers(0, 256, (count, H, W, C)).astype(np.uint8)
        return Split(image, (np.arange(count) % K).astype(np.int32))

    return Dataset("tiny", split(30), split(8), split(14), K)


class Stub(TrainedModel):
    """A model that says what it is told to, without any network."""

    def __init__(self, needs_label=False, reads_category=False):
        self.model = SimpleNamespace(is_conditional=needs_label, predicts_category=reads_category, has_encoder=True)


def by_label(dataset, values):
    """A model whose code is the one-hot class of an image, in the two values given."""
    known = {image.tobytes(): label for split in dataset[1:4] for image, label in zip(*split, strict=True)}
    trained = Stub()

    def encode(images):
        labels = [known[np.rint(255 * image).astype(np.uint8).tobytes()] for image in images]
        return np.array(values, np.float32)[np.eye(Z, dtype=int)[labels]]

    trained.encode = encode
    return trained


def test_content_is_how_often_the_class_asked_for_is_drawn(dataset, config, monkeypatch):
    trained = Stub(needs_label=True)
    trained.sample_prior = lambda count, seed: np.zeros((count, Z), np.float32)
    trained.decode = lambda codes, labels: np.asarray(labels, np.float32)[:, None, None, None]

    def read(images):
        return np.minimum(images[:, 0, 0, 0], K - 2).astype(int)  # it takes the last class for the one before

    monkeypatch.setattr(sample_quality, "load_dataset_classifier", lambda dataset, steps: read)
    assert evaluators.EVALUATORS["content"](trained, dataset, config) == {"content_accuracy": 1 - 1 / K}


def test_image_quality_of_a_model_that_is_a_tenth_off_is_20_db(dataset, config):
    trained = Stub()
    dim = Split((dataset.test.image // 2).astype(np.uint8), dataset.test.label)
    trained.reconstruct = lambda images, labels: images + np.float32(0.1)
    measured = evaluators.EVALUATORS["image_quality"](trained, dataset._replace(test=dim), config)
    assert measured["psnr"] == pytest.approx(20.0, abs=1e-4)
    assert 0.5 < measured["ssim"] < 1.0


@pytest.mark.parametrize("values", [(0, 1), (-1, 1)])
def test_retrieval_by_codes_that_hold_the_class_is_perfect_and_by_noise_is_not(dataset, config, values):
    measured = evaluators.EVALUATORS["retrieval"](by_label(dataset, values), dataset, config)
    assert measured["retrieval_map"] == 1.0
    assert measured["retrieval_map_pca_sign"] < 0.6  # the pixels are noise: 1/4, and more as 30 images are few
    assert measured["retrieval_map_pixels"] < 0.6


def test_retrieval_searches_the_first_training_images_alone(dataset, config):
    config.evaluation.retrieval_database_size = 7
    seen, trained = [], by_label(dataset, (0, 1))
    encode = trained.encode
    trained.encode = lambda images: seen.append(len(images)) or encode(images)
    evaluators.EVALUATORS["retrieval"](trained, dataset, config)
    assert seen == [14, 7]


def read_pixels(monkeypatch):
    """Stands in for the classifier: features are the first pixels of an image."""

    class Judge:
        def features(self, images):
            return images.reshape(len(images), -1)[:, :3]

        def __call__(self, images):
            return np.zeros(len(images), int)

    judge = Judge()
    monkeypatch.setattr(sample_quality, "load_dataset_classifier", lambda *_: judge)


def test_sample_quality_of_the_held_out_images_themselves_is_0_and_of_grey_ones_is_not(dataset, config, monkeypatch):
    read_pixels(monkeypatch)
    config.evaluation.samplers, (perfect, grey) = ("prior",), (Stub(), Stub())
    images = evaluators.to_float_images(dataset.test.image)
    perfect.sample = lambda count, labels, seed, sampler: np.concatenate([images] * 2)
    grey.sample = lambda count, labels, seed, sampler: np.full((count, H, W, C), 0.5, np.float32)
    near, far = (evaluators.EVALUATORS["sample_quality"](trained, dataset, config) for trained in (perfect, grey))
    assert near["frechet_distance"] < 0.01 < far["frechet_distance"]
    assert near["kernel_distance"] < far["kernel_distance"]
    assert near["frechet_distance_train_baseline"] == far["frechet_distance_train_baseline"] > 0


def test_each_sampler_is_judged_under_its_name_and_the_prior_without(dataset, config, monkeypatch):
    read_pixels(monkeypatch)
    images, grey = evaluators.to_float_images(dataset.test.image), np.full((28, H, W, C), 0.5, np.float32)
    drawn = {"prior": grey, "mixture": np.concatenate([images] * 2)}
    monkeypatch.setattr(sample_quality.samplers, "sample_images", lambda trained, train, name, *_: drawn[name])
    config.evaluation.samplers = ("prior", "mixture")
    found = evaluators.EVALUATORS["sample_quality"](Stub(), dataset, config)
    assert found["frechet_distance_mixture"] < 0.01 < found["frechet_distance"]
    assert found["kernel_distance_mixture"] < found["kernel_distance"]


@pytest.mark.parametrize(
    ("needs_label", "reads_category", "expected"),
    [(False, False, None), (True, False, [0, 1, 2, 3, 0, 1]), (True, True, [9, 8, 9, 8, 9, 8])],
)
def test_as_many_images_are_drawn_as_asked_under_the_splits_labels(
    dataset, config, monkeypatch, needs_label, reads_category, expected
):
    read_pixels(monkeypatch)
    config.evaluation.num_samples, config.evaluation.samplers, asked = 6, ("prior",), []
    trained = Stub(needs_label, reads_category)
    trained.predict_category = lambda images: np.resize([9, 8], len(images))
    trained.sample = lambda count, labels, seed, sampler: (
        asked.append((count, labels)) or np.zeros((count, H, W, C), np.float32)
    )
    evaluators.EVALUATORS["sample_quality"](trained, dataset, config)
    (count, labels), *_ = asked
    assert count == 6
    assert labels is None if expected is None else list(labels) == expected


@pytest.mark.parametrize(
    ("key", "least"),
    [
        ("num_samples", NUM_NEIGHBORS + 1),
        ("retrieval_database_size", 1),
        ("importance_samples", 1),
        ("parzen_samples", 1),
        ("samples_per_class", 1),
        ("classifier_steps", 1),
        ("probe_epochs", 1),
    ],
)
def test_too_few_images_to_measure_by_are_refused_before_training(config, key, least):
    config.evaluation[key] = least
    validate_config(config)
    config.evaluation[key] = least - 1
    with pytest.raises(ValueError, match=rf"evaluation\.{key}={least - 1} must be at least {least}; try --config\."):
        validate_config(config)


def test_the_gain_of_denoising_is_in_db_over_the_clipped_noisy_image(dataset, config):
    clean = evaluators.to_float_images(dataset.test.image)
    trained = Stub()
    trained.model.input_noise_std = 0.3
    off = np.where(clean > 0.5, -0.01, 0.01).astype(np.float32)
    trained.reconstruct = lambda images: clean + off
    measured = evaluators.EVALUATORS["denoising"](trained, dataset, config)
    assert measured["psnr_denoised"] == pytest.approx(40, abs=1e-3)  # 10 log10(1 / .01²)
    assert 10.5 < measured["psnr_noisy"] < 13.5  # 10.46 of noise that is not clipped
    assert measured["psnr_gain"] == pytest.approx(measured["psnr_denoised"] - measured["psnr_noisy"])


def test_a_vaes_likelihood_is_reported_with_its_parts(config):
    config = read_config("vae", "smoke")
    config.hidden_sizes, config.latent_size, config.evaluation.importance_samples = (16,), 3, 120
    data = load_dataset(config.data)
    data = data._replace(test=Split(data.test.image[:30], data.test.label[:30]))
    model = models.build_model(config, data.spec)
    state = model.init(jax.random.key(0))
    found = evaluators.evaluate_likelihood(TrainedModel(model, state.params, state.stats), data, config)
    assert found["elbo"] == pytest.approx(-found["distortion"] - found["kl"], rel=1e-6)
    assert found["nll"] < -found["elbo"]
    assert 0 <= found["active_units"] <= 3
