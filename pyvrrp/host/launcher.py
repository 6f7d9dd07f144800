"""The launcher: a small single-threaded process that runs commands for the daemon (pyvrrp.host.scripts talks to it).

The daemon itself must not fork: switching users needs fork(2) proper, which takes a process of 85 MB 4 ms with the
interpreter locked, and executing a file on a file system that hangs would hang the caller. Here both harm nobody.
When the daemon's end of the socket closes, whatever still runs is killed: no script outlives the daemon.

One JSON object per line. In: a job (`id`, `argv`, `account`, `security`, `timeout`, `grace`, `open`) or `{"kill": id}`.
Out: the outcome of job `id`, at the latest when its time is over, and `"gone": true` once its process is gone.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import heapq
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from pyvrrp.host.script_security import Account, find, problems

TAIL = 4096
"bytes of output that are kept"
_READ = 65536
_DEFAULT_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)


class _Refused(Exception):
    """The command is not run; the text says why."""


class _Job:
    """A command that runs."""

    __slots__ = ("failure", "grace", "id", "output", "pid", "started", "tail", "timed_out")

    def __init__(self, message: dict[str, Any], pid: int, output: int, failure: int, started: float) -> None:
        self.id: int = message["id"]
        self.grace: float = message["grace"]
        self.pid = pid
        self.output = output
        "what it prints; may stay open after it has ended, in a process that it left behind"
        self.failure = failure
        "why it could not be started, written by the child in place of execve"
        self.started = started
        self.tail = b""
        self.timed_out = False


class _Launcher:
    def __init__(self, daemon: socket.socket) -> None:
        self._daemon = daemon
        self._received = b""
        self._jobs: dict[int, _Job] = {}
        "by process id, which is its process group too"
        self._deadlines: list[tuple[float, int, int]] = []
        "heap of (when, process id, job id)"
        self._selector = selectors.DefaultSelector()
        self._selector.register(daemon, selectors.EVENT_READ, self._receive)
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        self._woken, self._wake = woken, wake
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(woken, selectors.EVENT_READ, self._reap)

    def serve(self) -> NoReturn:
        """Work until the daemon is gone."""
        while True:
            wait = self._deadlines[0][0] - time.monotonic() if self._deadlines else None
            for key, _ in self._selector.select(wait if wait is None else max(0.0, wait)):
                act: Callable[[], None] = key.data
                act()
            now = time.monotonic()
            while self._deadlines and self._deadlines[0][0] <= now:
                _, pid, identity = heapq.heappop(self._deadlines)
                job = self._jobs.get(pid)
                if job is not None and job.id == identity:
                    self._expired(job, now)

    # --- the daemon --------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            received = self._daemon.recv(_READ)
        except ConnectionError:
            received = b""
        if not received:
            self._leave()
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "kill" in message:
                for job in self._jobs.values():
                    if job.id == message["kill"]:
                        _signal(job.pid, signal.SIGKILL)
            else:
                self._start(message)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._daemon.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            self._leave()

    def _leave(self) -> NoReturn:
        for pid in self._jobs:
            _signal(pid, signal.SIGKILL)
        os._exit(0)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def _start(self, message: dict[str, Any]) -> None:
        identity, started = message["id"], time.monotonic()
        descriptors: list[int] = []
        try:
            descriptors += os.pipe()
            descriptors += os.pipe()
            pid = os.fork()
        except OSError as error:
            for descriptor in descriptors:
                os.close(descriptor)
            reason = f"no process for it: {error.strerror}"
            self._send(_outcome(identity, "not run", started, reason=reason) | {"gone": True})
            return
        output, output_end, failure, failure_end = descriptors
        if pid == 0:
            _become(message, output_end, failure_end)
        os.close(output_end)
        os.close(failure_end)
        # Here and in the child, so that the group exists before anybody wants to signal it.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        os.set_blocking(output, False)
        job = self._jobs[pid] = _Job(message, pid, output, failure, started)
        self._selector.register(output, selectors.EVENT_READ, lambda: self._read(job))
        heapq.heappush(self._deadlines, (started + message["timeout"], pid, identity))

    def _read(self, job: _Job) -> None:
        if job.output < 0:
            return  # its end was seen in this very turn
        try:
            output = os.read(job.output, _READ)
        except BlockingIOError:
            return
        job.tail = (job.tail + output)[-TAIL:]
        if not output:
            self._selector.unregister(job.output)
            os.close(job.output)
            job.output = -1

    def _expired(self, job: _Job, now: float) -> None:
        if job.timed_out:
            _signal(job.pid, signal.SIGKILL)
            return
        job.timed_out = True
        _signal(job.pid, signal.SIGTERM)
        heapq.heappush(self._deadlines, (now + job.grace, job.pid, job.id))
        self._send(_outcome(job.id, "timed out", job.started, output=job.tail))

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(_READ)
        # Looked at first and reaped later: until then nobody else can have the number of its process group.
        while self._jobs and (child := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            job = self._jobs.pop(child.si_pid, None)
            if job is not None:
                self._ended(job, child.si_code == os.CLD_EXITED, child.si_status)
            os.waitpid(child.si_pid, 0)

    def _ended(self, job: _Job, exited: bool, status: int) -> None:
        if job.timed_out:
            _signal(job.pid, signal.SIGKILL)
        # What it printed is in the pipe (64 KiB at most); a process that it left behind may go on printing.
        self._read(job)
        reason = os.read(job.failure, TAIL)  # nothing, unless the child wrote it: execve closes the other end
        os.close(job.failure)
        if job.timed_out:
            self._send({"id": job.id, "gone": True})
            return
        if reason:
            outcome = _outcome(job.id, "not run", job.started, reason=reason.decode(errors="replace"))
        else:
            ending = "exited" if exited else "killed"
            outcome = _outcome(job.id, ending, job.started, code=status, output=job.tail)
        self._send(outcome | {"gone": True})


def _outcome(
    identity: int, ending: str, started: float, *, code: int = 0, reason: str = "", output: bytes = b""
) -> dict[str, Any]:
    return {
        "id": identity,
        "ending": ending,
        "started": started,
        "duration": time.monotonic() - started,
        "code": code,
        "reason": reason,
        "output": output.decode(errors="replace"),
    }


def _signal(group: int, signum: int) -> None:
    # PermissionError: the daemon lacks CAP_KILL and the script runs as somebody else.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signum)


def _become(message: dict[str, Any], output: int, failure: int) -> NoReturn:
    """In the child: become the command, or say why not."""
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for signum in _DEFAULT_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        account = Account(*message["account"])
        if message["open"]:
            _switch(account)
            _open(message["argv"][0])
        else:
            _execute(message["argv"], account, message["security"])
    except BaseException as error:  # nothing may return into the launcher's loop
        os.write(failure, str(error).encode(errors="replace"))
    os._exit(127)


def _open(path: str) -> NoReturn:
    try:
        os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        os.write(1, f"{path}: {error.strerror}".encode(errors="replace"))
        os._exit(1)
    os._exit(0)


def _execute(argv: list[str], account: Account, security: bool) -> NoReturn:
    refused = problems(argv[0], account, security=security)
    if refused:
        raise _Refused("; ".join(refused))
    path = find(argv[0]) or argv[0]
    _switch(account)
    try:
        try:
            os.execv(path, argv)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # No `#!` and no binary: the shell reads it, as at a prompt.
            os.execv("/bin/sh", ["/bin/sh", path, *argv[1:]])
    except OSError as error:
        raise _Refused(f"{path}: {error.strerror}") from None


def _switch(account: Account) -> None:
    if (account.uid, account.gid) == (os.geteuid(), os.getegid()):
        return
    try:
        os.setgroups(account.groups)
        os.setgid(account.gid)
        os.setuid(account.uid)
    except OSError as error:
        raise _Refused(
            f"can't run as user {account.name}: {error.strerror}; the daemon needs CAP_SETUID and CAP_SETGID"
        ) from None


def main() -> NoReturn:
    """Serve the daemon at the other end of standard input."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # a service manager signals all at once: the daemon has the last word
    with contextlib.suppress(OSError):  # the daemon may be in a hurry (pyvrrp.host.hurry), what it runs is not
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    gc.disable()
    gc.freeze()  # children must not copy memory for the sake of its collection
    _Launcher(socket.socket(fileno=0)).serve()
