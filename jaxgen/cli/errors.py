"""One-line error messages for the command line. Imports no jax."""

from jaxgen.io.errors import first_line


def describe_flag_error(error: BaseException) -> str:
    """Returns one line for an error of absl or ml_collections, which put the useful part of their text last."""
    missing = next((cause for cause in (error, *error.args) if isinstance(cause, KeyError)), None)
    if missing is not None:
        key, _, hint = str(missing.args[0]).partition("\n")
        return f"""the config has no key "{key.strip("'")}"; {hint or "the recipe's file lists its keys"}"""
    lines = [line.strip() for line in str(error.args[0] if error.args else error).splitlines() if line.strip()]
    return lines[-1].removeprefix("ValueError: ") if lines else type(error).__name__


def describe_disk_error(error: OSError) -> str:
    """Returns what a failed read or write means for the run, and how to continue."""
    if error.filename is None and error.errno is None:
        return str(error)  # raised by jaxgen itself, with a full explanation
    where = f" with {error.filename}" if error.filename else ""
    return (
        f"the disk failed{where} ({error.strerror or error}); saved checkpoints are kept. Check that the disk is "
        "writable and has free space; then the same command resumes"
    )


def describe_out_of_memory(error: BaseException) -> str:
    """Returns what a full device means for the run, and how to continue."""
    return (
        f"a device's memory is full ({first_line(error)}); saved checkpoints are kept. Try a smaller "
        "--config.batch_size or smaller networks in a new --workdir. If another program uses the same GPU, try "
        "XLA_PYTHON_CLIENT_PREALLOCATE=false"
    )
