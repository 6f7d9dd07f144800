"""Programs of the lab: started in a process group of their own, ended by their ids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


class Process:
    """A running program; its whole process group ends with it."""

    def __init__(self, argv: Sequence[str], stdout: Path | None, env: Mapping[str, str]) -> None:
        self.argv = tuple(argv)
        self.stdout = stdout
        if threading.current_thread() is threading.main_thread():
            # Should this process be killed, so is the program. The kernel means the starting *thread* by "parent".
            argv = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
        output = (
            subprocess.DEVNULL if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        )
        try:
            self._popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
            )
        finally:
            if stdout is not None:
                os.close(output)

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, minus the number of the signal that ended it, or None while it runs."""
        return self._popen.poll()

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.stdout.read_text(errors="replace") if self.stdout and self.stdout.exists() else ""

    def signal(self, number: int) -> None:
        """Send a signal to the program itself."""
        self._popen.send_signal(number)

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for its end and return the exit status; raises subprocess.TimeoutExpired."""
        return self._popen.wait(timeout)

    def stop(self, timeout: float = 10.0) -> int:
        """Ask it to end (SIGTERM), insist after `timeout` seconds (SIGKILL); return the exit status."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout)
        self.kill()
        return self._popen.wait()

    def kill(self) -> None:
        """SIGKILL it and its process group."""
        with contextlib.suppress(ProcessLookupError):  # the whole group is gone
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def freeze(self) -> None:
        """SIGSTOP it and its process group: a hung program, whose sockets stay open."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: go on where it was frozen."""
        os.killpg(self.pid, signal.SIGCONT)
