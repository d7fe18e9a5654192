"""Convolutional autoencoder with a code of 8 × 2 × 2 numbers.

    python launch.py --config=configs/conv_ae.py                  bundled digits
    python launch.py --config=configs/conv_ae.py:mnist            MNIST
    python launch.py --config=configs/conv_ae.py:mnist,tutorial   the tutorials' recipe, for the same number of epochs

Presets: a data set (digits, mnist, …), tutorial, smoke.
"""

from jaxgen.config.families import autoencoder_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = autoencoder_config("autoencoder.Autoencoder")
    config.latent_size = 32
    config.batch_size = 128
    config.steps, config.eval_every, config.checkpoint_every = 1500, 500, 500
    config.hidden_sizes = ()
    config.encoder_layers = (("space_to_depth", 4), ("conv", 32, 3, 1, 1), ("relu",), ("conv", 32, 3, 2, 1), ("relu",))
    config.decoder_layers = (
        *(("seed", 4, 32), ("relu",), ("conv", 32, 3, 1, 1), ("relu",)),
        *(("conv", 16, 3, 1, 1), ("depth_to_space", 4)),
    )
    return apply_presets(config, presets, {"mnist": mnist, "tutorial": tutorial, "smoke": smoke_test})


def mnist(config):
    """10 of the tutorials' 100 epochs."""
    config.steps = 4300
    config.eval_every = config.checkpoint_every = 1000


def tutorial(config):
    """The published layers; pixels in [-1, 1] by a tanh, Adam at a constant 1e-3 with an L2 penalty of 1e-5."""
    config.encoder_layers = (
        *(("conv", 16, 3, 3, 1), ("relu",), ("pool", 2, 2)),
        *(("conv", 8, 3, 2, 1), ("relu",), ("pool", 2, 1)),
    )
    config.decoder_layers = (
        *(("reshape", 2, 2, 8), ("conv_transpose", 16, 3, 2, 0), ("relu",)),
        *(("conv_transpose", 8, 5, 3, 1), ("relu",), ("conv_transpose", 1, 2, 2, 1)),
    )
    config.pixel_loss, config.pixel_range, config.weight_decay = "mse", "-1_1", 1e-5
    config.lr_schedule, config.kernel_init = "constant", "torch"
