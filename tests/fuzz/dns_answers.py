"""What a DNS server says: a byte chooses the type asked for, one what was expected, the rest is the answer."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from dnslb.health.answer import judge
from dnslb.health.query import DnsCheck, Malformed, make_query, parse
from dnslb.health.verdict import Transport, combine

NAME = dns.name.from_text("www.example.com.")
RECORDS = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "NS": "ns.example.com.",
    "CNAME": "other.example.com.",
    "SOA": "ns.example.com. host.example.com. 1 2 3 4 5",
    "PTR": "host.example.com.",
    "MX": "10 mail.example.com.",
    "TXT": '"one" "two\\200"',
    "SRV": "0 5 53 ns.example.com.",
    "NAPTR": '100 50 "s" "http+I2L+I2C+I2R" "" _http._tcp.example.com.',
    "LOC": "60 9 0.000 N 24 39 0.000 E 10.00m 20m 2000m 20m",
    "CAA": '0 issue "ca.example.com"',
    "HTTPS": "1 . alpn=h2,h3 ipv4hint=192.0.2.1",
    "DS": "12345 8 2 " + "0" * 64,
    "DNSKEY": "257 3 8 AwEAAQ==",
    "NSEC": "host.example.com. A TXT TYPE1234",
    "TYPE65280": "\\# 4 c0000201",
}
TYPES = [dns.rdatatype.from_text(name) for name in RECORDS]
EXPECTED = [
    dns.rdata.from_text(dns.rdataclass.IN, kind, text) for kind, text in zip(TYPES, RECORDS.values(), strict=True)
]
_RCODES = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def _check(kind: int, expectation: int) -> DnsCheck:
    kind %= len(TYPES)
    expected = (None, (), (EXPECTED[kind],))[expectation >> 1 & 3 if expectation >> 1 & 3 < 3 else 0]
    rcodes = _RCODES if expectation & 8 else _RCODES[:1]
    return DnsCheck(name=NAME, rdtype=TYPES[kind], expect_answer=expected, expect_rcode=rcodes)


def _query(check: DnsCheck) -> dns.message.Message:
    query = make_query(check)
    query.id = 0x1234
    return query


def seeds() -> list[bytes]:
    """A good answer of each type, some with an alias before it, and answers that say no."""
    found = []
    for number, (kind, record) in enumerate(zip(TYPES, EXPECTED, strict=True)):
        query = _query(_check(number, 0))
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_rdata(NAME, 300, record))
        found += [bytes((number, expectation)) + answer.to_wire() for expectation in (0, 4)]
        if kind in (dns.rdatatype.A, dns.rdatatype.TXT):
            alias = dns.name.from_text("alias.example.com.")
            answer.answer = [
                dns.rrset.from_text(NAME, 300, "IN", "CNAME", str(alias)),
                dns.rrset.from_rdata(alias, 300, record),
            ]
            found.append(bytes((number, 0)) + answer.to_wire())
    query = _query(_check(0, 0))
    for rcode in (dns.rcode.NOERROR, dns.rcode.SERVFAIL, dns.rcode.NXDOMAIN, dns.rcode.BADVERS):
        answer = dns.message.make_response(query)
        answer.set_rcode(rcode)
        answer.use_edns(0, options=[dns.edns.EDEOption(22, "no\nreachable authority")])
        found += [bytes((0, expectation)) + answer.to_wire() for expectation in (0, 2, 8)]
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.TC
    return [*found, b"\0\0" + answer.to_wire(), b"\0\1" + answer.to_wire()]


def run(data: bytes) -> list[str]:
    """Parse and judge an answer; healthy or not, and the first word of why."""
    if len(data) < 2:
        return ["no answer"]
    check = _check(data[0], data[1])
    transport = Transport.TCP if data[1] & 1 else Transport.UDP
    try:
        response = parse(data[2:])
    except Malformed:
        return ["malformed"]
    verdict = combine([judge(check, transport, _query(check), response, 0.1)])
    assert verdict.detail.isprintable()
    assert len(verdict.detail) < 1000
    return [f"{'healthy' if verdict.ok else 'not healthy'}: {_kind(verdict.detail)}"]


def _kind(detail: str) -> str:
    """What the sentence says, without what was in the answer."""
    for words in ("no answer", "truncated answer", "missing in the answer", "where none is expected", "NOERROR"):
        if words in detail:
            return words
    return "another rcode"
