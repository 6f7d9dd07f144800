"""Going to the background as keepalived does, without losing the exit status of a failed start."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pyvrrp.daemon.options import ExitStatus
from pyvrrp.daemon.starter import Starter, to_null


def in_background(work: Callable[[Starter], int]) -> int:
    """Run `work(starter)` as a daemon: a session of its own, no terminal, working directory `/`.

    Returns twice. In the caller's process as soon as the daemon has called the starter (0), or has ended before that
    (its status, with a line on standard error). In the daemon's process when the work ends.
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
    to_null(0)
    starter = Starter(write_end)
    status = work(starter)
    starter.tell(status)
    return status


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
