"""A packet socket that sends whole Ethernet frames: gratuitous ARP and Neighbor Advertisements."""

from __future__ import annotations

import socket

from pyvrrp.host.capabilities import MissingCapability

TC_PRIO_CONTROL = 7
"SO_PRIORITY of control traffic (linux/pkt_sched.h): the first band of the default queue"


class PacketSocket:
    """Sends on one interface and receives nothing."""

    def __init__(self, interface: str) -> None:
        """Raises MissingCapability, and OSError when there is no such interface."""
        try:
            # Protocol 0: the kernel hands us no frame at all.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        except PermissionError as error:
            raise MissingCapability("CAP_NET_RAW") from error
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, TC_PRIO_CONTROL)
            self._socket.bind((interface, 0))
        except OSError as error:
            self._socket.close()
            error.filename = interface
            raise

    def send(self, frame: bytes) -> None:
        """Send one frame, from the destination MAC on.

        Raises OSError: ENETDOWN (link down), ENXIO (the interface was deleted: open a new one), EAGAIN and ENOBUFS
        (the queue of the interface is full).
        """
        self._socket.send(frame)

    def close(self) -> None:
        """Close it; again is harmless."""
        self._socket.close()
