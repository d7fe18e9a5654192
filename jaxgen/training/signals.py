"""TODO: jaxgen.training.signals."""

import logging
import signal

log = logging.getLogger("jaxgen")


class Interrupted(RuntimeError):  # noqa: N818 (not a fault: the run was asked to stop)
    """Training stopped because a signal asked it to; everything is saved."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"{signal.Signals(signum).name}: saved at step {step}; the same command resumes")
        self.signum = signum


class StopSignals:
    """Notes SIGTERM and Ctrl-C for the loop to act on between two dispatches; a second one acts at once."""

    def __init__(self):
        self.signum = 0
        self._before = {}

    def __enter__(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def _note(self, signum, frame):
        del frame
        log.info("%s: saving and leaving after this dispatch", signal.Signals(signum).name)
        self.signum = signum
        signal.signal(signum, self._before[signum])

    def __exit__(self, *exc):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
