"""Instead of the VIP on lo: an nft rule sends what comes for it to this node's own address.

Neighbours never hear of the VIP, and conntrack gives the answers its address, whatever the server thinks; the price is
an entry of the connection table for each query (30 s for UDP). Measured with IPv4 and IPv6, on a wildcard socket too.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from dnslb.dataplane.libnftables import Libnftables, NftablesError
from pyvrrp.core.events import IPAddress

TABLE = "dnslb_redirect"
"of `dnslb realserver add --redirect`"
DAEMON_TABLE = "dnslb_redirect_daemon"
"of a daemon, which owns it: the kernel deletes it with the process"
_COMMENT = "queries for a balancer's address that are answered here (dnslb realserver)"
_CAP_NET_ADMIN = 1 << 12
_ELEMENT = re.compile(r"([0-9a-f.:]+) \. ([0-9]+)")

Rule = tuple[IPAddress, int]
"an address and a port"


def ruleset(table: str, rules: Collection[Rule], *, owner: bool) -> str:
    """The commands that make the table anew, or delete it where there are no rules; one transaction."""
    away = f"add table inet {table}; delete table inet {table}\n"
    if owner:
        away = away.replace(f"add table inet {table}", f"add table inet {table} {{ flags owner; }}", 1)
    if not rules:
        return away
    flags = "  flags owner\n" if owner else ""
    return f"""{away}table inet {table} {{
{flags}  comment "{_COMMENT}"
{_set("v4", "ipv4_addr", [rule for rule in rules if rule[0].version == 4])}
{_set("v6", "ipv6_addr", [rule for rule in rules if rule[0].version == 6])}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto {{ tcp, udp }} ip daddr . th dport @v4 redirect
    meta l4proto {{ tcp, udp }} ip6 daddr . th dport @v6 redirect
  }}
}}
"""


def _set(name: str, kind: str, rules: Iterable[Rule]) -> str:
    elements = ", ".join(f"{vip} . {port}" for vip, port in sorted(rules))
    return f"  set {name} {{ type {kind} . inet_service; {f'elements = {{ {elements} }}; ' if elements else ''}}}"


def replace(rules: Collection[Rule]) -> None:
    """Make the table of `dnslb realserver add --redirect` hold these rules; it stays. Raises OSError."""
    with _refusals(), closing(Libnftables()) as nftables:
        nftables.run(ruleset(TABLE, rules, owner=False))


def present() -> frozenset[Rule]:
    """The rules of both tables, as the kernel has them. Raises OSError."""
    if not _may_ask():  # libnftables itself would write to standard error
        raise PermissionError(errno.EPERM, "can't read the nft rules: " + os.strerror(errno.EPERM))
    found: set[Rule] = set()
    with _refusals(), closing(Libnftables()) as nftables:
        for table in (TABLE, DAEMON_TABLE):
            with suppress(NftablesError):  # there is no such table
                elements = _ELEMENT.findall(nftables.run(f"list table inet {table}"))
                found.update((ip_address(address), int(port)) for address, port in elements)
    return frozenset(found)


def _may_ask() -> bool:
    status = Path("/proc/thread-self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) & _CAP_NET_ADMIN)


class Redirect:
    """The rules of a daemon; the kernel deletes them when the process ends, however it ends."""

    def __init__(self) -> None:
        self._nftables: Libnftables | None = None
        self.rules: frozenset[Rule] = frozenset()
        "what is redirected now"

    def hold(self, rules: frozenset[Rule]) -> bool:
        """Redirect these and nothing else from now on; whether that is a change. Raises OSError."""
        if rules == self.rules:
            return False
        with _refusals():
            if self._nftables is None:
                self._nftables = Libnftables()
            self._nftables.run(ruleset(DAEMON_TABLE, rules, owner=True))
        self.rules = rules
        return True

    def close(self) -> None:
        """Delete them."""
        if self._nftables is not None:
            self._nftables.close()
        self._nftables, self.rules = None, frozenset()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except NftablesError as error:
        denied = os.strerror(errno.EPERM) in str(error)
        raise OSError(errno.EPERM if denied else errno.EINVAL, f"nftables: {error}") from error
