"""TODO: jaxgen.losses."""
