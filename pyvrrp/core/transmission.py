"""The bytes of our own advertisements, built once for each priority and destination."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.auth import AuthenticationHeader, NoAuthentication, Security
from pyvrrp.core.datagram import PROTOCOL_VRRP, pseudo_header
from pyvrrp.core.events import IPAddress
from pyvrrp.core.parameters import Parameters


class Transmission:
    """What one virtual router sends: an IPv4 packet with its header, or the bare message over IPv6.

    A packet is the same bytes each time (the kernel numbers it), so it is kept; only an Authentication Header, which
    counts, is made anew.
    """

    def __init__(
        self,
        parameters: Parameters,
        source: IPAddress,
        destinations: Sequence[IPAddress],
        *,
        security: Security | None = None,
        unicast: bool = False,
        ttl: int = 255,
        v3_checksum_as_v2: bool = False,
    ) -> None:
        self.source = source
        self.destinations = tuple(destinations)
        self.ttl = ttl
        self._parameters = parameters
        self._security = security or NoAuthentication()
        self._unicast = unicast
        self._pseudo_header = parameters.family == 6 or (parameters.version == 3 and not v3_checksum_as_v2)
        self._kept: dict[tuple[int, IPAddress], bytes] = {}

    def packet(self, priority: int, destination: IPAddress) -> bytes:
        """The advertisement with this priority (0-255) for one of the destinations."""
        if (kept := self._kept.get((priority, destination))) is not None:
            return kept
        packet = self._build(priority, destination)
        if not isinstance(self._security, AuthenticationHeader):
            self._kept[priority, destination] = packet
        return packet

    def _build(self, priority: int, destination: IPAddress) -> bytes:
        mine, security = self._parameters, self._security
        advertisement = Advertisement(
            mine.version,
            mine.vrid,
            priority,
            mine.advert_int,
            mine.addresses,
            security.auth_type,
            security.auth_data if mine.family == 4 else b"",
        )
        covered = b""
        if self._pseudo_header:
            length = 8 + sum(len(address.packed) for address in mine.addresses)
            covered = pseudo_header(self.source, destination, length, PROTOCOL_VRRP)
        message = advertisement.encode(covered)
        if not isinstance(self.source, IPv4Address) or not isinstance(destination, IPv4Address):
            return message
        return security.wrap(self.source, destination, message, self.ttl, unicast=self._unicast)
