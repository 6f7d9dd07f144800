"""What is read of this node and written to it: netlink, /proc; the network namespace is that of the calling thread."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from dnslb.forwarding import Protocol
from dnslb.real_server.plan import NONLOCAL_BIND
from dnslb.real_server.redirect import Rule
from dnslb.real_server.rtnetlink import Rtnetlink
from dnslb.real_server.seen import Conntrack, Interface, Listener, Seen, conf
from pyvrrp.core.events import IPAddress

_SYSCTLS = Path("/proc/sys")
_SOCKETS = Path("/proc/thread-self/net")
"not /proc/net, which is that of the process's first thread"
_TABLES = {"udp": Protocol.UDP, "udp6": Protocol.UDP, "tcp": Protocol.TCP, "tcp6": Protocol.TCP}
_WAITING = {Protocol.UDP: "07", Protocol.TCP: "0A"}
"the state of a socket without a peer: TCP_CLOSE for UDP, TCP_LISTEN"
_HIDING = ("arp_ignore", "arp_announce")


def look() -> Seen:
    """Interfaces, addresses and the settings that hide a VIP. Raises OSError."""
    with Rtnetlink() as netlink:
        interfaces = netlink.interfaces()
        addresses = netlink.addresses(interfaces)
    return Seen(
        interfaces={each.name: each for each in interfaces.values()},
        addresses=tuple(addresses),
        sysctls=_sysctls(interfaces.values(), _HIDING),
    )


def look_closely(ports: Sequence[int], redirected: frozenset[Rule]) -> Seen:
    """All that the checks ask about, but for the nft rules, which are given, and neighbours. Raises OSError."""
    seen = look()
    with Rtnetlink() as netlink:
        routes = netlink.default_routes({each.index: each for each in seen.interfaces.values()})
    return replace(
        seen,
        sysctls={**seen.sysctls, **_sysctls(seen.interfaces.values(), ("rp_filter",))},
        routes=tuple(routes),
        listeners=tuple(listeners(ports)),
        redirected=redirected,
        conntrack=_conntrack(),
    )


def put_on_loopback(address: IPAddress, seconds: int | None) -> None:
    """See Rtnetlink.put_on_loopback."""
    with Rtnetlink() as netlink:
        netlink.put_on_loopback(address, seconds)


def take_off_loopback(address: IPAddress) -> None:
    """See Rtnetlink.take_off_loopback."""
    with Rtnetlink() as netlink:
        netlink.take_off_loopback(address)


def read_sysctl(name: str) -> int | None:
    """The value of a setting; None when it does not exist, can't be read or is no number."""
    try:
        return int(_sysctl_file(name).read_text())
    except (OSError, ValueError):
        return None


def write_sysctl(name: str, value: int) -> None:
    """Set it. Raises OSError with the setting as its file name."""
    try:
        _sysctl_file(name).write_text(str(value))
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error


def net_namespace() -> str:
    """The number of the calling thread's network namespace. Raises OSError."""
    return str(os.stat("/proc/thread-self/ns/net").st_ino)


def listeners(ports: Iterable[int], tables: Path = _SOCKETS) -> Iterator[Listener]:
    """Who listens on these ports, UDP and TCP."""
    wanted = {f"{port:04X}": port for port in ports}
    for table, protocol in _TABLES.items():
        try:
            lines = (tables / table).read_text().splitlines()[1:]
        except OSError:  # IPv6 is switched off
            continue
        for line in lines:
            _, local, _, state, *_ = line.split(maxsplit=4)
            address, _, port = local.partition(":")
            if port in wanted and state == _WAITING[protocol]:
                yield Listener(protocol, _address(address), wanted[port])


def _address(text: str) -> IPAddress:
    """An address as /proc/net has it: 32-bit words in the byte order of the host."""
    words = struct.pack(f"={len(text) // 8}I", *(int(text[at : at + 8], 16) for at in range(0, len(text), 8)))
    return IPv4Address(words) if len(words) == 4 else IPv6Address(words)


def _sysctls(interfaces: Iterable[Interface], settings: Sequence[str]) -> dict[str, int]:
    names = [conf(name, each) for name in ("all", *(found.name for found in interfaces)) for each in settings]
    found = {name: read_sysctl(name) for name in (*names, *NONLOCAL_BIND.values())}
    return {name: value for name, value in found.items() if value is not None}


def _sysctl_file(name: str) -> Path:
    return _SYSCTLS.joinpath(*(part.replace("/", ".") for part in name.split(".")))


def _conntrack() -> Conntrack | None:
    count, limit = (read_sysctl(f"net.netfilter.nf_conntrack_{each}") for each in ("count", "max"))
    return None if count is None or limit is None else Conntrack(count, limit)
