"""TODO: jaxgen.distributed."""
