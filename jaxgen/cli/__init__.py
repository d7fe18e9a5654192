"""TODO: jaxgen.cli."""
