"""The table at the end of a run, and the content of results.json."""

import numpy as np
import pytest
from helpers import read_config, tiny_trained_model

from jaxgen.data import Dataset
from jaxgen.evaluation import descriptions, results
from jaxgen.io.run_logger import RunLogger
from jaxgen.types import Split

METRICS = dict.fromkeys(sorted(descriptions.known_names() - {"class_fractions"}), 0.12345678)
PROTOCOL = {"images": 179, "features": "classifier of 10 classes, 1000 steps", "samples": "10 samples"}


@pytest.fixture
def content():
    """Returns the parts of results.json that the table shows, with every metric and several seeds."""
    return {
        "dataset": "digits",
        "split": "test",
        "step": 4000,
        "metrics": {**METRICS, "class_fractions": [0.5, 0.5], "my_metric": 3.0},
        "std": {**METRICS, "class_fractions": [0.1, 0.1], "my_metric": 0.5},
        "references": {name: 0.1 for name, one in descriptions.DESCRIPTIONS.items() if one.label},
        "protocol": PROTOCOL,
        "warnings": ["huge: nll 2e+28; training has diverged"],
        "omitted": ["precision: recall is near 0"],
    }


def print_table(content, folder):
    """Returns the lines of the table, as write_results prints them."""
    with RunLogger(folder, 10, progress=False) as logger:
        title, notes = results.describe_protocol(content, 3), results.describe_results(content)
        logger.log_table(title, results.build_rows(content), results.HEADER, notes)


def test_the_table_states_direction_reference_and_meaning_of_every_metric_in_100_columns(content, tmp_path, capsys):
    print_table(content, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "digits, test split, step 4000, mean ± std of 3 seeds"
    assert {"179 held-out images", "features: classifier of 10 classes, 1000 steps", "samples: 10 samples"} <= {*lines}
    assert lines[-2:] == [
        "warning: huge: nll 2e+28; training has diverged",
        "not measured: precision: recall is near 0",
    ]
    assert max(map(len, lines)) <= 100
    rows = {line.split()[0]: line for line in lines if line and line[0] != " "}
    beside = {name for one in descriptions.DESCRIPTIONS.values() for name in one.baselines.values()}
    assert {*METRICS, "my_metric"} - beside <= set(rows)
    assert not beside & set(rows)
    assert "0.1235 ± 0.12  ↓  train 0.123" in rows["frechet_distance"]
    assert "↑  chance 0.1" in rows["content_accuracy"]
    assert rows["my_metric"].endswith("3 ± 0.5        –")


def test_the_last_lines_give_the_paths_of_figures_and_results(tmp_path):
    path = tmp_path / "results.json"
    assert results.describe_paths(tmp_path, path) == [f"results: {path}"]
    (tmp_path / "figures").mkdir()
    assert results.describe_paths(tmp_path, path) == [f"figures: {tmp_path / 'figures'}", f"results: {path}"]


def test_the_warnings_of_several_seeds_name_the_seed():
    config = read_config("vae")
    config.seed, config.num_seeds = 7, 2
    data = Split(np.zeros((40, 4, 5, 1), np.uint8), np.zeros(40, np.int32))
    dataset = Dataset("tiny", data, data, data, 1)
    trained = [tiny_trained_model("vae")] * 2
    per_seed = [{"nll": 100.0}, {"nll": 2e28}]
    (line,) = results.find_warnings(trained, per_seed, {}, dataset, config)
    assert line.startswith("seed 8: huge: nll 2e+28")
    (alone,) = results.find_warnings(trained[:1], per_seed[1:], {}, dataset, read_config("vae"))
    assert alone.startswith("huge: ")


def test_the_protocol_states_classifier_and_numbers_of_samples(monkeypatch):
    monkeypatch.setattr(results.sample_quality, "describe_features", lambda *_: "a classifier, accuracy 99%")
    data = Split(np.zeros((40, 4, 5, 1), np.uint8), np.zeros(40, np.int32))
    dataset, config = Dataset("tiny", data, data, data, 4), read_config("cgan", "")
    names = ("frechet_distance", "content_accuracy", "elbo", "parzen_log_likelihood")
    found = results.describe_measurements(names, dataset, config)
    assert found == {
        "features": "a classifier, accuracy 99%",
        "samples": "40 samples and 40 training images, each beside 40 held-out images",
        "content": "1,000 prior codes, each in 4 classes",
        "bounds": "5,000 posterior samples per image",
        "parzen": "10,000 samples",
    }
    assert results.describe_measurements(("mse",), dataset, config) == {}
