"""The models in PyTorch, written as peers of `jaxgen.models`, and the comparison of their speed."""
