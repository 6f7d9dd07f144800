"""Flags, names without a cache, NSID, EDNS size, truncation, signatures: what a DNS_CHECK adds to a plain question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest

from dnslb.health.answer import judge
from dnslb.health.query import DnsCheck, make_query
from dnslb.health.verdict import Transport, Verdict

UDP, TCP = Transport.UDP, Transport.TCP
WWW = dns.name.from_text("www.example.com")
CHECK = DnsCheck(name=WWW)
TODAY = 1_790_000_000.0
DAY = 86400


def answer(query: dns.message.Message, *records: str, flags: int = 0, **edns: Any) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.flags |= flags
    for record in records:
        kind, _, rdata = record.partition(" ")
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", kind, rdata))
    if edns:
        response.use_edns(0, **edns)
    return dns.message.from_wire(response.to_wire())


def judged(check: DnsCheck, *records: str, transport: Transport = UDP, flags: int = 0, **edns: Any) -> Verdict:
    query = make_query(check)
    return judge(check, transport, query, answer(query, *records, flags=flags, **edns), 0.001, TODAY)


# --- the question ----------------------------------------------------------------------------------------------------


def test_flags_of_the_question() -> None:
    query = make_query(replace(CHECK, recursion=False, query_flags=frozenset(("AD", "CD", "DO"))))
    assert (query.flags, query.ednsflags) == (dns.flags.AD | dns.flags.CD, dns.flags.DO)
    assert make_query(replace(CHECK, payload=512)).payload == 512


def test_a_random_name_is_another_one_each_time_and_its_answer_is_its_own() -> None:
    check = replace(CHECK, name=dns.name.from_text("p-{rand}.probe.example"))
    asked = {make_query(check).question[0].name for _ in range(20)}
    assert len(asked) == 20
    for name in asked:
        label = name.labels[0].decode()
        assert label.startswith("p-")
        assert int(label[2:], 16) < 2**48
        assert len(label) == 14
        assert name.parent() == dns.name.from_text("probe.example")
    verdict = judged(check, "A 192.0.2.1")
    assert verdict.detail == "NOERROR for p-{rand}.probe.example A from 127.0.0.1:53: 192.0.2.1"
    one, other = make_query(check), make_query(check)
    other.id = one.id
    assert not judge(check, UDP, one, answer(other, "A 192.0.2.1"), 0.001).ok, "the answer to another name"


# --- flags -----------------------------------------------------------------------------------------------------------


def test_flags_that_must_be_there() -> None:
    check = replace(CHECK, required=frozenset(("AA", "RA")))
    assert judged(check, "A 192.0.2.1", flags=dns.flags.AA | dns.flags.RA).ok
    verdict = judged(check, "A 192.0.2.1", flags=dns.flags.RA)
    assert (verdict.ok, verdict.cause) == (False, "no AA")
    assert verdict.detail == "answer without the flag AA for www.example.com A from 127.0.0.1:53 over udp"


def test_flags_that_must_not() -> None:
    check = replace(CHECK, forbidden=frozenset(("AD", "DO")))
    assert judged(check, "A 192.0.2.1").ok
    assert judged(check, "A 192.0.2.1", flags=dns.flags.AD).cause == "AD"
    assert judged(check, "A 192.0.2.1", ednsflags=dns.flags.DO).cause == "DO"


def test_any_rcode_and_any_answer_will_do_where_the_file_expects_nothing() -> None:
    way = replace(CHECK, expect_rcode=(), empty=True)
    query = make_query(way)
    for rcode in (dns.rcode.REFUSED, dns.rcode.SERVFAIL, dns.rcode.NOERROR):
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        assert judge(way, UDP, query, response, 0.001).ok
    assert judged(replace(CHECK, empty=True)).detail.endswith(": no record")


# --- size and truncation ---------------------------------------------------------------------------------------------


def test_truncation_can_be_what_is_expected() -> None:
    check = replace(CHECK, payload=512, required=frozenset(("TC",)))
    assert judged(check, flags=dns.flags.TC).truncated, "the whole answer is asked for over TCP"
    assert judged(check, "A 192.0.2.1").cause == "no TC"
    assert judged(check, "A 192.0.2.1", transport=TCP).ok
    assert judged(check, flags=dns.flags.TC, transport=TCP).cause == "truncated"


# --- identity --------------------------------------------------------------------------------------------------------


def nsid(name: bytes) -> dict[str, Any]:
    return {"options": [dns.edns.GenericOption(dns.edns.OptionType.NSID, name)]}


def test_who_answered() -> None:
    check = replace(CHECK, nsid="")
    asked = [option.otype for option in make_query(check).options]
    assert asked == [dns.edns.OptionType.NSID]
    assert judged(check, "A 192.0.2.1", **nsid(b"ns1")).nsid == "ns1"
    assert judged(check, "A 192.0.2.1", **nsid(b"\x00\xff")).nsid == "00ff"
    assert judged(check, "A 192.0.2.1").nsid == ""


def test_somebody_else_answered() -> None:
    check = replace(CHECK, nsid="ns1")
    assert judged(check, "A 192.0.2.1", **nsid(b"ns1")).ok
    other = judged(check, "A 192.0.2.1", **nsid(b"ns2"))
    assert (other.ok, other.detail) == (False, "127.0.0.1:53 calls itself ns2 (expected ns1)")
    assert judged(check, "A 192.0.2.1").detail == "127.0.0.1:53 sends no NSID (expected ns1)"


# --- signatures ------------------------------------------------------------------------------------------------------


def rrsig(begin: float, end: float, kind: str = "A") -> str:
    return f"RRSIG {kind} 13 3 60 {int(TODAY + end)} {int(TODAY + begin)} 4711 example.com. AAAA"


SIGNED = replace(CHECK, rrsig_days=3.0)


def test_signatures_are_asked_for() -> None:
    assert make_query(SIGNED).ednsflags == dns.flags.DO


@pytest.mark.parametrize(
    ("signatures", "ok", "cause", "remarks"),
    [
        ([rrsig(-DAY, 10 * DAY)], True, "", ()),
        (
            [rrsig(-DAY, 2 * DAY)],
            True,
            "",
            ("the signature of www.example.com A from 127.0.0.1:53 ends in 2.0 days",),
        ),
        ([rrsig(-9 * DAY, -DAY)], False, "expired", ()),
        ([rrsig(-9 * DAY, -DAY), rrsig(-DAY, 9 * DAY)], True, "", ()),
        ([rrsig(DAY, 9 * DAY)], False, "not valid yet", ()),
        ([], False, "not signed", ()),
        ([rrsig(-DAY, 9 * DAY, "TXT")], False, "not signed", ()),
    ],
)
def test_how_long_signatures_last(signatures: list[str], ok: bool, cause: str, remarks: tuple[str, ...]) -> None:
    verdict = judged(SIGNED, "A 192.0.2.1", *signatures)
    assert (verdict.ok, verdict.cause, verdict.remarks) == (ok, cause, remarks)


def test_a_serial_is_remembered() -> None:
    soa = replace(CHECK, rdtype=dns.rdatatype.SOA)
    assert judged(soa, "SOA ns1.example.com. admin.example.com. 2026112201 1 1 1 1").serial == 2026112201
