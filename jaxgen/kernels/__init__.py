"""Fast forms of library functions, mostly for CPUs.

Each module names the library call that it replaces as its reference. `JAXGEN_REFERENCE_KERNELS=1` in the environment
makes every kernel run its reference, to read, debug and bisect a program without the fast forms.
"""

from jaxgen.kernels.switch import use_reference

__all__ = ["use_reference"]
