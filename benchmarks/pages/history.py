"""Tables of the laboratory notes: earlier recipes, by the commits that their rows were measured at."""

from benchmarks.pages.lines import Result, Target, comparison
from benchmarks.pages.markdown import PROVENANCE, Table
from benchmarks.pages.quality import aae_paper, gan, result_table, style_content
from benchmarks.pages.rows import Source

TRADE_OFF = ("content_accuracy", "swap_accuracy", "style_leakage", "style_consistency", "mse")
GAN_COLUMNS = ("frechet_distance", "kernel_distance", "min_class_fraction", "recall", "diversity")


def rate(value: str, metric: str) -> Source:
    """Returns the source of a metric of cond_aae:mnist on the validation split, at one rate of the adversarial loss."""
    overrides = tuple(f"steps=2500 {key}={value}" for key in ("learning_rates.adversarial", "rates.encoder"))
    return Source("separation", metric, {"presets": "mnist", "split": "validation", "overrides": overrides})


def columns(first: str, metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the columns of a comparison."""
    return (first, *(f"`{metric}`" for metric in metrics), *PROVENANCE)


def gan_at(commit: str) -> list[Source]:
    """Returns the sources of gan:mnist at a commit."""
    rows = ("gan", "gan, kernel_distance", "gan, rarest digit's share", "gan, recall", "gan, diversity")
    return [gan(row, metric, commit=commit) for row, metric in zip(rows, GAN_COLUMNS, strict=True)]


def faces_at(model: str, commit: str) -> list[Source]:
    """Returns the sources of a model of the faces at a commit, under FACES."""
    return [
        gan(f"{model}, samples", "kernel_distance", commit=commit),
        gan(f"{model}, samples, Fréchet distance", "frechet_distance", commit=commit),
        gan(f"{model}, diversity", "diversity", commit=commit),
        gan(f"{model}, recall", "recall", commit=commit),
    ]


FACES = ("kernel_distance", "frechet_distance", "diversity", "recall")
CLUSTERS = ("16 clusters", "30 clusters")
PRIORS = ("10 Gaussians, 10,000 labels", "swiss roll, 10,000 labels")
HISTORY = (
    Table(
        "cond_aae_rates",
        columns("`learning_rates.adversarial`", TRADE_OFF),
        comparison(
            {value: [rate(value, metric) for metric in TRADE_OFF] for value in ("1e-4", "2.5e-4", "5e-4", "1e-3")}
        ),
        "python -m benchmarks.quality.style_content --presets=mnist --split=validation --seeds=0 "
        "--overrides=steps=2500,learning_rates.adversarial=RATE",
        "separation",
        "`cond_aae:mnist`, 2,500 steps, validation split, seed 0.",
    ),
    Table(
        "cond_aae_rounding",
        columns("`cond_aae`, digits", TRADE_OFF),
        comparison(
            {
                commit: [style_content(metric, "", overrides="", commit=commit) for metric in TRADE_OFF]
                for commit in ("daae621", "e54aa79")
            }
        ),
        "python -m benchmarks.quality.style_content --presets=",
        "separation",
        "Test split, mean ± standard deviation over the seeds.",
    ),
    result_table(
        "semi_supervised",
        [
            Result("100 labels", aae_paper("AAE, 100 labels", "test_error"), Target("≤", 8)),
            Result("1,000 labels", aae_paper("AAE, 1,000 labels", "test_error"), Target("≤", 3)),
            Result("all labels", aae_paper("AAE, all labels", "test_error"), "no aim"),
            Result("`plain`, 100 labels", aae_paper("plain net, 100 labels", "test_error"), "baseline"),
            Result("`plain`, 1,000 labels", aae_paper("plain net, 1,000 labels", "test_error"), "baseline"),
        ],
        "python -m benchmarks.quality.aae_paper semi_supervised",
        "MNIST's test split, mean ± standard deviation over the seeds. Targets are the project's own aims.",
    ),
    Table(
        "clustering_history",
        ("`cluster_error`", *CLUSTERS, *PROVENANCE),
        comparison(
            {
                recipe: [aae_paper(f"AAE, {name}", "cluster_error", commit=commit) for name in CLUSTERS]
                for recipe, commit in (("without mutual information", "d91f9fe"), ("with it", "0d8671b"))
            }
        ),
        "python -m benchmarks.quality.aae_paper clustering",
        "paper_tables",
        "MNIST's test split, mean ± standard deviation over the seeds.",
    ),
    Table(
        "labeled_prior_history",
        ("`prior_component_accuracy`", "Result", *PROVENANCE),
        comparison(
            {
                f"{name.partition(',')[0]}, commit {commit}": [
                    aae_paper(name, "prior_component_accuracy", commit=commit)
                ]
                for name, commits in (
                    (PRIORS[0], ("5e404d1", "ba3d966", "a92b421")),
                    (PRIORS[1], ("5e404d1", "ba3d966", "e1ff852", "a92b421")),
                )
                for commit in commits
            }
        ),
        "python -m benchmarks.quality.aae_paper labeled_priors",
        "paper_tables",
        "MNIST's test split, mean ± standard deviation over the seeds.",
    ),
    Table(
        "gan_history",
        columns("`gan:mnist`", GAN_COLUMNS),
        comparison(
            {
                "two backward passes through the critic": gan_at("8289f50+dirty"),
                "one shared backward pass": gan_at("bbb4dc0"),
                "learning rates 1e-3, `r1_weight` 1": ["no row", *gan_at("9b5a01f")[1:]],
            }
        ),
        "python -m benchmarks.quality.gans mnist '--only=gan*'",
        "sample_tables",
        "The first two with learning rates 2e-3 and `r1_weight` 0.3. MNIST's test split, mean ± standard deviation.",
    ),
    Table(
        "dcgan_faces_history",
        columns("`dcgan:faces`", FACES),
        comparison(
            {
                "batch normalization, 4,000 steps": faces_at("dcgan", "97d677b, 11c0d22"),
                "batch normalization, 6,000 steps": faces_at("dcgan", "8d8a184"),
                "new critic, generator rate 4e-4": faces_at("dcgan", "d042fe4"),
                "new critic, generator rate 1e-3": faces_at("dcgan", "5fc6684"),
            }
        ),
        "python -m benchmarks.quality.gans faces '--only=dcgan*' --override=data.path=DIR",
        "sample_tables",
        "Test split, mean ± standard deviation over the seeds.",
    ),
    Table(
        "vaegan_faces_history",
        columns("`vaegan:faces`", FACES[:-1]),
        comparison(
            {
                "critic with batch normalization": faces_at("vaegan", "35e3f10, 11c0d22")[:-1],
                "critic of `dcgan:faces`, `standardize_latents`": faces_at("vaegan", "43fa9c3")[:-1],
            }
        ),
        "python -m benchmarks.quality.gans faces '--only=vaegan*' --override=data.path=DIR",
        "sample_tables",
        "Test split, mean ± standard deviation over the seeds.",
    ),
)
