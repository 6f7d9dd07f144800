"""Going to the background as keepalived does, without losing the exit status of a failed start."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

from pyvrrp.daemon.options import ExitStatus


def in_background(work: Callable[[Callable[[], None]], int]) -> int:
    """Run `work(on_up)` as a daemon: a session of its own, no terminal, working directory `/`.

    Returns twice. In the caller's process as soon as the daemon has called `on_up` (0), or has ended before that (its
    status, with a line on standard error). In the daemon's process when the work ends.
    """
    sys.stdout.flush()
    read_end, write_end = os.pipe()
    if child := os.fork():
        os.close(write_end)
        os.waitpid(child, 0)
        return _outcome(read_end)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(read_end)
    os.chdir("/")
    _redirect(0)

    caller = _Caller(write_end)
    status = work(lambda: caller.tell(ExitStatus.OK))
    caller.tell(status)
    return status


class _Caller:
    """The process that waits for the start."""

    def __init__(self, pipe: int) -> None:
        self._pipe: int | None = pipe

    def tell(self, status: int) -> None:
        """Give it the status, once, and let go of its terminal."""
        if self._pipe is None:
            return
        with contextlib.suppress(BrokenPipeError):  # it has been killed, or another process of ours has told it
            os.write(self._pipe, bytes([status]))
        os.close(self._pipe)
        self._pipe = None
        _redirect(1, 2)


def _outcome(read_end: int) -> int:
    """What the daemon wrote; nothing means that it died."""
    with open(read_end, "rb") as reader:
        written = reader.read(1)
    if written == bytes([ExitStatus.OK]):
        return ExitStatus.OK
    status = written[0] if written else ExitStatus.PROGRAM_ERROR
    why = "the system log says why, or run it with -n -l"
    print(f"pyvrrp: it did not start (exit status {status}); {why}", file=sys.stderr)
    return status


def _redirect(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)
