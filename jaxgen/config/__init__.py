"""TODO: jaxgen.config."""
