"""The switch between the fast kernels and the library calls that they replace."""

import os
from collections.abc import Callable
from functools import wraps

REFERENCE_VARIABLE = "JAXGEN_REFERENCE_KERNELS"


def use_reference() -> bool:
    """Returns whether kernels run the library calls that they replace.

    Kernels ask while JAX traces them. A function that is compiled already keeps the form that it was traced with.
    """
    return os.environ.get(REFERENCE_VARIABLE, "0") not in ("", "0")


def replaces(reference: Callable) -> Callable[[Callable], Callable]:
    """Makes a function a kernel: its calls run `reference`, with the same arguments, where the switch says so.

    Args:
      reference: the library call, or a few of them, with the same signature and result.

    Returns:
      A decorator. The decorated function has both forms as its attributes `fast` and `reference`.
    """

    def make_kernel(fast: Callable) -> Callable:
        @wraps(fast)
        def kernel(*args, **kwargs):
            return (reference if use_reference() else fast)(*args, **kwargs)

        kernel.fast, kernel.reference = fast, reference
        return kernel

    return make_kernel
