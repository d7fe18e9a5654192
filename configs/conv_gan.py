"""Convolutional GAN for images of 28 × 28 pixels (Goodfellow et al. 2014), after the tutorials.

    python launch.py --config=configs/conv_gan.py                 bundled digits
    python launch.py --config=configs/conv_gan.py:mnist           MNIST
    python launch.py --config=configs/conv_gan.py:mnist,tutorial  the tutorial's recipe

The tutorial's generator makes 56 × 56 pixels by one dense layer and halves them at the end; its critic convolves at
full size, with kernels of 5 × 5. The default networks are those of `dcgan.py`: they grow from 7 × 7 pixels and shrink
to it, at a twentieth of the cost, with a dense layer over the whole image at the other end of each. Presets: a data set
(digits, mnist, …), conditional, tutorial, smoke.
"""

from configs import dcgan
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    available = {"mnist": dcgan.mnist, "conditional": dcgan.conditional, "tutorial": tutorial, "smoke": smoke_test}
    return apply_presets(dcgan.digits(), presets, available)


def tutorial(config):
    """The published networks and learning rates: Adam at 3e-4 with b1 = 0.9, no EMA."""
    config.generator_layers = (
        *(("dense", 56 * 56), ("reshape", 56, 56, 1), ("batch_norm",), ("relu",)),
        *(("conv", 50, 3, 1, 1), ("batch_norm",), ("relu",)),
        *(("conv", 25, 3, 1, 1), ("batch_norm",), ("relu",)),
        ("conv", 1, 2, 2, 0),
    )
    config.critic_layers = (
        *(("conv", 32, 5, 1, 2), ("leaky_relu", 0.2), ("average_pool", 2, 2)),
        *(("conv", 64, 5, 1, 2), ("leaky_relu", 0.2), ("average_pool", 2, 2)),
        *(("dense", 1024), ("leaky_relu", 0.2)),
    )
    config.batch_size = 128
    config.kernel_init, config.latent_size = "torch", 100
    config.learning_rates.update({"critic": 3e-4, "generator": 3e-4})
    config.lr_schedule = "constant"
    config.update_order, config.b1, config.ema_decay, config.r1_weight = "alternating", 0.9, 0.0, 0.0
