"""Asks the local DNS server at a VIP, from this very node, and looks at the address that the answer comes from.

A query from 127.0.0.1 (or ::1) to a VIP on lo is answered from the VIP by a socket that is bound to it, or that knows
where the query was sent to (IP_PKTINFO). A plain wildcard socket answers from 127.0.0.1; a client on the network would
get the node's own address. Measured with unbound 1.17 (wildcard, listed, interface-automatic) and BIND 9.18.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

from dnslb.forwarding import Protocol
from pyvrrp.core.events import IPAddress

TIMEOUT = 1.0
"seconds for one answer"
_QUESTION = b"\x02id\x06server\x00" + struct.pack("!HH", 16, 3)
"id.server CH TXT (RFC 4892): a server answers it, or refuses, by itself and at once"
_LOCAL = {4: "127.0.0.1", 6: "::1"}
_IP_RECVERR, _IPV6_RECVERR = 11, 25


class Outcome(Enum):
    """What came of a query."""

    ANSWERED = "answered"
    "by the address that was asked"
    OTHER_SOURCE = "answered from another address"
    REFUSED = "nothing listens"
    SILENT = "no answer"
    FAILED = "can't be asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One query to a VIP."""

    vip: IPAddress
    port: int
    protocol: Protocol
    outcome: Outcome
    source: IPAddress | None = None
    "where the answer came from"
    why: str = ""
    "of FAILED, the system's words"


def ask(vip: IPAddress, port: int, protocol: Protocol, timeout: float = TIMEOUT) -> Answer:
    """Ask once; takes at most `timeout` seconds and raises nothing."""
    family = socket.AF_INET if vip.version == 4 else socket.AF_INET6
    source: IPAddress | None = None
    why = ""
    try:
        with socket.socket(family, socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM) as sock:
            sock.bind((_LOCAL[vip.version], 0))
            sock.settimeout(timeout)
            if protocol is Protocol.UDP:
                source = _udp(sock, vip, port, time.monotonic() + timeout)
            else:
                sock.connect((str(vip), port))
                source = vip
            outcome = Outcome.ANSWERED if source == vip else Outcome.OTHER_SOURCE
    except ConnectionRefusedError:
        outcome = Outcome.REFUSED
    except TimeoutError:
        outcome = Outcome.SILENT
    except OSError as error:
        outcome, why = Outcome.FAILED, error.strerror or str(error)
    return Answer(vip=vip, port=port, protocol=protocol, outcome=outcome, source=source, why=why)


def _udp(sock: socket.socket, vip: IPAddress, port: int, deadline: float) -> IPAddress:
    """The address that answers; what is no answer to our question is passed over."""
    # Without it, a socket that is not connected is not told that nothing listens.
    if vip.version == 4:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    number = os.urandom(2)
    sock.sendto(number + struct.pack("!5H", 0, 1, 0, 0, 0) + _QUESTION, (str(vip), port))
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        data, sender = sock.recvfrom(4096)
        if data[:2] == number and len(data) >= 12 and data[2] & 0x80:
            return ip_address(sender[0])
    raise TimeoutError
