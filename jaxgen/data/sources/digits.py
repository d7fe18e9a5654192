"""TODO: jaxgen.data.sources.digits."""

import importlib.metadata

import numpy as np

from jaxgen.data.dataset import Dataset
from jaxgen.data.splits import stratified_order, take_examples
from jaxgen.io.array_cache import load_or_compute
from jaxgen.io.atomic import cache_dir
from jaxgen.types import Split

DIGITS_SPLITS = {"test": 250, "validation": 147}  # of 1,797; the other 1,400 are for training
ENLARGED = 1  # the version of what `_enlarged_digits` does, for what is kept of it


def load_digits_dataset(config) -> Dataset:
    """The 1,797 digits of 8×8 pixels bundled with scikit-learn, as 28×28, in stratified splits."""
    if config.path:
        raise ValueError(
            f"data.path={config.path!r} is not read: the digits are bundled with scikit-learn; a folder of images is "
            "--config.data.source=folder, a prepared TFDS set --config.data.source=tfds"
        )
    # Kept: to import scikit-learn takes half as long as all else before the first step.
    state = repr([ENLARGED, *(importlib.metadata.version(package) for package in ("pillow", "scikit-learn"))])
    arrays = load_or_compute(cache_dir("data") / "digits.npz", state, _enlarged_digits)
    data = Split(arrays["image"], arrays["label"])
    test, validation, train = np.split(stratified_order(data.label), np.cumsum(list(DIGITS_SPLITS.values())))
    return Dataset(
        "digits", take_examples(data, train), take_examples(data, validation), take_examples(data, test), num_classes=10
    )


def _enlarged_digits() -> dict[str, np.ndarray]:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.float32)
    # Bicubic overshoots below 0 beside a stroke: clipping leaves the background black.
    large = np.stack([np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BICUBIC)) for image in grey])
    return {"image": np.rint(large.clip(0, 255)).astype(np.uint8)[..., None], "label": digits.target.astype(np.int32)}
