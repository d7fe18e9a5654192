"""The table "which recipe do I need": every recipe with its purpose and its headline result."""

from typing import NamedTuple

from benchmarks.pages.lines import Cell, Goal, Target, cell_text
from benchmarks.pages.markdown import Lines, Table
from benchmarks.pages.quality import (
    COMPONENTS,
    IWAE,
    PCA_SIGN,
    PUBLISHED_COLORIZER,
    aae_paper,
    autoencoder,
    gan,
    style_content,
)
from benchmarks.pages.rows import Rows, commit_of, date_of


class Recipe(NamedTuple):
    """One recipe: its file in configs/, its purpose, and the result that stands for it."""

    name: str
    purpose: str
    metric: str
    result: Cell


def tutorial(name: str) -> Goal:
    """Returns the error of an autoencoder of MNIST, which is at most that with the tutorial's recipe."""
    return Goal(autoencoder(name, "mse"), Target("≤", autoencoder(f"{name}, tutorial", "mse"), "tutorial"))


RECIPES = (
    Recipe(
        "cond_aae",
        "separates style from label; generates any class in any style",
        "MNIST, style leakage",
        Goal(style_content("style_leakage", "mnist", overrides=""), Target("≤", 15)),
    ),
    Recipe(
        "semi_aae",
        "classifies with few labels and separates the style",
        "MNIST, error with 1,000 labels",
        Goal(aae_paper("AAE, 1,000 labels", "test_error"), Target("≤", 1.6, "paper")),
    ),
    Recipe(
        "cluster_aae",
        "clusters images without labels",
        "MNIST, error with 30 clusters",
        Goal(aae_paper("AAE, 30 clusters", "cluster_error"), Target("≤", 4.1, "paper")),
    ),
    Recipe(
        "aae",
        "gives the codes the shape of a chosen prior",
        "MNIST, codes in the Gaussian of their class",
        aae_paper("10 Gaussians, 10,000 labels", "prior_component_accuracy"),
    ),
    Recipe(
        "vae",
        "likelihoods, sampling, importance-weighted and conditional VAEs",
        "MNIST, `:conv`, negative log-likelihood",
        Goal(autoencoder("vae:conv, then 50 draws", "nll"), IWAE),
    ),
    Recipe(
        "vaegan",
        "sharp reconstructions and samples, with an encoder",
        "faces, kernel distance of samples",
        Goal(
            gan("vaegan, samples", "kernel_distance"),
            Target("<", gan("its nets as a VAE, samples", "kernel_distance"), "VAE"),
        ),
    ),
    Recipe(
        "gan",
        "fully connected GAN",
        "MNIST, kernel distance",
        Goal(
            gan("gan, kernel_distance", "kernel_distance"),
            Target("<", gan("gan, tutorial, kernel_distance", "kernel_distance"), "tutorial"),
        ),
    ),
    Recipe(
        "cgan",
        "GAN conditioned on the label",
        "MNIST, samples with the requested digit",
        gan("cgan, digits drawn as asked", "content_accuracy"),
    ),
    Recipe("conv_gan", "convolutional GAN for 28 × 28 pixels", "networks and results of `dcgan`", ""),
    Recipe(
        "dcgan",
        "convolutional GAN for any size, gray or color",
        "MNIST, Fréchet distance",
        Goal(gan("conv_gan, dcgan", "frechet_distance"), Target("<", 5.7, "`gan`")),
    ),
    Recipe("ae", "two-dimensional codes and a map of them", "MNIST, `mse`", tutorial("ae")),
    Recipe("deep_ae", "three-dimensional codes", "MNIST, `mse`", tutorial("deep_ae")),
    Recipe("conv_ae", "convolutional autoencoder, 32 numbers per code", "MNIST, `mse`", tutorial("conv_ae")),
    Recipe(
        "denoising_ae",
        "removes noise and fills in missing pixels",
        "MNIST, PSNR gain",
        Goal(autoencoder("denoising_ae, gain", "psnr_gain"), Target("≥", 8)),
    ),
    Recipe(
        "hash_ae",
        "32-bit codes for search and compression",
        "MNIST, mean average precision",
        Goal(autoencoder("hash_ae, 32 bits", "retrieval_map"), Target("≥", PCA_SIGN, "PCA-sign + 15", offset=15)),
    ),
    Recipe(
        "anime_vae",
        "VAE of 30 × 30 faces, ten numbers per code",
        "faces, `mse`",
        Goal(autoencoder("anime_vae", "mse"), COMPONENTS),
    ),
    Recipe(
        "colorizer",
        "colorizes gray images or VAE outputs",
        "faces, `color_mse`",
        Goal(autoencoder("colorizer, gray originals", "color_mse"), PUBLISHED_COLORIZER["gray originals"]),
    ),
)


def recipe_lines(rows: Rows) -> Lines:
    """Returns a line for each recipe."""
    return [[f"`{each.name}`", each.purpose, *headline(each, rows)] for each in RECIPES]


def headline(recipe: Recipe, rows: Rows) -> list[str]:
    """Returns the cells of a recipe's result and of its provenance."""
    if not recipe.result:
        return [recipe.metric, ""]
    source = recipe.result.source if isinstance(recipe.result, Goal) else recipe.result
    row = source.row(rows)
    return [f"{recipe.metric}: {cell_text(recipe.result, rows)}", f"{row['seeds']}, {commit_of(row)}, {date_of(row)}"]


RECIPE_TABLE = Table(
    "recipes",
    ("Recipe", "Purpose", "Headline result (target)", "Seeds, commit, date"),
    recipe_lines,
    "",
    "",
    "Test split, mean ± standard deviation over the seeds, one CPU core. The pages of docs/ name each command.",
)
