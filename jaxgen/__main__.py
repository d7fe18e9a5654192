"""Starts the command line: `python -m jaxgen --help` explains it."""

from jaxgen.cli.main import run

if __name__ == "__main__":
    run()
