"""What another router has different from us, field by field, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping

from pyvrrp.core.claim import Claim, auth_name
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import IPAddress
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import CHECKSUM_REMARKS, Reception, difference, listed
from pyvrrp.core.senders import Sender

_FIELDS = {
    DiscardReason.VERSION: "version",
    DiscardReason.INTERVAL: "advert_int",
    DiscardReason.ADDRESS_LIST: "virtual_ipaddress",
    DiscardReason.AUTH_TYPE_INVALID: "auth_type",
    DiscardReason.AUTH_TYPE_MISMATCH: "auth_type",
    DiscardReason.AUTH_FAILURE: "auth_pass",
    DiscardReason.CAST: "unicast_peer",
    DiscardReason.SOURCE: "unicast_peer",
}
"the field of the configuration that a packet was refused for; for the other reasons the packet itself is at fault"
PACKET = "packet"


def differences(claim: Claim | None, refused: Discard, reception: Reception) -> dict[str, str]:
    """Field -> what they have and what we have, of a packet that was refused; the reason itself is always there.

    All fields are compared, not only the one that was looked at first. Passwords are never told.
    """
    at_fault = _FIELDS.get(refused.reason)
    if claim is None or at_fault is None:
        return {PACKET: refused.detail}
    return {at_fault: refused.detail} | _compared(claim, reception)


def _compared(claim: Claim, reception: Reception) -> dict[str, str]:
    mine, security = reception.parameters, reception.security
    found: dict[str, str] = {}
    if claim.version != mine.version:
        found["version"] = f"{claim.version}, ours is {mine.version}"
    elif claim.auth_type is not None and claim.auth_type != security.auth_type:
        found["auth_type"] = f"{auth_name(claim.auth_type)}, ours is {auth_name(security.auth_type)}"
    if claim.advert_int != mine.advert_int:
        found["advert_int"] = f"{claim.advert_int:g} s, ours is {mine.advert_int:g} s"
    if not mine.skip_check_adv_addr and set(claim.addresses) != set(mine.addresses):
        found["virtual_ipaddress"] = difference(claim.addresses, mine.addresses)
    if claim.version == mine.version == 3 and mine.family == 4 and claim.checksum is not reception.checksum:
        found["checksum"] = CHECKSUM_REMARKS[claim.checksum]
    return found


def sentence(sender: Sender, mine: Parameters, *, master: bool, followed: IPAddress | None) -> str:
    """One line about a router with our VRID.

    `master`: we are MASTER; `followed`: the MASTER that we are BACKUP to.
    """
    differs, claim = sender.differs, sender.claim
    if set(differs) == {PACKET}:
        return f"{sender.who} sends what is refused: {differs[PACKET]}"
    both = ", and both are MASTER" if master and claim is not None and claim.priority > 0 else ""
    if claim is None or not _another_set(claim, mine):
        how = "its advertisements are refused" if sender.refused else "its advertisements count all the same"
        return f"{sender.who} is configured differently, {how}{both}: {fields(differs)}; make the two agree"
    unserved = ", and nobody serves ours: it is MASTER" if not sender.refused and followed == sender.source else ""
    rest = {field: text for field, text in differs.items() if field != "virtual_ipaddress"}
    also = f"; {fields(rest)}" if rest else ""
    return (
        f"{sender.who} uses VRID {sender.vrid} too{both}{unserved}: its addresses are {listed(claim.addresses)}, "
        f"ours {listed(mine.addresses)}{also}: choose another virtual_router_id on one of the two"
    )


def fields(differs: Mapping[str, str]) -> str:
    """`version: 3, ours is 2; advert_int: 2 s, ours is 1 s`."""
    return "; ".join(text if field == PACKET else f"{field}: {text}" for field, text in differs.items())


def _another_set(claim: Claim, mine: Parameters) -> bool:
    """Whether it is another virtual router, which shares no address with ours."""
    return bool(claim.addresses and mine.addresses) and set(claim.addresses).isdisjoint(mine.addresses)
