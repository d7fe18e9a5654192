"""Latent samplers fitted to the codes of the training images after training, for models whose codes miss their prior.

`load_or_fit_sampler(trained, train, name, workdir)` returns a sampler for `trained.sample(count, sampler=…)`. Samplers
do not depend on labels: for a conditional model they sample codes independently of the label.
"""

import abc
import dataclasses
import hashlib
import logging
import os
import warnings
import zipfile
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.inference.trained_model import TrainedModel
from jaxgen.io.atomic import write_npz_atomic
from jaxgen.kernels import random
from jaxgen.losses.reconstruction import gaussian_nll
from jaxgen.models.base import LatentVariableModel
from jaxgen.models.posterior import gaussian_kl
from jaxgen.networks import MLP
from jaxgen.optimization.optimizers import learning_rate_schedule
from jaxgen.types import Split

Codes = Float[np.ndarray, "N Z"]
Arrays = dict[str, np.ndarray]

PRIOR = "prior"
MAX_CODES = 20_000  # training images that a sampler is fitted to

logger = logging.getLogger("jaxgen")


@dataclasses.dataclass(frozen=True)
class LatentSampler(abc.ABC):
    """A distribution of codes.

    Attributes:
      arrays: parameters of the distribution by name.
      binary: whether codes consist of 0 and 1; samples are then rounded at 0.5.
    """

    arrays: Arrays
    binary: bool = False

    @classmethod
    @abc.abstractmethod
    def fit(cls, codes: Codes, seed: int, num_classes: int, binary: bool) -> "LatentSampler":
        """Fits a sampler to codes [N, Z]."""

    def sample(self, count: int, seed: int = 0) -> Codes:
        """Returns `count` codes, [count, Z]."""
        codes = self.sample_latents(count, np.random.default_rng(seed))
        return (codes > 0.5 if self.binary else codes).astype(np.float32)

    @abc.abstractmethod
    def sample_latents(self, count: int, rng: np.random.Generator) -> Codes:
        """Returns codes [count, Z] in any precision, before the rounding of binary codes."""


class GaussianMixtureSampler(LatentSampler):
    """Mixture of Gaussians with full covariances, fitted by EM (Ghosh et al. 2020, arXiv 1903.12436, section 4).

    Arrays: weights [M], means [M, Z] and cholesky [M, Z, Z], the lower factors of the covariances.
    """

    COMPONENTS = 10  # at least; with more classes, the number of classes
    RIDGE = 1e-6  # added to the variances, relative to the mean variance of the codes

    @classmethod
    def fit(cls, codes, seed, num_classes, binary):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        # A component with fewer codes than dimensions would have a singular covariance.
        components = int(np.clip(len(codes) // (codes.shape[1] + 1), 1, max(cls.COMPONENTS, num_classes)))
        ridge = cls.RIDGE * max(float(codes.var(axis=0).mean()), 1e-12)
        mixture = GaussianMixture(components, covariance_type="full", reg_covar=ridge, random_state=seed)
        # A fit that has not fully converged is good enough.
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            mixture.fit(codes.astype(np.float64))
        cholesky = np.linalg.cholesky(mixture.covariances_)
        return cls({"weights": mixture.weights_, "means": mixture.means_, "cholesky": cholesky}, binary)

    def sample_latents(self, count, rng):
        weights, means, cholesky = (self.arrays[name] for name in ("weights", "means", "cholesky"))
        component = rng.choice(len(weights), count, p=weights / weights.sum())
        noise = rng.standard_normal((count, means.shape[1]))
        return means[component] + np.einsum("nij,nj->ni", cholesky[component], noise)


class TwoStageVAESampler(LatentSampler):
    """A second VAE on the codes, which matches the prior better (Dai & Wipf 2019, arXiv 1903.05789, section 4).

    The second code u has the dimensions of z. p(z | u) = N(mean(u), γ² I) with a learned γ, and q(u | z) is Gaussian.
    Sampling draws u from N(0, I), then z from p(z | u). Codes are standardized first.

    Arrays: the parameters of the decoder by path, log_std (log γ), and center and scale of the codes, [Z].
    """

    HIDDEN = (256, 256)
    STEPS, BATCH, RATE = 3000, 200, 1e-3
    # With γ = 1, the std of the standardized codes, ignoring u costs nothing; uncorrelated codes would teach nothing.
    LOG_STD_AT_START = -1.0
    LOG_STD_FLOOR = -5.0  # γ → 0 if the codes lie in a subspace, and gradients grow as 1 / γ²

    @classmethod
    def fit(cls, codes, seed, num_classes, binary):
        del num_classes
        center, scale = codes.mean(axis=0), np.maximum(codes.std(axis=0), 1e-6)
        params = jax.device_get(_train_second_vae(cls, (codes - center) / scale, jax.random.key(seed)))
        arrays = flax.traverse_util.flatten_dict({"decoder": params["decoder"]}, sep="/")
        return cls({**arrays, "log_std": params["log_std"], "center": center, "scale": scale}, binary)

    def sample_latents(self, count, rng):
        center, scale = self.arrays["center"], self.arrays["scale"]
        decoder = {name: array for name, array in self.arrays.items() if name.startswith("decoder/")}
        params = flax.traverse_util.unflatten_dict(decoder, sep="/")["decoder"]
        hidden = tuple(len(params[f"Dense_{layer}"]["bias"]) for layer in range(len(params) - 1))
        u, noise = rng.standard_normal((2, count, len(center))).astype(np.float32)
        mean = MLP(hidden, (len(center),)).apply({"params": params}, jnp.asarray(u), train=False)
        std = np.exp(np.maximum(self.arrays["log_std"], self.LOG_STD_FLOOR))
        return center + scale * (np.asarray(mean) + std * noise)


def _train_second_vae(kind: type[TwoStageVAESampler], codes: Codes, rng: jax.Array) -> dict:
    """Minimizes the negative ELBO in nats per code in one compiled scan; returns the parameters and log γ."""
    size = codes.shape[1]
    encoder, decoder = MLP(kind.HIDDEN, (2, size)), MLP(kind.HIDDEN, (size,))
    tx = optax.adam(learning_rate_schedule(kind.RATE, kind.STEPS, "cosine"))

    def loss(params, z, noise):
        mean, log_std = jnp.moveaxis(encoder.apply({"params": params["encoder"]}, z, train=True), 1, 0)
        decoded = decoder.apply({"params": params["decoder"]}, mean + jnp.exp(log_std) * noise, train=True)
        log_gamma = jnp.maximum(params["log_std"], kind.LOG_STD_FLOOR)
        nll = gaussian_nll(decoded / jnp.exp(log_gamma), z / jnp.exp(log_gamma)) + size * log_gamma
        return (nll + gaussian_kl(mean, 2 * log_std)).mean()

    @jax.jit
    def train(data, rng):
        def step(state, rng):
            params, opt_state = state
            batch_rng, noise_rng = jax.random.split(rng)
            z = data[jax.random.randint(batch_rng, (kind.BATCH,), 0, len(data))]
            gradient = jax.grad(loss)(params, z, random.normal(noise_rng, z.shape))
            updates, opt_state = tx.update(gradient, opt_state)
            return (optax.apply_updates(params, updates), opt_state), None

        encoder_rng, decoder_rng, steps_rng = jax.random.split(rng, 3)
        params = {
            "encoder": encoder.init(encoder_rng, data[:1], train=False)["params"],
            "decoder": decoder.init(decoder_rng, data[:1], train=False)["params"],
            "log_std": jnp.asarray(kind.LOG_STD_AT_START),
        }
        return jax.lax.scan(step, (params, tx.init(params)), jax.random.split(steps_rng, kind.STEPS))[0][0]

    return train(jnp.asarray(codes, jnp.float32), rng)


SAMPLERS: dict[str, type[LatentSampler]] = {"mixture": GaussianMixtureSampler, "two_stage": TwoStageVAESampler}
NAMES = (PRIOR, *SAMPLERS)


def fit_sampler(name: str, codes: Codes, seed: int = 0, num_classes: int = 1, binary: bool = False) -> LatentSampler:
    """Fits the named sampler to codes [N, Z].

    Raises:
      ValueError: the name is unknown, there are fewer than 2 codes, or a code is not finite.
    """
    if name not in SAMPLERS:
        raise ValueError(f'sampler="{name}" is unknown or needs no fit; choose one of {", ".join(SAMPLERS)}')
    if len(codes) < 2 or not np.isfinite(codes).all():
        raise ValueError(f"a sampler needs at least 2 codes, all finite; got {len(codes)}")
    return SAMPLERS[name].fit(np.asarray(codes, np.float32), seed, num_classes, binary)


def load_or_fit_sampler(
    trained: TrainedModel, train: Split, name: str, workdir: str | os.PathLike | None = None
) -> LatentSampler | None:
    """Returns the named sampler for a model; None for "prior", the prior of the model.

    It is fitted to the codes of the training images, including the noise of a stochastic encoder, because the decoder
    is trained on these. With a workdir it is saved as `samplers/NAME-STEP.npz` and loaded from there the next time.

    Raises:
      ValueError: the name is unknown, or the model has no codes or no encoder.
    """
    if name == PRIOR:
        return None
    if not isinstance(trained.model, LatentVariableModel):
        raise ValueError(f"{type(trained.model).__name__} has no codes to sample; use --sampler=prior")
    if not trained.model.has_encoder:
        raise ValueError(
            f"{type(trained.model).__name__} has no encoder, so no sampler can be fitted; use --sampler=prior"
        )
    path = None if workdir is None else Path(workdir) / "samplers" / f"{name}-{trained.step}.npz"
    saved = path and load_sampler(path, fingerprint(trained))
    if saved:
        return saved
    images, labels = train.image[:MAX_CODES].astype(np.float32) / 255, train.label[:MAX_CODES]
    logger.info("fitting the sampler %s to the codes of %s training images", name, f"{len(images):,}")
    has_labels = labels.min() >= 0 and not trained.model.predicts_category
    codes = trained.encode(images, labels if has_labels else None)
    sampler = fit_sampler(name, codes, 0, trained.model.info.num_classes, trained.model.has_binary_latent)
    if path:
        save_sampler(sampler, path, fingerprint(trained))
    return sampler


def sample_images(
    trained: TrainedModel, train: Split, name: str, count: int, seed: int = 0, labels=None
) -> Float[np.ndarray, "N H W C"]:
    """Returns `count` images from the named sampler, fitted to the training images: [count, H, W, C]."""
    return trained.sample(count, labels, seed, load_or_fit_sampler(trained, train, name))


def save_sampler(sampler: LatentSampler, path: str | os.PathLike, fitted_to: str = "") -> None:
    """Writes a sampler atomically as npz. `fitted_to` identifies the model, for `load_sampler` to compare."""
    name = next(name for name, kind in SAMPLERS.items() if type(sampler) is kind)
    write_npz_atomic(path, **sampler.arrays, about=np.array([name, fitted_to, str(int(sampler.binary))]))


def load_sampler(path: str | os.PathLike, fitted_to: str = "") -> LatentSampler | None:
    """Reads a sampler; None if it is missing, damaged, or fitted to something other than `fitted_to`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        name, identity, binary = arrays.pop("about").tolist()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return SAMPLERS[name](arrays, binary == "1") if name in SAMPLERS and identity == fitted_to else None


def fingerprint(trained: TrainedModel) -> str:
    """Returns a hexadecimal digest of parameters and statistics, which identifies a model across runs and seeds."""
    digest = hashlib.blake2b(digest_size=16)
    for array in jax.tree.leaves(jax.device_get((trained.params, trained.stats))):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
