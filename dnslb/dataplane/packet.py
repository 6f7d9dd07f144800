"""The packet engine: packet sockets and Python, for where neither XDP nor nftables can be used.

A thread of its own receives and sends, so that the daemon's loop is not held up: plain frames by the batch
(packet_ring), all others one by one (packet_other), sorted by the kernel (packet_filter). The stack of this node gets a
copy of each packet too, and packet_silence keeps it from answering.

Besides LIMITS: what this node itself asks a service never comes by the interface, and gets no answer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.packet_forwarder import Forwarder, Gone
from dnslb.forwarding import Counters, Forwarding
from pyvrrp.core.events import IPAddress

LIMITS = (
    "it refuses to work beside a server on this node that listens on a service's address, or on all addresses",
    "UDP spread by name, TCP flows that are kept, and frames of more than 400 octets: some 50 000 packets per second",
)
"where it differs from dnslb.forwarding, or falls short"

Result = TypeVar("Result")


class PacketDataPlane:
    """A DataPlane; `open` makes it."""

    name = "packet"
    mode = ""
    reason = ""

    def __init__(self, interface: str) -> None:
        """Raises OSError."""
        self._interface = interface
        self._forwarding = Forwarding(mac=bytes(6))
        self._held: frozenset[IPAddress] = frozenset()
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._over = ""
        "why the thread ends"
        with contextlib.ExitStack() as opened:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            opened.callback(os.close, self._wake)
            self._forwarder = Forwarder(interface, self._wake)
            self._opened = opened.pop_all()
        self._thread = Thread(target=self._run, name=f"packet {interface}", daemon=True)
        self._thread.start()

    def install(self, forwarding: Forwarding) -> None:
        """As DataPlane.install; where it raises DataPlaneError, what was installed before goes on."""
        self._ask(lambda: self._forwarder.apply(forwarding, self._held))
        self._forwarding = forwarding

    def hold(self, addresses: frozenset[IPAddress]) -> None:
        """As DataPlane.hold."""
        self._ask(lambda: self._forwarder.apply(self._forwarding, addresses))
        self._held = addresses

    def counters(self) -> Counters:
        """As DataPlane.counters."""
        return self._ask(self._forwarder.counters)

    def close(self) -> None:
        """As DataPlane.close."""
        with contextlib.suppress(DataPlaneError):
            self._ask(self._end)
        self._thread.join()
        self._opened.close()

    def _ask(self, function: Callable[[], Result]) -> Result:
        """Have the thread do something between two batches, so that nothing of the forwarder needs a lock."""
        future: Future[Result] = Future()

        def answer() -> None:
            try:
                future.set_result(function())
            except DataPlaneError as error:
                future.set_exception(error)
            except OSError as error:
                future.set_exception(DataPlaneError(f"packet: {self._interface}: {error.strerror or error}"))

        if self._thread.is_alive():
            self._asked.put(answer)
            os.eventfd_write(self._wake, 1)
        while self._thread.is_alive() or future.done():
            with contextlib.suppress(TimeoutError):
                return future.result(timeout=1)
        raise DataPlaneError(f"packet: {self._interface} is not balanced any more: {self._over}")

    def _run(self) -> None:
        try:
            while not self._over:
                self._forwarder.turn()
                with contextlib.suppress(Empty):
                    self._asked.get_nowait()()
        except Gone:
            self._over = "the interface was deleted"
        except Exception as error:  # an error of ours is told by the next call, not by a traceback
            self._over = f"{type(error).__name__}: {error}"
        finally:
            self._forwarder.close()

    def _end(self) -> None:
        self._over = "it was closed"


def open(interface: str) -> PacketDataPlane:
    """Begin to receive on an Ethernet interface; raises DataPlaneError."""
    try:
        return PacketDataPlane(interface)
    except PermissionError:
        raise DataPlaneError("packet: needs CAP_NET_RAW: run as root, or give the service that capability") from None
    except OSError as error:
        raise DataPlaneError(f"packet: {interface}: {error.strerror or error}") from None
