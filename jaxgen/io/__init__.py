"""Files of a run and of the user's cache: atomic writes, the run folder, checkpoints, logs and versions."""
