"""The lines of DNS_CHECK and VIP_CHECK -> questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import dns.name
import dns.rcode
import dns.rdatatype

from dnslb.forwarding import Protocol
from dnslb.health import check_values, values
from dnslb.health.check import DnsProbe, VipProbe
from dnslb.health.lines import Lines
from dnslb.health.query import DO, EDNS_PAYLOAD, Binding, DnsCheck
from dnslb.health.verdict import Transport
from dnslb.model import CheckDefaults, Endpoint
from pyvrrp.config.statements import Statement

_ROOT = dns.name.root
_NOERROR: tuple[dns.rcode.Rcode, ...] = (dns.rcode.NOERROR,)
_NO_FLAGS: frozenset[str] = frozenset()
_SMALLEST_PAYLOAD = 512
"bytes; less is treated as this (RFC 6891 section 6.2.3)"


def dns_probe(lines: Lines, server: Endpoint, defaults: CheckDefaults, timeout: float, binding: Binding) -> DnsProbe:
    """DNS_CHECK; as in keepalived it asks for `. SOA`, and takes NOERROR without a record as good."""
    rule = lines.get("serial_lag", check_values.serial_lag, None)
    question = replace(
        _question(lines, defaults, binding),
        server=server.address,
        port=server.port,
        timeout=timeout,
        nsid=lines.get("nsid", check_values.text, None),
        rrsig_days=lines.get("rrsig_expiry", values.seconds(0, 3650), None),
    )
    if question.rrsig_days is not None and not question.edns:
        lines.refuse(lines.at("rrsig_expiry"), "needs-edns", "signatures come only with EDNS", "remove 'edns off'")
    if rule is not None:
        if question.rdtype != dns.rdatatype.SOA:
            lines.refuse(lines.at("type"), "needs-soa", "a serial is in a SOA record", "write type SOA")
        primary = lines.get("primary", check_values.endpoint, None)
        rule, question = replace(rule, primary=primary), replace(question, empty=False)
    elif "primary" in lines:
        message = "primary has no effect without serial_lag"
        lines.warn("no-effect", message, "add serial_lag 0, or leave it out", "primary")
    names: tuple[dns.name.Name, ...] = lines.get("dnssec", _names, ())
    asked = (question,) if "name" in lines or rule is not None or not names else ()
    return DnsProbe((*asked, *_validation(question, *names)), rule)


def vip_probe(lines: Lines, defaults: CheckDefaults, timeout: float) -> VipProbe:
    """VIP_CHECK; unless it says what to expect, any response will do: it is about the way, not about the answer."""
    written = _question(lines, defaults, Binding())
    return VipProbe(
        question=replace(
            written,
            server=defaults.server.address,
            port=defaults.server.port,
            timeout=timeout,
            recursion=lines.get("recursion", values.switch, "name" in lines),
            expect_rcode=written.expect_rcode if "expect_rcode" in lines or "expect_answer" in lines else (),
        ),
        source=lines.get("bindto", values.address, None),
    )


def _question(lines: Lines, defaults: CheckDefaults, binding: Binding) -> DnsCheck:
    kind = lines.get("type", values.rdtype, dns.rdatatype.SOA)
    required, forbidden = lines.get("expect_flags", check_values.expect_flags, (_NO_FLAGS, _NO_FLAGS))
    flags = lines.get("query_flags", check_values.query_flags, _NO_FLAGS)
    edns = lines.get("edns", values.switch, True)
    if not edns and (DO in flags or "edns_size" in lines or "nsid" in lines):
        lines.refuse(lines.at("edns"), "needs-edns", "DO, edns_size and nsid are parts of EDNS", "remove 'edns off'")
    if "AD" in required and not flags & {"AD", DO}:
        # Without either, a validating resolver need not set it (RFC 6840 section 5.7).
        flags |= {"AD"}
    # Records of a type that was refused would be refused once more.
    expect_answer = None if lines.refused else lines.get("expect_answer", values.answer(kind), None)
    expect_rcode = lines.get("expect_rcode", values.rcodes, _NOERROR)
    if expect_answer is not None and dns.rcode.NOERROR not in expect_rcode:
        lines.warn(
            "no-effect",
            "expect_answer has no effect, only a NOERROR answer is looked at",
            "add NOERROR to expect_rcode, or leave it out",
            "expect_answer",
        )
    return DnsCheck(
        name=lines.get("name", values.domain_name, _ROOT),
        rdtype=kind,
        transports=lines.get("transport", values.transports, _transports(defaults)),
        expect_rcode=expect_rcode,
        expect_answer=expect_answer,
        empty="expect_answer" not in lines,
        recursion=lines.get("recursion", values.switch, True),
        query_flags=flags,
        required=required,
        forbidden=forbidden,
        edns=edns,
        payload=lines.get("edns_size", values.whole(_SMALLEST_PAYLOAD, 65535), EDNS_PAYLOAD),
        binding=binding,
    )


def _transports(defaults: CheckDefaults) -> tuple[Transport, ...]:
    """Those of the virtual server: what is balanced is what is checked."""
    return tuple(
        transport
        for transport, protocol in ((Transport.UDP, Protocol.UDP), (Transport.TCP, Protocol.TCP))
        if protocol in defaults.protocols
    )


def _validation(question: DnsCheck, *names: dns.name.Name) -> Iterator[DnsCheck]:
    """A signed name must be validated; a bogus one is a SERVFAIL, and is there for one who says CD=1 (RFC 4035)."""
    plain = replace(
        question,
        empty=True,
        expect_answer=None,
        expect_rcode=_NOERROR,
        query_flags=_NO_FLAGS,
        required=_NO_FLAGS,
        forbidden=_NO_FLAGS,
        rrsig_days=None,
    )
    for name in names[:1]:
        yield replace(plain, name=name, query_flags=frozenset(("AD",)), required=frozenset(("AD",)))
    for name in names[1:]:
        yield replace(plain, name=name, expect_rcode=(dns.rcode.SERVFAIL,))
        yield replace(plain, name=name, query_flags=frozenset(("CD",)))


def _names(line: Statement) -> tuple[dns.name.Name, ...]:
    return tuple(values.domain_name(Statement(line.keyword, (word,))) for word in values.several(line))
