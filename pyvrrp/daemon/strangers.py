"""Who else speaks VRRP on one interface: VRIDs that are not ours, and packets from our own addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from pyvrrp.core.claim import message_of, read
from pyvrrp.core.datagram import Datagram
from pyvrrp.core.discard import Discard
from pyvrrp.core.events import IPAddress
from pyvrrp.core.mismatch import PACKET
from pyvrrp.core.reception import listed
from pyvrrp.core.senders import Register, Remark, Sender, named
from pyvrrp.daemon.mac_finder import MacFinder

MOST = 256
"senders that are listed: another cluster with all its VRIDs"
_SOURCE, _VRID = "source", "virtual_router_id"
_ANY_VRID = 0
_LOG = logging.getLogger("pyvrrp")


class Ours(Protocol):
    """What we have on the interface ourselves."""

    @property
    def own_sources(self) -> Mapping[IPAddress, float]:
        """The addresses that we advertise from."""

    @property
    def owners(self) -> Mapping[IPAddress, tuple[str, int]]:
        """Our VIPs -> the vrrp_instance and its VRID."""


class Strangers:
    """The register of one interface."""

    def __init__(self, interface: str, mac: Callable[[], str], ours: Ours, finder: MacFinder) -> None:
        """`mac` tells the interface's own."""
        self.register = Register(MOST)
        self.interface = interface
        self._mac = mac
        self._ours = ours
        self._finder = finder

    def heard(self, vrid: int, datagram: Datagram, now: float) -> None:
        """A packet with a VRID that no vrrp_instance has."""
        key = (vrid, datagram.source)
        if self.register.heard(key, message_of(datagram), now, lambda: self._described(datagram), vrid=vrid):
            self._finder.attend(self)

    def heard_ourselves(self, vrid: int, source: IPAddress, now: float) -> None:
        """A packet with a source address of ours, which this process did not send."""
        key = (_ANY_VRID, source)
        if self.register.heard(key, _SOURCE, now, lambda: (None, {_SOURCE: "our own address"}), vrid=vrid):
            self._finder.attend(self)

    def saw(self, vrid: int, source: IPAddress, mac: str, now: float) -> None:
        """A frame came from this MAC."""
        for key in ((vrid, source), (_ANY_VRID, source)):
            self.register.saw(key, mac, now)

    def tell(self, sender: Sender) -> None:
        """Log one line about a sender."""
        _LOG.log(
            logging.WARNING if sender.differs.keys() & {_SOURCE, _VRID} else logging.INFO,
            "%s: %s",
            self.interface,
            self._sentence(sender),
            extra={"VRRP_VRID": sender.vrid, "VRRP_SOURCE": str(sender.source), "VRRP_MAC": sender.mac},
        )

    def _described(self, datagram: Datagram) -> Remark:
        if datagram.source in self._ours.own_sources:
            return None, {_SOURCE: "our own address"}
        try:
            claim = read(datagram)
        except Discard as unreadable:
            return None, {PACKET: unreadable.detail}
        owners = self._ours.owners
        shared = tuple(address for address in claim.addresses if address in owners)
        if not shared:
            return claim, {}
        name, vrid = owners[shared[0]]
        return claim, {_VRID: f"{claim.vrid} with {listed(shared)}, which {name} here has under {vrid}"}

    def _sentence(self, sender: Sender) -> str:
        if _SOURCE in sender.differs:
            return self._about_ourselves(sender)
        if text := sender.differs.get(_VRID):
            return (
                f"{sender.who} advertises VRID {text}: both may be MASTER and hold it; "
                "give the two the same virtual_router_id, or one of them other addresses"
            )
        if sender.claim is None:
            return f"{sender.who} sends what can't be read under VRID {sender.vrid}: {sender.differs[PACKET]}"
        return f"{sender.who} advertises VRID {sender.vrid}, which no vrrp_instance here has: {sender.claim}"

    def _about_ourselves(self, sender: Sender) -> str:
        address, ours = sender.source, self._mac()
        foreign = [mac for mac in sender.macs if mac != ours]
        if not sender.macs:
            return (
                f"VRRP packets (VRID {sender.vrid}) come from our own address {address}, we can't see from which MAC: "
                "another host has it too, another program on this one speaks VRRP, or the network has a loop"
            )
        if foreign:
            sender.differs = {_SOURCE: "our own address, but another MAC: a duplicate address"}
            return (
                f"{address} is our own address, but {named(foreign[-1])} sends VRRP packets (VRID {sender.vrid}) "
                "from it too: a duplicate address; give one of the two hosts another"
            )
        sender.differs = {_SOURCE: "our own address and our own MAC: a loop"}
        return (
            f"our own VRRP packets (VRID {sender.vrid}) come back to us, from our address {address} and our MAC "
            f"{ours}: look for a loop, or a mirror port, in the network"
        )
