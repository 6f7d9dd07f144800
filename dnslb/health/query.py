"""One question to a DNS server, and whether a message is a response to it; pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import IPv4Address

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdatatype

from dnslb.health.text import shortened
from dnslb.health.verdict import Transport
from pyvrrp.core.events import IPAddress

LOCALHOST = IPv4Address("127.0.0.1")
EDNS_PAYLOAD = 1232
"bytes: the largest UDP answer that no path has to fragment (DNS flag day 2020)"
RANDOM = b"{rand}"
"in a label of the name: stands for twelve hexadecimal digits that no cache has seen"
FLAGS = {"AA": dns.flags.AA, "TC": dns.flags.TC, "RA": dns.flags.RA, "AD": dns.flags.AD, "CD": dns.flags.CD}
DO = "DO"
"not in the header, but of EDNS (RFC 3225)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where the packets of a check come from, and how they are marked; None: the kernel's choice."""

    source: IPAddress | None = None
    interface: str | None = None
    port: int = 0
    fwmark: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsCheck:
    """A question, whom it is put to, and which answers are good."""

    name: dns.name.Name
    "may hold `{rand}`"
    rdtype: dns.rdatatype.RdataType = dns.rdatatype.A
    server: IPAddress = LOCALHOST
    port: int = 53
    transports: tuple[Transport, ...] = (Transport.UDP,)
    "every one of them must give a good answer"
    timeout: float = 0.5
    "seconds for the whole check, all transports together"
    expect_rcode: tuple[dns.rcode.Rcode, ...] = (dns.rcode.NOERROR,)
    "(): any"
    expect_answer: tuple[dns.rdata.Rdata, ...] | None = None
    "records that must all be in a NOERROR answer (others may be); (): it must hold none; None: see `empty`"
    empty: bool = False
    "without `expect_answer`: NOERROR without a record is good too, as in keepalived's DNS_CHECK"
    recursion: bool = True
    "ask with RD=1, as clients of a resolver do"
    query_flags: frozenset[str] = frozenset()
    "AD, CD or DO in the question"
    required: frozenset[str] = frozenset()
    "flags that a good answer has: AA, TC (over UDP alone), RA, AD, CD, DO"
    forbidden: frozenset[str] = frozenset()
    edns: bool = True
    "ask with EDNS (RFC 6891): larger answers over UDP, and the server's own reason for a failure (RFC 8914)"
    payload: int = EDNS_PAYLOAD
    "bytes of the largest UDP answer that is asked for"
    nsid: str | None = None
    "what the server must call itself (RFC 5001); empty: it is only asked; None: nor that"
    rrsig_days: float | None = None
    "tell of a signature of the answer that ends sooner; one that has ended, or none, is no good answer"
    binding: Binding = Binding()

    @property
    def endpoint(self) -> str:
        """`192.0.2.1:53` or `[2001:db8::1]:53`."""
        return f"{self.server}:{self.port}" if self.server.version == 4 else f"[{self.server}]:{self.port}"

    @property
    def question(self) -> str:
        """`www.example.com A`."""
        return f"{self.name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(self.rdtype)}"


def make_query(check: DnsCheck) -> dns.message.Message:
    """The question with a fresh random id, and random digits for each `{rand}` in its name."""
    flags = dns.flags.Flag(dns.flags.RD if check.recursion else 0)
    for name in check.query_flags - {DO}:
        flags |= FLAGS[name]
    query = dns.message.make_query(_filled(check.name), check.rdtype, flags=flags)
    if check.edns:
        dnssec = DO in check.query_flags or check.rrsig_days is not None
        options: list[dns.edns.Option] = []
        if check.nsid is not None:
            options.append(dns.edns.GenericOption(dns.edns.OptionType.NSID, b""))
        query.use_edns(0, dns.flags.DO if dnssec else 0, payload=check.payload, options=options)
    return query


def _filled(name: dns.name.Name) -> dns.name.Name:
    if not any(RANDOM in label for label in name.labels):
        return name
    return dns.name.Name([label.replace(RANDOM, b"%012x" % random.getrandbits(48)) for label in name.labels])


class Malformed(Exception):
    """Not a DNS message; the text says why."""


def parse(wire: bytes) -> dns.message.Message:
    """A message off the wire; raises Malformed."""
    try:
        return dns.message.from_wire(wire)
    except dns.exception.DNSException as error:
        raise Malformed(f"{len(wire)} bytes that are no DNS message ({error})") from error


def mismatch(query: dns.message.Message, response: dns.message.Message) -> str:
    """Why `response` is no response to `query`; empty when it is one.

    An error without a question section is taken as a response (RFC 1035 leaves it open, servers differ).
    """
    if response.id != query.id:
        return f"id {response.id} instead of {query.id}"
    if not response.flags & dns.flags.QR:
        return "a query, not a response"
    if response.opcode() != dns.opcode.QUERY:
        return f"opcode {dns.opcode.to_text(response.opcode())} instead of QUERY"
    if not query.is_response(response):
        asked = ", ".join(f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}" for rrset in response.question)
        return f"it answers {shortened(asked)}" if asked else "it has no question section"
    return ""
