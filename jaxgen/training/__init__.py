"""TODO: jaxgen.training."""
