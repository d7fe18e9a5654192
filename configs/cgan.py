"""The GAN that is told the label: draws the digit that is asked for.

    python launch.py --config=configs/cgan.py                 bundled digits
    python launch.py --config=configs/cgan.py:mnist           MNIST
    python launch.py --config=configs/dcgan.py:mnist,conditional   the same of convolutions

Mirza & Osindero 2014. It is `gan.py:conditional`: the generator sees the label beside its code, the critic by
projection (Miyato & Koyama 2018). Tokens: those of `gan.py`.
"""

from configs import gan


def get_config(tokens: str = ""):
    """The recipe, for a comma-separated list of tokens."""
    return gan.get_config(f"conditional,{tokens}")
