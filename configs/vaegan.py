"""The VAE/GAN: a variational autoencoder that is told by a critic's features what is alike.

    python launch.py --config=configs/vaegan.py                                        bundled digits
    python launch.py --config=configs/vaegan.py:faces --config.data.path=DIR           any folder of images, 64 × 64
    python launch.py --config=configs/vaegan.py:faces,vae --config.data.path=DIR       the VAE of the same nets
    python launch.py --config=configs/vaegan.py:faces,published --config.data.path=DIR the paper's nets and rates

Larsen et al. 2016 (arXiv 1512.09300). Tokens: a data set (digits, mnist, …), faces, published, vae,
smoke. The paper's nets have 60 times the work of ours: for a GPU.
"""

from jaxgen.config import colour_faces, smoke, vaegan, variational, with_tokens


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    plain = "vae" in tokens.split(",")
    config = variational("vae.VAE") if plain else vaegan()
    config.batch_size = 64
    config.steps, config.evaluate_every, config.checkpoint_every = (1000 if plain else 2000), 500, 500
    presets = {"faces": faces, "published": published, "vae": vae, "smoke": smoke}
    return with_tokens(config, tokens, presets)


def faces(config):
    """Colour images of 64 × 64 pixels out of a folder; 10 epochs of 9,600."""
    layers = colour_faces(config)
    config.decoder_layers, config.latent_size = layers["painter"], 128
    config.steps, config.evaluate_every, config.checkpoint_every = 3000, 500, 1000
    if "critic_layers" in config:
        config.feature_layers = (*layers["hindered"], *layers["features"])
        config.critic_layers = (*layers["critic"], ("batch_std",))
        config.kernel_init, config.r1, config.momentum = "he_normal", 0.2, 0.0
        config.rates.update({"encoder": 1e-3, "decoder": 1e-3, "critic": 4e-4})
        config.decay, config.average = "cosine", 0.998
        # Of a larger beta, codes' means are short and what is decoded from them smooth; of 1, samples are worse.
        config.standardised, config.decorrelation, config.beta, config.gamma = True, 30.0, 3.0, 5e-4
        config.opponent = (3.0, 6.0)  # of images as they are, hair is still mauve after 2,500 steps


def published(config):
    """The nets of the paper's table 1, its optimiser and rates, and the rule by which a side rests."""
    normalised, relu = (("batch_norm",), ("relu",)), ("relu",)
    config.encoder_layers = (
        *(("conv", 64, 5, 2, 2), *normalised),
        *(("conv", 128, 5, 2, 2), *normalised),
        *(("conv", 256, 5, 2, 2), *normalised),
        *(("dense", 1024), *normalised),
    )
    config.decoder_layers = (
        *(("seed", 8, 256), *normalised),
        *(("conv_transpose", 256, 5, 2, 2, 1), *normalised),
        *(("conv_transpose", 128, 5, 2, 2, 1), *normalised),
        *(("conv_transpose", 32, 5, 2, 2, 1), *normalised),
        ("conv", 3, 5, 1, 2),
    )
    config.feature_layers = (
        *(("conv", 32, 5, 1, 2), relu),
        *(("conv", 128, 5, 2, 2), *normalised),
        *(("conv", 256, 5, 2, 2), *normalised),
        ("conv", 256, 5, 2, 2),
    )
    config.critic_layers = (*normalised, ("dense", 512), *normalised)
    config.batch_size, config.latent_size, config.kernel_init = 64, 128, "he_normal"
    config.similarity_std, config.beta, config.gamma = 1.0, 1.0, 1e-6
    config.standardised, config.decorrelation, config.opponent = False, 0.0, ()
    config.optimizer, config.momentum = "rmsprop", 0.0
    config.rates.update({"encoder": 3e-4, "decoder": 3e-4, "critic": 3e-4})
    config.decay, config.average, config.r1 = "none", 0.0, 0.0
    config.margin = 0.4


def vae(config):
    """By the squared error of pixels; of faces, the same encoder and decoder."""
    config.width, config.latent_size = 16, 128
    config.likelihood, config.learned_std, config.pixel_std = "gaussian", True, 0.2
    config.rates.elbo, config.decay = 1e-3, "cosine"
    config.best_metric = "negative_elbo"
    config.evaluation.importance_samples = 100  # of images of 64 × 64, the usual 5,000 take hours on a CPU
