"""One question to a DNS server and the judgement of what came back; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.txtbase

from pyvrrp.core.events import IPAddress

LOCALHOST = IPv4Address("127.0.0.1")
EDNS_PAYLOAD = 1232
"bytes: the largest UDP answer that no path has to fragment (DNS flag day 2020)"
_SHOWN_RECORDS = 4
_SHOWN_CHARACTERS = 80


class Transport(Enum):
    """What carries the question."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsCheck:
    """A question, whom it is put to, and which answers are good."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType = dns.rdatatype.A
    server: IPAddress = LOCALHOST
    port: int = 53
    transports: tuple[Transport, ...] = (Transport.UDP,)
    "every one of them must give a good answer"
    timeout: float = 0.5
    "seconds for the whole check, all transports together"
    expect_rcode: tuple[dns.rcode.Rcode, ...] = (dns.rcode.NOERROR,)
    expect_answer: tuple[dns.rdata.Rdata, ...] | None = None
    "records that must all be in a NOERROR answer (others may be); (): it must hold none; None: at least one, any"
    recursion: bool = True
    "ask with RD=1, as clients of a resolver do"
    edns: bool = True
    "ask with EDNS (RFC 6891): larger answers over UDP, and the server's own reason for a failure (RFC 8914)"

    @property
    def endpoint(self) -> str:
        """`192.0.2.1:53` or `[2001:db8::1]:53`."""
        return f"{self.server}:{self.port}" if self.server.version == 4 else f"[{self.server}]:{self.port}"

    @property
    def question(self) -> str:
        """`www.example.com A`."""
        return f"{self.name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(self.rdtype)}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the server is healthy, and the one sentence that says what was found."""

    ok: bool
    detail: str
    elapsed: float
    "seconds from the question to the verdict"
    truncated: bool = False
    "a good UDP answer with TC=1: the records have to be asked for over TCP"


def make_query(check: DnsCheck) -> dns.message.Message:
    """The question with a fresh random id."""
    query = dns.message.make_query(check.name, check.rdtype, flags=dns.flags.RD if check.recursion else 0)
    if check.edns:
        query.use_edns(0, payload=EDNS_PAYLOAD)
    return query


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
        return f"it answers {_shortened(asked)}" if asked else "it has no question section"
    return ""


def judge(
    check: DnsCheck, transport: Transport, query: dns.message.Message, response: dns.message.Message, elapsed: float
) -> Verdict:
    """Say whether `response` to `query` is a good answer; never raises for a parsed message."""
    over = f"from {check.endpoint} over {transport.value}"
    asked = f"{check.question} {over}"

    def refused(detail: str) -> Verdict:
        return Verdict(False, detail, elapsed)

    if why := mismatch(query, response):
        return refused(f"no answer to {asked}: {why}")
    rcode = response.rcode()
    if rcode not in check.expect_rcode:
        expected = " or ".join(dns.rcode.to_text(rcode) for rcode in check.expect_rcode)
        return refused(f"{dns.rcode.to_text(rcode)} for {asked} (expected {expected}){_extended_errors(response)}")
    if response.flags & dns.flags.TC:
        if transport is Transport.TCP:
            return refused(f"truncated answer for {asked}")
        return Verdict(True, f"truncated answer for {asked}", elapsed, truncated=True)
    if rcode != dns.rcode.NOERROR:
        return Verdict(True, f"{dns.rcode.to_text(rcode)} for {check.question} from {check.endpoint}", elapsed)
    name, found = _records(response, check)
    match check.expect_answer:
        case None if not found:
            alias = "" if name == check.name else f", an alias of {_shortened(name.to_text(omit_final_dot=True))}"
            return refused(f"NOERROR without a record for {asked}{alias}{_extended_errors(response)}")
        case () if found:
            return refused(f"a record for {asked} where none is expected: {_listed(found)}")
        case wanted if wanted:
            values = {_value(rdata) for rdata in found}
            if missing := [rdata for rdata in wanted if _value(rdata) not in values]:
                present = f"found {_listed(found)}" if found else "the answer is empty"
                return refused(f"{_listed(missing)} missing in the answer for {asked} ({present})")
    answer = _listed(found) or "no record, as expected"
    return Verdict(True, f"NOERROR for {check.question} from {check.endpoint}: {answer}", elapsed)


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict out of those of several transports: healthy when all are, as late as the latest."""
    ok = all(verdict.ok for verdict in verdicts)
    details = dict.fromkeys(verdict.detail for verdict in verdicts if verdict.ok is ok)
    return Verdict(ok, "; ".join(details), max(verdict.elapsed for verdict in verdicts))


def _records(response: dns.message.Message, check: DnsCheck) -> tuple[dns.name.Name, list[dns.rdata.Rdata]]:
    """The end of the answer's CNAME chain and the records of the asked type there."""
    name = check.name
    for _ in response.answer:
        here = [rdata for rrset in response.answer if rrset.name == name for rdata in rrset]
        if found := [rdata for rdata in here if rdata.rdtype == check.rdtype]:
            return name, found
        alias = next((rdata for rdata in here if isinstance(rdata, dns.rdtypes.ANY.CNAME.CNAME)), None)
        if alias is None:
            break
        name = alias.target
    return name, []


def _value(rdata: dns.rdata.Rdata) -> bytes:
    """What two equal records have in common: canonical form (RFC 4034 section 6.2), text without its division."""
    if isinstance(rdata, dns.rdtypes.txtbase.TXTBase):
        return b"".join(rdata.strings)
    return rdata.to_digestable(dns.name.root)


def _extended_errors(response: dns.message.Message) -> str:
    """`: EDE 22 (No Reachable Authority)`, the server's own reasons (RFC 8914)."""
    reasons = [error.to_text() for error in response.extended_errors()]
    return f": {_shortened('; '.join(reasons), 200)}" if reasons else ""


def _listed(records: Sequence[dns.rdata.Rdata]) -> str:
    """The records in a fixed order (servers rotate them), the first few of many."""
    texts = sorted(_shortened(rdata.to_text()) for rdata in records)
    more = f" and {len(texts) - _SHOWN_RECORDS} more" if len(texts) > _SHOWN_RECORDS else ""
    return ", ".join(texts[:_SHOWN_RECORDS]) + more


def _shortened(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """One printable line of bounded length, whatever a server has put into it."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= limit else line[: limit - 3] + "..."
