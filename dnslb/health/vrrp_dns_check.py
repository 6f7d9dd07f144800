"""The block `vrrp_dns_check NAME { }`: its defaults, and what it can't mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dns.name
import dns.rcode

from dnslb.health import values
from dnslb.health.lines import Lines
from dnslb.health.query import DnsCheck
from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.statements import Statement

_DEFAULT = DnsCheck(name=dns.name.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBlock:
    """A check with its name, its pace and what its results count for."""

    name: str
    check: DnsCheck
    position: Position
    interval: float
    "seconds from the start of one probe to the start of the next"
    weight: int
    "0: its failure is a FAULT"
    reverse: bool
    rise: int
    fall: int


def read_blocks(blocks: Sequence[Statement], diagnostics: Diagnostics) -> list[CheckBlock]:
    """Read the blocks of a file; a second one of the same name is an error."""
    found: dict[str, CheckBlock] = {}
    for block in blocks:
        read = read_block(block, diagnostics)
        if read is None:
            continue
        if read.name in found:
            message = f"vrrp_dns_check {read.name}: the name is taken already by {found[read.name].position}"
            diagnostics.error(block.position, "duplicate-name", message, "give it another name", fatal=True)
            continue
        found[read.name] = read
    return list(found.values())


def read_block(block: Statement, diagnostics: Diagnostics) -> CheckBlock | None:
    """Read one block; None when something in it is wrong, all of which has been reported.

    Its errors are fatal: without the check that was meant, the address would be announced unchecked.
    """
    label = block.arguments[0].text if block.arguments else ""
    lines = Lines(f"vrrp_dns_check {label}".rstrip(), block, diagnostics)
    if not label:
        lines.refuse(block.position, "missing-argument", "it has no name of its own", "vrrp_dns_check NAME { ... }")
    kind = lines.get("type", values.rdtype, _DEFAULT.rdtype)
    # Records of a type that was refused would be refused once more.
    expect_answer = None if lines.refused else lines.get("expect_answer", values.answer(kind), None)
    name = lines.get("name", values.domain_name, _DEFAULT.name)
    if "name" not in lines:
        lines.refuse(block.position, "missing-name", "it asks for no name", "add the line: name www.example.com")
    check = DnsCheck(
        name=name,
        rdtype=kind,
        server=lines.get("server", values.address, _DEFAULT.server),
        port=lines.get("port", values.whole(1, 65535), _DEFAULT.port),
        transports=lines.get("protocol", values.transports, _DEFAULT.transports),
        timeout=lines.get("timeout", values.seconds(0.01, 3600), _DEFAULT.timeout),
        expect_rcode=lines.get("expect_rcode", values.rcodes, _DEFAULT.expect_rcode),
        expect_answer=expect_answer,
        recursion=lines.get("recursion", values.switch, _DEFAULT.recursion),
        edns=lines.get("edns", values.switch, _DEFAULT.edns),
    )
    weight, reverse = lines.get("weight", values.weight, (0, False))
    read = CheckBlock(
        name=label,
        check=check,
        position=block.position,
        interval=lines.get("interval", values.seconds(0.05, 86400), 1.0),
        weight=weight,
        reverse=reverse,
        rise=lines.get("rise", values.whole(1, 1000), 1),
        fall=lines.get("fall", values.whole(1, 1000), 1),
    )
    if lines.refused:
        return None
    if check.timeout > read.interval:
        message = f"timeout {check.timeout:g} is longer than interval {read.interval:g}"
        lines.warn("long-timeout", message, "after a timeout the next probe starts late")
    if expect_answer is not None and dns.rcode.NOERROR not in check.expect_rcode:
        message = "expect_answer has no effect, only a NOERROR answer is looked at"
        lines.warn("no-effect", message, "add NOERROR to expect_rcode, or leave it out")
    return read
