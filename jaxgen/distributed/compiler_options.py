"""Flags of XLA for the compiled training steps: private to XLA, so each may vanish with a new jaxlib.

An option that the installed jaxlib does not know is left out with a warning. Steps are slower without it, and compute
the same.
"""

import logging
from functools import cache
from typing import NamedTuple

import jax
import jaxlib

LOGGER = logging.getLogger("jaxgen")


class CompilerOption(NamedTuple):
    """One flag of XLA."""

    platform: str
    name: str
    value: str | bool
    effect: str
    measured: str
    jaxlib: str  # the versions whose binaries were found to have the flag


COMPILER_OPTIONS = (
    CompilerOption(
        "gpu",
        "xla_gpu_command_buffer_scheduling_mode",
        "CONCURRENT",
        effect="A step is a CUDA graph of a hundred small kernels. Independent kernels run side by side.",
        measured="cond_aae:mnist,tutorial takes 2,646 steps/s instead of 2,315 (H100).",
        jaxlib="0.10.2 to 0.12.0",
    ),
    CompilerOption(
        "cpu",
        "xla_cpu_copy_insertion_use_region_analysis",
        True,
        effect="By default a loop over steps copies every weight that a step both reads and replaces. This removes the "
        "copies.",
        measured="A step takes 0.92 (deep_ae) to 1.00 of the time, ae 0.98, cond_aae 0.99 (two cores of an EPYC).",
        jaxlib="0.10.2 to 0.12.0",
    ),
    CompilerOption(
        "cpu",
        "xla_cpu_experimental_ynn_fusion_type",
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
        effect="Convolutions run by Eigen. By default they run by YNNPACK; matrix products and reductions still do.",
        measured="A step of conv_ae, at 7 × 7 pixels, takes 0.83 of the time (two cores of an EPYC).",
        jaxlib="0.10.2 to 0.12.0",
    ),
)


@cache
def supported_options(platform: str) -> dict[str, str | bool]:
    """Returns the options for a platform by name, without those that the installed jaxlib does not know."""
    options = {option.name: option.value for option in COMPILER_OPTIONS if option.platform == platform}
    if not rejected_options(options):
        return options
    unknown = [name for name, value in options.items() if rejected_options({name: value})]
    for name in unknown:
        LOGGER.warning("jaxlib %s does not know the compiler option %s; steps run without it", jaxlib.__version__, name)
    return {name: value for name, value in options.items() if name not in unknown}


def rejected_options(options: dict[str, str | bool]) -> list[str]:
    """Returns the options that XLA names in its refusal to compile a trivial program with all of them."""
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError as error:
        return [name for name in options if name in str(error)]
    return []
