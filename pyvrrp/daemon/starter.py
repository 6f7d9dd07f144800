"""The process that waits until a daemon in the background has started."""

from __future__ import annotations

import contextlib
import os


class Starter:
    """Reads the exit status of the start from a pipe; nothing means that the daemon died."""

    def __init__(self, pipe: int | None) -> None:
        """`pipe` is the end to write to; None: nobody waits."""
        self._pipe = pipe
        if pipe is not None:
            os.set_inheritable(pipe, False)

    def tell(self, status: int) -> None:
        """Give it the status, once, and let go of its terminal."""
        if self._pipe is None:
            return
        with contextlib.suppress(BrokenPipeError):  # it has been killed
            os.write(self._pipe, bytes([status]))
        os.close(self._pipe)
        self._pipe = None
        leave_terminal()


def leave_terminal() -> None:
    """Say nothing more on standard output and standard error."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)
