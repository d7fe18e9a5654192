"""VAE/GAN (Larsen et al. 2016): a VAE whose reconstruction error is measured on a critic's features.

    python launch.py --config=configs/vaegan.py                                        bundled digits
    python launch.py --config=configs/vaegan.py:faces --config.data.path=DIR           any folder of images, 64 × 64
    python launch.py --config=configs/vaegan.py:faces,vae --config.data.path=DIR       a VAE with the same networks
    python launch.py --config=configs/vaegan.py:faces,published --config.data.path=DIR the paper's networks and rates

The paper's networks cost 60 times as much per step as the default ones: they are for a GPU. Presets: a data set
(digits, mnist, …), faces, published, vae, smoke.
"""

from jaxgen.config.families import color_faces_layers, vae_config, vaegan_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    plain = "vae" in presets.split(",")
    config = vae_config("vae.VAE") if plain else vaegan_config()
    config.batch_size = 64
    config.steps, config.eval_every, config.checkpoint_every = (1000 if plain else 2000), 500, 500
    available = {"faces": faces, "published": published, "vae": vae, "smoke": smoke_test}
    return apply_presets(config, presets, available)


def faces(config):
    """Color images of 64 × 64 pixels from a folder; 10 epochs of 9,600."""
    layers = color_faces_layers(config)
    config.decoder_layers, config.latent_size = layers["generator"], 128
    config.steps, config.eval_every, config.checkpoint_every = 3000, 500, 1000
    if "critic_layers" in config:
        config.feature_layers = (*layers["critic_augmentation"], *layers["features"])
        config.critic_layers = (*layers["critic"], ("minibatch_std",))
        config.kernel_init, config.r1_weight, config.b1 = "he_normal", 0.2, 0.0
        config.learning_rates.update({"encoder": 1e-3, "decoder": 1e-3, "critic": 4e-4})
        config.lr_schedule, config.ema_decay = "cosine", 0.998
        # A larger beta makes mean codes short and their reconstructions smooth; with 1, samples are worse.
        config.standardize_latents, config.dip_vae_weight, config.beta, config.gamma = True, 30.0, 3.0, 5e-4
        config.opponent_color_gains = (3.0, 6.0)  # without them, hair is still mauve after 2,500 steps


def published(config):
    """The networks of the paper's table 1, its optimizer and rates, and its authors' margin for skipped updates."""
    norm_relu, relu = (("batch_norm",), ("relu",)), ("relu",)
    config.encoder_layers = (
        *(("conv", 64, 5, 2, 2), *norm_relu),
        *(("conv", 128, 5, 2, 2), *norm_relu),
        *(("conv", 256, 5, 2, 2), *norm_relu),
        *(("dense", 1024), *norm_relu),
    )
    config.decoder_layers = (
        *(("seed", 8, 256), *norm_relu),
        *(("conv_transpose", 256, 5, 2, 2, 1), *norm_relu),
        *(("conv_transpose", 128, 5, 2, 2, 1), *norm_relu),
        *(("conv_transpose", 32, 5, 2, 2, 1), *norm_relu),
        ("conv", 3, 5, 1, 2),
    )
    config.feature_layers = (
        *(("conv", 32, 5, 1, 2), relu),
        *(("conv", 128, 5, 2, 2), *norm_relu),
        *(("conv", 256, 5, 2, 2), *norm_relu),
        ("conv", 256, 5, 2, 2),
    )
    config.critic_layers = (*norm_relu, ("dense", 512), *norm_relu)
    config.batch_size, config.latent_size, config.kernel_init = 64, 128, "he_normal"
    config.feature_std, config.beta, config.gamma = 1.0, 1.0, 1e-6
    config.standardize_latents, config.dip_vae_weight, config.opponent_color_gains = False, 0.0, ()
    config.optimizer, config.momentum = "rmsprop", 0.0
    config.learning_rates.update({"encoder": 3e-4, "decoder": 3e-4, "critic": 3e-4})
    config.lr_schedule, config.ema_decay, config.r1_weight = "constant", 0.0, 0.0
    config.margin = 0.4


def vae(config):
    """A VAE with Gaussian pixels; for faces, with the same encoder and decoder."""
    config.base_channels, config.latent_size = 16, 128
    config.likelihood, config.learned_std, config.decoder_std = "gaussian", True, 0.2
    config.learning_rates.elbo, config.lr_schedule = 1e-3, "cosine"
    config.best_metric = "negative_elbo"
    config.evaluation.importance_samples = 100  # for images of 64 × 64, the usual 5,000 take hours on a CPU
