"""What is to be done so that this node answers for VIPs without being found by them; pure.

The order is the safety: settings before addresses, and addresses away before the settings go back, so that no VIP is
ever on this node while ARP answers for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dnslb.real_server.seen import LOOPBACK, RT_SCOPE_HOST, Seen, conf
from pyvrrp.core.events import IPAddress

ARP_IGNORE, ARP_ANNOUNCE = 1, 2
"answer for an address only on the interface that has it; name the interface's own address as the sender"
NONLOCAL_BIND = {4: "net.ipv4.ip_nonlocal_bind", 6: "net.ipv6.ip_nonlocal_bind"}


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Give a setting a value."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Put:
    """Add the whole address to lo, or renew it there; `seconds` None: without a lifetime."""

    address: IPAddress
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Take:
    """Remove the whole address from lo."""

    address: IPAddress


def ignores(arp_ignore: int, scope: int = RT_SCOPE_HOST) -> bool:
    """Whether an interface stays silent about an address of another interface (ip-sysctl: arp_ignore).

    3 is silent only about addresses of scope host or narrower; 4 to 7 mean nothing.
    """
    return arp_ignore in (1, 2, 8) or (arp_ignore == 3 and scope >= RT_SCOPE_HOST)


def settings(vips: Iterable[IPAddress], seen: Seen, *, nonlocal_bind: bool) -> list[SetSysctl]:
    """The settings that are to change before the VIPs come.

    `all` is set, not single interfaces: it holds for those that come later too, and the greater value counts. IPv6
    needs none: Neighbor Discovery answers only for the addresses of the interface that was asked. With `nonlocal_bind`,
    a DNS server that lists the VIP can be started while the VIP is not here.
    """
    families = {vip.version for vip in vips}
    steps = []
    if 4 in families:
        for setting, value, enough in (
            ("arp_ignore", ARP_IGNORE, ignores),
            ("arp_announce", ARP_ANNOUNCE, lambda found: found >= ARP_ANNOUNCE),
        ):
            every = [seen.effective(setting, each.name) for each in seen.interfaces.values() if each.resolves]
            if not all(map(enough, every)):
                steps.append(SetSysctl(conf("all", setting), value))
    if nonlocal_bind:
        names = [NONLOCAL_BIND[family] for family in sorted(families)]
        steps += [SetSysctl(name, 1) for name in names if not seen.sysctls.get(name)]
    return steps


def additions(vips: Iterable[IPAddress], seen: Seen) -> list[Put]:
    """The VIPs to be put on lo for good; one that is there without an end is somebody's, and stays as it is."""
    return [Put(vip, None) for vip in vips if not _settled(vip, seen)]


def renewals(vips: Iterable[IPAddress], seen: Seen, seconds: int) -> list[Put]:
    """What a daemon adds or renews, again and again."""
    return [Put(vip, seconds) for vip in vips if not _settled(vip, seen)]


def removals(vips: Iterable[IPAddress], seen: Seen) -> list[Take]:
    """What is taken off lo, leased or not."""
    return [Take(vip) for vip in vips if any(each.whole and each.interface == LOOPBACK for each in seen.of(vip))]


def withdrawals(vips: Iterable[IPAddress], seen: Seen) -> list[Take]:
    """What a daemon takes off lo: its leases."""
    leased = {each.address for each in seen.addresses if each.leased and each.interface == LOOPBACK}
    return removals((vip for vip in vips if vip in leased), seen)


def _settled(vip: IPAddress, seen: Seen) -> bool:
    return any(found.whole and not found.leased for found in seen.hidden(vip))
