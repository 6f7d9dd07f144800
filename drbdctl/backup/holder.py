"""One backup of a resource at a time, which whoever needs the resource may end at any moment.

The lock is the kernel's (fcntl(2) F_SETLK): it is gone with the process, and the kernel tells who has it. The commands
that a run starts die with it (PR_SET_PDEATHSIG), its mounts are in a namespace of its own, and its snapshots carry a
tag: so nothing is left but snapshots, which the next run removes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from drbdctl.steps.effect import until

DIRECTORY = "/run/drbdctl"
_FLOCK = "hhqqi"
"struct flock of Linux on 64 bits: l_type, l_whence, l_start, l_len, l_pid"
LEASED = ("setpriv", "--pdeathsig", "KILL")
"before a command that must not outlive this process"


class Busy(Exception):
    """Another process works on the backups of the resource; the text says which."""


@contextmanager
def held(resource: str, directory: str = DIRECTORY) -> Iterator[None]:
    """Be the one that works on the backups of a resource; raises Busy, OSError."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    descriptor = os.open(_path(resource, directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = _owner(descriptor)
            raise Busy(
                f"a backup of {resource} is under way already (process {pid or '?'}); wait for its end"
            ) from None
        yield
    finally:
        os.close(descriptor)


def holder(resource: str, directory: str = DIRECTORY) -> int | None:
    """The process that works on the backups of a resource; None: there is none.

    Not for a process that is inside `held` itself: to close any descriptor of the file gives the lock up.
    """
    try:
        descriptor = os.open(_path(resource, directory), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _owner(descriptor)
    finally:
        os.close(descriptor)


async def give_way(resource: str, deadline: float, directory: str = DIRECTORY) -> bool:
    """End a backup: SIGTERM, so that it cleans up, for half of the time, then SIGKILL; whether none runs any more.

    Returns at once when there is none. A snapshot that is left is removed by the next run.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        began = time.monotonic()
        while (pid := await asyncio.to_thread(holder, resource, directory)) is not None:
            left = deadline / 2 - (time.monotonic() - began)
            if left <= 0:
                break
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            await until(lambda pid=pid: holder(resource, directory) != pid, left)  # type: ignore[misc]
        else:
            return True
    return False


def _owner(descriptor: int) -> int | None:
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted))
    return None if kind == fcntl.F_UNLCK else pid


def _path(resource: str, directory: str) -> str:
    return os.path.join(directory, f"backup.{resource}.lock")
