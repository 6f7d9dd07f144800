"""What only shows between two real servers of one VIP: DNS cookies by different secrets, zones of different age."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.rdtypes.ANY.SOA
from dns.edns import OptionType

from dnslb.real_server.findings import Finding
from pyvrrp.core.events import IPAddress

_TIMEOUT = 1.0
_ATTEMPTS = 5
"until both servers have answered within one second of their clocks"
_RFC9018 = struct.Struct("!B3xI8s")
"a server cookie: version, reserved, time stamp, hash of these with the client's cookie and address"


def compare(
    vips: Sequence[IPAddress], peers: Sequence[IPAddress], zones: Sequence[dns.name.Name], port: int
) -> list[Finding]:
    """What differs between the server on this node, asked at a VIP, and its peers, asked at their own addresses."""
    found = []
    for peer in peers:
        vip = next((each for each in vips if each.version == peer.version), None)
        if vip is None:
            text = f"there is no VIP of IPv{peer.version} to compare it by"
            found.append(Finding(str(peer), "peer-family", text, "name another address of this peer"))
            continue
        try:
            ours = _own_address(peer)
            found += [*_cookies(vip, peer, ours, port), *_serials(vip, peer, zones, ours, port)]
        except (OSError, dns.exception.DNSException) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
            text = f"it can't be compared with the server here: {why}"
            found.append(Finding(str(peer), "peer-silent", text, "see that both servers answer this node"))
    return found


def _own_address(peer: IPAddress) -> str:
    """Where a query to the peer comes from: both servers must see one client."""
    with socket.socket(socket.AF_INET if peer.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.connect((str(peer), 53))
        return str(sock.getsockname()[0])


def _cookies(vip: IPAddress, peer: IPAddress, ours: str, port: int) -> Iterator[Finding]:
    for _ in range(_ATTEMPTS):
        client = os.urandom(8)
        here, there = (_server_cookie(address, client, ours, port) for address in (vip, peer))
        if comparable(here, there):
            break
    else:
        return
    if here != there:
        text = f"its cookies are not those of the server at {vip}: a client that gets to another server starts anew"
        hint = "give all servers one secret: `cookie-secret` (unbound, BIND), `cookie-secret-file` (NSD)"
        yield Finding(str(peer), "cookie-secret", text, hint)


def comparable(here: bytes | None, there: bytes | None) -> bool:
    """Whether equal secrets would have made the two server cookies equal (RFC 9018 section 4)."""
    if here is None or there is None:
        return True
    if len(here) != _RFC9018.size or len(there) != _RFC9018.size:
        return False
    (version, time, _), (other_version, other_time, _) = _RFC9018.unpack(here), _RFC9018.unpack(there)
    return (version, time) == (other_version, other_time) and version == 1


def _server_cookie(server: IPAddress, client: bytes, ours: str, port: int) -> bytes | None:
    query = dns.message.make_query(".", dns.rdatatype.NS, use_edns=0, flags=0)
    query.use_edns(0, options=[dns.edns.GenericOption(OptionType.COOKIE, client)])
    response = _ask(server, query, ours, port)
    cookies = [option.to_wire() for option in response.options if option.otype == OptionType.COOKIE]
    return cookies[0][8:] if cookies and cookies[0] and len(cookies[0]) > 8 else None


def _serials(
    vip: IPAddress, peer: IPAddress, zones: Sequence[dns.name.Name], ours: str, port: int
) -> Iterator[Finding]:
    for zone in zones:
        here, there = (_serial(address, zone, ours, port) for address in (vip, peer))
        if here != there:
            text = f"zone {zone.to_text(omit_final_dot=True)} has serial {_shown(here)} here and {_shown(there)} there"
            hint = "a NOTIFY to the VIP reaches one server only: let the primary notify each one's own address"
            yield Finding(str(peer), "serial", text, f"{hint} (also-notify)")


def _serial(server: IPAddress, zone: dns.name.Name, ours: str, port: int) -> int | None:
    response = _ask(server, dns.message.make_query(zone, dns.rdatatype.SOA, flags=0), ours, port)
    for rrset in response.answer:
        for rdata in rrset:
            if isinstance(rdata, dns.rdtypes.ANY.SOA.SOA) and rrset.name == zone:
                return rdata.serial
    return None


def _ask(server: IPAddress, query: dns.message.Message, ours: str, port: int) -> dns.message.Message:
    return dns.query.udp(query, str(server), timeout=_TIMEOUT, port=port, source=ours, ignore_unexpected=True)


def _shown(serial: int | None) -> str:
    return "no" if serial is None else str(serial)
