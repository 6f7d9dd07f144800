"""Why a received packet was refused, and the counters of a virtual router."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class DiscardReason(Enum):
    """One counter each; the value is the MIB object's word (RFC 6527; the three auth ones: RFC 2787)."""

    CHECKSUM = "checksum_errors"
    VERSION = "version_errors"
    VRID = "vrid_errors"
    INTERVAL = "adv_interval_errors"
    TTL = "ip_ttl_errors"
    TYPE = "invalid_type_pkts_received"
    ADDRESS_LIST = "address_list_errors"
    LENGTH = "packet_length_errors"
    AUTH_TYPE_INVALID = "invalid_auth_type"
    AUTH_TYPE_MISMATCH = "auth_type_mismatch"
    AUTH_FAILURE = "auth_failures"
    AUTH_REPLAY = "auth_replays"
    "an AH sequence number, or a trailer's time, that does not rise"
    CAST = "cast_mismatch"
    "multicast where unicast is configured, or the other way round"
    SOURCE = "unknown_source"
    "unicast from an address that is not in unicast_peer (check_unicast_src)"
    OWN_SOURCE = "own_source"
    "from our own address: a loop in the network, or somebody has our address too"
    OWNER = "owner_ignores"
    "owner_ignore_adverts"


class Discard(Exception):
    """A received packet is refused; `reason` names the counter, `detail` says what was found."""

    def __init__(self, reason: DiscardReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Statistics:
    """Counters of one virtual router; they only grow, until cleared on request."""

    advertisements_received: int = 0
    advertisements_sent: int = 0
    became_master: int = 0
    released_master: int = 0
    priority_zero_received: int = 0
    priority_zero_sent: int = 0
    send_errors: int = 0
    address_list_mismatches: int = 0
    "counted, not discarded (keepalived since 2.3.3)"
    interval_mismatches: int = 0
    "VRRPv3: counted and learnt, not discarded"
    announcements_sent: int = 0
    "gratuitous ARP and Neighbor Advertisement frames"
    lease_renewals: int = 0
    "of all VIPs together, one for each advertisement that was sent while they were held by a lease"
    addresses_restored: int = 0
    "VIPs that somebody else removed and that were put back"
    discarded: Counter[DiscardReason] = field(default_factory=Counter)

    def clear(self) -> None:
        """Count from 0 again."""
        fresh = Statistics()
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))
