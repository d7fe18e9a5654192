"""Variational autoencoder of faces, 30 × 30 gray pixels, with ten latent dimensions (Kingma & Welling 2014).

    python launch.py --config=configs/anime_vae.py --config.data.path=FACES          fully connected
    python launch.py --config=configs/anime_vae.py:conv --config.data.path=FACES     convolutional
    python launch.py --config=configs/anime_vae.py:digits                            the same on the bundled digits

FACES is a folder of images, which are resized to 30 × 30 pixels (--config.data.image_size). Figures: 18 faces and their
reconstructions, interpolations with 7 faces between two, 25 and 100 samples, a traversal of every latent dimension.
Presets: a data set (digits, anime_faces), conv, tutorial, smoke.
"""

from jaxgen.config.families import vae_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = vae_config("vae.VAE")
    config.data.update({"source": "folder", "name": "anime_faces", "channels": 1})
    config.steps = 4000
    config.eval_every = config.checkpoint_every = 1000
    config.best_metric = "mse"
    config.latent_size = 10
    config.hidden_sizes = (256,)
    config.linear_skip = True  # 836 faces teach little more than principal components, which ReLUs correct
    config.dropout_rate = 0.6
    config.likelihood = "gaussian"
    # A large initial std lets the KL arrange the codes before the reconstruction does.
    config.decoder_std, config.learned_std = 1.0, True
    config.subtract_learned_mean = True
    config.random_flip = True
    config.input_noise_std = 0.15
    available = {"digits": upright, "mnist": upright, "conv": conv, "tutorial": tutorial, "smoke": smoke_test}
    config = apply_presets(config, presets, available)
    config.data.image_size = 30 if config.data.name == "anime_faces" else 0
    return config


def upright(config):
    """No flips, since a mirrored digit is not a digit."""
    config.random_flip = False


def conv(config):
    """Convolutions correct the principal components; the last one only smooths the output of a dense layer."""
    config.encoder_layers = (
        *(("space_to_depth", 2), ("conv", 16, 3, 2, 1), ("relu",)),
        *(("dense", 256), ("relu",), ("dropout", 0.6)),
    )
    config.decoder_layers = (
        *(("dense", 256), ("relu",), ("dropout", 0.6)),
        *(("seed", 4, 16), ("conv", 16, 3, 1, 1), ("depth_to_space", 4)),
    )


def tutorial(config):
    """The published networks, Adam at 1e-4, 1,000 epochs of batches of 100.

    The tutorial's loss is the mean squared error of pixels from 0 to 255 plus the KL summed over the batch. It equals
    that of Gaussian pixels with a std of sqrt(100 · 900 / (2 · 255²)) = 0.83 and the KL per image. Half of the code
    stays unused.
    """
    if config.encoder_layers:
        config.encoder_layers = (
            *(("conv", 10, 5, 1, 0), ("relu",), ("pool", 2, 2), ("conv", 5, 5, 2, 1), ("relu",), ("pool", 2, 2)),
        )
        config.decoder_layers = (
            *(("dense", 45), ("relu",), ("reshape", 3, 3, 5), ("conv_transpose", 10, 4, 2, 0), ("relu",)),
            *(("conv_transpose", 3, 6, 3, 0), ("relu",), ("conv_transpose", 1, 4, 1, 0)),
        )
    config.hidden_sizes, config.linear_skip, config.dropout_rate = (512, 96, 25), False, 0.0
    config.random_flip, config.input_noise_std, config.subtract_learned_mean = False, 0.0, False
    config.decoder_std, config.learned_std = 0.83, False
    config.steps = 10_400
    config.learning_rates.elbo, config.lr_schedule, config.kernel_init = 1e-4, "constant", "torch"
