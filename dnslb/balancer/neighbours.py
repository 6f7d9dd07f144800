"""What is known of the MAC addresses of those that are watched; pure.

A MAC address counts until ARP or Neighbor Discovery has failed: an entry that grows old, is being asked for again or is
collected as garbage says nothing against it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dnslb.balancer.rtnetlink import USABLE, Neighbour, Nud
from pyvrrp.core.events import IPAddress

Key = tuple[int, IPAddress]
"index of the interface, and the address"


@dataclass(frozen=True, slots=True)
class Entry:
    """Of one address on one interface."""

    mac: bytes = b""
    "the last one that was good"
    known: bool | None = None
    "False: it answers no more; None: it has not answered yet"


_NOTHING = Entry()


class Neighbours:
    """The watched part of the neighbour table."""

    def __init__(self) -> None:
        self._watched: frozenset[IPAddress] = frozenset()
        self._entries: dict[Key, Entry] = {}

    def watch(self, addresses: Collection[IPAddress]) -> bool:
        """Watch these and no others; whether there are new ones, about which the kernel is to be asked."""
        before, self._watched = self._watched, frozenset(addresses)
        self._entries = {key: entry for key, entry in self._entries.items() if key[1] in self._watched}
        return not self._watched <= before

    def of(self, index: int, address: IPAddress) -> Entry:
        """What is known of an address."""
        return self._entries.get((index, address), _NOTHING)

    def heard(self, neighbour: Neighbour, *, dumped: bool) -> bool:
        """Take the state of an entry; whether anything changed. A failure that a dump tells of may be an old one."""
        if neighbour.address not in self._watched:
            return False
        key = (neighbour.index, neighbour.address)
        before = self._entries.get(key, _NOTHING)
        after = before
        if neighbour.state & USABLE and len(neighbour.mac) == 6:
            after = Entry(neighbour.mac, True)
        elif neighbour.state & Nud.FAILED and not (dumped and before.known is None):
            after = Entry(before.mac, False)
        self._entries[key] = after
        return after != before

    def forget(self, index: int) -> None:
        """An interface is gone."""
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] != index}
