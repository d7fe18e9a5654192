"""Every kind of image folder with every family: a run is complete and can be loaded, or it is refused first."""

import numpy as np
import pytest
from helpers import read_config
from PIL import Image

import jaxgen
from jaxgen.training import loop

MODELS = ("vae", "cond_aae", "gan", "vaegan", "conv_ae", "semi_aae")
KINDS = {  # images per class, classes, height, width, mode
    "gray": (12, 3, 16, 16, "L"),
    "color": (12, 3, 16, 16, "RGB"),
    "one class": (40, 1, 16, 16, "L"),
    "one class in color": (40, 1, 16, 16, "RGB"),
    "many classes": (5, 25, 16, 16, "L"),
    "not square": (12, 3, 16, 24, "L"),
    "one class, not square": (40, 1, 24, 16, "RGB"),
    "three images per class": (3, 4, 16, 16, "L"),
    "one image per class": (1, 12, 16, 16, "L"),
    "16 bit": (12, 3, 16, 16, "I;16"),
}
REFUSED = {  # cells that must be refused, and why
    **{
        (kind, model): r"class"
        for kind in ("one class", "one class in color", "one class, not square", "one image per class")
        for model in ("cond_aae", "semi_aae")
    },
    **{
        (kind, "conv_ae"): r"the layers end in images of .* which do not cover .*--config\.data\.channels"
        for kind in ("color", "one class in color", "one class, not square")
    },
}


def write_folder(folder, kind):
    """Writes images whose classes differ in brightness."""
    count, num_classes, height, width, mode = KINDS[kind]
    numbers = np.random.default_rng(0)
    for label in range(num_classes):
        (folder / f"class {label}").mkdir(parents=True)
        for number in range(count):
            pixels = numbers.integers(0, 128, (height, width, 3 if mode == "RGB" else 1)) + 127 * label // num_classes
            pixels = pixels.astype(np.uint8).squeeze(-1) if mode != "RGB" else pixels.astype(np.uint8)
            image = Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels)
            image.save(folder / f"class {label}" / f"{number}.png")


def small_config(model, folder):
    config = read_config(model)
    config.update({key: (16,) * len(config[key]) for key in config if key.endswith("hidden_sizes")})
    config.update({"steps": 2, "log_every": 1, "eval_every": 1, "checkpoint_every": 1, "batch_size": 4})
    config.data.update({"source": "folder", "name": "images", "path": str(folder)})
    if "num_labeled" in config and config.num_labeled > 0:
        config.num_labeled = -1
    return config


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "kind",  # one held-out image has no pair to interpolate
    [pytest.param(kind, marks=[pytest.mark.expects_skips] * (kind == "one image per class")) for kind in KINDS],
)
def test_a_run_on_any_images_is_complete_or_refused_before_the_first_step(kind, model, tmp_path):
    write_folder(tmp_path / "images", kind)
    config, workdir = small_config(model, tmp_path / "images"), tmp_path / "run"
    if (kind, model) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[kind, model]) as caught:
            loop.train_and_evaluate(config, workdir)
        assert "\n" not in str(caught.value)
        assert not workdir.exists()
        return
    results = loop.train_and_evaluate(config, workdir)
    assert all(np.isfinite(value) for value in results["metrics"].values() if isinstance(value, float))
    assert (workdir / "results.json").is_file()
    assert list((workdir / "figures").glob("*.png"))
    trained = jaxgen.load(workdir)
    data = jaxgen.load_data(workdir)
    labels = data.test.label[:2] if trained.model.is_conditional else None
    if trained.model.has_encoder:
        assert trained.reconstruct(data.test.image[:2] / 255, labels).shape == data.test.image[:2].shape
    else:
        assert trained.sample(2, labels).shape[1:] == data.image_shape
