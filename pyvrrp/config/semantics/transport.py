"""How an instance's advertisements travel: source address, multicast group or unicast peers, TTL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyvrrp.config.model import UnicastPeer
from pyvrrp.config.semantics import numbers
from pyvrrp.config.semantics.global_defs import Defaults
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement
from pyvrrp.core.events import IPAddress

_UNICAST = ("unicast_peer", "unicast_src_ip", "unicast_ttl", "check_unicast_src", "unicast_fault_no_peer")
_UNICAST_WANTED = ("unicast_peer", "unicast_src_ip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """The fields of VrrpInstance with these names."""

    source: IPAddress | None
    track_source: bool
    multicast_group: IPAddress | None
    unicast_peers: tuple[UnicastPeer, ...]
    unicast: bool
    unicast_ttl: int
    unicast_fault_no_peer: bool
    check_unicast_src: bool


def family(values: Values) -> int | None:
    """4 or 6, as far as the addresses of the transport tell; None where there are none."""
    words = [statement.arguments[0] for name in ("unicast_src_ip", "mcast_src_ip", "mcast_dst_ip")
             for statement in values.all(name) if statement.arguments]  # fmt: skip
    words += [line.keyword for line in values.lines("unicast_peer")]
    found = (numbers.address(word.text) for word in words)
    return next((address.version for address in found if address), None)


def read(values: Values, family: int, defaults: Defaults) -> Transport:
    """Read it; addresses of the other family are reported and left out."""
    source = _source(values, family)
    peers = tuple(_peers(values, family))
    ttl = values.number("unicast_ttl", 0, 255, 255)
    fault_no_peer = values.has("unicast_fault_no_peer")
    wanted = any(values.has(name) for name in _UNICAST_WANTED)
    if not peers:
        _without_peers(values, fault_no_peer)
        ttl = 255
    if source is not None and any(peer.address == source for peer in peers):
        values.warning(
            values.at("unicast_peer"),
            "own-address",
            f"unicast_peer names this router's own source address {source}",
            "name only the other routers",
        )
    limited = any(peer.min_ttl is not None or peer.max_ttl is not None for peer in peers)
    return Transport(
        source=source,
        track_source=values.has("track_src_ip"),
        multicast_group=_multicast_group(values, family),
        unicast_peers=peers,
        unicast=bool(peers) or (wanted and fault_no_peer),
        unicast_ttl=ttl,
        unicast_fault_no_peer=fault_no_peer,
        check_unicast_src=bool(peers) and (values.has("check_unicast_src") or defaults.check_unicast_src or limited),
    )


def _without_peers(values: Values, fault_no_peer: bool) -> None:
    given = [name for name in _UNICAST if values.has(name)]
    if not given:
        return
    if fault_no_peer and any(name in given for name in _UNICAST_WANTED):
        message = "unicast_peer names no peer: with unicast_fault_no_peer the instance stays in FAULT"
    else:
        message = f"'{given[0]}' without a peer in unicast_peer: advertisements are multicast"
    values.warning(values.at(given[0]), "unicast-without-peer", message, "name the other routers in unicast_peer")


def _source(values: Values, family: int) -> IPAddress | None:
    """The one source address: the last of the two keywords counts."""
    given = sorted((values.at(name), name) for name in ("mcast_src_ip", "unicast_src_ip") if values.has(name))
    found = None
    for _, name in given:
        address = _of_family(values.address(name), name, family, values)
        found = address or found
    if values.has("track_src_ip") and found is None:
        values.warning(
            values.at("track_src_ip"),
            "no-effect",
            "track_src_ip has no effect without a source address",
            "write mcast_src_ip or unicast_src_ip",
        )
    return found


def _multicast_group(values: Values, family: int) -> IPAddress | None:
    group = _of_family(values.address("mcast_dst_ip"), "mcast_dst_ip", family, values)
    if group is not None and not group.is_multicast:
        values.error(values.at("mcast_dst_ip"), "bad-address", f"{group} is no multicast address, the line is ignored")
        return None
    return group


def _of_family(address: IPAddress | None, name: str, family: int, values: Values) -> IPAddress | None:
    if address is None or address.version == family:
        return address
    values.error(
        values.at(name), "family-mismatch", f"'{name} {address}': the instance is IPv{family}, the line is ignored"
    )
    return None


def _peers(values: Values, family: int) -> Iterable[UnicastPeer]:
    seen: set[IPAddress] = set()
    for line in values.lines("unicast_peer"):
        address = numbers.address(line.name)
        if address is None:
            values.error(line.position, "bad-address", f"unicast_peer: '{line.name}' is no IP address, it is ignored")
            continue
        if address.version != family:
            values.error(
                line.position, "family-mismatch", f"unicast_peer: the instance is IPv{family}, {address} is ignored"
            )
            continue
        if address in seen:
            values.warning(line.position, "duplicate-address", f"unicast_peer: {address} is named twice")
            continue
        seen.add(address)
        limits = _ttl_limits(line, values)
        yield UnicastPeer(address, limits.get("min_ttl"), limits.get("max_ttl"))


def _ttl_limits(line: Statement, values: Values) -> dict[str, int]:
    limits: dict[str, int] = {}
    words = list(line.arguments)
    while words:
        word = words.pop(0)
        if word.text not in ("min_ttl", "max_ttl"):
            values.error(
                word.position,
                "bad-option",
                f"unicast_peer {line.name}: '{word}' is neither min_ttl nor max_ttl, it is ignored",
                "write each peer on its own line",
            )
            continue
        limit = numbers.whole(words[0].text) if words else None
        if limit is None or not 0 <= limit <= 255:
            values.error(
                word.position,
                "bad-number",
                f"unicast_peer {line.name}: '{word}' needs a number in 0-255, it is ignored",
            )
        else:
            limits[word.text] = limit
        words = words[1:]
    return limits
