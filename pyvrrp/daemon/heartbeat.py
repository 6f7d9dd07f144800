"""The guard as the speaker sees it: a socket to tell it that all is well, and what it says in the environment."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping, MutableMapping

from pyvrrp.config.model import Config
from pyvrrp.daemon.environment import ADOPT, CHANNEL, RESTARTS
from pyvrrp.daemon.fd_store import Sets, stored
from pyvrrp.daemon.pidfile import PidFile
from pyvrrp.daemon.timers import Deadline, Timers
from pyvrrp.host import hurry

BEATS = 4
"in one guard_timeout"
_PR_SET_PDEATHSIG = 1
_UCRED = struct.Struct("iII")


class GuardChannel:
    """The connection to the guard that started this process; never blocks, and raises nothing but what `store` says."""

    def __init__(self, channel: socket.socket, *, adopt: bool, restarts: int) -> None:
        self.adopt = adopt
        "this process may take over the role of the one before"
        self.restarts = restarts
        "how often the guard has started a speaker again"
        self._channel = channel
        channel.setblocking(False)
        self.stored: Sets | None = stored(channel)
        "descriptors that it has kept from the process before, ours now; None: it is of a version that keeps none"

    @property
    def pid(self) -> int:
        """The guard's process id."""
        pid, _, _ = _UCRED.unpack(self._channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return int(pid)

    def end_hurry(self) -> None:
        """One that adopts is started before all other work; go on as the guard does."""
        if self.adopt:
            with contextlib.suppress(OSError):  # it is gone, and our SIGTERM on the way
                hurry.end(self.pid)

    def tell(self, **members: object) -> None:
        """Send a message; see pyvrrp.daemon.guard."""
        with contextlib.suppress(OSError):  # its queue is full, or it is gone and our SIGTERM is on the way
            self._channel.send(json.dumps(members).encode())

    def keep(self, pid_file: PidFile) -> None:
        """Let the guard hold the pid file, which names it, for as long as it lives."""
        message = json.dumps({"pid_file": str(pid_file.path)}).encode()
        descriptor = pid_file.detach()
        with contextlib.suppress(OSError):
            socket.send_fds(self._channel, [message], [descriptor])
        os.close(descriptor)

    def store(self, owner: str, descriptors: Mapping[str, int]) -> None:
        """Let it keep duplicates of these for an owner, instead of those that it has of it.

        Raises OSError, BlockingIOError when its queue is full.
        """
        message = json.dumps({"store": [owner, [*descriptors]]}).encode()
        socket.send_fds(self._channel, [message], [*descriptors.values()])


def connect(environ: MutableMapping[str, str] = os.environ) -> GuardChannel | None:
    """The channel to our guard, None when this process has none; when the guard dies, SIGTERM comes from now on.

    What the environment says is taken out of it: no child of ours is guarded.
    """
    descriptor = environ.pop(CHANNEL, "")
    adopt, restarts = environ.pop(ADOPT, "") == "1", environ.pop(RESTARTS, "0")
    if not descriptor:
        return None
    channel = GuardChannel(socket.socket(fileno=int(descriptor)), adopt=adopt, restarts=int(restarts))
    os.set_inheritable(int(descriptor), False)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != channel.pid:  # it died before that
        os.kill(os.getpid(), signal.SIGTERM)
    return channel


def guard_timeout(config: Config) -> float:
    """Seconds of silence after which the speaker counts as hung."""
    if config.globals.guard_timeout is not None:
        return config.globals.guard_timeout
    return max(1.0, min((each.parameters.advert_int for each in config.instances), default=1.0))


def adoption_time(config: Config) -> float:
    """Seconds in which a new speaker must be ready to adopt: half the shortest time that any peer waits."""
    waits = (each.parameters.down_timer_adverts * each.parameters.advert_int for each in config.instances)
    return max(1.0, min(waits, default=0.0) / 2)


class Heartbeat:
    """Tells the guard, or systemd's watchdog, a few times in each timeout that the loop keeps its deadlines."""

    def __init__(self, timers: Timers, timeout: Callable[[], float], beat: Callable[[float], None]) -> None:
        """`timeout` gives the seconds in which a beat is expected; `beat` is called with them."""
        self._timers = timers
        self._timeout = timeout
        self._beat = beat
        self._deadline = Deadline(self._due)

    def start(self, now: float) -> None:
        """Begin; `now` is the clock of the timers."""
        self._due(now)

    def _due(self, now: float) -> None:
        timeout = self._timeout()
        # A loop that is that late is no better than one that stands still.
        if self._timers.lateness < timeout:
            self._beat(timeout)
        self._timers.set(self._deadline, now + timeout / BEATS)
