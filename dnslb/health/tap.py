"""A packet socket on one interface: sends whole frames, hears those that a filter lets through."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence

from dnslb.health import socket_filter

ETH_P_ARP, ETH_P_IP, ETH_P_IPV6 = 0x0806, 0x0800, 0x86DD
_MOST = 64
"frames read at one wake-up, so that a flood can't hold the loop"
_LOG = logging.getLogger("dnslb")


class Tap:
    """Hears frames before the local stack judges them: also those that it drops for their source address.

    For one ethertype: such a socket, unlike one for all, does not see what a balancer at the interface takes away.
    """

    def __init__(
        self,
        interface: str,
        ethertype: int,
        program: Sequence[socket_filter.Instruction],
        heard: Callable[[bytes], None],
    ) -> None:
        """Raises OSError: no such interface, or no CAP_NET_RAW."""
        self._heard = heard
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            # Before it is bound: not one frame passes unfiltered.
            socket_filter.attach(self._socket, program)
            self._socket.bind((interface, ethertype))
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)

    @property
    def mac(self) -> bytes:
        """The interface's MAC address, as it is now."""
        return bytes(self._socket.getsockname()[4])

    @property
    def stale(self) -> bool:
        """It hears nothing any more: it was closed, or its interface is gone (another of that name is another one)."""
        return self._socket.fileno() < 0 or not self._socket.getsockname()[0]

    def send(self, frame: bytes) -> None:
        """Send a frame, from the destination MAC on; raises OSError."""
        self._socket.send(frame)

    def close(self) -> None:
        """Hear no more; idempotent."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            # The kernel waits for a grace period, tens of milliseconds: not in the loop.
            self._loop.run_in_executor(None, os.close, self._socket.detach())

    def _readable(self) -> None:
        for _ in range(_MOST):
            try:
                frame = self._socket.recv(65535)
            except BlockingIOError:
                return
            except OSError as error:  # ENETDOWN: the interface went down or away
                _LOG.debug("packet socket: %s", error.strerror)
                return
            self._heard(frame)
