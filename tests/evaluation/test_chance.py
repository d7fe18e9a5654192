"""Chance levels of training curves: the values of the best guess without an image."""

import numpy as np
import pytest
from helpers import tiny_model

from jaxgen.evaluation.chance import chance_levels
from jaxgen.evaluation.evaluators import EVALUATORS
from jaxgen.types import Split


def test_chance_is_an_even_guess_or_the_most_frequent_class():
    split = Split(np.zeros((8, 1, 1, 1), np.uint8), np.array([0, 0, 0, 0, 1, 2, 3, -1], np.int32))
    levels = chance_levels(tiny_model("cond_aae"), split)
    assert levels["content_accuracy"] == 0.25
    assert levels["quadratic_style_leakage"] == pytest.approx(4 / 7)
    assert levels["error"] == pytest.approx(3 / 7)
    assert chance_levels(tiny_model("ae"), Split(split.image, 0 * split.label)) == {"d_real": 0.5, "d_fake": 0.5}


def test_the_conditional_autoencoder_reports_content_and_leakage_during_training():
    assert set(tiny_model("cond_aae").validation_evaluators) <= set(EVALUATORS)
    assert "separation_quickly" in tiny_model("cond_aae").validation_evaluators
