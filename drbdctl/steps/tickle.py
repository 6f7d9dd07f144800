"""TCP connections that a server has left behind, and how their clients learn at once that they are gone.

A client whose server has moved goes on retransmitting, each time after twice the pause: back after seven seconds, the
server is asked after eight at best, after sixteen at worst. An acknowledgement of a connection that the client still
takes for alive is answered by it with what it expects next; of that the new server's kernel knows nothing, and resets
the connection with the right sequence number; the client connects again. The pairs of addresses are kept on the
replicated volume.

The segment is the keep-alive of RFC 9293, section 3.8.4; the answers are those of sections 3.10.7.4 and 3.10.7.1.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyvrrp.core.datagram import internet_checksum, pseudo_header

_ESTABLISHED = 1
_ACK = 0x10
_SEGMENT = struct.Struct("!HHIIBBHHH")


@dataclass(frozen=True, slots=True, order=True)
class Connection:
    """A client's connection to a server's address."""

    address: str
    "the server's"
    port: int
    client: str
    client_port: int

    def __str__(self) -> str:
        return f"{self.address} {self.port} {self.client} {self.client_port}"


def connections(port: int, proc: Path = Path("/proc/net")) -> frozenset[Connection]:
    """Those that are established to a port of this machine, without those from itself."""
    found: set[Connection] = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            found.update(each for each in read_table((proc / name).read_text()) if each.port == port)
    return frozenset(each for each in found if each.client != each.address)


def read_table(text: str) -> Iterator[Connection]:
    """What proc(5) has of /proc/net/tcp and tcp6: addresses as words of the machine's byte order, ports as numbers."""
    for line in text.splitlines()[1:]:
        with suppress(ValueError, IndexError):
            _, local, remote, state, *_ = line.split()
            if int(state, 16) == _ESTABLISHED:
                yield Connection(*_end(local), *_end(remote))


def _end(text: str) -> tuple[str, int]:
    words, _, port = text.partition(":")
    packed = b"".join(struct.pack("=I", int(words[start : start + 8], 16)) for start in range(0, len(words), 8))
    found = ipaddress.ip_address(packed)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found), int(port, 16)


def written(found: Iterable[Connection]) -> str:
    """A line for each, for the file on the volume."""
    return "".join(f"{each}\n" for each in sorted(found))


def read(text: str) -> frozenset[Connection]:
    """What `written` has made; a line that is no connection is left out."""
    found = set()
    for line in text.splitlines():
        with suppress(ValueError):
            address, port, client, client_port = line.split()
            same = ipaddress.ip_address(address).version == ipaddress.ip_address(client).version
            if same and 0 < int(port) < 65536 and 0 < int(client_port) < 65536:
                found.add(Connection(address, int(port), client, int(client_port)))
    return frozenset(found)


def segment(connection: Connection) -> bytes:
    """The acknowledgement, of sequence number 0: out of any window but by chance."""
    source, destination = ipaddress.ip_address(connection.address), ipaddress.ip_address(connection.client)
    fields = (connection.port, connection.client_port, 0, 0, _SEGMENT.size // 4 << 4, _ACK, 0)
    header = _SEGMENT.pack(*fields, 0, 0)
    checksum = internet_checksum(pseudo_header(source, destination, len(header), socket.IPPROTO_TCP) + header)
    return _SEGMENT.pack(*fields, checksum, 0)


def send(connection: Connection) -> None:
    """Send it from the server's address, which must be here; raises OSError."""
    family = socket.AF_INET6 if ":" in connection.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # it would hear every segment that comes in
        raw.bind((connection.address, 0))
        raw.sendto(segment(connection), (connection.client, 0))
