"""The named counters of an nftables table, asked for by a netlink dump of one's own.

libnftables 1.0.6 fetches every element of every map before it lists a counter: 15 ms for each table of 4093 buckets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from dnslb.dataplane.libnftables import NETLINK_NETFILTER, NftablesError, sockets_lock

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x01, 0x300, 0x10
NFNL_SUBSYS_NFTABLES, NFT_MSG_GETOBJ, NFPROTO_NETDEV = 10, 19, 5
NFTA_OBJ_TABLE, NFTA_OBJ_NAME, NFTA_OBJ_TYPE, NFTA_OBJ_DATA = 1, 2, 3, 4
NFT_OBJECT_COUNTER = 1
NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS = 1, 2
_MESSAGE = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type


def counters(table: str) -> dict[str, tuple[int, int]]:
    """By name: packets and bytes, of a table of the netdev family; raises NftablesError."""
    try:
        with sockets_lock, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
            while True:
                netlink.send(_request(table))
                found, disturbed = _answer(netlink)
                if not disturbed:
                    return found
    except OSError as error:
        raise NftablesError(f"the counters of table netdev {table} can't be read: {error.strerror}") from error


def _request(table: str) -> bytes:
    name = table.encode() + b"\0"
    attributes = _attribute(NFTA_OBJ_TABLE, name) + _attribute(NFTA_OBJ_TYPE, struct.pack("!I", NFT_OBJECT_COUNTER))
    kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETOBJ
    body = struct.pack("!BBH", NFPROTO_NETDEV, 0, 0) + attributes
    return _MESSAGE.pack(_MESSAGE.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 0, 0) + body


def _answer(netlink: socket.socket) -> tuple[dict[str, tuple[int, int]], bool]:
    """What a dump says, and whether another's change of the ruleset came between its parts."""
    found: dict[str, tuple[int, int]] = {}
    disturbed = False
    while True:
        data = netlink.recv(1 << 16)
        while data:
            length, kind, flags, _, _ = _MESSAGE.unpack_from(data)
            body, data = data[_MESSAGE.size : length], data[length + 3 & ~3 :]
            disturbed = disturbed or bool(flags & NLM_F_DUMP_INTR)
            if kind == NLMSG_DONE:
                return found, disturbed
            if kind == NLMSG_ERROR:
                number = -struct.unpack_from("=i", body)[0]
                raise OSError(number, "no such table" if number == 2 else f"error {number}")
            attributes = dict(_attributes(body[4:]))
            count = dict(_attributes(attributes[NFTA_OBJ_DATA]))
            name = attributes[NFTA_OBJ_NAME].rstrip(b"\0").decode()
            found[name] = _number(count[NFTA_COUNTER_PACKETS]), _number(count[NFTA_COUNTER_BYTES])


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind & 0x3FFF, data[_ATTRIBUTE.size : length]
        data = data[length + 3 & ~3 :]


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")
