"""Commands that are run for the daemon: check scripts and notify scripts, each with a deadline and an outcome."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

import pyvrrp
from pyvrrp.config.model import Command, Globals
from pyvrrp.host.script_security import UnknownAccount, account, forget_accounts

_LOG = logging.getLogger("pyvrrp")
_HIDDEN = ("IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"not in a script's environment: the first three as in keepalived; only the daemon tells systemd of its state"
_SLACK = 2.0
"seconds after a deadline in which the launcher must have told of it"
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from pyvrrp.host.launcher import main; main()"


class Ending(Enum):
    """How a command ended."""

    EXITED = "exited"
    KILLED = "killed"
    TIMED_OUT = "timed out"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a command."""

    command: str
    ending: Ending
    started: float
    "monotonic seconds"
    duration: float
    "seconds"
    code: int = 0
    "the exit status, or the number of the signal that killed it"
    reason: str = ""
    "why it was not run"
    output: str = ""
    "the last 4 KiB of what it printed, on standard output and standard error"

    @property
    def ok(self) -> bool:
        """It exited in time with status 0; one that is too late has failed, whatever it exits with (see run)."""
        return self.ending is Ending.EXITED and self.code == 0

    @property
    def result(self) -> str:
        """The ending in words."""
        match self.ending:
            case Ending.EXITED:
                return f"exit status {self.code}"
            case Ending.KILLED:
                return f"killed by signal {self.code} ({signal.strsignal(self.code)})"
            case Ending.TIMED_OUT:
                return f"timed out after {self.duration:.3g} s"
            case Ending.NOT_RUN:
                return f"could not be run: {self.reason}"

    @property
    def sentence(self) -> str:
        """The ending, and for a failure the last line of what it printed."""
        lines = self.output.strip().splitlines()
        return f"{self.result}: {lines[-1].strip()[:200]}" if lines and not self.ok else self.result


class Run:
    """A command that was asked for."""

    def __init__(self, launcher: Launcher, number: int, command: str) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.command = command
        self.outcome: asyncio.Future[Outcome] = loop.create_future()
        "never raises; there as soon as it is decided: when the command ended, or when its time was over"
        self.gone: asyncio.Future[None] = loop.create_future()
        "the process is no more, after SIGTERM and SIGKILL if need be"
        self.watchdog: asyncio.TimerHandle | None = None
        self._launcher = launcher
        self._asked = time.monotonic()

    def kill(self) -> None:
        """SIGKILL it and its process group, if it still runs."""
        self._launcher.kill(self)

    def decide(self, ending: Ending, **details: Any) -> None:
        """Set the outcome, unless there is one."""
        if self.watchdog is not None:
            self.watchdog.cancel()
        if not self.outcome.done():
            times = {"started": self._asked, "duration": time.monotonic() - self._asked}
            self.outcome.set_result(Outcome(command=self.command, ending=ending, **(times | details)))

    def end(self) -> None:
        """The process is no more."""
        if not self.gone.done():
            self.gone.set_result(None)


class Launcher:
    """The launcher process, seen from the daemon; it is started again when it dies."""

    def __init__(self, settings: Globals, *, kill_grace: float = 2.0, restart_delay: float = 1.0) -> None:
        self.kill_grace = kill_grace
        "seconds from SIGTERM to SIGKILL (keepalived's 2)"
        self._settings = settings
        self._restart_delay = restart_delay
        "seconds between two starts at least"
        self._started = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        "None: there is no launcher, or it is being stopped"
        self._closed: asyncio.Future[None] | None = None
        self._numbers = count()
        self._runs: dict[int, Run] = {}
        self._restart: asyncio.Task[None] | None = None

    @property
    def settings(self) -> Globals:
        """What script_user and enable_script_security say; to set it (a reload) looks accounts up anew."""
        return self._settings

    @settings.setter
    def settings(self, settings: Globals) -> None:
        self._settings = settings
        forget_accounts()

    async def start(self) -> None:
        """Start the process; raises OSError."""
        self._started = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _spawn(theirs.fileno())
        loop = asyncio.get_running_loop()
        self._transport, connection = await loop.create_unix_connection(
            lambda: _Connection(self._received, self._lost), sock=ours
        )
        self._closed = connection.closed

    async def stop(self) -> None:
        """Kill what runs and end the process."""
        if self._restart is not None:
            self._restart.cancel()
        transport, self._transport = self._transport, None
        if transport is None or self._process is None or self._closed is None:
            return
        transport.write_eof()
        await asyncio.wait([self._closed], timeout=_SLACK)
        transport.abort()
        self._process.kill()
        self._process.wait()
        self._fail_all("the daemon leaves")

    def run(self, command: Command, timeout: float, *, open_test: bool = False) -> Run:
        """Run a command for at most `timeout` seconds; with `open_test`, open the file argv[0] for reading instead.

        It has a process group of its own, /dev/null as standard input, and no other open file; argv reaches it as it
        is, without a shell in between. At the deadline the group gets SIGTERM and has failed, whatever it does then;
        SIGKILL follows `kill_grace` later.
        """
        shown = f"{'open ' if open_test else ''}{shlex.join(command.argv)}"
        run = Run(self, next(self._numbers), shown)
        try:
            if self._transport is None:
                raise _NotRun("the script launcher is not running")
            if not command.argv:
                raise _NotRun("it names no program")
            who = account(command, self._settings)
        except (_NotRun, UnknownAccount) as refused:
            run.decide(Ending.NOT_RUN, reason=str(refused))
            run.end()
            return run
        self._runs[run.number] = run
        self._send(
            {
                "id": run.number,
                "argv": command.argv,
                "account": (who.name, who.uid, who.gid, who.groups),
                "security": self._settings.enable_script_security,
                "timeout": timeout,
                "grace": self.kill_grace,
                "open": open_test,
            }
        )
        run.watchdog = asyncio.get_running_loop().call_later(timeout + _SLACK, run.decide, Ending.TIMED_OUT)
        return run

    def kill(self, run: Run) -> None:
        """See Run.kill."""
        if run.number in self._runs:
            self._send({"kill": run.number})

    def _send(self, message: dict[str, Any]) -> None:
        if self._transport is not None:
            self._transport.write(json.dumps(message).encode() + b"\n")

    def _received(self, message: dict[str, Any]) -> None:
        number, gone = message.pop("id"), message.pop("gone", False)
        run = self._runs[number]
        if "ending" in message:
            run.decide(Ending(message.pop("ending")), **message)
        if gone:
            run.end()
            del self._runs[number]

    def _lost(self) -> None:
        if self._transport is None or self._process is None:
            return  # we stopped it
        self._transport = None
        status = self._process.wait()
        _LOG.error("the script launcher (process %d) ended with %d; starting it again", self._process.pid, status)
        self._fail_all("the script launcher ended")
        self._restart = asyncio.create_task(self._start_again(), name="restart of the script launcher")

    async def _start_again(self) -> None:
        told = False
        while True:
            await asyncio.sleep(self._started + self._restart_delay - time.monotonic())
            try:
                return await self.start()
            except OSError as error:
                if not told:
                    _LOG.error("can't start the script launcher: %s; trying again", error.strerror or error)
                told = True

    def _fail_all(self, reason: str) -> None:
        runs, self._runs = self._runs, {}
        for run in runs.values():
            run.decide(Ending.NOT_RUN, reason=reason)
            run.end()


def _spawn(standard_input: int) -> subprocess.Popen[bytes]:
    # Isolated and without site-packages: some 25 ms and 12 MB, and what it forks is as small.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(pyvrrp.__file__).parents[1])],
        stdin=standard_input,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # or the terminal of one who started a daemon in the background stays in use
        env={name: value for name, value in os.environ.items() if name not in _HIDDEN},
        start_new_session=True,
    )


class _NotRun(Exception):
    """The command can't be run; the text says why."""


class _Connection(asyncio.Protocol):
    """What the launcher says: one JSON object per line."""

    def __init__(self, received: Callable[[dict[str, Any]], None], lost: Callable[[], None]) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._received = received
        self._lost = lost

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._received(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
        self._lost()
