"""Evaluators, on models without networks and with known results."""

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
    config = read_config("aae", "smoke")
    config.evaluation.classifier_steps = 1000  # no classifier is trained here; with the smoke test's 20 none is used
    return config


@pytest.fixture
def dataset():
    numbers = np.random.default_rng(0)

    def split(count):
        image = numbers.integers(0, 256, (count, H, W, C)).astype(np.uint8)
        return Split(image, (np.arange(count) % K).astype(np.int32))

    return Dataset("tiny", split(30), split(8), split(14), K)


class Stub(TrainedModel):
    """A TrainedModel without networks; each test sets the methods that it needs."""

    def __init__(self, is_conditional=False, predicts_category=False):
        self.model = SimpleNamespace(
            is_conditional=is_conditional, predicts_category=predicts_category, has_encoder=True
        )


def label_encoder(dataset, values):
    """Returns a model that encodes an image as its one-hot class, with the two given values for 0 and 1."""
    labels_by_image = {image.tobytes(): label for split in dataset[1:4] for image, label in zip(*split, strict=True)}
    trained = Stub()

    def encode(images):
        labels = [labels_by_image[np.rint(255 * image).astype(np.uint8).tobytes()] for image in images]
        return np.array(values, np.float32)[np.eye(Z, dtype=int)[labels]]

    trained.encode = encode
    return trained


def test_content_accuracy_is_the_fraction_of_images_of_the_requested_class(dataset, config, monkeypatch):
    trained = Stub(is_conditional=True)
    trained.sample_prior = lambda count, seed: np.zeros((count, Z), np.float32)
    trained.decode = lambda codes, labels: np.asarray(labels, np.float32)[:, None, None, None]

    def classify(images):
        return np.minimum(images[:, 0, 0, 0], K - 2).astype(int)  # confuses the last class with the one before

    monkeypatch.setattr(sample_quality, "load_dataset_classifier", lambda dataset, steps: classify)
    assert evaluators.EVALUATORS["content"](trained, dataset, config) == {"content_accuracy": 1 - 1 / K}


def test_image_quality_of_an_error_of_a_tenth_is_20_db(dataset, config):
    trained = Stub()
    dim = Split((dataset.test.image // 2).astype(np.uint8), dataset.test.label)
    trained.reconstruct = lambda images, labels: images + np.float32(0.1)
    measured = evaluators.EVALUATORS["image_quality"](trained, dataset._replace(test=dim), config)
    assert measured["psnr"] == pytest.approx(20.0, abs=1e-4)
    assert 0.5 < measured["ssim"] < 1.0


@pytest.mark.parametrize("values", [(0, 1), (-1, 1)])
def test_retrieval_by_codes_of_the_class_is_perfect_and_by_noise_is_not(dataset, config, values):
    measured = evaluators.EVALUATORS["retrieval"](label_encoder(dataset, values), dataset, config)
    assert measured["retrieval_map"] == 1.0
    assert (
        measured["retrieval_map_pca_sign"] < 0.6
    )  # the pixels are noise: 1/4 is expected, and more for only 30 images
    assert measured["retrieval_map_pixels"] < 0.6


def test_retrieval_searches_only_the_first_training_images(dataset, config):
    config.evaluation.retrieval_database_size = 7
    encoded_counts, trained = [], label_encoder(dataset, (0, 1))
    encode = trained.encode
    trained.encode = lambda images: encoded_counts.append(len(images)) or encode(images)
    evaluators.EVALUATORS["retrieval"](trained, dataset, config)
    assert encoded_counts == [14, 7]


def use_pixel_features(monkeypatch):
    """Replaces the classifier by one with the first pixels of an image as features, for splits of any size."""

    class PixelClassifier:
        def features(self, images):
            return images.reshape(len(images), -1)[:, :3]

        def __call__(self, images):
            return np.zeros(len(images), int)

    classifier = PixelClassifier()
    monkeypatch.setattr(sample_quality, "load_dataset_classifier", lambda *_: classifier)
    monkeypatch.setattr(sample_quality, "MIN_IMAGES", NUM_NEIGHBORS + 1)


def test_frechet_distance_is_near_0_for_the_held_out_images_and_larger_for_gray_ones(dataset, config, monkeypatch):
    use_pixel_features(monkeypatch)
    config.evaluation.samplers, (perfect, gray) = ("prior",), (Stub(), Stub())
    images = evaluators.to_float_images(dataset.test.image)
    perfect.sample = lambda count, labels, seed, sampler: np.concatenate([images] * 2)
    gray.sample = lambda count, labels, seed, sampler: np.full((count, H, W, C), 0.5, np.float32)
    near, far = (evaluators.EVALUATORS["sample_quality"](trained, dataset, config) for trained in (perfect, gray))
    assert near["frechet_distance"] < 0.01 < far["frechet_distance"]
    assert near["kernel_distance"] < far["kernel_distance"]
    assert near["frechet_distance_train_baseline"] == far["frechet_distance_train_baseline"] > 0
    names = ("frechet_distance", "kernel_distance", "precision", "recall", "coverage", "diversity")
    assert {f"{name}_train_baseline" for name in names} <= set(near)


def test_samples_are_not_compared_by_the_features_of_a_classifier_with_few_steps(dataset, config, monkeypatch):
    use_pixel_features(monkeypatch)
    trained = Stub()
    trained.sample = lambda count, labels, seed, sampler: np.zeros((count, H, W, C), np.float32)
    config.evaluation.classifier_steps = sample_quality.MIN_CLASSIFIER_STEPS - 1
    for name in ("sample_quality", "reconstruction_quality", "content"):
        assert set(evaluators.EVALUATORS[name](trained, dataset, config)) <= {"pixel_mmd"}
    config.best_metric = "frechet_distance"
    assert evaluators.select_best_metric(config, dataset) == "pixel_mmd"
    config.evaluation.classifier_steps += 1
    assert evaluators.select_best_metric(config, dataset) == "frechet_distance"


def test_style_consistency_is_omitted_for_a_decoder_that_ignores_the_label(dataset, config, monkeypatch):
    trained = label_encoder(dataset, (0, 1))
    trained.model.is_conditional = True
    trained.sample_prior = lambda count, seed: np.random.default_rng(seed).normal(size=(count, Z)).astype(np.float32)
    trained.encode = lambda images, labels: images.reshape(len(images), -1)[:, :Z]
    trained.decode = lambda codes, labels: np.tile(np.abs(codes[:, :1, None, None]), (1, H, W, C))

    class Judge:
        def __call__(self, images):
            return np.zeros(len(images), int)

        def accuracy(self, data):
            return 1.0

    monkeypatch.setattr(sample_quality, "load_dataset_classifier", lambda *_: Judge())
    found = evaluators.EVALUATORS["separation"](trained, dataset, config)
    assert found["content_accuracy"] == 1 / K
    assert "style_consistency" not in found  # it would be 1
    assert "style_leakage" not in found  # the smoke test's probe has two epochs


@pytest.mark.parametrize(
    ("step", "images", "is_long"), [(1999, 100, False), (2000, 100, True), (2000, 60_000, False), (10_000, 10**6, True)]
)
def test_mode_collapse_is_judged_only_after_long_training(config, step, images, is_long):
    assert evaluators.is_training_long_enough(step, images, config) == is_long


def test_the_kernel_distance_of_pixels_is_near_0_for_the_held_out_images(dataset):
    images = evaluators.to_float_images(dataset.test.image)
    near, far = Stub(), Stub()
    near.sample = lambda count, labels, seed, sampler: images[:count]
    far.sample = lambda count, labels, seed, sampler: np.zeros((count, H, W, C), np.float32)
    found = [sample_quality.measure_pixel_mmd(one, dataset.test, 14, 0)["pixel_mmd"] for one in (near, far)]
    assert found[0] < 0 < found[1]  # unbiased, so below 0 for the same images


def test_metrics_of_a_sampler_have_its_name_as_suffix_and_metrics_of_the_prior_have_none(dataset, config, monkeypatch):
    use_pixel_features(monkeypatch)
    images, gray = evaluators.to_float_images(dataset.test.image), np.full((28, H, W, C), 0.5, np.float32)
    generated = {"prior": gray, "mixture": np.concatenate([images] * 2)}
    monkeypatch.setattr(sample_quality.samplers, "sample_images", lambda trained, train, name, *_: generated[name])
    config.evaluation.samplers = ("prior", "mixture")
    found = evaluators.EVALUATORS["sample_quality"](Stub(), dataset, config)
    assert found["frechet_distance_mixture"] < 0.01 < found["frechet_distance"]
    assert found["kernel_distance_mixture"] < found["kernel_distance"]


@pytest.mark.parametrize(
    ("is_conditional", "predicts_category", "expected"),
    [(False, False, None), (True, False, [0, 1, 2, 3, 0, 1]), (True, True, [9, 8, 9, 8, 9, 8])],
)
def test_num_samples_images_are_generated_with_the_labels_of_the_split(
    dataset, config, monkeypatch, is_conditional, predicts_category, expected
):
    use_pixel_features(monkeypatch)
    config.evaluation.num_samples, config.evaluation.samplers, calls = 6, ("prior",), []
    trained = Stub(is_conditional, predicts_category)
    trained.predict_category = lambda images: np.resize([9, 8], len(images))
    trained.sample = lambda count, labels, seed, sampler: (
        calls.append((count, labels)) or np.zeros((count, H, W, C), np.float32)
    )
    evaluators.EVALUATORS["sample_quality"](trained, dataset, config)
    (count, labels), *_ = calls
    assert count == 6
    assert labels is None if expected is None else list(labels) == expected


@pytest.mark.parametrize(
    ("key", "minimum"),
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
def test_too_few_images_for_a_metric_are_rejected_before_training(config, key, minimum):
    config.evaluation[key] = minimum
    validate_config(config)
    config.evaluation[key] = minimum - 1
    with pytest.raises(
        ValueError, match=rf"evaluation\.{key}={minimum - 1} must be at least {minimum}; try --config\."
    ):
        validate_config(config)


def test_the_psnr_gain_of_denoising_is_relative_to_the_clipped_noisy_image(dataset, config):
    clean = evaluators.to_float_images(dataset.test.image)
    trained = Stub()
    trained.model.input_noise_std = 0.3
    error = np.where(clean > 0.5, -0.01, 0.01).astype(np.float32)
    trained.reconstruct = lambda images: clean + error
    measured = evaluators.EVALUATORS["denoising"](trained, dataset, config)
    assert measured["psnr_denoised"] == pytest.approx(40, abs=1e-3)  # 10 log10(1 / 0.01²)
    assert 10.5 < measured["psnr_noisy"] < 13.5  # 10.46 without clipping
    assert measured["psnr_gain"] == pytest.approx(measured["psnr_denoised"] - measured["psnr_noisy"])


def test_the_likelihood_of_a_vae_includes_the_elbo_terms(config):
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
