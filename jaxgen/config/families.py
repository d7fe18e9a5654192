"""The keys of each model family. A recipe calls one of these functions, then changes values and adds its own keys."""

from ml_collections import ConfigDict

from jaxgen.config.base import base_config


def add_network_keys(config: ConfigDict, hidden: tuple[int, ...]) -> None:
    """Adds the keys from which `models/builders.py` builds an encoder and a decoder.

    Args:
      config: changed in place.
      hidden: default of `hidden_sizes`.
    """
    config.hidden_sizes = hidden  # units of the encoder's hidden layers; the decoder has them in reverse order
    config.encoder_layers = config.decoder_layers = ()  # used instead of hidden_sizes; see networks/layer_stack.py
    config.base_channels = 0  # or a convolutional network, with this number of channels next to the image
    config.dropout_rate = 0.0  # fraction of hidden units that are dropped in training
    config.linear_skip = False  # adds a linear map from input to output beside the hidden layers
    config.kernel_init = "he_normal"  # or "lecun_normal", "torch" (PyTorch's default), "dcgan" (normal, std 0.02)


def autoencoder_config(model: str) -> ConfigDict:
    """Returns the keys of the models in `models/autoencoder.py`, for the bundled digits."""
    config = base_config(model)
    config.steps = 3000
    config.eval_every = config.checkpoint_every = 1000
    config.best_metric = "mse"
    config.latent_size = 2  # dimensions of the code
    add_network_keys(config, hidden=(500, 500))
    config.pixel_loss = "bce"  # or "mse"
    config.pixel_range = "0_1"  # pixels in [0, 1], decoder ends in a sigmoid; "-1_1": in [-1, 1], in a tanh
    config.input_noise_std = 0.0  # std of Gaussian noise on the encoder's input in training
    config.mask_ratio = 0.0  # fraction of the encoder's input pixels that are set to black in training
    config.latent_noise_std = 0.0  # std of Gaussian noise on the code in training
    config.update_order = "simultaneous"  # or "alternating": each player sees the updates before its own
    config.learning_rates = {"reconstruction": 1e-3}  # Adam
    config.weight_decay = 0.0  # L2 penalty, added to the gradient
    config.lr_schedule = "cosine"  # to 2% of the rate at the last step; or "constant"
    return config


def vae_config(model: str) -> ConfigDict:
    """Returns the keys of the models in `models/vae.py`, for the bundled digits."""
    config = base_config(model)
    config.steps = 6000
    config.eval_every = config.checkpoint_every = 2000
    config.best_metric = "negative_elbo"
    config.latent_size = 20  # dimensions of the code
    add_network_keys(config, hidden=(400, 400))
    # "bernoulli", or "gaussian" with standard deviation decoder_std; "auto": "bernoulli" for binarized images and sets
    # whose protocol is binary, "gaussian" for other images.
    config.likelihood = "auto"
    config.decoder_std = 0.1  # standard deviation of the Gaussian likelihood
    config.learned_std = False  # learns the standard deviation, which starts at decoder_std
    # Encodes and decodes the difference to a learned mean image; for the Gaussian likelihood.
    config.subtract_learned_mean = False
    config.beta = 1.0  # weight of the KL
    config.free_bits = 0.0  # nats per dimension below which the KL costs nothing
    config.num_importance_samples = 1  # more than 1: the importance-weighted bound (IWAE)
    config.input_noise_std = 0.0  # std of Gaussian noise on the encoder's input in training
    config.update_order = "simultaneous"  # or "alternating": each player sees the updates before its own
    config.learning_rates = {"elbo": 1e-3, "kl": 0.0}  # Adam; kl=0: the KL is a term of the elbo, without a player
    config.lr_schedule = "cosine"  # to 2% of the rate at the last step; or "constant"
    return config


def gan_config(model: str) -> ConfigDict:
    """Returns the keys of the models in `models/gan.py`, for the bundled digits."""
    config = base_config(model)
    config.best_metric = "frechet_distance"
    config.latent_size = 100  # dimensions of the code
    # See networks/layer_stack.py; empty: the layers of a DCGAN with base_channels.
    config.generator_layers = config.critic_layers = ()
    config.base_channels = 32  # channels of the layers next to the image; each halving of the side doubles them
    config.dense_units = 0  # units of a dense layer at the latent end of a DCGAN; 0 for no such layer
    config.critic_batch_norm = False  # batch normalization in the critic of a DCGAN
    config.spectral_norm = False  # spectral normalization of the critic
    config.kernel_init = "dcgan"  # normal, std 0.02; or "he_normal", "lecun_normal", "torch" (PyTorch's default)
    config.gan_loss = "non_saturating"  # or "least_squares", "hinge", "wasserstein"; see losses/adversarial.py
    config.critic_steps = 1  # updates of the critic per update of the generator, each on its own part of the batch
    config.r1_weight = 0.0  # weight of half the critic's squared gradient norm at real images
    config.wgan_gp_weight = 0.0  # weight of (gradient norm - 1)² between real and generated images
    config.ema_decay = 0.999  # of the moving average of the generator's parameters; 0 for no average
    config.update_order = "simultaneous"  # or "alternating": each player sees the updates before its own
    config.learning_rates = {"critic": 3e-4, "generator": 3e-4}  # Adam
    config.b1 = 0.5  # of Adam
    config.lr_schedule = "constant"  # or "cosine", to 2% of the rate at the last step
    config.snapshot_epochs = (1, 15, 30, 50, 70, 100)  # after these epochs, the same codes are decoded into a figure
    return config


def vaegan_config() -> ConfigDict:
    """Returns the keys of `models/vaegan.py`, for the bundled digits."""
    config = base_config("vaegan.VAEGAN")
    config.best_metric = "kernel_distance"
    config.latent_size = 16  # dimensions of the code; with 128, few samples look like digits
    # See networks/layer_stack.py; empty: convolutional networks with base_channels.
    config.encoder_layers = config.decoder_layers = ()
    config.feature_layers = config.critic_layers = ()  # in the same form
    config.base_channels = 32  # channels of the layers next to the image; each halving of the side doubles them
    config.dense_units = 256  # units of a dense layer at the latent end; 0 for no such layer
    config.spectral_norm = False  # spectral normalization of the critic and of its features
    config.kernel_init = "he_normal"  # or "lecun_normal", "torch" (PyTorch's default), "dcgan" (normal, std 0.02)
    config.gan_loss = "non_saturating"  # or "least_squares", "hinge", "wasserstein"; see losses/adversarial.py
    config.beta = 15.0  # weight of the KL
    config.gamma = 1e-5  # weight of the feature error in the decoder's loss
    config.feature_std = 0.0  # standard deviation of the features' Gaussian; 0: estimated from the batch
    # Gives each dimension of a batch of codes the prior's mean and variance.
    config.standardize_latents = True
    config.dip_vae_weight = 10.0  # weight of the squared covariances between dimensions of standardized codes
    config.opponent_color_gains = ()  # (3.0, 6.0): color contrast weighs as much as brightness in the critic's input
    config.equilibrium = 0.68  # cross-entropy, in nats, at which critic and decoder are balanced
    config.margin = 0.0  # 0.4: a player that is further ahead than this skips its update; 0: none ever does
    config.r1_weight = 3.0  # weight of the critic's squared gradient norm at real images
    config.ema_decay = 0.99  # of the moving average of encoder and decoder, used outside of training; 0 for none
    config.update_order = "simultaneous"  # or "alternating": each player sees the updates before its own
    config.optimizer = "adam"  # or "rmsprop", as in the paper
    config.learning_rates = {"encoder": 1e-3, "decoder": 2e-3, "critic": 1e-3}  # one per player
    config.b1 = 0.0  # of Adam
    config.momentum = 0.0  # of RMSProp
    config.lr_schedule = "cosine"  # to 2% of the rate at the last step; or "constant"
    return config


def color_faces_layers(config: ConfigDict) -> dict[str, tuple[tuple, ...]]:
    """Sets the keys that GANs of color images of 64 × 64 pixels from a folder share, and returns their layers.

    A DCGAN (Radford et al. 2016) with changes:

    - The generator uses per-image normalization, so that the EMA of its parameters needs no batch statistics.
    - Kernels are blurred on upsampling, and the critic starts with space_to_depth. Free kernels that double the side,
      or a first layer whose strides cover pixels unevenly, leave a grid pattern in the samples.
    - "critic_augmentation" weakens a critic that would otherwise win early.

    Args:
      config: changed in place.

    Returns:
      The layers of "generator", "critic_augmentation", "features" and "critic".
    """
    config.data.update({"source": "folder", "name": "faces", "image_size": 64, "channels": 3})
    config.random_flip = True
    config.batch_size, config.kernel_init = 32, "dcgan"
    leaky_relu, norm_and_relu = ("leaky_relu", 0.2), (("group_norm", 8), ("relu",))
    up = "blur_conv_transpose"
    upsampling = [layer for width in (128, 64, 32) for layer in ((up, width, 4, 2, 1), *norm_and_relu)]
    downsampling = [layer for width in (128, 256) for layer in (("conv", width, 4, 2, 1), leaky_relu)]
    return {
        "generator": (("seed", 16, 256), *norm_and_relu, *upsampling, (up, 3, 4, 2, 1)),
        "critic_augmentation": (("shift", 8), ("cutout", 0.5)),
        "features": (("space_to_depth", 2), ("conv", 32, 3, 1, 1), leaky_relu, ("conv", 64, 4, 2, 1)),
        "critic": (leaky_relu, *downsampling),
    }
