"""What systemd is told (sd_notify(3)): one datagram per message, nothing when no one asked."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"not for child processes: a script must not speak for the daemon"

_LOG = logging.getLogger("pyvrrp")


class Systemd:
    """The service manager, as the environment names it; never blocks and never raises."""

    def __init__(self, environ: Mapping[str, str] = os.environ, relay: Callable[[str], None] | None = None) -> None:
        """`relay` takes the messages in place of systemd, which hears the main process only: the guard."""
        self._relay = relay
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._watchdog = _seconds(environ)
        self._complained = False

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two pings: half of `WatchdogSec=` (sd_watchdog_enabled(3)); None: none is expected."""
        return self._watchdog / 2 if self._watchdog else None

    def ready(self, status: str = "") -> None:
        """Start-up, or the reload announced by `reloading`, is done."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """A reload begins (`Type=notify-reload` wants the time with it)."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """Shutdown begins."""
        self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(text))

    def watchdog(self) -> None:
        """Work progresses; to be sent after deadlines that were kept, not by a timer of its own."""
        if self._watchdog:
            self._send("WATCHDOG=1")

    def main_pid(self, pid: int) -> None:
        """Another process is the main one from now on."""
        self._send(f"MAINPID={pid}")

    def _send(self, *assignments: str) -> None:
        if self._relay is not None:
            self._relay("\n".join(assignments))
        if self._relay is not None or not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
                channel.sendto("\n".join(assignments).encode(errors="replace"), self._address)
        except (OSError, ValueError) as error:
            if not self._complained:
                _LOG.warning("systemd does not hear us: NOTIFY_SOCKET %s: %s", self._address.replace("\0", "@"), error)
            self._complained = True


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()


def _seconds(environ: Mapping[str, str]) -> float | None:
    """`WATCHDOG_USEC`, unless `WATCHDOG_PID` says that it is meant for another process."""
    try:
        if int(environ.get("WATCHDOG_PID", os.getpid())) != os.getpid():
            return None
        return int(environ["WATCHDOG_USEC"]) / 1e6 or None
    except (KeyError, ValueError):
        return None
