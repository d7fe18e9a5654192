"""Starts jaxgen's command line from a clone; `python launch.py --help` explains it."""

from jaxgen.cli.main import run

if __name__ == "__main__":
    run()
