"""Presets: the words after `--config=FILE:`, which choose a data set or change several keys of a recipe at once."""

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


def apply_presets(config: ConfigDict, presets: str, available: dict[str, Callable[[ConfigDict], None]]) -> ConfigDict:
    """Applies presets to a config in place: data sets first, then the recipe's own presets in the recipe's order.

    Args:
      config: the recipe's config.
      presets: names separated by commas.
      available: the recipe's own presets, by name; each changes a config in place.

    Returns:
      The config.

    Raises:
      ValueError: a name is unknown, or two names are data sets.
    """
    chosen = [name for name in presets.split(",") if name]
    if len(datasets := [name for name in chosen if name in DATASETS]) > 1:
        raise ValueError(f"the presets {' and '.join(datasets)} are both data sets; choose one")
    for name in chosen:
        if name not in DATASETS and name not in available:
            choices = DATASETS | available
            raise ValueError(
                f'preset "{name}" is unknown{suggest(name, choices)}; choose from {", ".join(choices)}, '
                "or any TFDS set by --config.data.source=tfds --config.data.name=NAME"
            )
    for name in datasets:
        config.data.update(DATASETS[name])
        config.evaluation.classifier_steps = 1000 if name == "digits" else 3000
    for name, preset in available.items():
        if name in chosen:
            preset(config)
    return config


def smoke_test(config: ConfigDict) -> None:
    """Shortens a run to seconds on a CPU, which tests that every part works but gives no useful model."""
    config.steps, config.log_every = 20, 10
    config.eval_every = config.checkpoint_every = 10
    config.evaluation.update(
        {"samples_per_class": 10, "classifier_steps": 20, "probe_epochs": 2, "parzen_samples": 100}
        | {"num_samples": 100, "retrieval_database_size": 100, "importance_samples": 60, "samplers": ("prior",)}
    )
