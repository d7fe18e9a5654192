"""TODO: jaxgen.config.presets."""

from collections.abc import Callable

from ml_collections import ConfigDict

from jaxgen.config.base import suggest

DATASETS = {
    "digits": {"source": "digits", "name": "digits"},
    "mnist": {"source": "tfds", "name": "mnist"},
    "fashion_mnist": {"source": "tfds", "name": "fashion_mnist"},
    "kmnist": {"source": "tfds", "name": "kmnist"},
    "anime_faces": {"source": "folder", "name": "anime_faces", "image_size": 0, "channels": 1},
}


def apply_presets(config: ConfigDict, tokens: str, presets: dict[str, Callable[[ConfigDict], None]]) -> ConfigDict:
    """Applies comma-separated presets: a data set's name, or one of the recipe's own. Data sets come first.

    Raises:
      ValueError: a token is unknown, or two are of data sets.
    """
    chosen = [token for token in tokens.split(",") if token]
    if len(sets := [token for token in chosen if token in DATASETS]) > 1:
        raise ValueError(f"the tokens {' and '.join(sets)} are two data sets; give one")
    for token in chosen:
        if token not in DATASETS and token not in presets:
            choices = DATASETS | presets
            raise ValueError(
                f'token "{token}" is unknown{suggest(token, choices)}; choose from {", ".join(choices)}, '
                "or any TFDS set by --config.data.source=tfds --config.data.name=NAME"
            )
    for token in chosen:
        if token in DATASETS:
            config.data.update(DATASETS[token])
            config.evaluation.classifier_steps = 1000 if token == "digits" else 3000
    for name, preset in presets.items():  # in the recipe's order, whatever the order they are asked in
        if name in chosen:
            preset(config)
    return config


def smoke_test(config: ConfigDict) -> None:
    """Seconds on a CPU: proves that every part runs, says nothing about quality."""
    config.steps, config.log_every = 20, 10
    config.eval_every = config.checkpoint_every = 10
    config.evaluation.update(
        {"samples_per_class": 10, "classifier_steps": 20, "probe_epochs": 2, "parzen_samples": 100}
        | {"num_samples": 100, "retrieval_database_size": 100, "importance_samples": 60, "samplers": ("prior",)}
    )
