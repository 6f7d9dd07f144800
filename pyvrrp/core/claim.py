"""What a packet says of its sender, whoever that is: read without any configuration of ours, and proven by nothing."""

from __future__ import annotations

from dataclasses import dataclass

from pyvrrp.core.advertisement import ChecksumForm, decode
from pyvrrp.core.auth import NAMES, AuthenticationHeader
from pyvrrp.core.datagram import PROTOCOL_AH, Datagram
from pyvrrp.core.events import IPAddress
from pyvrrp.core.reception import checksum_of, listed


@dataclass(frozen=True, slots=True)
class Claim:
    """The fields of an advertisement that anybody may know: the password is not among them."""

    version: int
    vrid: int
    priority: int
    advert_int: float
    "seconds"
    auth_type: int | None
    "0 none, 1 PASS, 2 AH; None in VRRPv3, which has none"
    addresses: tuple[IPAddress, ...]
    checksum: ChecksumForm

    @property
    def settled(self) -> tuple[object, ...]:
        """What does not change unless somebody changes a configuration: all but the priority."""
        return (self.version, self.advert_int, self.auth_type, self.addresses, self.checksum)

    def __str__(self) -> str:
        parts = [f"VRRPv{self.version}", f"priority {self.priority}", f"advert_int {self.advert_int:g} s"]
        if self.auth_type is not None:
            parts.append(f"auth_type {auth_name(self.auth_type)}")
        return ", ".join([*parts, f"virtual_ipaddress {listed(self.addresses)}"])


def read(datagram: Datagram) -> Claim:
    """Read whatever version and authentication the packet has.

    Raises Discard (LENGTH, VERSION, TYPE, CHECKSUM) when it can't be read, or its checksum is that of no form.
    """
    message, family = message_of(datagram), datagram.source.version
    advertisement = decode(message, family)
    return Claim(
        version=advertisement.version,
        vrid=advertisement.vrid,
        priority=advertisement.priority,
        advert_int=advertisement.interval,
        auth_type=advertisement.auth_type if family == 4 and advertisement.version == 2 else None,
        addresses=advertisement.addresses,
        checksum=checksum_of(datagram, message, advertisement.version),
    )


def message_of(datagram: Datagram) -> bytes:
    """The VRRP message, behind an Authentication Header where there is one; the header is not looked at."""
    if datagram.protocol == PROTOCOL_AH:
        return datagram.payload[AuthenticationHeader.LENGTH :]
    return datagram.payload


def auth_name(auth_type: int) -> str:
    """The word of the configuration for an authentication type."""
    return NAMES.get(auth_type, str(auth_type))
