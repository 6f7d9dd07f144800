"""The guard: a small parent process that starts the speaker, hears its heartbeat, and starts it again.

`become_guard` replaces this process by one that has loaded next to nothing (13 MB): the same process id, no
site-packages. What needs more, a log line or the end of a role, is done by a child that is forked for it, so neither
memory nor a logger that hangs can keep the guard from its work.

The speaker is the program with its arguments as they were, and the variables of pyvrrp.daemon.environment. It speaks
through a socket, JSON objects with any of:

    journal     the path of the journal, before anything is held
    pid_file    a path; the descriptor that holds its lock comes with it
    store       [owner, names]: see pyvrrp.daemon.fd_store; the descriptors come with it
    ready       [guard_timeout, adoption_time]: see pyvrrp.core.supervision
    beat        guard_timeout
    notify      what systemd is to hear: under systemd the guard is the main process

What is none of these, or makes no sense, is passed over. An old guard has to understand a new speaker after
`pyvrrp restart`: members are only ever added.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pyvrrp.core.supervision import (
    PROGRAM_ERROR,
    Action,
    Beat,
    Event,
    Exit,
    Exited,
    GaveUp,
    GiveUp,
    Kill,
    Phase,
    Ready,
    Say,
    Signal,
    Signalled,
    Spawn,
    StopAsked,
    Supervisor,
    TimerExpired,
)
from pyvrrp.daemon.environment import ADOPT, CHANNEL, RESTARTS
from pyvrrp.daemon.fd_store import MESSAGE_BYTES, FdStore, close, receive
from pyvrrp.daemon.guard_children import become_speaker, leave_after, say, take_down
from pyvrrp.daemon.starter import Starter

if TYPE_CHECKING:
    from pyvrrp.daemon.logs import LogOptions

_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_STOP = (signal.SIGTERM, signal.SIGINT)
_FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN + 2, signal.SIGRTMAX - 1)
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from pyvrrp.daemon.guard import main; main()"
_MOST_AT_ONCE = 1000
"messages of the speaker before somebody else's turn: a speaker that talks without end must not keep us from our work"
_PID_FILES = 4
_DOING = {"R": "running", "S": "waiting", "D": "waiting for a device", "T": "stopped", "t": "traced", "Z": "dead"}
"states of a process in proc(5)"


def become_guard(log: LogOptions, *, directory: str, starter: Starter | None = None) -> NoReturn:
    """Replace this process by the guard of a speaker that is run as this program was; raises OSError.

    `directory` is where this program was started, `starter` is told when the speaker is ready.
    """
    library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    settings = {
        "argv": [sys.executable, *sys.orig_argv[1:]],
        "directory": directory,
        "starter": None if starter is None else starter.pipe,
        "log": {
            "level": log.level,
            "destination": log.destination.value,
            "file": None if log.file is None else str(log.file),
            "facility": log.facility,
        },
    }
    if starter is not None and starter.pipe is not None:
        os.set_inheritable(starter.pipe, True)
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", _PROGRAM, library, json.dumps(settings)])


def main() -> NoReturn:
    """Guard until the speaker has ended for good, and exit with its status."""
    settings = json.loads(sys.argv[2])
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as name:
        name.write("pyvrrp-guard")
    starter = Starter(settings["starter"])
    try:
        status = Guard(settings, starter).run()
    except Exception as error:  # the speaker hears of our end, and leaves
        status = PROGRAM_ERROR
        os.write(2, f"pyvrrp: the guard ends: unexpected {type(error).__name__}: {error}; please report it\n".encode())
    starter.tell(status)
    os._exit(status)


class Guard:
    """Carries out what a Supervisor decides; `settings` is what `become_guard` wrote."""

    def __init__(self, settings: dict[str, Any], starter: Starter) -> None:
        self.supervisor = Supervisor()
        self._argv: list[str] = settings["argv"]
        self._directory: str = settings["directory"]
        self._log: dict[str, Any] = settings["log"]
        self._starter = starter
        self._status: int | None = None
        self._speaker = 0
        "process id, 0: there is none"
        self._channel: socket.socket | None = None
        self._spawned = 0
        self._spawned_at = 0.0
        self._journal: str | None = None
        self._pid_files: list[tuple[str, int]] = []
        self._store = FdStore()
        self._children: dict[int, Event | None] = {}
        "process id of a helper -> what its end means"
        self._events: deque[Event] = deque()
        self._systemd = _Systemd()
        self._poll = select.poll()
        self._woken = self._catch_signals()

    def run(self) -> int:
        """Work until the supervisor says Exit; the status."""
        self._perform(self.supervisor.begin())
        while self._status is None:
            for descriptor, _ in self._poll.poll(self._patience()):
                if descriptor == self._woken:
                    self._read_signals()
                elif self._channel is not None and descriptor == self._channel.fileno():
                    self._read_channel()
            self._events.append(TimerExpired())
            while self._events and self._status is None:
                self._perform(self.supervisor.handle(self._events.popleft(), time.monotonic()))
            self._systemd.feed(waiting=self.supervisor.phase is not Phase.RUNNING)
        self._finish()
        return self._status

    def _patience(self) -> float | None:
        """Milliseconds for poll."""
        if self._events:
            return 0
        waits = [self.supervisor.deadline, self._systemd.next_feed]
        now = time.monotonic()
        return min((1000 * max(0.0, when - now) + 1 for when in waits if when is not None), default=None)

    def _finish(self) -> None:
        self._store.clear()
        for pid in self._children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)  # the last words
        if self._pid_files:
            from pathlib import Path

            from pyvrrp.daemon.pidfile import PidFile

            for path, descriptor in self._pid_files:
                PidFile(Path(path), descriptor).release()

    # --- what is to be done ------------------------------------------------------------------------------------------

    def _perform(self, actions: Sequence[Action]) -> None:
        said = [action.text for action in actions if isinstance(action, Say)]
        for action in actions:
            match action:
                case Spawn():
                    self._spawn(adopt=action.adopt)
                case Kill():
                    said += self._circumstances()
                    self._signal(signal.SIGKILL)
                case Signal():
                    self._signal(action.number)
                case GiveUp():
                    self._give_up()
                case Exit():
                    self._status = action.status
                case Say():
                    pass
        if said:
            self._help(lambda: say(said, self._log), None)

    def _signal(self, number: int) -> None:
        if self._speaker:
            os.kill(self._speaker, number)  # not reaped yet, so the number is still its own

    def _circumstances(self) -> list[str]:
        """Of a speaker that is about to be killed: what it was doing, and whether the machine let it."""
        try:
            with open(f"/proc/{self._speaker}/stat") as stat, open(f"/proc/{self._speaker}/schedstat") as schedstat:
                state = stat.read().rpartition(")")[2].split()[0]
                ran, waited = (int(word) / 1e9 for word in schedstat.read().split()[:2])
        except (OSError, ValueError, IndexError):  # a kernel that does not tell
            return []
        seconds = time.monotonic() - self._spawned_at
        doing = _DOING.get(state, state)
        return [f"it was {doing}; in {seconds:.2f} s it ran for {ran:.2f} s and waited {waited:.2f} s for a processor"]

    def _spawn(self, *, adopt: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: value for name, value in os.environ.items() if name not in _SYSTEMD}
        environment |= {CHANNEL: str(theirs.fileno()), RESTARTS: str(self._spawned)}
        if adopt:
            environment[ADOPT] = "1"
        self._store.hand_over(ours)
        try:
            self._speaker = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self._events.append(Exited(error.errno or 1))
            return
        if self._speaker == 0:
            become_speaker(self._argv, self._directory, theirs.fileno(), environment, hurry=adopt)
        theirs.close()
        ours.setblocking(False)
        self._spawned += 1
        self._spawned_at = time.monotonic()
        self._channel = ours
        self._poll.register(ours, select.POLLIN)

    def _give_up(self) -> None:
        self._read_channel()
        self._close_channel()  # one that was killed, and has not ended yet, has nothing more to say
        self._store.clear()
        journal = self._journal
        if journal is None:
            self._events.append(GaveUp())
        else:
            self._help(lambda: take_down(journal, self._log), GaveUp())

    def _help(self, work: Callable[[], None], end: Event | None) -> None:
        """Run `work` in a child that may load what it likes; its end is the event `end`."""
        try:
            pid = os.fork()
        except OSError:
            if end is not None:
                self._events.append(end)
            return
        if pid == 0:
            self._store.clear()  # a helper may live long, by a logger that hangs, and is not to keep anything alive
            leave_after(work)
        self._children[pid] = end

    # --- what happens ------------------------------------------------------------------------------------------------

    def _catch_signals(self) -> int:
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *_STOP, *_FORWARDED):
            signal.signal(number, lambda *_: None)
        self._poll.register(woken, select.POLLIN)
        return woken

    def _read_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._woken, MESSAGE_BYTES):
                if number == signal.SIGCHLD:
                    self._reap()
                else:
                    self._events.append(StopAsked() if number in _STOP else Signalled(number))

    def _reap(self) -> None:
        """Everything that has ended; as PID 1 that includes orphans of whatever has run here."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._speaker:
                    self._read_channel()
                    self._close_channel()
                    self._speaker = 0
                    self._events.append(Exited(os.waitstatus_to_exitcode(status)))
                elif (end := self._children.pop(pid, None)) is not None:
                    self._events.append(end)

    def _read_channel(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            if self._channel is None:
                return
            try:
                message, descriptors = receive(self._channel)
            except BlockingIOError:
                return
            except OSError:
                message, descriptors = b"", []
            if not message:  # its end is closed: the process ends, or runs without us until its beat is missed
                self._close_channel()
                return
            with contextlib.suppress(ValueError, TypeError, ArithmeticError, RecursionError):
                self._heard(json.loads(message), descriptors)
            close(descriptors)

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._poll.unregister(self._channel)
            self._channel.close()
            self._channel = None

    def _heard(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Take the members in, and out of the list the descriptors that are kept."""
        if "journal" in message:
            self._journal = _path(message["journal"])
        if "pid_file" in message:
            path = _path(message["pid_file"])
            while descriptors and len(self._pid_files) < _PID_FILES:
                self._pid_files.append((path, descriptors.pop()))
        if "store" in message:
            owner, names = message["store"]
            self._store.replace(owner, names, descriptors)
        if "ready" in message:
            guard_timeout, adoption_time = map(_seconds, message["ready"])
            self._events.append(Ready(guard_timeout, adoption_time))
            self._starter.tell(0)
        if "beat" in message:
            self._events.append(Beat(_seconds(message["beat"])))
            self._systemd.beaten = True
        if "notify" in message:
            self._systemd.send(str(message["notify"]))


def _path(value: Any) -> str:
    if b"\0" in os.fsencode(value):
        raise ValueError
    return str(value)


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0.0 < seconds < 1e6:
        raise ValueError
    return seconds


class _Systemd:
    """sd_notify(3), for the speaker and for the watchdog; systemd hears the main process only."""

    def __init__(self) -> None:
        address, usec, pid = (os.environ.pop(name, "") for name in _SYSTEMD)
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        meant = usec.isdigit() and pid in ("", str(os.getpid()))
        self._interval = int(usec) / 2e6 if meant and address else None
        self.next_feed = time.monotonic() + self._interval if self._interval else None
        self.beaten = False
        "the speaker's loop has kept its deadlines since the watchdog was fed"

    def feed(self, *, waiting: bool) -> None:
        """Feed the watchdog when it is time, and when the speaker has earned it; `waiting`: no speaker can have."""
        now = time.monotonic()
        if self._interval is None or self.next_feed is None or now < self.next_feed:
            return
        if self.beaten or waiting:
            self.send("WATCHDOG=1")
        self.beaten = False
        self.next_feed = now + self._interval

    def send(self, text: str) -> None:
        """Send one message; who does not listen misses it."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(text.encode(errors="replace"), self._address)
