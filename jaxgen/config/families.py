"""TODO: jaxgen.config.families."""

from ml_collections import ConfigDict

from jaxgen.config.base import base_config


def add_network_keys(config: ConfigDict, hidden: tuple[int, ...]) -> None:
    """The keys that `models/builders.py` builds an encoder and a decoder from."""
    config.hidden_sizes = hidden  # the encoder's; the decoder has them in reverse
    config.encoder_layers = config.decoder_layers = ()  # instead of hidden layers; see networks/stack.py
    config.base_channels = 0  # … or convolutions, so many channels next to the image, for any size
    config.dropout_rate = 0.0
    config.linear_skip = False  # a linear map beside the hidden layers
    config.kernel_init = "he_normal"


def autoencoder_config(model: str) -> ConfigDict:
    """What the recipes of `models/autoencoder.py` share, for the bundled digits."""
    config = base_config(model)
    config.steps = 3000
    config.eval_every = config.checkpoint_every = 1000
    config.best_metric = "mse"
    config.latent_size = 2
    add_network_keys(config, hidden=(500, 500))
    config.pixel_loss = "bce"  # or "mse"
    config.pixel_range = "0_1"  # pixels in [-1, 1] by a tanh, not in [0, 1] by a sigmoid
    config.input_noise_std, config.mask_ratio = 0.0, 0.0  # of the pixels that the encoder sees in training
    config.latent_noise_std = 0.0
    config.update_order = "simultaneous"
    config.learning_rates = {"reconstruction": 1e-3}  # Adam
    config.weight_decay = 0.0
    config.lr_schedule = "cosine"
    return config


def vae_config(model: str) -> ConfigDict:
    """What the recipes of `models/vae.py` share, for the bundled digits."""
    config = base_config(model)
    config.steps = 6000
    config.eval_every = config.checkpoint_every = 2000
    config.best_metric = "negative_elbo"
    config.latent_size = 20
    add_network_keys(config, hidden=(400, 400))
    config.likelihood = "bernoulli"  # or "gaussian", of std pixel_std
    config.decoder_std, config.learned_std = 0.1, False  # learned_std: pixel_std is where it begins
    config.subtract_learned_mean = (
        False  # images, Gaussian ones, are coded and drawn as distances from one learnt beside
    )
    config.beta, config.free_bits = 1.0, 0.0
    config.num_importance_samples = 1
    config.input_noise_std = 0.0  # of the pixels that the encoder sees in training
    config.update_order = "simultaneous"
    config.learning_rates = {"elbo": 1e-3, "kl": 0.0}  # Adam; kl 0: a term of the bound, no player
    config.lr_schedule = "cosine"
    return config


def gan_config(model: str) -> ConfigDict:
    """What the recipes of `models/gan.py` share, for the bundled digits."""
    config = base_config(model)
    config.best_metric = "frechet_distance"
    config.latent_size = 100
    config.generator_layers = config.critic_layers = ()  # see networks/stack.py; empty: a DCGAN's of `width`
    config.base_channels = 32  # channels of the layers next to the image; twice as many with every halving of the side
    config.dense_units = 0  # units of a dense layer at a DCGAN's other ends; 0: none
    config.critic_batch_norm = False  # batch normalisation in a DCGAN's critic
    config.spectral_norm = False  # spectral normalisation of the critic
    config.kernel_init = "dcgan"
    config.gan_loss = "non_saturating"  # or least_squares, hinge, wasserstein; see games.py
    config.critic_steps = 1  # the critic's moves for one of the generator's, each on its share of the batch
    config.r1_weight, config.wgan_gp_weight = 0.0, 0.0  # weights in the critic's loss
    config.ema_decay = 0.999  # of the generator's parameters; 0: none
    config.update_order = "simultaneous"
    config.learning_rates = {"critic": 3e-4, "generator": 3e-4}  # Adam
    config.b1 = 0.5  # Adam
    config.lr_schedule = "constant"
    config.snapshot_epochs = (1, 15, 30, 50, 70, 100)  # at whose ends the same codes are drawn again
    return config


def vaegan_config() -> ConfigDict:
    """What the recipes of `models/vaegan.py` share, for the bundled digits."""
    config = base_config("vaegan.VAEGAN")
    config.best_metric = "kernel_distance"
    config.latent_size = 16  # of 128 dimensions, few draws are digits
    config.encoder_layers = config.decoder_layers = ()  # see networks/stack.py; empty: nets of `width`
    config.feature_layers = config.critic_layers = ()
    config.base_channels = 32  # channels of the layers next to the image; twice as many with every halving of the side
    config.dense_units = 256  # units of a dense layer at their other ends; 0: none
    config.spectral_norm = False  # spectral normalisation of features and critic
    config.kernel_init = "he_normal"
    config.gan_loss = "non_saturating"
    config.beta, config.gamma = 15.0, 1e-5  # weights of the KL, and of the dissimilarity in the decoder's loss
    config.feature_std = 0.0  # of the features' Gaussian; 0: the batch's own
    config.standardize_latents = True  # codes of a batch together have the prior's mean and variance in each dimension
    config.dip_vae_weight = 10.0  # weight of the squared covariances of every two dimensions of standardised codes
    config.opponent_color_gains = ()  # (3.0, 6.0): the critic sees colours as much as brightness
    config.equilibrium, config.margin = 0.68, 0.0  # margin 0.4: a side that is further ahead than this rests
    config.r1_weight = 3.0
    config.ema_decay = 0.99
    config.update_order = "simultaneous"
    config.optimizer = "adam"  # or "rmsprop", as published
    config.learning_rates = {"encoder": 1e-3, "decoder": 2e-3, "critic": 1e-3}
    config.b1, config.momentum = 0.0, 0.0  # Adam; RMSProp
    config.lr_schedule = "cosine"
    return config


def color_faces_layers(config: ConfigDict) -> dict[str, tuple[tuple, ...]]:
    """Sets what GANs of colour images of 64 × 64 pixels out of a folder share, and returns the layers of their nets.

    DCGAN's (Radford et al. 2016) with changes. The painter normalises each image by itself, so that the running mean of
    its parameters fits what it normalises by. Free kernels that double the side, or a first layer of the critic that
    sees some pixels oftener than the next, leave a grid over what is painted. "critic_augmentation" stands before the features of
    a critic that would win early.
    """
    config.data.update({"source": "folder", "name": "faces", "image_size": 64, "channels": 3})
    config.random_flip = True
    config.batch_size, config.kernel_init = 32, "dcgan"
    leaky, normalised = ("leaky_relu", 0.2), (("group_norm", 8), ("relu",))
    up = "blur_conv_transpose"
    doubling = [layer for width in (128, 64, 32) for layer in ((up, width, 4, 2, 1), *normalised)]
    halving = [layer for width in (128, 256) for layer in (("conv", width, 4, 2, 1), leaky)]
    return {
        "generator": (("seed", 16, 256), *normalised, *doubling, (up, 3, 4, 2, 1)),
        "critic_augmentation": (("shift", 8), ("cutout", 0.5)),
        "features": (("space_to_depth", 2), ("conv", 32, 3, 1, 1), leaky, ("conv", 64, 4, 2, 1)),
        "critic": (leaky, *halving),
    }
