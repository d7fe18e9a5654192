"""SIGTERM and Ctrl-C during training: the loop saves a checkpoint and stops."""

import logging
import signal

log = logging.getLogger("jaxgen")


class Interrupted(RuntimeError):  # noqa: N818 (a request to stop is no error)
    """Training stopped because of a signal, after saving a checkpoint."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"{signal.Signals(signum).name}: saved at step {step}; the same command resumes")
        self.signum = signum


class StopSignals:
    """Records SIGTERM and Ctrl-C in `signum`, for the loop to act on between two dispatches.

    A second signal of the same kind has its usual effect at once.
    """

    def __init__(self):
        self.signum = 0
        self._previous = {}

    def __enter__(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._previous[signum] = signal.signal(signum, self._record)
        return self

    def _record(self, signum, frame):
        del frame
        log.info("%s: saving and stopping after this dispatch", signal.Signals(signum).name)
        self.signum = signum
        signal.signal(signum, self._previous[signum])

    def __exit__(self, *exc):
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
