"""A child process with a group of its own, watched by its pidfd: uvloop's own processes know no user and group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess

KILL_GRACE = 1.0
"seconds from SIGTERM to SIGKILL"
_TAIL = 4096
"bytes of what it printed that are kept"
_READ = 65536


class Process:
    """A process that runs; it is reaped when it ends, whoever still waits for it."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        """`child` leads a process group, its standard output is a pipe; raises OSError when there is no pidfd."""
        self._child = child
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._output = b""
        self._killed = False
        self._pidfd = os.pidfd_open(child.pid)
        self._loop.add_reader(self._pidfd, self._end)
        assert child.stdout is not None
        self._pipe = child.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read)

    @property
    def ended(self) -> bool:
        """Whether it is no more."""
        return self._ended.is_set()

    @property
    def last_line(self) -> str:
        """The last line of what it printed."""
        lines = self._output.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    async def wait(self) -> int:
        """Its exit status, or the negative number of the signal that ended it."""
        await self._ended.wait()
        return self._child.wait()

    def terminate(self) -> None:
        """SIGTERM to its group, and SIGKILL KILL_GRACE later."""
        self._signal(signal.SIGTERM)
        self._loop.call_later(KILL_GRACE, self.kill)

    def kill(self) -> None:
        """SIGKILL to its group."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        if not self.ended:
            self._killed = True
            _signal_group(self._child.pid, signum)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, _READ)
        except BlockingIOError:
            return
        self._output = (self._output + data)[-_TAIL:]
        if not data:
            self._loop.remove_reader(self._pipe)

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._killed:
            # What it left behind goes too; now, for once it is reaped its group's number may be another's.
            _signal_group(self._child.pid, signal.SIGKILL)
        self._read()
        self._loop.remove_reader(self._pipe)
        assert self._child.stdout is not None
        self._child.stdout.close()
        self._child.wait()
        self._ended.set()


def _signal_group(group: int, signum: signal.Signals) -> None:
    # PermissionError: we lack CAP_KILL and the script runs as somebody else.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signum)
