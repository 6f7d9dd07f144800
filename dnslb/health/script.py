"""MISC_CHECK: a program whose exit status is the verdict."""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import subprocess
import time
from collections.abc import Sequence

from dnslb.health.check import MiscProbe
from dnslb.health.process import Process
from dnslb.health.text import shortened
from dnslb.health.verdict import TIMEOUT, Verdict
from pyvrrp.config.model import Globals
from pyvrrp.daemon.plugins import UnknownAccount, account, problems

_FAILED = 1
"the exit status that is a failure with misc_dynamic too"
_HIDDEN = ("IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"not in a script's environment, as with the daemon's own scripts"


class _NotRun(Exception):
    """The script can't be started; the text says why."""


class Script:
    """The script of one check, which never runs twice at a time."""

    def __init__(self, probe: MiscProbe) -> None:
        self._probe = probe
        self._name = shlex.join(probe.command.argv)
        self._process: Process | None = None

    async def run(self, settings: Globals) -> Verdict:
        """Run it once, for at most its timeout; raises nothing but CancelledError, which kills it.

        `settings` say as whom, and whether a script that others may change is refused.
        """
        started = time.monotonic()
        if self._process is not None and not self._process.ended:
            return Verdict(False, f"{self._name} still runs, though it timed out", 0.0, cause=TIMEOUT)
        try:
            process = self._process = await self._start(settings)
        except _NotRun as error:
            return Verdict(False, f"{self._name} can't be run: {error}", time.monotonic() - started, cause="not run")
        try:
            async with asyncio.timeout(self._probe.timeout):
                status = await process.wait()
        except TimeoutError:
            process.terminate()
            detail = f"{self._name} timed out after {self._probe.timeout:g} s{_said(process)}"
            return Verdict(False, detail, time.monotonic() - started, cause=TIMEOUT)
        except asyncio.CancelledError:
            process.kill()
            raise
        return self._judge(status, _said(process), time.monotonic() - started)

    def _judge(self, status: int, said: str, elapsed: float) -> Verdict:
        """As keepalived judges an exit status; a negative one is the signal that ended the script."""
        name = self._name
        if status < 0:
            return Verdict(False, f"{name} was killed by signal {-status}{said}", elapsed, cause=f"signal {-status}")
        if status == 0:
            return Verdict(True, f"{name}: exit status 0", elapsed)
        if self._probe.dynamic and status != _FAILED:
            return Verdict(True, f"{name}: exit status {status}, a weight of {status - 2}", elapsed, weight=status - 2)
        return Verdict(False, f"{name}: exit status {status}{said}", elapsed, cause=f"exit {status}")

    async def _start(self, settings: Globals) -> Process:
        starting = asyncio.ensure_future(asyncio.to_thread(self._spawn, settings))
        try:
            return _watched(await asyncio.shield(starting))
        except asyncio.CancelledError:
            starting.add_done_callback(_abandon)
            raise
        except OSError as error:
            raise _NotRun(error.strerror or str(error)) from None
        except subprocess.SubprocessError as error:
            raise _NotRun(str(error)) from None

    def _spawn(self, settings: Globals) -> subprocess.Popen[bytes]:
        """Start it; in a thread, for this waits until the program is loaded."""
        command = self._probe.command
        try:
            who = account(command, settings)
        except UnknownAccount as error:
            raise _NotRun(str(error)) from None
        if refused := problems(command.argv[0], who, security=settings.enable_script_security):
            raise _NotRun("; ".join(refused))
        switch = (who.uid, who.gid) != (os.geteuid(), os.getegid())

        def spawn(argv: Sequence[str]) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if name not in _HIDDEN},
                process_group=0,
                user=who.uid if switch else None,
                group=who.gid if switch else None,
                extra_groups=who.groups if switch else None,
            )

        try:
            return spawn(command.argv)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # No `#!` and no binary: the shell reads it, as at a prompt.
            return spawn(("/bin/sh", *command.argv))


def _said(process: Process) -> str:
    return f": {shortened(process.last_line, 200)}" if process.last_line else ""


def _watched(child: subprocess.Popen[bytes]) -> Process:
    try:
        return Process(child)
    except OSError:  # no file descriptor left to watch it by
        child.kill()
        raise


def _abandon(starting: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    """Kill what came up after nobody wanted it any more."""
    if not starting.cancelled() and starting.exception() is None:
        _watched(starting.result()).kill()
