"""A trained model for use from Python: NumPy in, NumPy out, with checked inputs and chunks of one compiled shape."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from jaxgen.data.image_files import DecodeOptions
from jaxgen.data.user_images import Paths, prepare_images
from jaxgen.distributed import devices
from jaxgen.inference import latent_paths
from jaxgen.models.base import GenerativeModel, LatentVariableModel
from jaxgen.models.colorizer import Colorizer
from jaxgen.types import EvaluationMetrics, Params, Stats

Labels = Any  # integers [N], one integer for all, or None

CHUNK, SMALL_CHUNK = 1000, 100  # examples per call


class TrainedModel:
    """A model with its parameters.

    Attributes:
      model: the networks and the maps between images and codes.
      params: parameters by network.
      stats: statistics by network.
      config: the config of the training, as a plain dict.
      step: number of training steps.
      metrics_by_split: the metrics of the evaluation, by the name of the split; {} before the evaluation.
      classes: names by label.
      source: workdir, step and seed of a loaded model, with which another process loads it again; or None.
    """

    def __init__(
        self,
        model: GenerativeModel,
        params: dict[str, Params],
        stats: dict[str, Stats],
        config: dict | None = None,
        step: int = 0,
        metrics: dict | None = None,
    ):
        self.model, self.params, self.stats = model, params, stats
        self.config, self.step = config or {}, step
        self.metrics_by_split = {self.split: metrics} if metrics else {}
        self.classes = tuple(map(str, range(model.info.num_classes)))
        self.source: tuple[str, int, int | None] | None = None
        self._process = os.getpid()
        if isinstance(model, Colorizer):
            self._colorize = jax.jit(model.colorize)
        if isinstance(model, LatentVariableModel):
            self._encode = jax.jit(model.encode)
            self._encode_mean = jax.jit(model.encode_mean)
            self._decode = jax.jit(model.decode)
            self._predict_category = jax.jit(model.predict_category)
            self._sample_prior = jax.jit(model.sample_prior, static_argnums=1)

    @property
    def split(self) -> str:
        """The split that the run is evaluated on, "test" or "validation"."""
        return self.config.get("evaluation", {}).get("split", "test")

    @property
    def metrics(self) -> EvaluationMetrics:
        """The metrics on `split`; {} before the evaluation."""
        return self.metrics_by_split.get(self.split, {})

    def __reduce__(self):
        """Pickles the place of the run instead of the arrays: another process loads the model again."""
        if self.source is None:
            raise TypeError("a model is sent to another process by the folder of its run; load it with jaxgen.load")
        from jaxgen.inference.loading import load_model

        return load_model, self.source

    def prepare_images(
        self, where: Paths, count: int | None = None, on_bad_image: str | None = None
    ) -> Float[np.ndarray, "N H W C"]:
        """Returns image files as the model's inputs: decoded, fitted and filtered like the run's training images.

        Args:
          where: a folder, with everything nested in it, a file, files separated by commas, or a sequence of these.
          count: maximum number of images; None for all.
          on_bad_image: "skip" leaves files out that cannot be used, with a warning; "stop" raises an error; None for
            the run's own rule.

        Raises:
          ValueError: a path does not exist, or no file can be used.
        """
        (height, width, channels), data = self.model.info.image_shape, self.config.get("data", {})
        options = DecodeOptions((height, width), data.get("resize", "crop"), channels)
        return prepare_images(where, options, on_bad_image or data.get("on_bad_image", "skip"), count)

    def encode(self, images: ArrayLike, labels: Labels = None, seed: int = 0) -> Float[np.ndarray, "N Z"]:
        """Returns the codes of images [N, H, W, C] in [0, 1]; `seed` fixes the samples of a stochastic encoder.

        Raises:
          ValueError: shape, range or dtype of the images differ from those of the training images.
        """
        self.require_encoder()
        images = self._check_images(images)
        labels = self._check_labels(labels, len(images))
        return self._apply_in_chunks(self._encode, images, labels, jax.random.key(seed))

    def encode_mean(self, images: ArrayLike, labels: Labels = None) -> Float[np.ndarray, "N Z"]:
        """Returns the mean codes of images, without the noise of a stochastic encoder.

        Raises:
          ValueError: the model has no codes, or the images do not fit; see `encode`.
        """
        self.require_encoder()
        images = self._check_images(images)
        return self._apply_in_chunks(self._encode_mean, images, self._check_labels(labels, len(images)))

    def decode(self, codes: ArrayLike, labels: Labels = None) -> Float[np.ndarray, "N H W C"]:
        """Returns the images in [0, 1] of codes [N, Z], conditioned on labels [N] or on one label for all.

        Raises:
          ValueError: the size of the codes is wrong, or a label is missing or out of range.
        """
        self.require_latent()
        codes = np.asarray(codes, np.float32)
        if codes.ndim != 2 or codes.shape[1] != self.model.latent_size:
            raise ValueError(f"codes of shape {codes.shape} must be [N, {self.model.latent_size}]")
        labels = self._check_labels(labels, len(codes), self.model.is_conditional)
        return self._apply_in_chunks(self._decode, codes, labels)

    def sample(
        self, count: int, labels: Labels = None, seed: int = 0, sampler: Any = None
    ) -> Float[np.ndarray, "N H W C"]:
        """Decodes `count` samples of the prior, or of a sampler of `inference.samplers`: [count, H, W, C]."""
        return self.decode(self.sample_codes(count, seed, sampler), labels)

    def reconstruct(self, images: ArrayLike, labels: Labels = None) -> Float[np.ndarray, "N H W C"]:
        """Decodes the mean codes of images; without labels, the predicted categories replace them if available."""
        labels = self.resolve_labels(images, labels)
        return self.decode(self.encode_mean(images, labels), labels)

    def colorize(self, images: ArrayLike) -> Float[np.ndarray, "N H W 3"]:
        """Returns gray images [N, H, W, 1] in [0, 1] in color, [N, H, W, 3].

        Raises:
          ValueError: the model is not a colorizer, or size or range of the images differ from the training images.
        """
        self._require_own_process()
        if not isinstance(self.model, Colorizer):
            raise ValueError(f"{type(self.model).__name__} does not colorize; train configs/colorizer.py")
        images = self._check_images(images, channels=1)
        unknown = np.full(len(images), -1, np.int32)
        return self._apply_in_chunks(lambda *args: self._colorize(*args[:3]), images, unknown)

    # Latent paths and directions; see `inference.latent_paths`. An argument in the singular is one image [H, W, C].

    def interpolate(
        self, image_a: ArrayLike, image_b: ArrayLike, interior: int = 7, spherical: bool = False, labels: Labels = None
    ) -> Float[np.ndarray, "{interior}+2 H W C"]:
        """Decodes a path between the codes of two images, including both ends.

        A conditional decoder receives the label of the nearer image; `labels` holds both labels, or one for both. For
        binary codes, the differing bits are flipped one after another, and `spherical` has no effect.
        """
        images = np.stack([image_a, image_b])
        labels = self.resolve_labels(images, labels)
        return self.interpolate_codes(*self.encode_mean(images, labels), interior, spherical, labels)

    def interpolate_codes(
        self, code_a: ArrayLike, code_b: ArrayLike, interior: int = 7, spherical: bool = False, labels: Labels = None
    ) -> Float[np.ndarray, "{interior}+2 H W C"]:
        """Decodes a path between two codes; see `interpolate`."""
        if interior < 0:
            raise ValueError(f"interior={interior} must be at least 0, the number of images between the two")
        self.require_latent()
        path = latent_paths.slerp if spherical else latent_paths.lerp
        path = latent_paths.bit_interpolation if self.model.has_binary_latent else path
        if labels is not None and np.ndim(labels):
            labels = np.asarray(labels)[(np.arange(interior + 2) > (interior + 1) / 2).astype(int)]
        return self.decode(path(np.asarray(code_a), np.asarray(code_b), interior + 2), labels)

    def traverse(
        self,
        image: ArrayLike,
        steps: int = 9,
        dims: Sequence[int] | np.ndarray | None = None,
        reach: float = 3.0,
        std: Any = None,
        label: Labels = None,
    ) -> Float[np.ndarray, "D S H W C"]:
        """Decodes the code of an image with one dimension changed at a time: one row per dimension.

        The offsets go from -reach·std to +reach·std, with the code itself in the middle column. By default, `dims` are
        all dimensions and `std` is the std of the prior. For binary codes, a row has two images: the code, and the code
        with this bit flipped.
        """
        images = np.asarray(image)[None]
        labels = self.resolve_labels(images, label)
        code = self.encode_mean(images, labels)[0]
        dims = range(len(code)) if dims is None else dims
        if self.model.has_binary_latent:
            codes = latent_paths.bit_flips(code, dims)
        else:
            codes = latent_paths.traversal(code, dims, steps, reach, self.model.prior.std if std is None else std)
        return self._decode_grid(codes, labels)

    def latent_walk(
        self, anchors: int = 8, between: int = 11, label: Labels = None, seed: int = 0, sampler: Any = None
    ) -> Float[np.ndarray, "F H W C"]:
        """Decodes a closed path through `anchors` samples of the prior, or of a sampler, for an animation in a loop."""
        self.require_latent()
        path = latent_paths.bit_interpolation if self.model.has_binary_latent else latent_paths.slerp
        codes = latent_paths.closed_latent_walk(self.sample_codes(anchors, seed, sampler), between, path)
        return self.decode(codes, label)

    def attribute_vector(self, images: ArrayLike, has_it: ArrayLike, labels: Labels = None) -> Float[np.ndarray, " Z"]:
        """Returns the mean code of images with an attribute minus the mean code of images without it.

        Args:
          images: images [N, H, W, C] in [0, 1].
          has_it: booleans, or numbers 0 and 1, [N].
          labels: labels of the images, for a conditional model.

        Raises:
          ValueError: `has_it` has another length or other values, or all images or none have the attribute.
        """
        has_it = latent_paths.to_booleans(has_it, len(np.asarray(images)))
        return latent_paths.attribute_direction(self.encode_mean(images, labels), has_it)

    def apply_direction(
        self,
        images: ArrayLike,
        direction: ArrayLike,
        strengths: Sequence[float | int] | np.ndarray,
        labels: Labels = None,
    ) -> Float[np.ndarray, "N S H W C"]:
        """Decodes the codes of images plus each strength times a direction; binary codes are rounded."""
        labels = self.resolve_labels(images, labels)
        codes = self.encode_mean(images, labels)
        codes = codes[:, None] + np.asarray(strengths, np.float32)[:, None] * np.asarray(direction, np.float32)
        codes = (codes > 0.5).astype(np.float32) if self.model.has_binary_latent else codes
        return self._decode_grid(codes, labels)

    def predict_category(self, images: ArrayLike) -> Int[np.ndarray, " N"]:
        """Returns the category that the encoder predicts for each image: a class, or a cluster.

        Raises:
          ValueError: the model predicts no category, or the images do not fit; see `encode`.
        """
        self.require_latent()
        if not self.model.predicts_category:
            raise ValueError(f"{type(self.model).__name__} predicts no category")
        images = self._check_images(images)
        unknown = self._check_labels(None, len(images))
        return self._apply_in_chunks(lambda *args: self._predict_category(*args[:3]), images, unknown)

    @devices.in_float32
    def sample_prior(self, count: int, seed: int = 0) -> Float[np.ndarray, "{count} Z"]:
        """Returns samples of the prior."""
        self.require_latent()
        return np.asarray(self._sample_prior(jax.random.key(seed), count))

    def sample_codes(self, count: int, seed: int = 0, sampler: Any = None) -> Float[np.ndarray, "{count} Z"]:
        """Returns samples of a sampler of `inference.samplers`, or of the prior without one."""
        if count < 0:
            raise ValueError(f"count={count} must be at least 0, the number of samples")
        return self.sample_prior(count, seed) if sampler is None else sampler.sample(count, seed)

    def resolve_labels(self, images: ArrayLike, labels: Labels = None) -> Labels:
        """Returns the given labels, or the predicted categories if there are no labels and the model predicts them."""
        predicts = isinstance(self.model, LatentVariableModel) and self.model.predicts_category
        return self.predict_category(images) if labels is None and predicts else labels

    def require_latent(self) -> None:
        """Raises a ValueError if the model has no codes."""
        self._require_own_process()
        if not isinstance(self.model, LatentVariableModel):
            name = type(self.model).__name__
            raise ValueError(f"{name} has no codes; use model.colorize(images)")

    def require_encoder(self) -> None:
        """Raises a ValueError if the model has no encoder."""
        self.require_latent()
        if not self.model.has_encoder:
            name = type(self.model).__name__
            raise ValueError(f"{name} has no encoder; use model.sample(count) or model.decode(codes)")

    def _decode_grid(self, codes: Float[np.ndarray, "R S Z"], labels: Labels) -> Float[np.ndarray, "R S H W C"]:
        """Decodes rows of codes; `labels` holds one label per row, one for all, or is None."""
        rows, columns, size = codes.shape
        if labels is not None:
            labels = np.repeat(np.broadcast_to(labels, rows) if np.size(labels) == 1 else labels, columns)
        images = self.decode(codes.reshape(-1, size), labels)
        return images.reshape(rows, columns, *images.shape[1:])

    def _check_images(self, images: ArrayLike, channels: int | None = None) -> np.ndarray:
        """Returns the images as float32; raises a ValueError for a wrong shape, dtype or range."""
        images, shape = np.asarray(images), self.model.info.image_shape
        shape = (*shape[:2], channels or shape[2])
        if images.ndim != 4 or images.shape[1:] != tuple(shape):
            raise ValueError(f"images of shape {images.shape} must be [N, {', '.join(map(str, shape))}]")
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images of dtype {images.dtype} must be floats in [0, 1]; try images / 255")
        low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):
            raise ValueError(f"images in [{low:g}, {high:g}] must lie in [0, 1] and be finite; try images / 255")
        return images.astype(np.float32)

    def _check_labels(self, labels: Labels, count: int, required: bool = False) -> np.ndarray:
        """Returns [count] int32 labels, -1 for None; raises a ValueError for a wrong shape, dtype or value."""
        num_labels = self.model.num_conditions
        if labels is None:
            if required:
                raise ValueError(f"labels are missing: {type(self.model).__name__} is conditioned on labels")
            return np.full(count, -1, np.int32)
        labels = np.asarray(labels)
        if labels.size and not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels of dtype {labels.dtype} must be integers in [0, {num_labels})")
        if (wrong := labels[(labels < 0) | (labels >= num_labels)]).size:
            raise ValueError(f"label {wrong[0]} must lie in [0, {num_labels})")
        labels = np.broadcast_to(labels, (count,)) if labels.ndim == 0 else labels
        if labels.shape != (count,):
            raise ValueError(f"labels of shape {labels.shape} must be [{count}], one for each example")
        return labels.astype(np.int32)

    def _require_own_process(self) -> None:
        """Raises a ValueError in a forked process, where jax would wait forever for threads that are not there."""
        if os.getpid() != self._process:
            raise ValueError(
                "this model was loaded before the process was forked, which jax does not survive; use "
                'multiprocessing.get_context("spawn"), or load the model in each process'
            )

    @devices.in_float32
    def _apply_in_chunks(self, compiled: Callable, first: np.ndarray, labels: np.ndarray, rng=None) -> np.ndarray:
        """Applies a compiled function to padded chunks of at most two sizes; each chunk has its own noise."""
        chunk = CHUNK if len(first) > SMALL_CHUNK else SMALL_CHUNK
        parts = []
        for start in range(0, max(len(first), 1), chunk):
            part, label = first[start : start + chunk], labels[start : start + chunk]
            padding = chunk - len(part)
            part_in = np.pad(part, ((0, padding), *[(0, 0)] * (part.ndim - 1)))
            noise = () if rng is None else (jax.random.fold_in(rng, start),)
            out = compiled(self.params, self.stats, part_in, np.pad(label, (0, padding)), *noise)
            parts.append(np.asarray(out)[: len(part)])
        return np.concatenate(parts)
