"""Which MAC answers for an address: the kernel is asked to find out, with ARP or Neighbor Discovery."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator

from pyroute2.netlink import NLM_F_CREATE, NLM_F_REQUEST
from pyroute2.netlink.rtnl import RTM_GETNEIGH, RTM_NEWNEIGH
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from pyvrrp.core.events import IPAddress
from pyvrrp.host.netlink_codec import messages

_LOG = logging.getLogger(__name__)
_NTF_USE = 0x01
"as if a packet were to be sent there (linux/neighbour.h)"
_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
"NUD_REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT: the entry has a MAC that was right at some time"
_ASK_EVERY = 0.1
"seconds"


def mac_of(interface: str, address: IPAddress, patience: float = 1.0) -> str:
    """The MAC, empty when nobody answers in `patience` seconds; it blocks for so long: not on the event loop.

    Raises nothing. A host that answers for the address need not be the one that sent from it.
    """
    try:
        index = socket.if_nametoindex(interface)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.settimeout(patience)
            kernel.bind((0, 0))
            kernel.send(_request(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE, index, address, _NTF_USE))
            end = time.monotonic() + patience
            while not (mac := _known(kernel, index, address)) and time.monotonic() < end:
                time.sleep(_ASK_EVERY)
            return mac
    except Exception as error:  # pyroute2's own errors have no common base
        _LOG.info("%s: can't find out who has %s: %r", interface, address, error)
        return ""


def _known(kernel: socket.socket, index: int, address: IPAddress) -> str:
    kernel.send(_request(RTM_GETNEIGH, NLM_F_REQUEST, index, address))
    return next(_macs(kernel.recv(65536)), "")


def _macs(answer: bytes) -> Iterator[str]:
    for kind, _, _, data in messages(answer):
        if kind == RTM_NEWNEIGH:
            neighbour = ndmsg(data)
            neighbour.decode()
            mac = neighbour.get_attr("NDA_LLADDR")
            if mac and neighbour["state"] & _KNOWN:
                yield mac


def _request(kind: int, flags: int, index: int, address: IPAddress, use: int = 0) -> bytes:
    message = ndmsg()
    message["header"]["type"] = kind
    message["header"]["flags"] = flags
    message["family"] = socket.AF_INET if address.version == 4 else socket.AF_INET6
    message["ifindex"] = index
    message["flags"] = use
    message["attrs"] = [("NDA_DST", str(address))]
    message.encode()
    return bytes(message.data)
