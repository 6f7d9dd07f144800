"""The judgement of a DNS answer; pure."""

from __future__ import annotations

from collections.abc import Sequence

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.RRSIG
import dns.rdtypes.ANY.SOA
import dns.rdtypes.txtbase

from dnslb.health.query import DO, FLAGS, DnsCheck, mismatch
from dnslb.health.text import shortened
from dnslb.health.verdict import Transport, Verdict

_SHOWN_RECORDS = 4
_DAY = 86400.0


class _Refused(Exception):
    """The answer is no good: its text says why, `cause` in a word."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


def judge(
    check: DnsCheck,
    transport: Transport,
    query: dns.message.Message,
    response: dns.message.Message,
    elapsed: float,
    today: float = 0.0,
) -> Verdict:
    """Say whether `response` to `query` is a good answer; never raises for a parsed message.

    `today`: Unix time, which signatures are compared with.
    """
    try:
        return _judged(check, transport, query, response, elapsed, today)
    except _Refused as refused:
        return Verdict(False, str(refused), elapsed, cause=refused.cause, nsid=nsid(response))


def _judged(
    check: DnsCheck,
    transport: Transport,
    query: dns.message.Message,
    response: dns.message.Message,
    elapsed: float,
    today: float,
) -> Verdict:
    asked = f"{check.question} from {check.endpoint} over {transport.value}"
    if why := mismatch(query, response):
        raise _Refused("no answer", f"no answer to {asked}: {why}")
    rcode = response.rcode()
    if check.expect_rcode and rcode not in check.expect_rcode:
        expected = " or ".join(dns.rcode.to_text(rcode) for rcode in check.expect_rcode)
        shown = dns.rcode.to_text(rcode)
        raise _Refused(shown, f"{shown} for {asked} (expected {expected}){_extended_errors(response)}")
    _judge_flags(check, transport, response, asked)
    called = nsid(response)
    if check.nsid and called != check.nsid:
        says = f"calls itself {called}" if called else "sends no NSID"
        raise _Refused("NSID", f"{check.endpoint} {says} (expected {check.nsid})")
    if response.flags & dns.flags.TC:
        if transport is Transport.TCP:
            raise _Refused("truncated", f"truncated answer for {asked}")
        return Verdict(True, f"truncated answer for {asked}", elapsed, truncated=True, nsid=called)
    found_by = f"{check.question} from {check.endpoint}"
    if rcode != dns.rcode.NOERROR:
        return Verdict(True, f"{dns.rcode.to_text(rcode)} for {found_by}", elapsed, nsid=called)
    name, found = _records(response, query.question[0].name, check.rdtype)
    alias = "" if name == query.question[0].name else f", an alias of {shortened(name.to_text(omit_final_dot=True))}"
    _judge_records(check, found, f"{asked}{alias}", response)
    remarks = []
    if check.rrsig_days is not None and found:
        remarks = _judge_signature(check, name, response, today)
    if found:
        answer = _listed(found)
    elif check.expect_answer == ():
        answer = "no record, as expected"
    else:
        answer = "no record"
    return Verdict(
        True,
        f"NOERROR for {found_by}: {answer}",
        elapsed,
        remarks=tuple(remarks),
        serial=next((each.serial for each in found if isinstance(each, dns.rdtypes.ANY.SOA.SOA)), None),
        nsid=called,
    )


def _judge_flags(check: DnsCheck, transport: Transport, response: dns.message.Message, asked: str) -> None:
    present = {name for name, flag in FLAGS.items() if response.flags & flag}
    if response.ednsflags & dns.flags.DO:
        present.add(DO)
    required = check.required if transport is Transport.UDP else check.required - {"TC"}
    if missing := sorted(required - present):
        raise _Refused(f"no {missing[0]}", f"answer without the flag {' '.join(missing)} for {asked}")
    if refused := sorted(check.forbidden & present):
        raise _Refused(refused[0], f"answer with the flag {' '.join(refused)} for {asked}")


def _judge_records(
    check: DnsCheck, found: Sequence[dns.rdata.Rdata], asked: str, response: dns.message.Message
) -> None:
    """See that the records are those of `expect_answer`."""
    match check.expect_answer:
        case None if not found and not check.empty:
            raise _Refused("no record", f"NOERROR without a record for {asked}{_extended_errors(response)}")
        case () if found:
            raise _Refused("a record", f"a record for {asked} where none is expected: {_listed(found)}")
        case wanted if wanted:
            values = {_value(rdata) for rdata in found}
            if missing := [rdata for rdata in wanted if _value(rdata) not in values]:
                present = f"found {_listed(found)}" if found else "the answer is empty"
                raise _Refused("wrong record", f"{_listed(missing)} missing in the answer for {asked} ({present})")


def _judge_signature(check: DnsCheck, name: dns.name.Name, response: dns.message.Message, today: float) -> list[str]:
    """What is to be told of the signatures of the answer; one that is valid is enough (RFC 4035 section 5.3.3)."""
    signed = f"the signature of {check.question} from {check.endpoint}"
    signatures = [
        rdata
        for rrset in response.answer
        if rrset.name == name
        for rdata in rrset
        if isinstance(rdata, dns.rdtypes.ANY.RRSIG.RRSIG) and rdata.type_covered == check.rdtype
    ]
    if not signatures:
        raise _Refused("not signed", f"there is no signature of {check.question} from {check.endpoint}")
    current = [each for each in signatures if each.inception <= today]
    if not current:
        begins = (min(each.inception for each in signatures) - today) / _DAY
        raise _Refused("not valid yet", f"{signed} begins in {begins:.1f} days: a clock is wrong, there or here")
    left = (max(each.expiration for each in current) - today) / _DAY
    if left <= 0:
        raise _Refused("expired", f"{signed} ended {-left:.1f} days ago; sign the zone again")
    return [f"{signed} ends in {left:.1f} days"] if left < (check.rrsig_days or 0) else []


def _records(
    response: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> tuple[dns.name.Name, list[dns.rdata.Rdata]]:
    """The end of the answer's CNAME chain and the records of the asked type there."""
    for _ in response.answer:
        here = [rdata for rrset in response.answer if rrset.name == name for rdata in rrset]
        if found := [rdata for rdata in here if rdata.rdtype == rdtype]:
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


def nsid(response: dns.message.Message) -> str:
    """What the server calls itself, as text where it is text; empty where it does not say."""
    for option in response.options:
        if option.otype == dns.edns.OptionType.NSID:
            name = option.to_wire() or b""
            return shortened(name.decode()) if name.isascii() and name.decode().isprintable() else name.hex()
    return ""


def _extended_errors(response: dns.message.Message) -> str:
    """`: EDE 22 (No Reachable Authority)`, the server's own reasons (RFC 8914)."""
    reasons = [error.to_text() for error in response.extended_errors()]
    return f": {shortened('; '.join(reasons), 200)}" if reasons else ""


def _listed(records: Sequence[dns.rdata.Rdata]) -> str:
    """The records in a fixed order (servers rotate them), the first few of many."""
    texts = sorted(shortened(rdata.to_text()) for rdata in records)
    more = f" and {len(texts) - _SHOWN_RECORDS} more" if len(texts) > _SHOWN_RECORDS else ""
    return ", ".join(texts[:_SHOWN_RECORDS]) + more
