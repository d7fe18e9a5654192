"""TODO: jaxgen.kernels."""
