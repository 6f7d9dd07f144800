"""What arrives on the wire: virtual routers of every kind, in every state, and the packets that they get.

An input is one byte that chooses the virtual router, one that chooses its state, and an IP packet with its header.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, get_args

from pyvrrp.core.auth import AuthenticationHeader, NoAuthentication, SimpleText
from pyvrrp.core.datagram import PROTOCOL_VRRP, Datagram, parse_ipv4
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import (
    Action,
    AdvertisementReceived,
    GatesOpened,
    IPAddress,
    Startup,
    State,
    Switchover,
    TimerExpired,
)
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception, vrid_of
from pyvrrp.core.transmission import Transmission
from pyvrrp.core.virtual_router import VirtualRouter
from pyvrrp.host.crypto import hmac_md5
from tests.pcap import packets

OURS = {4: IPv4Address("192.0.2.12"), 6: IPv6Address("fe80::12")}
PEER = {4: IPv4Address("192.0.2.11"), 6: IPv6Address("fe80::11")}
GROUPS: dict[int, IPAddress] = {4: GROUP4, 6: GROUP6}
PEERS = {4: {PEER[4]: (64, 255)}, 6: {PEER[6]: (255, 255)}}
VIPS4 = (IPv4Address("192.0.2.105"), IPv4Address("192.0.2.106"))
VIPS6 = (IPv6Address("fe80::64"), IPv6Address("2001:db8::64"))
SEQUENCE = 5
"that a virtual router with an Authentication Header has heard already"
IPV6_HEADER = 40
KEY = b"secret12"
_UNPROVEN = (
    DiscardReason.LENGTH,
    DiscardReason.VERSION,
    DiscardReason.TYPE,
    DiscardReason.CHECKSUM,
    DiscardReason.AUTH_TYPE_INVALID,
    DiscardReason.AUTH_TYPE_MISMATCH,
    DiscardReason.AUTH_FAILURE,
    DiscardReason.AUTH_REPLAY,
)
"whoever is refused for one of these did not prove that it has the key: its sequence number must not count"
_ACTIONS = set(get_args(Action))
STATES = ("BACKUP", "nopreempt", "MASTER", "acquiring", "handing over", "releasing", "FAULT")


@dataclass(frozen=True, slots=True)
class Variant:
    """One virtual router as it is configured, and packets that it takes."""

    parameters: Parameters
    reception: Reception
    seeds: tuple[bytes, ...]

    def take_apart(self, packet: bytes) -> Datagram:
        """What the socket makes of a packet; the kernel has read the IPv6 header."""
        if self.parameters.family == 4:
            return parse_ipv4(packet)
        packet = packet.ljust(IPV6_HEADER, b"\0")
        source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
        return Datagram(source, destination, packet[7], packet[6], b"", packet[IPV6_HEADER:])


def _variant(
    captured: str = "", security: Callable[[], NoAuthentication] = NoAuthentication, **options: Any
) -> Variant:
    family = options.get("family", 4)
    receiving = {name: options.pop(name) for name in ("unicast", "peers", "group") if name in options}
    addresses = VIPS4 if family == 4 else VIPS6
    parameters = Parameters(**{"vrid": 51, "addresses": addresses} | options)
    unicast = receiving.get("unicast", False)
    destination = OURS[family] if unicast else GROUPS[family]
    made = Transmission(parameters, PEER[family], [destination], security=security(), unicast=unicast)
    if isinstance(made._security, AuthenticationHeader):
        made._security.sequence = SEQUENCE
    seeds = [made.packet(priority, destination) for priority in (0, 99, 100, 101, 255)]
    if family == 6:
        seeds = [_ipv6_header(seed, destination) + seed for seed in seeds]
    vectors = packets(captured) if captured else []
    return Variant(
        parameters, Reception(parameters=parameters, security=security(), **receiving), (*seeds, *vectors[:1])
    )


def _ipv6_header(payload: bytes, destination: IPAddress) -> bytes:
    head = b"\x6c\0\0\0" + len(payload).to_bytes(2) + bytes((PROTOCOL_VRRP, 255))
    return head + PEER[6].packed + destination.packed


def _password() -> SimpleText:
    return SimpleText(KEY)


def _header() -> AuthenticationHeader:
    return AuthenticationHeader(KEY, hmac_md5)


VARIANTS = (
    _variant("hmac-v2-multicast"),
    _variant("pass-v2", _password, vrid=61),
    _variant("ah-v2", _header, vrid=62),
    _variant("", _header, unicast=True, peers=PEERS[4]),
    _variant("", _password, unicast=True),
    _variant("plain-v3", vrid=63, version=3, advert_int=0.25),
    _variant("v3-as-v2-checksum", vrid=65, version=3, unicast=True, peers=PEERS[4]),
    _variant("plain-v3-ipv6", vrid=64, version=3, family=6, advert_int=0.25),
    _variant("", version=3, family=6, unicast=True, peers=PEERS[6]),
    _variant("", family=6),
    _variant("", priority=255, owner_ignore_adverts=True),
    _variant("hmac-v3-multicast", version=3, priority=255, group=GROUP4, skip_check_adv_addr=True),
)
SEEDS = [bytes((number, 0)) + seed for number, variant in enumerate(VARIANTS) for seed in variant.seeds]


def run(data: bytes) -> tuple[str, ...]:
    """Receive one packet as the daemon does; what became of it, by the counter's name."""
    if len(data) < 2:
        return ("no packet",)
    number, state = data[0] % len(VARIANTS), STATES[data[1] % len(STATES)]
    variant = VARIANTS[number]
    reception, security = variant.reception, variant.reception.security
    refused: Discard | None = None
    accepted_before = reception.statistics.advertisements_received
    if isinstance(security, AuthenticationHeader):
        security.sequence = SEQUENCE
    try:
        datagram = variant.take_apart(data[2:])
        if vrid_of(datagram) != variant.parameters.vrid:
            raise Discard(DiscardReason.VRID, "no virtual router of ours")
        if datagram.source == OURS[variant.parameters.family]:
            raise Discard(DiscardReason.OWN_SOURCE, "from ourselves")
        advertisement = reception.check(datagram)
    except Discard as discard:
        refused = discard
    if refused is not None:
        assert refused.detail
        assert refused.detail.isprintable()
        assert reception.statistics.advertisements_received == accepted_before
        if isinstance(security, AuthenticationHeader) and refused.reason in _UNPROVEN:
            assert security.sequence == SEQUENCE
        return (refused.reason.value,)
    assert reception.statistics.advertisements_received == accepted_before + 1
    assert advertisement.vrid == variant.parameters.vrid
    assert advertisement.interval > 0
    assert datagram.ttl == 255 or reception.unicast
    assert "\n" not in "".join(reception.remarks.values())
    router = _router(number, state)
    now = router.since + 0.003
    actions = router.handle(AdvertisementReceived(advertisement, datagram.source), now)
    outcome = f"accepted, {state}: {router.state.value} with {len(actions)} actions"
    if (deadline := router.deadline) is None:
        assert router.state is State.FAULT
        return (outcome,)
    assert math.isfinite(deadline)
    assert deadline > now or router.state is State.MASTER, "no packet makes a BACKUP take over at once"
    assert {type(action) for action in (*actions, *router.handle(TimerExpired(), deadline))} <= _ACTIONS
    return (outcome,)


@lru_cache
def _parameters(number: int, state: str) -> Parameters:
    gated = state in ("acquiring", "releasing")
    return replace(VARIANTS[number].parameters, nopreempt=state == "nopreempt", gated=gated)


def _router(number: int, state: str) -> VirtualRouter:
    parameters = _parameters(number, state)
    router = VirtualRouter(parameters, None if state == "FAULT" else OURS[parameters.family])
    router.handle(Startup(), 1000.0)
    if state in ("BACKUP", "nopreempt", "FAULT"):
        return router
    assert router.deadline is not None
    now = router.deadline
    router.handle(TimerExpired(), now)
    if state == "releasing":
        router.handle(GatesOpened(), now)
    if state in ("handing over", "releasing"):
        router.handle(Switchover(), now)
    return router
