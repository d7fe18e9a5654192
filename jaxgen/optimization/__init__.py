"""TODO: jaxgen.optimization."""
