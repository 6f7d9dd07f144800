"""Asks the servers of each virtual server, all at the same time, who they are."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Mapping, Sequence

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from dnslb.health.answer import nsid
from dnslb.health.check import DnsProbe
from dnslb.health.identity import Identity, comparable, findings
from dnslb.health.query import Binding, Malformed, mismatch, parse
from dnslb.health.rounds import rounds
from dnslb.health.sockets import open_socket, socket_address
from dnslb.model import Endpoint, VirtualServer

_LOG = logging.getLogger("dnslb")
INTERVAL = 60.0
"seconds between two rounds"
_FIRST = 5.0
"seconds until the first"
_ROUNDS = 3
"questions in one round, until all cookies are of one second"
_TIMEOUT = 1.0
_CLIENT_COOKIE = 8


class Survey:
    """What servers behind one address must and must not have in common."""

    def __init__(self) -> None:
        self._servers: dict[str, Sequence[Endpoint]] = {}
        self.findings: dict[str, tuple[str, ...]] = {}
        "by virtual server, a sentence each"

    def configure(self, virtual_servers: Sequence[VirtualServer]) -> None:
        """Ask these servers from the next round on: where there are several, and DNS is what they are checked for."""
        self._servers = {
            virtual.name: [real.endpoint for real in virtual.real_servers]
            for virtual in virtual_servers
            if len(virtual.real_servers) > 1 and _is_dns(virtual)
        }
        self.findings = {name: found for name, found in self.findings.items() if name in self._servers}

    async def run(self) -> None:
        """Go round until cancelled; a finding is logged when it is new."""
        await asyncio.sleep(_FIRST)
        await rounds(self._ask_all, INTERVAL, "the survey of the servers' cookies and names")

    async def ask(self, name: str) -> tuple[str, ...]:
        """One round for one virtual server."""
        servers = self._servers.get(name, ())
        identities: Mapping[str, Identity] = {}
        for _ in range(_ROUNDS):
            identities = await _identities(servers)
            if comparable(identities):
                break
        found = findings(identities, time.time())
        for finding in found:
            if finding not in self.findings.get(name, ()):
                _LOG.warning("%s: %s", name, finding)
        if name in self._servers:
            self.findings[name] = found
        return found

    async def _ask_all(self) -> None:
        for name in list(self._servers):
            await self.ask(name)


def _is_dns(virtual: VirtualServer) -> bool:
    checks = [check for real in virtual.real_servers for group in real.checks for check in group.checks]
    return any(isinstance(check.probe, DnsProbe) for check in checks)


async def _identities(servers: Sequence[Endpoint]) -> Mapping[str, Identity]:
    """Of those that answer; with one client cookie, and from one address of ours, for all."""
    cookie = secrets.token_bytes(_CLIENT_COOKIE)
    answers = await asyncio.gather(*(_identity(server, cookie) for server in servers))
    return {str(server.address): answer for server, answer in zip(servers, answers, strict=True) if answer is not None}


async def _identity(server: Endpoint, cookie: bytes) -> Identity | None:
    query = dns.message.make_query(dns.name.root, dns.rdatatype.SOA, flags=0)
    options: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.NSID, b""),
        dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie),
    ]
    query.use_edns(0, options=options)
    loop = asyncio.get_running_loop()
    try:
        with open_socket(server.address, socket.SOCK_DGRAM, Binding()) as sock:
            sock.connect(socket_address(server.address, server.port))
            sock.send(query.to_wire())
            async with asyncio.timeout(_TIMEOUT):
                while True:
                    response = parse(await loop.sock_recv(sock, 65535))
                    if not mismatch(query, response):
                        return Identity(nsid(response), _server_cookie(response, cookie))
    except (OSError, Malformed):  # that it does not answer is for its checks to tell
        return None


def _server_cookie(response: dns.message.Message, client: bytes) -> bytes:
    for option in response.options:
        if option.otype == dns.edns.OptionType.COOKIE:
            both = option.to_wire() or b""
            return both[_CLIENT_COOKIE:] if both.startswith(client) else b""
    return b""
