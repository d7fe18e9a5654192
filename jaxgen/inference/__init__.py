"""TODO: jaxgen.inference."""
