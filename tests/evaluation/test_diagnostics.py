"""Warnings about trained models, by rules over their metrics."""

import numpy as np
import pytest
from helpers import read_config, tiny_model

from jaxgen.data import Dataset
from jaxgen.evaluation import diagnostics
from jaxgen.evaluation.diagnostics import Circumstances, find_warnings
from jaxgen.types import Split

GOOD = {"mse": 0.01, "nll": 90.0, "code_std_min": 0.9, "code_std_max": 1.1, "content_accuracy": 0.99}
GOOD |= {
    "d_real": 0.7,
    "d_fake": 0.3,
    "swap_accuracy": 0.98,
    "test_error": 0.02,
    "diversity": 0.9,
    "coverage": 0.7,
    "mode_collapse": 0.0,
}
GOOD |= {"class_fractions": [0.2, 0.3, 0.3, 0.2], "active_units": 9.0, "clusters_used": 4.0, "retrieval_map": 0.8}
REFERENCES = {"mse": 0.07, "nll": 200.0, "content_accuracy": 0.25, "swap_accuracy": 0.25, "test_error": 0.75}
REFERENCES |= {"retrieval_map": 0.25}
KNOWN = Circumstances(REFERENCES, step=5000, is_trained_long=True, matches_prior=True, num_pixels=80)


def warn(known=KNOWN, **changes):
    return find_warnings(GOOD | changes, known)


def test_a_good_model_has_no_warning():
    assert warn() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"nll": float("nan")}, "not_finite: nll;"),
        ({"code_std_max": float("inf")}, "not_finite: code_std_max;"),
        ({"nll": 2e28}, "huge: nll 2e+28;"),
        ({"elbo": -3e9}, "huge: elbo -3e+09;"),
        ({"code_std_max": 1e11}, "wide_codes: the std of codes reaches 1e+11 times the prior's"),
        ({"code_std_min": 0.01}, "narrow_codes: "),
        ({"content_accuracy": 0.26}, "at_chance: content_accuracy 0.26 is at the chance level 0.25"),
        ({"swap_accuracy": 0.0}, "at_chance: swap_accuracy 0"),
        ({"test_error": 0.74}, "at_chance: test_error 0.74 is at the chance level 0.75"),
        ({"retrieval_map": 0.25}, "at_chance: retrieval_map"),
        ({"mse": 0.08}, "worse_than_mean: mse 0.08 is no better than the mean training image's 0.07"),
        ({"nll": 199.0}, "worse_than_mean: nll 199"),
        ({"color_mse": 0.2, "grayscale_baseline_mse": 0.1}, "worse_than_input: the colors"),
        ({"d_real": 1.0, "d_fake": 1e-6}, "certain_critic: d_real 1 and d_fake 1e-06"),
        ({"diversity": 1e-5}, "identical_samples: samples are 1e-05 times as varied as the data"),
        ({"psnr_gain": -0.5}, "worse_than_input: denoised images"),
        ({"mode_collapse": 1.0, "diversity": 0.2}, "mode_collapse: samples are 0.2 times as varied as the data"),
        ({"coverage": 0.01}, "few_modes: samples reach only 1.0% of the real images"),
        ({"class_fractions": [0.5, 0.0, 0.5, 0.0]}, "missing_classes: no sample is read as class 1, 3"),
        ({"active_units": 0.0}, "posterior_collapse: "),
        ({"clusters_used": 1.0}, "one_cluster: "),
    ],
)
def test_each_fault_of_a_model_has_one_line(changes, expected):
    lines = warn(**changes)
    assert any(line.startswith(expected) for line in lines)
    assert all("\n" not in line and len(line) < 150 for line in lines)


def test_the_diverged_run_of_a_conditional_autoencoder_has_three_kinds_of_warnings():
    lines = warn(nll=2e28, code_std_max=1e11, content_accuracy=0.25, swap_accuracy=0.25)
    assert [line.partition(":")[0] for line in lines] == [
        *("huge", "wide_codes", "at_chance", "at_chance", "worse_than_mean")
    ]


def test_a_young_model_is_only_warned_of_divergence():
    faults = {"mse": 0.08, "content_accuracy": 0.25, "coverage": 0.0, "mode_collapse": 1.0, "active_units": 0.0}
    young = KNOWN._replace(step=50, is_trained_long=False)
    assert warn(young, **faults) == []
    assert len(warn(young, **faults, nll=1e9)) == 1
    older = young._replace(step=100)  # long enough to beat the mean image, and too short to judge modes
    assert [line.partition(":")[0] for line in warn(older, **faults)] == ["at_chance", "worse_than_mean"]


def test_codes_without_a_prior_may_have_any_scale_and_miss_modes():
    known = KNOWN._replace(matches_prior=False)
    assert warn(known, code_std_max=9.0, code_std_min=0.0, coverage=0.0, class_fractions=[1.0, 0.0]) == []


def images_of(count, first=0):
    image = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None]
    return Split(np.tile(image, (1, 8, 10, 1)), np.zeros(count, np.int32))


def test_copies_of_training_images_are_reported_from_one_percent_on():
    splits = images_of(100), images_of(40, first=200), images_of(100)
    data = Dataset("tiny", *splits, 4, copies={"validation": 0, "test": 1})
    assert diagnostics.describe_copies(data) == ["copies: 1 of 100 test images are identical to training images"]
    (line,) = diagnostics.warn_of_copies(data, "test")
    assert "1 of 100 test images" in line
    assert diagnostics.warn_of_copies(data, "validation") == []
    assert diagnostics.warn_of_copies(data._replace(test=images_of(101)), "test") == []
    assert diagnostics.describe_copies(data._replace(copies={})) == []


def test_each_group_of_omitted_metrics_has_its_reason():
    model, config = tiny_model("cond_aae"), read_config("cond_aae", "")
    small, large = images_of(6), images_of(60)
    assert diagnostics.explain_omissions({"style_leakage": 0.1}, model, large, config) == []
    metrics = {"style_leakage": 0.1, "content_accuracy": 0.1}
    assert "style_consistency: " in diagnostics.explain_omissions(metrics, model, large, config)[0]
    vae = tiny_model("vae")
    (reason,) = diagnostics.explain_omissions({}, vae, small, config)
    assert reason.endswith("the test split has 6 images, fewer than 30")
    sampled = {"frechet_distance": 1.0, "recall": 0.0, "coverage": 0.01}
    reasons = diagnostics.explain_omissions(sampled, vae, large, config)
    assert [reason.partition(":")[0] for reason in reasons] == [
        "precision",
        *(f"distances of the sampler {name}" for name in ("mixture", "two_stage")),
    ]
    config.evaluation.classifier_steps, config.evaluation.probe_epochs = 20, 2
    reasons = diagnostics.explain_omissions({}, model, large, config)
    assert [reason.rpartition(": ")[2] for reason in reasons] == [
        "evaluation.classifier_steps=20 is below 500",
        "evaluation.probe_epochs=2 is below 20",
    ]
