"""DCGAN (Radford et al. 2016): strided convolutions for images of 28, 32, 64 … pixels, gray or color.

    python launch.py --config=configs/dcgan.py                    bundled digits
    python launch.py --config=configs/dcgan.py:mnist              MNIST
    python launch.py --config=configs/dcgan.py:mnist,conditional  conditional on the digit
    python launch.py --config=configs/dcgan.py:faces --config.data.path=DIR   any folder of images, resized to 64 × 64

The number of layers follows from the size of the images, the channels of the layer next to the image from
--config.base_channels. Presets: a data set (digits, mnist, …), faces, conditional, batch_norm (the paper's networks and
rates: batch normalization in the critic too, no penalty), smoke.
"""

from jaxgen.config.families import color_faces_layers, gan_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    available = {"mnist": mnist, "faces": faces, "conditional": conditional, "batch_norm": batch_norm}
    return apply_presets(digits(), presets, available | {"smoke": smoke_test})


def digits():
    """Returns the recipe for the bundled digits, 105 epochs."""
    config = gan_config("gan.GAN")
    config.batch_size = 64
    config.steps, config.eval_every, config.checkpoint_every = 2300, 500, 500
    config.log_every = 20  # an epoch has 22 steps, so snapshots of an epoch are close to its end
    config.latent_size = 50
    config.dense_units = 256  # without it strokes are right, but not digits
    config.kernel_init = "he_normal"
    config.learning_rates = {"critic": 1e-3, "generator": 2e-3}
    config.b1, config.lr_schedule = 0.0, "cosine"
    # With an R1 weight of 1 the critic memorizes the 1,400 images and wins.
    config.r1_weight, config.ema_decay = 10.0, 0.99
    return config


def mnist(config):
    """23 epochs."""
    config.steps, config.r1_weight, config.ema_decay = 20_000, 1.0, 0.999
    config.log_every, config.eval_every, config.checkpoint_every = 100, 2000, 2000


def faces(config):
    """Color images of 64 × 64 pixels from a folder; 20 epochs of 9,600."""
    layers = color_faces_layers(config)
    config.generator_layers = layers["generator"]
    # Without augmentation and minibatch_std the critic wins, and the samples are faces of one pose. A critic with batch
    # normalization ignores the contrast of a batch, and sometimes destabilizes the generator.
    config.critic_layers = (*layers["critic_augmentation"], *layers["features"], *layers["critic"], ("minibatch_std",))
    config.kernel_init, config.r1_weight = "he_normal", 0.2
    config.latent_size, config.dense_units = 128, 0
    config.log_every, config.steps, config.eval_every, config.checkpoint_every = 100, 6000, 500, 1000
    # With 4e-4 for the generator, colors and eyes have not converged by the end.
    config.learning_rates.update({"critic": 4e-4, "generator": 1e-3})
    config.ema_decay = 0.998


def conditional(config):
    """Conditional on the label."""
    config.model = "gan.ConditionalGAN"


def batch_norm(config):
    """The paper's networks and learning rates."""
    config.generator_layers = config.critic_layers = ()
    config.critic_batch_norm, config.r1_weight = True, 0.0
    config.dense_units, config.kernel_init = 0, "dcgan"
    config.b1, config.lr_schedule = 0.5, "constant"
    config.learning_rates.update({"critic": 2e-4, "generator": 2e-4})
