"""The process that waits until a daemon in the background has started."""

from __future__ import annotations

import contextlib
import os


class Starter:
    """Reads the exit status of the start from a pipe; nothing means that the daemon died."""

    def __init__(self, pipe: int | None) -> None:
        """`pipe` is the end to write to; None: nobody waits."""
        self.pipe = pipe
        if pipe is not None:
            os.set_inheritable(pipe, False)

    def __call__(self) -> None:
        """The daemon works."""
        self.tell(0)

    def tell(self, status: int) -> None:
        """Give it the status, once, and let go of its terminal."""
        if self.pipe is None:
            return
        with contextlib.suppress(BrokenPipeError):  # it has been killed
            os.write(self.pipe, bytes([status]))
        os.close(self.pipe)
        self.pipe = None
        leave_terminal()


def leave_terminal() -> None:
    """Say nothing more on standard output and standard error."""
    to_null(1, 2)


def to_null(*descriptors: int) -> None:
    """Let the descriptors lead to /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)
