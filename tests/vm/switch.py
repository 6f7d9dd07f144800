"""The network between machines: a switch in this process, whose links can be cut in each direction."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from pathlib import Path
from threading import Thread

_FRAME = 65536
_BROADCAST = b"\xff" * 6


class Switch:
    """Learns MAC addresses and forwards frames between the machines that are plugged in; no privilege is needed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._ports: dict[str, socket.socket] = {}
        self._learnt: dict[bytes, str] = {}
        self._cut: set[tuple[str, str]] = set()
        self._selector = selectors.DefaultSelector()
        self._ended = False
        self._thread = Thread(target=self._forward, name="switch", daemon=True)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()

    def plug(self, name: str) -> str:
        """A port for a machine: its `-netdev` argument."""
        ours, theirs = self._directory / f"{name}.switch", self._directory / f"{name}.port"
        if name not in self._ports:
            port = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            ours.unlink(missing_ok=True)
            port.bind(str(ours))
            port.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                port.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
            self._ports[name] = port
            self._selector.register(port, selectors.EVENT_READ, name)
            self._wake.send(b".")
        theirs.unlink(missing_ok=True)  # of a machine before, which was killed
        return f"dgram,local.type=unix,local.path={theirs},remote.type=unix,remote.path={ours}"

    def cut(self, sender: str, receiver: str) -> None:
        """Let nothing pass from one machine to the other; the other direction is another cut."""
        self._cut.add((sender, receiver))

    def part(self, name: str, other: str) -> None:
        """Let nothing pass between two machines, in both directions."""
        self._cut |= {(name, other), (other, name)}

    def isolate(self, name: str) -> None:
        """Cut a machine off from all others, in both directions; its carrier stays."""
        for other in self._ports:
            if other != name:
                self._cut |= {(name, other), (other, name)}

    def mend(self) -> None:
        """Let everything pass."""
        self._cut.clear()

    def close(self) -> None:
        """End."""
        self._ended = True
        self._wake.send(b".")
        self._thread.join()
        for port in (*self._ports.values(), self._wake, self._woken):
            port.close()
        self._selector.close()

    def _forward(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    self._woken.recv(100)
                    continue
                with contextlib.suppress(BlockingIOError):
                    for _ in range(64):
                        self._switch(key.data, self._ports[key.data].recv(_FRAME))

    def _switch(self, sender: str, frame: bytes) -> None:
        destination, source = frame[:6], frame[6:12]
        if not source[0] & 1:
            self._learnt[source] = sender
        known = self._learnt.get(destination)
        for receiver in [known] if known is not None else [name for name in self._ports if name != sender]:
            if receiver == sender or (sender, receiver) in self._cut:
                continue
            # A machine that is off, or whose queue is full, loses the frame, as on a wire.
            with contextlib.suppress(OSError):
                self._ports[receiver].sendto(frame, os.fspath(self._directory / f"{receiver}.port"))
