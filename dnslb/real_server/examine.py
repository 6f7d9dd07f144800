"""One look at this node, with a query to each VIP, and what is wrong; blocks for a second where a server is silent."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

from dnslb.forwarding import Protocol
from dnslb.real_server import findings, machine
from dnslb.real_server.answers import Answer, ask
from dnslb.real_server.findings import Finding
from dnslb.real_server.holders import who_has
from dnslb.real_server.redirect import present
from dnslb.real_server.seen import Seen
from pyvrrp.core.events import IPAddress

_NO_PLAIN_UDP = (443, 853)
"ports on which UDP is QUIC, and a DNS query no question"
_AT_ONCE = 8


def examine(vips: Sequence[IPAddress], ports: Sequence[int], *, redirect: bool, link: bool = False) -> list[Finding]:
    """Everything that is wrong with this node as a real server of the VIPs; with `link`, neighbours are asked too.

    Raises OSError.
    """
    seen = machine.look_closely(ports, present() if redirect else frozenset())
    if link:
        seen = replace(seen, macs=who_has(vips, seen))
    if redirect:
        return findings.redirected(vips, ports, seen)
    return findings.hidden(vips, seen, _answers(vips, ports, seen))


def _answers(vips: Sequence[IPAddress], ports: Sequence[int], seen: Seen) -> list[Answer]:
    """Of the VIPs that are here; a query for another would reach whoever has it."""
    questions = [
        (vip, port, protocol)
        for vip, port, protocol in product(vips, ports, Protocol)
        if seen.of(vip) and not (protocol is Protocol.UDP and port in _NO_PLAIN_UDP)
    ]
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        return list(executor.map(lambda question: ask(*question), questions))
