"""A trained model to use: numpy in, numpy out, checked, in chunks of one compiled shape."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from jaxgen.inference import latent_paths
from jaxgen.models.base import GenerativeModel, LatentVariableModel
from jaxgen.models.colorizer import Colorizer
from jaxgen.types import Params, Stats

Labels = Any  # integers [N], one integer for all, or None

CHUNK, SMALL_CHUNK = 1000, 100  # examples a call


class TrainedModel:
    """An algorithm with its parameters.

    Attributes:
      config: the config that it was trained with, as a plain dict.
      step: how many updates it has had.
      metrics: what `results.json` says of it, {} before the evaluation.
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
        self.config, self.step, self.metrics = config or {}, step, metrics or {}
        if isinstance(model, Colorizer):
            self._colorize = jax.jit(model.colorize)
        if isinstance(model, LatentVariableModel):
            self._encode = jax.jit(model.encode)
            self._encode_mean = jax.jit(model.encode_mean)
            self._decode = jax.jit(model.decode)
            self._predict_category = jax.jit(model.predict_category)
            self._sample_prior = jax.jit(model.sample_prior, static_argnums=1)

    def encode(self, images: ArrayLike, labels: Labels = None, seed: int = 0) -> Float[np.ndarray, "N Z"]:
        """The codes of images [N, H, W, C] in [0, 1]; `seed` fixes the draw of an encoder that is stochastic.

        Raises:
          ValueError: the images have another shape, range or dtype than the model was trained on.
        """
        self.require_encoder()
        images = self._checked_images(images)
        labels = self._labels(labels, len(images))
        return self._in_chunks(self._encode, images, labels, jax.random.key(seed))

    def encode_mean(self, images: ArrayLike, labels: Labels = None) -> Float[np.ndarray, "N Z"]:
        """The codes of images without an encoder's noise, which what follows below starts from.

        Raises:
          ValueError: the family has no code, or the images are not as for `encode`.
        """
        self.require_encoder()
        images = self._checked_images(images)
        return self._in_chunks(self._encode_mean, images, self._labels(labels, len(images)))

    def decode(self, codes: ArrayLike, labels: Labels = None) -> Float[np.ndarray, "N H W C"]:
        """The images in [0, 1] of codes [N, Z] under labels [N], or under one label for all.

        Raises:
          ValueError: the codes have another size, or a label is missing or out of range.
        """
        self.require_latent()
        codes = np.asarray(codes, np.float32)
        if codes.ndim != 2 or codes.shape[1] != self.model.latent_size:
            raise ValueError(f"codes of shape {codes.shape} must be [N, {self.model.latent_size}]")
        labels = self._labels(labels, len(codes), self.model.is_conditional)
        return self._in_chunks(self._decode, codes, labels)

    def sample(
        self, count: int, labels: Labels = None, seed: int = 0, sampler: Any = None
    ) -> Float[np.ndarray, "N H W C"]:
        """Decodes `count` codes drawn from the prior, or by a sampler of `jaxgen.samplers`: [count, H, W, C]."""
        return self.decode(self.sample_codes(count, seed, sampler), labels)

    def reconstruct(self, images: ArrayLike, labels: Labels = None) -> Float[np.ndarray, "N H W C"]:
        """Decodes the images' codes, without an encoder's noise; without labels, under the category that it reads."""
        labels = self.resolve_labels(images, labels)
        return self.decode(self.encode_mean(images, labels), labels)

    def colorize(self, images: ArrayLike) -> Float[np.ndarray, "N H W 3"]:
        """The colours of grey images [N, H, W, 1] in [0, 1], by a colorizer: [N, H, W, 3].

        Raises:
          ValueError: the family does not colour, or the images are not of the size and range that it was trained on.
        """
        if not isinstance(self.model, Colorizer):
            raise ValueError(f"{type(self.model).__name__} does not colour; train configs/colorizer.py")
        images = self._checked_images(images, channels=1)
        unknown = np.full(len(images), -1, np.int32)
        return self._in_chunks(lambda *args: self._colorize(*args[:3]), images, unknown)

    # What lies among the codes, by `jaxgen.latent`. Images are single ones, [H, W, C], where a name is in the singular.

    def interpolate(
        self, image_a: ArrayLike, image_b: ArrayLike, interior: int = 7, spherical: bool = False, labels: Labels = None
    ) -> Float[np.ndarray, "{interior}+2 H W C"]:
        """Decodes a path between the codes of two images, both ends included.

        A decoder that needs a label is told that of the nearer image: `labels` are the two of them, or one for both.
        A code of bits has its differing bits flipped one after another, `spherical` or not.
        """
        images = np.stack([image_a, image_b])
        labels = self.resolve_labels(images, labels)
        return self.interpolate_codes(*self.encode_mean(images, labels), interior, spherical, labels)

    def interpolate_codes(
        self, code_a: ArrayLike, code_b: ArrayLike, interior: int = 7, spherical: bool = False, labels: Labels = None
    ) -> Float[np.ndarray, "{interior}+2 H W C"]:
        """Decodes a path between two codes, as `interpolate` does."""
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
        """Decodes the code of an image with one dimension at a time moved: a row is a dimension, its middle the code.

        Each goes from -reach·std to +reach·std of where the code lies, all of them by default; `std` is the prior's by
        default. A code of bits has rows of two: the code, and the code with that bit flipped.
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
        """Decodes a closed walk through `anchors` codes of the prior, or of a sampler, to be played in a loop."""
        self.require_latent()
        path = latent_paths.bit_interpolation if self.model.has_binary_latent else latent_paths.slerp
        return self.decode(
            latent_paths.closed_latent_walk(self.sample_codes(anchors, seed, sampler), between, path), label
        )

    def attribute_vector(self, images: ArrayLike, has_it: ArrayLike, labels: Labels = None) -> Float[np.ndarray, " Z"]:
        """The direction of an attribute: the mean code of images that have it less that of those that do not."""
        return latent_paths.attribute_direction(self.encode_mean(images, labels), np.asarray(has_it, bool))

    def apply_direction(
        self,
        images: ArrayLike,
        direction: ArrayLike,
        strengths: Sequence[float | int] | np.ndarray,
        labels: Labels = None,
    ) -> Float[np.ndarray, "N S H W C"]:
        """Decodes the codes of images moved along a direction by so many times its length; bits, to the nearer one."""
        labels = self.resolve_labels(images, labels)
        codes = self.encode_mean(images, labels)
        codes = codes[:, None] + np.asarray(strengths, np.float32)[:, None] * np.asarray(direction, np.float32)
        codes = (codes > 0.5).astype(np.float32) if self.model.has_binary_latent else codes
        return self._decode_grid(codes, labels)

    def predict_category(self, images: ArrayLike) -> Int[np.ndarray, " N"]:
        """The category that the encoder reads from each image: a class, or a cluster.

        Raises:
          ValueError: the family reads none, or the images are not as for `encode`.
        """
        self.require_latent()
        if not self.model.predicts_category:
            raise ValueError(f"{type(self.model).__name__} reads no category from an image")
        images = self._checked_images(images)
        return self._in_chunks(lambda *args: self._predict_category(*args[:3]), images, self._labels(None, len(images)))

    def sample_prior(self, count: int, seed: int = 0) -> Float[np.ndarray, "{count} Z"]:
        """Codes drawn from the prior."""
        self.require_latent()
        return np.asarray(self._sample_prior(jax.random.key(seed), count))

    def sample_codes(self, count: int, seed: int = 0, sampler: Any = None) -> Float[np.ndarray, "{count} Z"]:
        """Codes drawn by a sampler of `jaxgen.samplers`; from the prior without one."""
        if count < 0:
            raise ValueError(f"count={count} must be at least 0, the number of codes to draw")
        return self.sample_prior(count, seed) if sampler is None else sampler.sample(count, seed)

    def resolve_labels(self, images: ArrayLike, labels: Labels = None) -> Labels:
        """The labels as given; without any, the category that the encoder reads from each image, if it reads one."""
        predicts = isinstance(self.model, LatentVariableModel) and self.model.predicts_category
        return self.predict_category(images) if labels is None and predicts else labels

    def require_latent(self) -> None:
        if not isinstance(self.model, LatentVariableModel):
            name = type(self.model).__name__
            raise ValueError(f"{name} has no code to draw, move or interpolate; it colours: model.colour(images)")

    def require_encoder(self) -> None:
        self.require_latent()
        if not self.model.has_encoder:
            name = type(self.model).__name__
            raise ValueError(f"{name} encodes no images; it draws them: model.sample(count), model.decode(codes)")

    def _decode_grid(self, codes: Float[np.ndarray, "R S Z"], labels: Labels) -> Float[np.ndarray, "R S H W C"]:
        """Decodes rows of codes; `labels` are one for each row, one for all, or None."""
        rows, columns, size = codes.shape
        if labels is not None:
            labels = np.repeat(np.broadcast_to(labels, rows) if np.size(labels) == 1 else labels, columns)
        images = self.decode(codes.reshape(-1, size), labels)
        return images.reshape(rows, columns, *images.shape[1:])

    def _checked_images(self, images, channels: int | None = None) -> np.ndarray:
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

    def _labels(self, labels, count: int, needed: bool = False) -> np.ndarray:
        classes = self.model.num_conditions
        if labels is None:
            if needed:
                raise ValueError(f"labels are missing: {type(self.model).__name__} decodes a code under a label")
            return np.full(count, -1, np.int32)
        labels = np.asarray(labels)
        if labels.size and not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels of dtype {labels.dtype} must be integers in [0, {classes})")
        if (wrong := labels[(labels < 0) | (labels >= classes)]).size:
            raise ValueError(f"label {wrong[0]} must lie in [0, {classes})")
        labels = np.broadcast_to(labels, (count,)) if labels.ndim == 0 else labels
        if labels.shape != (count,):
            raise ValueError(f"labels of shape {labels.shape} must be [{count}], one for each example")
        return labels.astype(np.int32)

    def _in_chunks(self, compiled: Callable, first: np.ndarray, labels: np.ndarray, rng=None) -> np.ndarray:
        """Applies a compiled map to padded chunks, so that it compiles for at most two sizes; each draws its noise."""
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
