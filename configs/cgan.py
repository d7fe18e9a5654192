"""Conditional GAN (Mirza & Osindero 2014) with a projection critic (Miyato & Koyama 2018).

    python launch.py --config=configs/cgan.py                      bundled digits
    python launch.py --config=configs/cgan.py:mnist                MNIST
    python launch.py --config=configs/dcgan.py:mnist,conditional   the convolutional one

The same as `gan.py:conditional`: the generator gets the label beside the code. Presets: those of `gan.py`.
"""

from configs import gan


def get_config(presets: str = ""):
    """Returns the recipe for a comma-separated list of presets."""
    return gan.get_config(f"conditional,{presets}")
