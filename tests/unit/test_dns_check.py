"""What the answer of a DNS server is worth."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnslb.health.answer import judge
from dnslb.health.query import DnsCheck, make_query, mismatch
from dnslb.health.verdict import Transport, Verdict, combine

UDP, TCP = Transport.UDP, Transport.TCP
WWW = dns.name.from_text("www.example.com")
CHECK = DnsCheck(name=WWW)


def record(kind: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", kind, text, origin=dns.name.root, relativize=False)


def response(
    query: dns.message.Message, *answer: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR
) -> dns.message.Message:
    """The response with these records, `NAME TYPE RDATA` each, as it comes off the wire."""
    made = dns.message.make_response(query)
    made.set_rcode(rcode)
    for line in answer:
        name, kind, rdata = line.split(maxsplit=2)
        rrset = made.find_rrset(made.answer, dns.name.from_text(name), "IN", kind, create=True)
        rrset.add(record(kind, rdata), 60)
    return dns.message.from_wire(made.to_wire())


def judged(check: DnsCheck, *answer: str, transport: Transport = UDP, **fields: Any) -> Verdict:
    query = make_query(check)
    return judge(check, transport, query, response(query, *answer, **fields), 0.001)


# --- the question ----------------------------------------------------------------------------------------------------


def test_the_query_is_what_a_client_asks() -> None:
    query = make_query(CHECK)
    assert query.flags == dns.flags.RD
    assert (query.edns, query.payload) == (0, 1232)
    assert [(rrset.name, rrset.rdtype) for rrset in query.question] == [(WWW, dns.rdatatype.A)]
    plain = make_query(replace(CHECK, recursion=False, edns=False))
    assert (plain.flags, plain.edns) == (0, -1)


def test_ids_are_random() -> None:
    assert len({make_query(CHECK).id for _ in range(50)}) > 40


# --- the answer ------------------------------------------------------------------------------------------------------


def test_any_record_of_the_type_is_good() -> None:
    verdict = judged(CHECK, "www.example.com A 192.0.2.2", "www.example.com A 192.0.2.1")
    assert verdict == Verdict(True, "NOERROR for www.example.com A from 127.0.0.1:53: 192.0.2.1, 192.0.2.2", 0.001)


def test_an_answer_without_records_is_not() -> None:
    assert judged(CHECK) == Verdict(
        False,
        "NOERROR without a record for www.example.com A from 127.0.0.1:53 over udp",
        0.001,
        cause="no record",
    )
    assert not judged(CHECK, "www.example.com AAAA 2001:db8::1").ok
    assert not judged(CHECK, "other.example.com A 192.0.2.1").ok


def test_no_record_can_be_what_is_expected() -> None:
    nothing = replace(CHECK, expect_answer=())
    assert judged(nothing).detail == "NOERROR for www.example.com A from 127.0.0.1:53: no record, as expected"
    assert judged(nothing, "www.example.com A 192.0.2.1") == Verdict(
        False,
        "a record for www.example.com A from 127.0.0.1:53 over udp where none is expected: 192.0.2.1",
        0.001,
        cause="a record",
    )


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NXDOMAIN", "FORMERR", "NOTIMP"])
def test_an_error_is_not_healthy(rcode: str) -> None:
    verdict = judged(CHECK, rcode=dns.rcode.from_text(rcode))
    assert verdict == Verdict(
        False, f"{rcode} for www.example.com A from 127.0.0.1:53 over udp (expected NOERROR)", 0.001, cause=rcode
    )


def test_several_rcodes_can_be_good() -> None:
    either = replace(CHECK, expect_rcode=(dns.rcode.NOERROR, dns.rcode.NXDOMAIN), server=ip_address("2001:db8::53"))
    assert judged(either, rcode=dns.rcode.NXDOMAIN).ok
    assert not judged(either).ok, "NOERROR still needs a record"
    assert judged(either, rcode=dns.rcode.SERVFAIL, transport=TCP).detail == (
        "SERVFAIL for www.example.com A from [2001:db8::53]:53 over tcp (expected NOERROR or NXDOMAIN)"
    )


def test_the_servers_own_reason_is_passed_on() -> None:
    query = make_query(CHECK)
    failed = dns.message.make_response(query)
    failed.set_rcode(dns.rcode.SERVFAIL)
    failed.use_edns(0, options=[dns.edns.EDEOption(22, "all servers\nfailed")])
    detail = judge(CHECK, UDP, query, dns.message.from_wire(failed.to_wire()), 0.1).detail
    assert detail.startswith("SERVFAIL for www.example.com A from 127.0.0.1:53 over udp (expected NOERROR): EDE 22 (")
    assert "all servers" in detail
    assert "\n" not in detail


@pytest.mark.parametrize(
    ("kind", "wanted", "found"),
    [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("AAAA", "2001:db8:0:0::1", "2001:DB8::1"),
        ("CNAME", "Web.Example.COM", "web.example.com."),
        ("MX", "10 MAIL.example.com", "10 mail.example.com."),
        ("TXT", '"v=spf1" " -all"', '"v=spf1 -all"'),
        ("SRV", "0 5 53 ns.example.com", "0 5 53 NS.example.com."),
    ],
)
def test_records_are_compared_by_meaning(kind: str, wanted: str, found: str) -> None:
    check = replace(CHECK, rdtype=dns.rdatatype.from_text(kind), expect_answer=(record(kind, wanted),))
    assert judged(check, f"www.example.com {kind} {found}").ok


def test_every_expected_record_must_be_there_and_more_may_be() -> None:
    two = replace(CHECK, expect_answer=(record("A", "192.0.2.1"), record("A", "192.0.2.2")))
    one, other, third = (f"www.example.com A 192.0.2.{host}" for host in (1, 2, 3))
    assert judged(two, third, other, one).ok
    assert judged(two, one, third).detail == (
        "192.0.2.2 missing in the answer for www.example.com A from 127.0.0.1:53 over udp (found 192.0.2.1, 192.0.2.3)"
    )
    assert judged(two).detail == (
        "192.0.2.1, 192.0.2.2 missing in the answer for www.example.com A from 127.0.0.1:53 over udp"
        " (the answer is empty)"
    )


def test_aliases_are_followed_to_the_record() -> None:
    alias = "www.example.com CNAME Web.example.net."
    assert judged(CHECK, alias, "web.example.net A 192.0.2.1").detail.endswith(": 192.0.2.1")
    assert judged(CHECK, alias).detail == (
        "NOERROR without a record for www.example.com A from 127.0.0.1:53 over udp, an alias of Web.example.net"
    )
    assert not judged(CHECK, "web.example.net A 192.0.2.1").ok
    assert judged(replace(CHECK, rdtype=dns.rdatatype.CNAME), alias).ok


def test_aliases_in_a_circle_end() -> None:
    assert not judged(CHECK, "www.example.com CNAME a.example.", "a.example CNAME www.example.com.").ok


def test_a_long_answer_makes_a_short_sentence() -> None:
    many = [f"www.example.com A 192.0.2.{host}" for host in range(1, 60)]
    assert judged(CHECK, *many).detail.endswith(": 192.0.2.1, 192.0.2.10, 192.0.2.11, 192.0.2.12 and 55 more")
    text = replace(CHECK, rdtype=dns.rdatatype.TXT)
    assert len(judged(text, f'www.example.com TXT "{"x" * 250}"').detail) < 160


def test_truncation_is_good_over_udp_only() -> None:
    query = make_query(CHECK)
    cut = response(query)
    cut.flags |= dns.flags.TC
    assert judge(CHECK, UDP, query, cut, 0.001) == Verdict(
        True, "truncated answer for www.example.com A from 127.0.0.1:53 over udp", 0.001, truncated=True
    )
    assert not judge(CHECK, TCP, query, cut, 0.001).ok
    cut.set_rcode(dns.rcode.SERVFAIL)
    assert not judge(CHECK, UDP, query, cut, 0.001).ok


# --- is it the answer at all? ----------------------------------------------------------------------------------------


def test_a_response_to_something_else_is_none() -> None:
    query = make_query(CHECK)

    def why(**changes: Any) -> str:
        other = response(query, "www.example.com A 192.0.2.1")
        for name, value in changes.items():
            setattr(other, name, value)
        verdict = judge(CHECK, UDP, query, other, 0.001)
        assert verdict.ok is (mismatch(query, other) == "")
        return mismatch(query, other)

    assert why() == ""
    assert why(id=query.id ^ 1) == f"id {query.id ^ 1} instead of {query.id}"
    assert why(flags=dns.flags.RD) == "a query, not a response"
    assert why(flags=dns.flags.QR | dns.opcode.to_flags(dns.opcode.NOTIFY)) == "opcode NOTIFY instead of QUERY"
    assert why(question=[]) == "it has no question section"
    assert why(question=[dns.rrset.RRset(WWW, dns.rdataclass.IN, dns.rdatatype.AAAA)]) == (
        "it answers www.example.com. AAAA"
    )
    assert (
        why(question=[dns.rrset.RRset(dns.name.from_text("WWW.Example.com"), dns.rdataclass.IN, dns.rdatatype.A)]) == ""
    )


def test_an_error_may_come_without_the_question() -> None:
    query = make_query(CHECK)
    bare = response(query, rcode=dns.rcode.REFUSED)
    bare.question = []
    assert judge(CHECK, UDP, query, bare, 0.001).detail.startswith("REFUSED for ")


RICH = dns.message.from_text(
    """id 1
opcode QUERY
rcode NOERROR
flags QR RD RA
edns 0
payload 1232
;QUESTION
www.example.com. IN A
;ANSWER
www.example.com. 60 IN CNAME web.example.com.
web.example.com. 60 IN A 192.0.2.1
web.example.com. 60 IN TXT "a" "b"
web.example.com. 60 IN SVCB 1 x. alpn="h2"
web.example.com. 60 IN LOC 51 30 12.748 N 0 7 39.612 W 0.00m
;AUTHORITY
example.com. 60 IN SOA ns.example.com. host.example.com. 1 2 3 4 5
;ADDITIONAL
"""
)
RICH.use_edns(0, options=[dns.edns.EDEOption(22, "why"), dns.edns.GenericOption(10, b"12345678")])


@given(
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    kind=st.sampled_from(["A", "TXT", "CNAME", "SVCB", "LOC", "SOA"]),
    transport=st.sampled_from(Transport),
    rcodes=st.sampled_from([(dns.rcode.NOERROR,), (dns.rcode.SERVFAIL, dns.rcode.REFUSED)]),
    expect=st.sampled_from([None, (), (record("A", "192.0.2.1"),)]),
)
@example(changes=[], kind="A", transport=UDP, rcodes=(dns.rcode.NOERROR,), expect=None)
def test_judge_never_raises_and_says_one_line(
    changes: list[tuple[int, int]],
    kind: str,
    transport: Transport,
    rcodes: tuple[dns.rcode.Rcode, ...],
    expect: tuple[dns.rdata.Rdata, ...] | None,
) -> None:
    wire = bytearray(RICH.to_wire())
    for offset, value in changes:
        wire[offset % len(wire)] = value
    try:
        message = dns.message.from_wire(bytes(wire))
    except dns.exception.DNSException:
        return
    check = replace(CHECK, rdtype=dns.rdatatype.from_text(kind), expect_rcode=rcodes, expect_answer=expect)
    query = make_query(check)
    query.id = 1
    verdict = judge(check, transport, query, message, 0.001)
    assert verdict.detail.isprintable()
    assert len(verdict.detail) < 800


def test_one_verdict_of_several() -> None:
    good, slow, bad, worse = (
        Verdict(True, "good", 0.1),
        Verdict(True, "good", 0.2),
        Verdict(False, "bad", 0.3),
        Verdict(False, "worse", 0.1),
    )
    assert combine([good, slow]) == Verdict(True, "good", 0.2)
    assert combine([good, bad]) == Verdict(False, "bad", 0.3)
    assert combine([bad, worse]) == Verdict(False, "bad; worse", 0.3)
