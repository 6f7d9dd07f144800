"""An external command: a process group of its own, a deadline, its output, and what becomes of one that hangs.

A command on suspended I/O sleeps in the kernel (state D) and no signal ends it. It is told apart from one that was just
slow, left alone, and waited for in the background: while it is there the same command is not started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE = 1.0
"seconds from SIGTERM to SIGKILL, and from that to the conclusion that it hangs in the kernel"
OUTPUT = 64 * 1024
"bytes that are kept of what it prints, the last ones"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    argv: tuple[str, ...]
    status: int | None
    "its exit status, 128 + N for signal N; None: it could not be started, was not back in time, or hangs"
    output: str
    "standard output and standard error, as they came"
    seconds: float
    failure: str = ""
    "why there is no status, one line"
    stuck: bool = False
    "it sleeps in the kernel and can't be killed"
    pid: int = 0
    "while it is stuck"

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked, by its own word."""
        return self.status == 0

    @property
    def sentence(self) -> str:
        """`drbdadm primary r0: exit status 17, (-2) Need access to UpToDate data`."""
        said = self.output.strip().splitlines()
        why = self.failure or f"exit status {self.status}{', ' + said[-1].strip() if said else ''}"
        return f"{' '.join(self.argv)}: {why}"


_hanging: dict[tuple[str, ...], _Running] = {}
"the commands that were found to hang; each until it ends"


async def run(argv: Sequence[str], deadline: float, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a command without a shell and wait for its end, `deadline` seconds at most; never raises for what it does.

    A cancelled call ends the command as a deadline does, and then raises CancelledError.
    """
    began = time.monotonic()
    command = tuple(argv)

    def outcome(status: int | None, output: str = "", failure: str = "", stuck_pid: int = 0) -> Outcome:
        return Outcome(
            argv=command,
            status=status,
            output=output,
            seconds=time.monotonic() - began,
            failure=failure,
            stuck=bool(stuck_pid),
            pid=stuck_pid,
        )

    if (before := _hanging.get(command)) is not None and not before.ended:
        return outcome(None, failure=f"not begun: one of before {_where(before.pid)}", stuck_pid=before.pid)
    _hanging.pop(command, None)
    try:
        child = subprocess.Popen(  # noqa: ASYNC220 - uvloop's own know no pidfd; a fork takes a millisecond
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if environment is None else {**os.environ, **environment},
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return outcome(None, failure=f"{command[0]} is not installed" if missing else str(error.strerror))
    running = _Running(child)
    try:
        async with asyncio.timeout(deadline):
            status = await running.wait()
    except TimeoutError:
        await running.end()
        if running.ended:
            return outcome(None, running.output, f"no end within {deadline:g} s, killed")
        _hanging[command] = running
        return outcome(None, running.output, f"no end within {deadline:g} s, and it {_where(child.pid)}", child.pid)
    except asyncio.CancelledError:
        await running.end()
        raise
    return outcome(status if status >= 0 else 128 - status, running.output)


class _Running:
    """A child, watched by its pidfd, which every event loop can wait for; it is reaped when it ends, however late."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._printed = b""
        self._pidfd = os.pidfd_open(child.pid)
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        self._loop.add_reader(child.stdout.fileno(), self._read)
        self._loop.add_reader(self._pidfd, self._ended)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ended(self) -> bool:
        return self._end.is_set()

    @property
    def output(self) -> str:
        return self._printed.decode(errors="replace")

    async def wait(self) -> int:
        await self._end.wait()
        return self._child.wait()

    async def end(self) -> None:
        """SIGTERM, then SIGKILL, to its group; comes back also when neither does anything."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await self._end.wait()

    def _read(self) -> None:
        assert self._child.stdout is not None
        try:
            piece = os.read(self._child.stdout.fileno(), OUTPUT)
        except BlockingIOError:
            return
        if piece:
            self._printed = (self._printed + piece)[-OUTPUT:]
        else:
            self._loop.remove_reader(self._child.stdout.fileno())

    def _ended(self) -> None:
        assert self._child.stdout is not None
        self._read()
        self._loop.remove_reader(self._pidfd)
        self._loop.remove_reader(self._child.stdout.fileno())
        os.close(self._pidfd)
        self._child.stdout.close()  # a child of its own may still hold the other end
        self._child.wait()
        self._end.set()


def _where(pid: int) -> str:
    """What a process that SIGKILL does not end is doing."""
    state = wait = "?"
    with contextlib.suppress(OSError, IndexError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    with contextlib.suppress(OSError):
        wait = Path(f"/proc/{pid}/wchan").read_text().strip() or "?"
    return f"can't be killed (pid {pid}, state {state} in {wait}): I/O hangs"
