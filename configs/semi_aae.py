"""Semi-supervised adversarial autoencoder (Makhzani et al. 2016, section 4): classes from few labels, and style.

    python launch.py --config=configs/semi_aae.py                                  bundled digits, 100 labels
    python launch.py --config=configs/semi_aae.py:mnist                            MNIST, 1,000 labels
    python launch.py --config=configs/semi_aae.py:mnist --config.num_labeled=100        with 100 labels; -1 for all
    python launch.py --config=configs/semi_aae.py:mnist,plain                      the same labels and encoder alone

Makhzani et al. 2016, section 4 and figure 8. Presets: a data set (digits, mnist, …), plain, plane, paper, tutorial,
smoke.
"""

from jaxgen.config.base import base_config
from jaxgen.config.presets import apply_presets, smoke_test


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    config = base_config("semi_supervised_aae.SemiSupervisedAAE")
    config.steps = 3000
    config.eval_every = config.checkpoint_every = 1000
    config.best_metric = "error"
    config.num_labeled = 100
    config.labeled_every_n = 2
    config.random_shift = 1

    config.latent_size = 10  # dimensions of the code
    config.prior_std = 1.0  # scale of the prior
    config.hidden_sizes = config.critic_hidden_sizes = (500, 500)  # units of the hidden layers
    config.dropout_rate = 0.0  # fraction of hidden units of encoder and decoder that are dropped in training
    config.kernel_init = "he_normal"  # initialization: "he_normal", "lecun_normal", "torch" or "dcgan"
    config.input_noise_std = 0.0  # std of Gaussian noise on the encoder's input in training
    config.vat_epsilon = 2.0  # norm of the perturbation of virtual adversarial training; 0: no such player
    config.straight_through_category = False  # the decoder receives the hard category, with a straight-through gradient
    config.min_head_distance = 0.0  # distance that cluster heads keep; 0: no heads
    config.supervised_only = False  # trains the classifier on labels alone

    config.update_order = "simultaneous"  # or "alternating": each player sees the updates before its own
    config.optimizer = "adam"  # or "sgd", "rmsprop"
    config.learning_rates = {  # one rate per player
        "reconstruction": 1e-3,
        "category_critic": 1e-3,
        "style_critic": 1e-3,
        "adversarial": 1e-3,
        "classification": 1e-3,
        "vat": 1e-3,
        "head_separation": 1e-2,
    }
    config.b1 = {  # Adam
        "reconstruction": 0.9,
        "category_critic": 0.5,
        "style_critic": 0.5,
        "adversarial": 0.9,
        "classification": 0.9,
        "vat": 0.9,
        "head_separation": 0.9,
    }
    config.momentum = dict.fromkeys(config.b1, 0.0)  # SGD or RMSProp
    config.lr_schedule = "cosine"  # or "step", at lr_boundaries, or "constant"
    config.lr_boundaries = ()  # steps at which "step" lowers the rate to a tenth
    config.pixel_loss = "bce"  # or "mse", the paper's half squared error
    config.conditional_style_critic = True  # the style critic receives (style, category)
    config.r1_r2_weight = 1.0  # weight of the critic's squared gradient norm at prior samples and at codes

    available = {
        "mnist": mnist,
        "plain": plain,
        "plane": plane,
        "paper": paper,
        "tutorial": tutorial,
        "smoke": smoke_test,
    }
    return apply_presets(config, presets, available)


def mnist(config):
    """Half the published width: 2.8% validation error after 5,000 steps, 6.5 minutes of one core.

    The published width, --config.hidden_sizes="(1000,1000)", has 2.8% after 3,000 steps, 12.5 minutes.
    """
    config.num_labeled = 1000
    config.learning_rates.adversarial = 3e-4
    config.steps = 10_000
    config.eval_every = config.checkpoint_every = 2500


def plain(config):
    """The baseline: a classifier trained on the labeled images alone, with dropout."""
    config.supervised_only = True
    config.labeled_every_n = 1
    config.input_noise_std, config.random_shift = 0.0, 0
    config.dropout_rate = 0.25


def plane(config):
    """Style plus cluster head in two dimensions (section 6 and figure 10)."""
    config.latent_size = 2
    config.min_head_distance = 6.0


def paper(config):
    """The recipe of the paper's appendix, as recalled: SGD with momentum, two rate drops, input noise, 5,000 epochs."""
    epoch = 550  # 55,000 training images, 100 a batch
    config.steps, config.lr_boundaries, config.lr_schedule = 5000 * epoch, (50 * epoch, 1000 * epoch), "step"
    config.eval_every = config.checkpoint_every = 50 * epoch
    config.hidden_sizes = config.critic_hidden_sizes = (1000, 1000)
    config.update_order = "alternating"
    config.conditional_style_critic, config.r1_r2_weight = False, 0.0
    config.optimizer, config.pixel_loss = "sgd", "mse"
    config.input_noise_std, config.random_shift, config.vat_epsilon = 0.3, 0, 0.0
    for name in ("reconstruction", "classification"):
        config.learning_rates[name], config.momentum[name] = 0.01 if name == "reconstruction" else 0.1, 0.9
    for name in ("category_critic", "style_critic", "adversarial"):
        config.learning_rates[name], config.momentum[name] = 0.1, 0.1


def tutorial(config):
    """The tutorials' recipe: Adam at constant rates, no augmentation, no penalty and no vat."""
    config.hidden_sizes = config.critic_hidden_sizes = (1000, 1000)
    config.update_order = "alternating"
    config.conditional_style_critic, config.r1_r2_weight = False, 0.0
    config.kernel_init = "torch"
    config.input_noise_std, config.random_shift, config.vat_epsilon = 0.0, 0, 0.0
    config.lr_schedule = "constant"
    config.learning_rates.update(dict.fromkeys(config.learning_rates, 1e-4))
