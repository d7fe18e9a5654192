"""Tables of what the models reach, in the order of docs/: adversarial autoencoders, autoencoders, GANs."""

from benchmarks.pages.lines import RESULT_COLUMNS, Goal, Result, Target, comparison, results
from benchmarks.pages.markdown import PROVENANCE, Table
from benchmarks.pages.rows import Source

NOT_PRINTED = "not printed in the paper"
OVER_SEEDS = "Mean ± standard deviation over the seeds."


def style_content(metric: str, presets: str, **match: object) -> Source:
    """Returns the source of a metric of cond_aae with those presets, on the test split."""
    return Source("separation", metric, {"presets": presets, "split": "test"} | match)


def aae_paper(row: str, metric: str, **match: object) -> Source:
    """Returns the source of a row of `benchmarks.quality.aae_paper`."""
    return Source("paper_tables", metric, {"row": row, "metric": metric} | match)


def autoencoder(row: str, metric: str, **match: object) -> Source:
    """Returns the source of a row of `benchmarks.quality.autoencoders`."""
    return Source("autoencoder_tables", metric, {"row": row, "metric": metric} | match)


def gan(row: str, metric: str, **match: object) -> Source:
    """Returns the source of a row of `benchmarks.quality.gans`."""
    return Source("sample_tables", metric, {"row": row, "metric": metric} | match)


def result_table(name: str, lines: list[Result], command: str, note: str = "") -> Table:
    """Returns a table of results, which are all of one file."""
    return Table(name, RESULT_COLUMNS + PROVENANCE, results(lines), command, lines[0].source.file, note)


# Adversarial autoencoders

SEPARATION = ("content_accuracy", "swap_accuracy", "style_leakage", "style_consistency", "mse")
MNIST_TARGETS = {
    "content_accuracy": Target("≥", 99.5),
    "swap_accuracy": Target("≥", 99.5),
    "style_leakage": Target("≤", 15),
    "mse": Target("≤", 0.0103),
}
STYLE_CONTENT = Table(
    "style_content",
    ("Data, recipe", *(f"`{metric}`" for metric in SEPARATION), *PROVENANCE),
    comparison(
        {
            "digits, `cond_aae`": [style_content(metric, "", overrides="") for metric in SEPARATION],
            "digits, `cond_aae:tutorial`": [style_content(metric, "tutorial", overrides="") for metric in SEPARATION],
            "MNIST, `cond_aae:mnist`": [
                Goal(source, MNIST_TARGETS[metric]) if metric in MNIST_TARGETS else source
                for metric in SEPARATION
                for source in [style_content(metric, "mnist", overrides="")]
            ],
            "MNIST, `cond_aae:mnist,tutorial`": [style_content(metric, "mnist,tutorial") for metric in SEPARATION],
        }
    ),
    "python -m benchmarks.quality.style_content --presets=,tutorial,mnist,mnist+tutorial",
    "separation",
    f"Test split; `style_leakage` of chance: 10%. {OVER_SEEDS} Minutes are for one seed.",
)


def paper_row(what: str, row: str, metric: str, sign: str = "", bound: float = 0.0, published: str = "") -> Result:
    """Returns a line of the paper's tables, beside the published figure if there is one."""
    target = Target(sign, bound, f"published {published}") if sign else NOT_PRINTED
    return Result(what, aae_paper(row, metric), target)


AAE_PAPER = result_table(
    "aae_paper",
    [
        paper_row("`aae:likelihood`, Parzen window", "AAE, z 8", "parzen_log_likelihood", "≥", 340, "340 ± 2"),
        paper_row("`semi_aae`, 100 labels", "AAE, 100 labels", "test_error", "≤", 1.9, "1.90 ± 0.10"),
        paper_row("`semi_aae`, 1,000 labels", "AAE, 1,000 labels", "test_error", "≤", 1.6, "1.60 ± 0.08, recalled"),
        paper_row("`semi_aae`, all labels", "AAE, all labels", "test_error", "≤", 0.85, "0.85 ± 0.02"),
        paper_row("`semi_aae:plain`, 100 labels", "plain net, 100 labels", "test_error", "≤", 25.8, "25.80, recalled"),
        paper_row(
            "`semi_aae:plain`, 1,000 labels", "plain net, 1,000 labels", "test_error", "≤", 8.73, "8.73, recalled"
        ),
        paper_row("`cluster_aae`, 16 clusters", "AAE, 16 clusters", "cluster_error", "≤", 9.55, "9.55 ± 2.05"),
        paper_row("`cluster_aae`, 30 clusters", "AAE, 30 clusters", "cluster_error", "≤", 4.1, "4.10 ± 1.13"),
        paper_row("`aae`, 10 Gaussians, 10,000 labels", "10 Gaussians, 10,000 labels", "prior_component_accuracy"),
        paper_row("`aae`, swiss roll, 10,000 labels", "swiss roll, 10,000 labels", "prior_component_accuracy"),
        paper_row("`cond_aae`, 8,000 steps", "content", "content_accuracy"),
        paper_row("`cond_aae`, 8,000 steps", "swapped styles", "swap_accuracy"),
        paper_row("`cond_aae`, 8,000 steps", "leakage", "style_leakage"),
    ],
    "python -m benchmarks.quality.aae_paper",
    f"MNIST's test split, CPU budget. {OVER_SEEDS} Minutes are for all seeds together. "
    '"Recalled": not checked against the paper.',
)

# Autoencoders


def beside_tutorial(name: str) -> Result:
    """Returns the line of an autoencoder beside the tutorial's recipe."""
    tutorial = Target("≤", autoencoder(f"{name}, tutorial", "mse"), "the tutorial's recipe at equal epochs")
    return Result(f"`{name}:mnist`", autoencoder(name, "mse"), tutorial)


COMPONENTS = Target("<", autoencoder("10 principal components", "mse"), "10 principal components")
PUBLISHED_COLORIZER = {
    images: Target("<", autoencoder(f"published net, {images}", "color_mse"), "the published network")
    for images in ("gray originals", "VAE's faces")
}
PCA_SIGN = autoencoder("PCA-sign, 32 bits", "retrieval_map_pca_sign")
AUTOENCODERS = result_table(
    "autoencoders",
    [
        *map(beside_tutorial, ("ae", "deep_ae", "conv_ae")),
        Result("`denoising_ae:mnist`, σ 0.3", autoencoder("denoising_ae, gain", "psnr_gain"), Target("≥", 8)),
        Result(
            "`hash_ae:mnist`, 32 bits",
            autoencoder("hash_ae, 32 bits", "retrieval_map"),
            Target("≥", PCA_SIGN, "15 points above PCA-sign", offset=15),
        ),
        Result("search by pixels", autoencoder("pixels", "retrieval_map_pixels"), "baseline"),
        Result("`anime_vae`", autoencoder("anime_vae", "mse"), COMPONENTS),
        Result(
            "`anime_vae:conv`",
            autoencoder("anime_vae:conv", "mse"),
            Target("≤", autoencoder("anime_vae", "mse"), "`anime_vae`"),
        ),
        Result("`anime_vae:tutorial`", autoencoder("anime_vae:tutorial", "mse"), "baseline"),
        Result(
            "`anime_vae`, all faces, pixels 0 to 255",
            autoencoder("anime_vae, all faces, 0-255", "mse_all"),
            Target("<", 1713, "10 principal components; the author's weights: 2,073"),
        ),
        Result("`anime_vae`, of 10", autoencoder("anime_vae, active units", "active_units"), Target("≥", 9)),
        Result(
            "`anime_vae:tutorial`, of 10", autoencoder("anime_vae:tutorial, active units", "active_units"), "baseline"
        ),
        Result(
            "`colorizer`, gray originals",
            autoencoder("colorizer, gray originals", "color_mse"),
            PUBLISHED_COLORIZER["gray originals"],
        ),
        Result(
            "`colorizer`, a VAE's faces",
            autoencoder("colorizer, VAE's faces", "color_mse"),
            PUBLISHED_COLORIZER["VAE's faces"],
        ),
        Result("a VAE's faces left gray", autoencoder("uncolored, VAE's faces", "grayscale_baseline_mse"), "baseline"),
    ],
    "python -m benchmarks.quality.autoencoders reconstruction retrieval faces colors --override=data.path=DIR",
    f"Test split. {OVER_SEEDS} Minutes are for all seeds together. "
    "`colorizer` has 0.6 million parameters, the published network 90 million.",
)
IWAE = Target("≤", 87.1)
LIKELIHOOD = result_table(
    "likelihood",
    [
        Result("`vae:mnist`", autoencoder("vae, negative log-likelihood", "nll"), Target("≤", 89.8)),
        Result("`vae:mnist`", autoencoder("vae, ELBO", "elbo")),
        Result("`vae:mnist`, of 20", autoencoder("vae, active units", "active_units")),
        Result("… continued with 50 importance samples", autoencoder("vae, then 50 draws", "nll"), IWAE),
        Result("… of 20", autoencoder("vae, then 50 draws, active units", "active_units")),
        Result("`vae:mnist,weighted` from the start", autoencoder("50 draws from the start", "nll"), IWAE),
        Result("… of 50", autoencoder("50 draws from the start, active units", "active_units")),
        Result(
            "`vae:mnist,conv`",
            autoencoder("vae:conv, ELBO", "elbo"),
            Target(">", autoencoder("vae, ELBO", "elbo"), "`vae:mnist`"),
        ),
        Result("`vae:mnist,conv`, 100 samples", autoencoder("vae:conv, bound of 100 draws", "nll")),
        Result("… continued with 50 importance samples", autoencoder("vae:conv, then 50 draws", "nll"), IWAE),
        Result("… of 32", autoencoder("vae:conv, then 50 draws, active units", "active_units")),
    ],
    "python -m benchmarks.quality.autoencoders likelihood",
    "MNIST with static binarization, test split; `nll` from 5,000 importance samples an image where no other number "
    "stands. A continued run adds its steps to those of the recipe before it.",
)


def sampler(model: str, row: str, label: str, metric: str) -> Result:
    """Returns the line of a model's samples by one sampler; the prior is the one to beat."""
    prior = Target("<", autoencoder(f"{model}, prior", "frechet_distance"), "the prior's")
    has_target = row != "prior" and model != "anime_vae"
    return Result(f"`{model}`, {label}", autoencoder(f"{model}, {row}", metric), prior if has_target else "")


SAMPLERS = result_table(
    "samplers",
    [
        sampler(model, *which)
        for model in ("vae", "ae", "anime_vae")
        for which in (
            ("prior", "prior", "frechet_distance"),
            ("mixture", "Gaussian mixture", "frechet_distance_mixture"),
            ("two-stage", "second VAE", "frechet_distance_two_stage"),
        )
    ]
    + [
        Result(
            "MNIST's training images", autoencoder("training images", "frechet_distance_train_baseline"), "lower bound"
        )
    ],
    "python -m benchmarks.quality.autoencoders samplers faces --override=data.path=DIR",
    f"`vae` and `ae` of MNIST, `anime_vae` of faces; test split. {OVER_SEEDS}",
)

# GANs

SAMPLES = ("frechet_distance", "kernel_distance", "min_class_fraction", "precision", "recall", "diversity")


def gan_cells(name: str, frechet: Source | Goal | str) -> list[Source | Goal | str]:
    """Returns the cells of a GAN of MNIST, under SAMPLES."""
    rarest = gan(f"{name}, rarest digit's share", "min_class_fraction")
    others = [gan(f"{name}, {metric}", metric) for metric in ("kernel_distance", "precision", "recall", "diversity")]
    goal = rarest if name == "gan, tutorial" else Goal(rarest, Target("≥", 5))
    return [frechet, others[0], goal, *others[1:]]


GANS_MNIST = Table(
    "gans_mnist",
    ("MNIST", *(f"`{metric}`" for metric in SAMPLES), *PROVENANCE),
    comparison(
        {
            "`gan`": gan_cells("gan", "no row"),
            "`gan:tutorial`": gan_cells("gan, tutorial", gan("gan, tutorial", "frechet_distance")),
            "`dcgan`, `conv_gan`": gan_cells(
                "conv_gan, dcgan", Goal(gan("conv_gan, dcgan", "frechet_distance"), Target("<", 5.7, "`gan`"))
            ),
            "training images": [gan("training images", "frechet_distance_train_baseline"), "", "", "", "", ""],
        }
    ),
    "python -m benchmarks.quality.gans mnist",
    "sample_tables",
    f"10,000 samples against MNIST's test split. {OVER_SEEDS} "
    "`gan`'s Fréchet distance, 5.7 ± 0.4, has no recorded row.",
)
MEASURED = ("precision", "recall", "coverage", "diversity", "frechet_distance")
IMAGE_SETS = ("uniform noise", "gray images", "one training image", "training images", "trained GAN")
SAMPLE_METRICS = Table(
    "sample_metrics",
    ("Images", *(f"`{metric}`" for metric in MEASURED), *PROVENANCE),
    comparison(
        {name: [Source("sample_metrics", metric, {"images": name}) for metric in MEASURED] for name in IMAGE_SETS}
    ),
    "python -m benchmarks.quality.sample_metrics",
    "sample_metrics",
    "1,400 images each, beside the test split of the digits. An evaluation omits the first three precisions.",
)
CGAN_MNIST = result_table(
    "cgan_mnist",
    [Result("samples with the requested digit", gan("cgan, digits drawn as asked", "content_accuracy"))],
    "python -m benchmarks.quality.gans mnist '--only=cgan*'",
    f"`cgan:mnist`, 10,000 samples. {OVER_SEEDS}",
)
DCGAN_FACES = result_table(
    "dcgan_faces",
    [
        Result("`dcgan:faces`", gan("dcgan, samples, Fréchet distance", "frechet_distance")),
        Result("`dcgan:faces`", gan("dcgan, samples", "kernel_distance")),
        Result("`dcgan:faces`", gan("dcgan, diversity", "diversity"), Target(">", 0.5)),
        Result("`dcgan:faces`", gan("dcgan, precision", "precision")),
        Result("`dcgan:faces`", gan("dcgan, recall", "recall")),
        Result(
            "training images",
            gan("training images, Fréchet distance", "frechet_distance_train_baseline"),
            "lower bound",
        ),
    ],
    "python -m benchmarks.quality.gans faces '--only=dcgan*' --override=data.path=DIR",
    f"12,000 anime faces of 64 × 64 pixels: 9,600 samples against 1,200 test images. {OVER_SEEDS}",
)


def beside_vae(what: str, row: str, metric: str) -> Result:
    """Returns the line of a VAE/GAN beside the VAE with the same networks."""
    vae = Target("<", gan(f"its nets as a VAE, {row}", metric), "the same networks as a VAE")
    return Result(f"`vaegan:faces`, {what}", gan(f"vaegan, {row}", metric), vae)


VAEGAN_FACES = result_table(
    "vaegan_faces",
    [
        beside_vae("reconstructions", "reconstructions", "reconstruction_kernel_distance"),
        beside_vae("prior", "samples", "kernel_distance"),
        beside_vae("Gaussian mixture", "samples of the codes' mixture", "kernel_distance_mixture"),
        beside_vae("prior", "samples, Fréchet distance", "frechet_distance"),
        Result("`vaegan:faces`, prior", gan("vaegan, diversity", "diversity"), Target(">", 0.5)),
        Result("`vaegan:faces,vae`, prior", gan("its nets as a VAE, diversity", "diversity"), "baseline"),
        Result("`vaegan:faces`, reconstructions", gan("vaegan, reconstructions, error", "mse")),
        Result(
            "`vaegan:faces,vae`, reconstructions", gan("its nets as a VAE, reconstructions, error", "mse"), "baseline"
        ),
    ],
    "python -m benchmarks.quality.gans faces --override=data.path=DIR",
    f"Anime faces of 64 × 64 pixels, test split. {OVER_SEEDS}",
)
QUALITY = (
    *(STYLE_CONTENT, AAE_PAPER, AUTOENCODERS, LIKELIHOOD, SAMPLERS),
    *(SAMPLE_METRICS, GANS_MNIST, CGAN_MNIST, DCGAN_FACES, VAEGAN_FACES),
)
