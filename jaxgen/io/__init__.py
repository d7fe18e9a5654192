"""TODO: jaxgen.io."""
