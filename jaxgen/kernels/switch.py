"""The switch between the fast kernels and the library calls that they replace."""

import os

REFERENCE_VARIABLE = "JAXGEN_REFERENCE_KERNELS"


def use_reference() -> bool:
    """Returns whether kernels run the library calls that they replace.

    Kernels ask while JAX traces them. A function that is compiled already keeps the form that it was traced with.
    """
    return os.environ.get(REFERENCE_VARIABLE, "0") not in ("", "0")
