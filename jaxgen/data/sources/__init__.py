"""TODO: jaxgen.data.sources."""
