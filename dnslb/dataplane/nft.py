"""The nft engine: one table of the netdev family, at the ingress of the interface, which its socket owns.

An operator reads it with `nft -t list table netdev dnslb-eth0` (-t leaves out what is in the maps).
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path

from dnslb.dataplane import DataPlaneError
from dnslb.dataplane.libnftables import LIBRARY, Libnftables, NftablesError
from dnslb.dataplane.nft_counters import counters
from dnslb.dataplane.nft_ruleset import Ruleset, changes
from dnslb.dataplane.nft_spread import COUNTERS
from dnslb.dataplane.nft_table import content, empty
from dnslb.forwarding import Counters, Destination, Forwarding, Protocol, Service, Spread
from pyvrrp.core.events import IPAddress

LIMITS = (
    "it can't spread by name (lb_algo qname)",
    "behind two VLAN tags it balances UDP and TCP only, without IP options, extension headers and fragments, keeps no"
    " flows, and does not see that a packet is cut short",
    "ICMP errors about packets that had IPv4 options, and IPv6 packets with an authentication header, pass",
    "IPv6 packets are balanced however many extension headers they have",
    "a TCP flow is forgotten when it was quiet for five minutes, and is not remembered while 65536 others are",
    "malformed packets are not counted, VLAN tags not among the octets",
)
"where it differs from dnslb.forwarding, or falls short"

ETHERNET_HEADER = 14
CAP_NET_ADMIN = 12
_INTERFACE = re.compile(r"[\w.:@+-]+", re.ASCII)


class Nft:
    """One interface's table; see dnslb.dataplane.DataPlane."""

    name = "nft"
    mode = ""
    reason = ""

    def __init__(self, interface: str, nftables: Libnftables, content: Ruleset | None) -> None:
        self._interface = interface
        self._nftables = nftables
        self._content = content
        "None: what another process left behind"
        self._index = _index(interface)
        self._forwarding: Forwarding | None = None
        self._held: frozenset[IPAddress] = frozenset()

    def install(self, forwarding: Forwarding) -> None:
        """As DataPlane.install; raises DataPlaneError also where a service is spread by name."""
        sentence = unable(forwarding.services)
        if sentence:
            raise DataPlaneError(f"{self._interface}: {sentence}")
        self._apply(forwarding, self._held)
        self._forwarding = forwarding

    def hold(self, addresses: frozenset[IPAddress]) -> None:
        """As DataPlane.hold; before the first `install` it changes nothing, also of what was resumed."""
        if self._forwarding is not None:
            self._apply(self._forwarding, addresses)
        self._held = addresses

    def counters(self) -> Counters:
        """As DataPlane.counters; Passed.MALFORMED is not among them, and octets are without VLAN tags."""
        table = table_name(self._interface)
        try:
            found = counters(table)
        except NftablesError as error:
            raise DataPlaneError(f"{self._interface}: {error}") from None
        if not found.keys() >= set(COUNTERS.values()):
            raise DataPlaneError(f"{self._interface}: table netdev {table} is gone, perhaps with the interface")
        slots = {int(each.removeprefix("slot-")): found[each] for each in found if each.startswith("slot-")}
        return Counters(
            packets={slot: packets for slot, (packets, _) in slots.items()},
            octets={slot: octets + packets * ETHERNET_HEADER for slot, (packets, octets) in slots.items()},
            passed={reason: found[each][0] for reason, each in COUNTERS.items()},
        )

    def descriptors(self) -> Mapping[str, int]:
        """What the table lives by, for `resume`: a duplicate, in whatever process, keeps it alive and forwarding."""
        return {"socket": self._nftables.fileno()}

    def close(self) -> None:
        """Delete the table, whoever has duplicates of the descriptor; idempotent."""
        with contextlib.suppress(NftablesError):  # it is closed already, or the table is gone
            self._nftables.run(f"delete table netdev {table_name(self._interface)}")
        self._nftables.close()

    def _apply(self, forwarding: Forwarding, held: frozenset[IPAddress]) -> None:
        new = content(self._interface, forwarding, held)
        table = f"netdev {table_name(self._interface)}"
        if self._index != _index(self._interface):
            raise DataPlaneError(f"{self._interface}: the interface is gone, and the hook with it: open it anew")
        if self._content is None:
            commands = [f"delete table {table}", _creation(table), *changes(table, Ruleset(), new)]
        else:
            commands = changes(table, self._content, new)
        if commands:
            try:
                self._nftables.run("\n".join(commands))
            except NftablesError as error:
                raise DataPlaneError(f"{self._interface}: nftables refuses a change: {error}") from None
        self._content = new


def open(interface: str, *, library: str = LIBRARY) -> Nft:
    """Hook into an interface's ingress, so far without effect; raises DataPlaneError."""
    nftables = _context(interface, library)
    start = empty(interface)
    try:
        _create(nftables, interface, start)
    except NftablesError as error:
        nftables.close()
        raise DataPlaneError(f"{interface}: {error}") from None
    return Nft(interface, nftables, start)


def resume(interface: str, descriptors: Mapping[str, int]) -> Nft:
    """Take over the table of another process, which is gone; the descriptors are ours from now on, also if this fails.

    The table goes on as it is until the first `install`, which replaces it at once; the counters and the flows that
    are kept begin anew then. Raises DataPlaneError.
    """
    return Nft(interface, _context(interface, LIBRARY, descriptors["socket"]), None)


def _context(interface: str, library: str, adopt: int | None = None) -> Libnftables:
    try:
        if not _INTERFACE.fullmatch(interface):
            raise NftablesError("nft takes no interface of such a name")
        if not _index(interface):
            raise NftablesError("there is no such interface")
        if not _may_administer():
            raise NftablesError("the process lacks CAP_NET_ADMIN: run it as root, or grant it that")
        return Libnftables(library, adopt=adopt)
    except NftablesError as error:
        if adopt is not None:
            os.close(adopt)
        raise DataPlaneError(f"{interface}: {error}") from None


def unable(services: Iterable[Service]) -> str:
    """One sentence when there is a service that nft can't spread, otherwise empty."""
    for service in services:
        if service.spread is Spread.QNAME and Protocol.UDP in service.protocols:
            return f"nftables can't spread by name (lb_algo qname, {service.address} port {service.port})"
    return ""


def table_name(interface: str) -> str:
    """The name of an interface's table, of the letters that nft allows."""
    return "dnslb-" + re.sub(r"[^\w./-]", "_", interface, flags=re.ASCII)


def _create(nftables: Libnftables, interface: str, start: Ruleset) -> None:
    """Make the table, after a try of everything that may be wanted of the kernel."""
    table = f"netdev {table_name(interface)}"
    if f"table {table}" in nftables.run("list tables").splitlines():
        is_owned = "flags owner" in nftables.run(f"list table {table}")
        way_out = "end the process that owns it" if is_owned else f"delete it (nft delete table {table})"
        raise NftablesError(f"table {table} is there already: {way_out}")
    services = [
        Service(
            address=ip_address(address),
            port=53,
            protocols=frozenset(Protocol),
            spread=Spread.PACKET,
            table=(0, 1),
            keep_flows=True,
        )
        for address in ("192.0.2.1", "2001:db8::1")
    ]
    servers = {slot: Destination(name="", mac=bytes(6), local=slot == 0) for slot in (0, 1)}
    sample = content(interface, Forwarding(mac=bytes(6), services=services, destinations=servers), ())
    try:
        nftables.run("\n".join([_creation(table), *changes(table, Ruleset(), sample)]), dry=True)
    except NftablesError as error:
        needs = "Linux 5.12 with nft_fwd_netdev, nft_hash and nft_numgen, and nftables 1.0"
        raise NftablesError(f"nftables can't do what it takes ({needs}): {error}") from None
    nftables.run("\n".join([_creation(table), *changes(table, Ruleset(), start)]))


def _creation(table: str) -> str:
    return f"create table {table} {{ flags owner; }}"


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0


def _may_administer() -> bool:
    """Whether the thread has CAP_NET_ADMIN: libnftables would complain on stderr, past our log."""
    status = Path("/proc/thread-self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) >> CAP_NET_ADMIN & 1)
