"""Lets TFDS prepare image sets without TensorFlow; remove this file when TFDS can do so itself."""

import contextlib
import glob
import importlib.util
import io
import os
import types
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8


@contextlib.contextmanager
def replace_missing_tensorflow() -> Iterator[None]:
    """If TensorFlow is not installed, gives TFDS the few functions that it needs to prepare most image sets.

    The builders of MNIST, CIFAR and similar sets use TensorFlow to open files and to encode PNGs, which Python and
    Pillow can do. Any other use raises the error of a missing TensorFlow.
    """
    from tensorflow_datasets.core.utils.lazy_imports_utils import tensorflow

    if importlib.util.find_spec("tensorflow") is not None:
        yield
        return
    vars(tensorflow)["_module"] = _TensorFlowStandIn()
    try:
        yield
    finally:
        vars(tensorflow).pop("_module", None)


class _TensorFlowStandIn:
    """The functions of TensorFlow that TFDS uses while it prepares an image set."""

    def __init__(self):
        files = {"GFile": open, "exists": os.path.exists, "isdir": os.path.isdir, "listdir": os.listdir}
        self.io = types.SimpleNamespace(gfile=types.SimpleNamespace(**files, glob=glob.glob, walk=os.walk))
        self.image = types.SimpleNamespace(encode_png=self._encode_png)
        self.executing_eagerly = lambda: True

    @staticmethod
    def _encode_png(image: UInt8[np.ndarray, "H W C"]):
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "png")
        return types.SimpleNamespace(numpy=file.getvalue)

    def __getattr__(self, name: str):
        raise ModuleNotFoundError(f"No module named 'tensorflow' (asked for tf.{name})")
