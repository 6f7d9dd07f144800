"""Whether a received packet is an advertisement for us: the checks of RFC 3768 section 7.1 and keepalived's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from pyvrrp.core.advertisement import Advertisement, ChecksumForm, checksum_form, decode
from pyvrrp.core.auth import NoAuthentication, Security
from pyvrrp.core.datagram import PROTOCOL_AH, PROTOCOL_VRRP, Datagram, pseudo_header
from pyvrrp.core.discard import Discard, DiscardReason, Statistics
from pyvrrp.core.events import IPAddress
from pyvrrp.core.parameters import OWNER, Parameters

GROUP4 = IPv4Address("224.0.0.18")
GROUP6 = IPv6Address("ff02::12")
_AH_LENGTH = 24
_VRID_OFFSET = 1
_SHOWN = 8
"addresses of a long list"
CHECKSUM_REMARKS = {
    ChecksumForm.MESSAGE: "without pseudo-header (RFC 9568, v3_checksum_as_v2), ours has one",
    ChecksumForm.PSEUDO_HEADER: "with pseudo-header, ours has none (v3_checksum_as_v2)",
}
"what is remarked about the form of theirs that is not ours"


def vrid_of(datagram: Datagram) -> int:
    """The VRID that a packet claims, before anything is verified; Discard(LENGTH) when it is too short to have one."""
    at = _VRID_OFFSET + (_AH_LENGTH if datagram.protocol == PROTOCOL_AH else 0)
    if len(datagram.payload) <= at:
        raise Discard(DiscardReason.LENGTH, f"{len(datagram.payload)} bytes have no VRID")
    return datagram.payload[at]


def checksum_of(datagram: Datagram, message: bytes, version: int) -> ChecksumForm:
    """The form of checksum that the message inside the datagram carries; Discard(CHECKSUM) when it is none."""
    ipv4 = datagram.source.version == 4
    if ipv4 and version == 2:
        return checksum_form(message, (), alone=True)
    destinations = [datagram.destination]
    if ipv4 and not datagram.destination.is_multicast:
        destinations.append(GROUP4)  # keepalived before 2.0 took the group's address for unicast too
    headers = (pseudo_header(datagram.source, to, len(message), PROTOCOL_VRRP) for to in destinations)
    return checksum_form(message, headers, alone=ipv4)


@dataclass(slots=True, kw_only=True)
class Reception:
    """The checks of one virtual router, in keepalived's order; what passes is counted in `statistics`."""

    parameters: Parameters
    security: Security = field(default_factory=NoAuthentication)
    unicast: bool = False
    group: IPAddress | None = None
    "the one multicast group to listen to, where the socket hears several; None: any"
    checksum: ChecksumForm = ChecksumForm.PSEUDO_HEADER
    "what ours covers in VRRPv3 over IPv4; either is accepted"
    peers: Mapping[IPAddress, tuple[int, int]] | None = None
    "check_unicast_src: the accepted sources with their lowest and highest TTL; None: any source"
    statistics: Statistics = field(default_factory=Statistics)
    remarks: dict[str, str] = field(default_factory=dict)
    "what the last accepted advertisement had different: field -> sentence; not a reason to refuse it"
    _kept: tuple[tuple[object, ...], Advertisement] | None = field(default=None, init=False, repr=False)
    "the last one accepted without a remark: a MASTER says the same thing every second"

    def check(self, datagram: Datagram) -> Advertisement:
        """The advertisement inside the datagram.

        Raises Discard, whose reason is one of DiscardReason, for everything that must not reach the state machine.
        """
        heard = (datagram.payload, datagram.source, datagram.destination, datagram.ttl, datagram.protocol)
        if self._kept is not None and self._kept[0] == heard:
            self.statistics.advertisements_received += 1
            self.remarks.clear()
            return self._kept[1]
        mine = self.parameters
        message = self.security.unwrap(datagram)
        advertisement = decode(message, mine.family)
        if not self.unicast and datagram.ttl != 255:
            raise Discard(DiscardReason.TTL, f"TTL {datagram.ttl} of a multicast packet is not 255")
        if advertisement.version != mine.version:
            raise Discard(DiscardReason.VERSION, f"version {advertisement.version}, we speak {mine.version}")
        form = checksum_of(datagram, message, mine.version)
        if mine.version == 2:
            self.security.verify(datagram, advertisement)
        self._interval(advertisement)
        self._destination(datagram.destination)
        self._source(datagram)
        if mine.owner_ignore_adverts and mine.priority == OWNER:
            raise Discard(DiscardReason.OWNER, "the address owner ignores advertisements")
        self._addresses(advertisement)
        self._count(advertisement, form)
        if advertisement.priority > 0 and not self.remarks and datagram.protocol == PROTOCOL_VRRP:
            self._kept = (heard, advertisement)  # an AH is never the same twice
        return advertisement

    def _destination(self, destination: IPAddress) -> None:
        if destination.is_multicast == self.unicast or self.group not in (None, destination):
            expected = "unicast" if self.unicast else self.group or "multicast"
            raise Discard(DiscardReason.CAST, f"sent to {destination}, we expect {expected}")

    def _interval(self, advertisement: Advertisement) -> None:
        ours, theirs = self.parameters.advert_int, advertisement.interval
        if advertisement.version == 2 and theirs != ours:
            # RFC 3768 section 7.1: "MUST verify that the Adver Interval in the packet is the same"
            raise Discard(DiscardReason.INTERVAL, f"advert_int {theirs:g} s, ours is {ours:g} s")
        if theirs == 0:
            # RFC 9568 erratum 8301: all BACKUPs would time out at once
            raise Discard(DiscardReason.INTERVAL, "advertisement interval 0")

    def _source(self, datagram: Datagram) -> None:
        if not self.unicast or self.peers is None:
            return
        if (limits := self.peers.get(datagram.source)) is None:
            raise Discard(DiscardReason.SOURCE, f"{datagram.source} is not in unicast_peer")
        if not limits[0] <= datagram.ttl <= limits[1]:
            raise Discard(
                DiscardReason.TTL, f"TTL {datagram.ttl} of {datagram.source} is not in {limits[0]}-{limits[1]}"
            )

    def _addresses(self, advertisement: Advertisement) -> None:
        """RFC 9568 errata 8299 and 8300, unless our own list breaks the rule too: then refusing makes two MASTERs."""
        theirs, ours = advertisement.addresses, self.parameters.addresses
        if advertisement.version == 2 or not ours:
            return
        if not theirs:
            raise Discard(DiscardReason.ADDRESS_LIST, "no address in the advertisement")
        if ours[0].is_link_local and self.parameters.family == 6 and not theirs[0].is_link_local:
            raise Discard(DiscardReason.ADDRESS_LIST, f"the first address, {theirs[0]}, is not link-local")

    def _count(self, advertisement: Advertisement, form: ChecksumForm) -> None:
        statistics, mine = self.statistics, self.parameters
        statistics.advertisements_received += 1
        if advertisement.priority == 0:
            statistics.priority_zero_received += 1
        self.remarks.clear()
        if advertisement.version == 3 and advertisement.interval != mine.advert_int:
            statistics.interval_mismatches += 1
            self.remarks["advert_int"] = f"{advertisement.interval:g} s, ours is {mine.advert_int:g} s (learnt)"
        theirs, ours = advertisement.addresses, mine.addresses
        if not mine.skip_check_adv_addr and theirs != ours and set(theirs) != set(ours):
            # keepalived since 2.3.3 accepts and counts; dropping it made two MASTERs
            statistics.address_list_mismatches += 1
            self.remarks["virtual_ipaddress"] = difference(theirs, ours)
        if advertisement.version == 3 and mine.family == 4 and form is not self.checksum:
            self.remarks["checksum"] = CHECKSUM_REMARKS[form]


def difference(theirs: tuple[IPAddress, ...], ours: tuple[IPAddress, ...]) -> str:
    """What two lists of addresses have each alone."""
    more = tuple(address for address in theirs if address not in ours)
    less = tuple(address for address in ours if address not in theirs)
    parts = [f"only they have {listed(more)}"] if more else []
    return "; ".join([*parts, f"only we have {listed(less)}"] if less else parts)


def listed(addresses: tuple[IPAddress, ...]) -> str:
    """The addresses in a sentence, a long list cut short."""
    if not addresses:
        return "none"
    more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
    return ", ".join(map(str, addresses[:_SHOWN])) + more
