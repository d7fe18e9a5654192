"""TODO: jaxgen.evaluation."""
