"""The DCGAN: convolutions of stride 2 and their transposes, for images of 28, 32, 64 … pixels, grey or colour.

    python launch.py --config=configs/dcgan.py                    bundled digits
    python launch.py --config=configs/dcgan.py:mnist              MNIST
    python launch.py --config=configs/dcgan.py:mnist,conditional  told the digit
    python launch.py --config=configs/dcgan.py:faces --config.data.path=DIR   any folder of images, made 64 × 64

Radford et al. 2016. Tokens: a data set (digits, mnist, …), faces, conditional, batch_norm (the paper's nets and rates:
batch normalisation in the critic too, no penalty), smoke. As many layers as the images need; --config.base_channels says how
wide those next to the image are.
"""

from jaxgen.config.families import color_faces_layers, gan_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    presets = {
        "mnist": mnist,
        "faces": faces,
        "conditional": conditional,
        "batch_norm": batch_norm,
        "smoke": smoke_test,
    }
    return apply_presets(digits(), tokens, presets)


def digits():
    """The bundled digits, 105 epochs."""
    config = gan_config("gan.GAN")
    config.batch_size = 64
    config.steps, config.eval_every, config.checkpoint_every = 2300, 500, 500
    config.log_every = 20  # of 22 steps an epoch, so that pictures of an epoch are of its end
    config.latent_size = 50
    config.dense_units = 256  # without it, strokes are right and digits are not
    config.kernel_init = "he_normal"
    config.learning_rates = {"critic": 1e-3, "generator": 2e-3}
    config.b1, config.lr_schedule = 0.0, "cosine"
    config.r1_weight, config.ema_decay = (
        10.0,
        0.99,
    )  # of so few images, by an r1 of 1 the critic learns each by heart, and wins
    return config


def mnist(config):
    """23 epochs."""
    config.steps, config.r1_weight, config.ema_decay = 20_000, 1.0, 0.999
    config.log_every, config.eval_every, config.checkpoint_every = 100, 2000, 2000


def faces(config):
    """Colour images of 64 × 64 pixels out of a folder; 20 epochs of 9,600."""
    layers = color_faces_layers(config)
    config.generator_layers = layers["generator"]
    # Without these three the critic wins, and a run draws faces of one pose.
    config.critic_layers = (*layers["critic_augmentation"], *layers["features"], *layers["critic"], ("minibatch_std",))
    # A critic that normalises its batches is deaf to their contrast, and now and then throws the painter off.
    config.kernel_init, config.r1_weight = "he_normal", 0.2
    config.latent_size, config.dense_units = 128, 0
    config.log_every, config.steps, config.eval_every, config.checkpoint_every = 100, 6000, 500, 1000
    config.learning_rates.update(
        {"critic": 4e-4, "generator": 1e-3}
    )  # of 4e-4, colours and eyes have not settled by the end
    config.ema_decay = 0.998


def conditional(config):
    """Told the label."""
    config.model = "gan.ConditionalGAN"


def batch_norm(config):
    """The paper's nets and rates."""
    config.generator_layers = config.critic_layers = ()
    config.critic_batch_norm, config.r1_weight = True, 0.0
    config.dense_units, config.kernel_init = 0, "dcgan"
    config.b1, config.lr_schedule = 0.5, "constant"
    config.learning_rates.update({"critic": 2e-4, "generator": 2e-4})
