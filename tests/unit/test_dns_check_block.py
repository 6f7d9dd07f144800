"""What a `vrrp_dns_check` block and `track_dns` can say, and what is said about the rest."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_address, ip_interface

import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnslb.health.query import DnsCheck
from dnslb.health.verdict import Transport
from dnslb.plugin import DnsPlugin, DnsService
from pyvrrp.config.diagnostics import Diagnostics, Position, Severity
from pyvrrp.config.load import load_text
from pyvrrp.config.model import Config, SyncGroup, Track, VirtualAddress, VrrpInstance
from pyvrrp.config.statements import Statement, Word
from pyvrrp.core.parameters import Parameters

UDP, TCP = Transport.UDP, Transport.TCP
WWW = dns.name.from_text("www.example.com")


def record(kind: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", kind, text, origin=dns.name.root, relativize=False)


def line(text: str, number: int) -> Statement:
    words = [
        Word(each, Position("dns.conf", number, text.index(each) + 1), f'"{each}"' in text)
        for each in shlex.split(text)
    ]
    return Statement(words[0], tuple(words[1:]))


def block(*lines: str, label: str = "resolver", first: int = 1) -> Statement:
    head = line(f"vrrp_dns_check {label}".strip(), first)
    return replace(head, body=tuple(line(text, first + number) for number, text in enumerate(lines, 1)))


def tracking(*names: str, addresses: tuple[str, ...] = ()) -> VrrpInstance:
    return VrrpInstance(
        name="DNS",
        interface="eth0",
        parameters=Parameters(vrid=53, addresses=(ip_address("192.0.2.53"),)),
        virtual_addresses=tuple(VirtualAddress(interface=ip_interface(each), device="eth0") for each in addresses),
        tracks=tuple(Track("dns", name, position=Position("dns.conf", 90, 5)) for name in names),
    )


def configure(*blocks: Statement, instances: tuple[VrrpInstance, ...] | None = None) -> tuple[DnsService, Diagnostics]:
    diagnostics = Diagnostics()
    instances = (
        (tracking(*(each.arguments[0].text for each in blocks if each.arguments)),) if instances is None else instances
    )
    service = DnsPlugin().configure(Config(instances=instances, plugin_blocks=blocks), diagnostics)
    return service, diagnostics


def test_the_defaults() -> None:
    service, diagnostics = configure(block("name www.example.com"))
    assert not len(diagnostics)
    (tracker,) = service.trackers
    assert (tracker.kind, tracker.name, tracker.weight, tracker.reverse) == ("dns", "resolver", 0, False)
    assert (tracker.rise, tracker.fall) == (1, 1)
    watch = tracker.run.__self__
    assert watch.block.interval == 1.0
    assert watch.block.check == DnsCheck(
        name=WWW,
        rdtype=dns.rdatatype.A,
        server=ip_address("127.0.0.1"),
        port=53,
        transports=(UDP,),
        timeout=0.5,
        expect_rcode=(dns.rcode.NOERROR,),
        expect_answer=None,
        recursion=True,
        edns=True,
    )


def test_every_keyword() -> None:
    service, diagnostics = configure(
        block(
            "server 2001:db8::53",
            "port 5353",
            "name example.com.",
            "type mx",
            "protocol both",
            "interval 0.25",
            "timeout 0.2",
            "rise 2",
            "fall 3",
            "weight -20 reverse",
            "expect_rcode noerror NXDOMAIN",
            'expect_answer "10 mail.example.com" "20 mail.example.net."',
            "recursion off",
            "edns no",
        )
    )
    assert list(diagnostics) == []
    (tracker,) = service.trackers
    assert (tracker.rise, tracker.fall, tracker.weight, tracker.reverse) == (2, 3, -20, True)
    watch = tracker.run.__self__
    assert watch.block.interval == 0.25
    assert watch.block.check == DnsCheck(
        name=dns.name.from_text("example.com"),
        rdtype=dns.rdatatype.MX,
        server=ip_address("2001:db8::53"),
        port=5353,
        transports=(UDP, TCP),
        timeout=0.2,
        expect_rcode=(dns.rcode.NOERROR, dns.rcode.NXDOMAIN),
        expect_answer=(record("MX", "10 mail.example.com."), record("MX", "20 mail.example.net.")),
        recursion=False,
        edns=False,
    )
    assert service.status()["checks"]["resolver"] == {
        "server": "[2001:db8::53]:5353",
        "name": "example.com",
        "type": "MX",
        "protocol": "both",
        "healthy": None,
        "detail": "not probed yet",
        "latency": None,
        "age": None,
        "passed": 0,
        "failed": 0,
    }


@pytest.mark.parametrize(
    ("line", "code", "column", "message"),
    [
        ("server ns1.example.com", "bad-address", 8, "'server ns1.example.com' is no IP address"),
        ("port 0", "bad-number", 6, "'port 0' is not a whole number in 1-65535"),
        ("port 65536", "bad-number", 6, "'port 65536' is not a whole number in 1-65535"),
        ("port domain", "bad-number", 6, "'port domain' is not a whole number in 1-65535"),
        ("name www..example.com", "bad-name", 6, "'www..example.com' is no domain name: A DNS label is empty."),
        ("type AAAAA", "unknown-type", 6, "'AAAAA' is no DNS type"),
        ("type ANY", "unknown-type", 6, "'type ANY' asks for no record of its own"),
        ("type AXFR", "unknown-type", 6, "'type AXFR' asks for no record of its own"),
        ("protocol tpc", "unknown-protocol", 10, "'tpc' is no DNS protocol"),
        ("interval 0", "bad-number", 10, "'interval 0' is not a number of seconds in 0.05-86400"),
        ("interval nan", "bad-number", 10, "'interval nan' is not a number of seconds"),
        ("timeout -1", "bad-number", 9, "'timeout -1' is not a number of seconds in 0.01-3600"),
        ("timeout 1e3", "bad-number", 9, "'timeout 1e3' is not a number of seconds"),
        ("rise 0", "bad-number", 6, "'rise 0' is not a whole number in 1-1000"),
        ("fall two", "bad-number", 6, "'fall two' is not a whole number in 1-1000"),
        ("weight 254", "bad-number", 8, "'weight 254' is not a whole number in -253-253"),
        ("weight 20 revers", "bad-option", 11, "'revers' after a weight means nothing"),
        ("expect_rcode NXDOMAIN SERVFIAL", "unknown-rcode", 23, "'SERVFIAL' is no DNS rcode"),
        ("expect_answer 192.0.2", "bad-record", 15, "'192.0.2' is no A record: "),
        ("expect_answer ::1", "bad-record", 15, "'::1' is no A record: "),
        ("recursion maybe", "bad-switch", 11, "'recursion maybe' is neither on nor off"),
        ("server", "missing-argument", 1, "'server' needs a value"),
        ("server 127.0.0.1 5353", "extra-argument", 18, "'server' takes one value, '5353' is too much"),
        ("expect_rcode", "missing-argument", 1, "'expect_rcode' needs at least one value"),
    ],
)
def test_what_a_block_can_not_say(line: str, code: str, column: int, message: str) -> None:
    service, diagnostics = configure(block("name www.example.com", line))
    (found,) = diagnostics
    assert found.code == code
    assert found.message.startswith(f"vrrp_dns_check resolver: {message}")
    assert found.position == Position("dns.conf", 3, column)
    assert found.severity is Severity.ERROR
    assert found.fatal, "without this check the address would be announced unchecked"
    assert not service.trackers


def test_a_check_must_ask_for_something() -> None:
    service, diagnostics = configure(block("server 127.0.0.1"))
    (found,) = diagnostics
    assert str(found) == (
        "dns.conf:1:1: error[missing-name]: vrrp_dns_check resolver: it asks for no name; "
        "add the line: name www.example.com"
    )
    assert found.fatal
    assert not service.trackers


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        (["name www.example.com", "type AAAAA"], "AAAA"),
        (["name www.example.com", "expect_rcode SERVFIAL"], "SERVFAIL"),
        (["name www.example.com", "protocol tpc"], "tcp"),
        (["name www.example.com", "protocol dot"], "udp, tcp, both"),
        (["name www.example.com", "server localhost"], "server 127.0.0.1"),
        (["name example.com", "type MX", "expect_answer 10 mail.example.com"], '"10 mail.example.com"'),
    ],
)
def test_an_error_says_what_to_write(lines: list[str], hint: str) -> None:
    _, diagnostics = configure(block(*lines))
    assert hint in next(iter(diagnostics)).hint


def test_all_errors_of_a_block_are_told_at_once() -> None:
    _, diagnostics = configure(block("type AAA", "expect_answer ::1", "port x", "rise 0"))
    assert [found.code for found in diagnostics] == ["missing-name", "unknown-type", "bad-number", "bad-number"]


def test_a_block_without_a_name() -> None:
    service, diagnostics = configure(block("name www.example.com", label=""), instances=())
    assert [found.code for found in diagnostics] == ["missing-argument"]
    assert not service.trackers


def test_two_blocks_of_one_name() -> None:
    service, diagnostics = configure(block("name a.example"), block("name b.example", first=11))
    (found,) = diagnostics
    assert (found.code, found.position.line, found.fatal) == ("duplicate-name", 11, True)
    assert found.message.endswith("by dns.conf:1:1")
    assert len(service.trackers) == 1


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("any", None),
        ("none", ()),
        ('"none"', (record("TXT", '"none"'),)),
        ('"v=spf1 -all"', (record("TXT", '"v=spf1 -all"'),)),
        ("x" * 300, (record("TXT", f'"{"x" * 255}" "{"x" * 45}"'),)),
    ],
)
def test_expect_answer_words(word: str, expected: object) -> None:
    service, diagnostics = configure(block("name example.com", "type TXT", f"expect_answer {word}"))
    assert not len(diagnostics)
    assert service.trackers[0].run.__self__.block.check.expect_answer == expected


def test_what_runs_but_hardly_as_meant() -> None:
    check = block(
        "name www.example.com", "server 192.0.2.53", "timeout 2", "expect_rcode REFUSED", "expect_answer 192.0.2.1"
    )
    service, diagnostics = configure(check, instances=(tracking(addresses=("192.0.2.53/24",)),))
    assert not diagnostics.errors
    assert [found.code for found in diagnostics.warnings] == [
        "long-timeout", "no-effect", "server-is-virtual", "unused-check",
    ]  # fmt: skip
    assert len(service.trackers) == 1


def test_a_track_of_no_check_is_refused() -> None:
    _, diagnostics = configure(block("name www.example.com"), instances=(tracking("resolver", "resolvre"),))
    (found,) = diagnostics
    assert (found.code, str(found.position), found.fatal) == ("undefined-name", "dns.conf:90:5", True)
    assert "resolver" in found.hint
    diagnostics = Diagnostics()
    group = SyncGroup(name="G", members=("DNS",), tracks=(Track("dns", "resolver"), Track("script", "chk")))
    DnsPlugin().configure(Config(sync_groups=(group,)), diagnostics)
    assert [found.code for found in diagnostics] == ["undefined-name"]


def test_the_example_of_the_manual() -> None:
    """From the text of a file to the tracker, by way of the reader: several keywords share a line."""
    text = """
vrrp_dns_check resolver { server 127.0.0.1  port 5353  name www.example.com  type A  protocol both
                          interval 1  timeout 0.5  rise 2  fall 2  expect_answer 192.0.2.1 192.0.2.2  recursion off }
vrrp_dns_check mail { name example.com  type MX  expect_answer "10 mail.example.com"  weight 20 reverse }
vrrp_instance DNS {
    interface eth0
    virtual_router_id 53
    virtual_ipaddress { 192.0.2.53/24 }
    track_dns { resolver }
    track_dns {
        mail weight -30
    }
}
"""
    plugin = DnsPlugin()
    loaded = load_text(text, name="dns.conf", plugins=[plugin])
    service = plugin.configure(loaded.config, loaded.diagnostics)
    assert [str(found) for found in loaded.diagnostics] == []
    resolver, mail = service.trackers
    assert (resolver.name, resolver.rise, resolver.fall, resolver.weight) == ("resolver", 2, 2, 0)
    assert resolver.run.__self__.block.check == DnsCheck(
        name=WWW,
        port=5353,
        transports=(UDP, TCP),
        expect_answer=(record("A", "192.0.2.1"), record("A", "192.0.2.2")),
        recursion=False,
    )
    assert (mail.name, mail.weight, mail.reverse) == ("mail", 20, True)
    tracks = loaded.config.instances[0].tracks
    assert [(track.kind, track.name, track.weight) for track in tracks] == [
        ("dns", "resolver", None),
        ("dns", "mail", -30),
    ]


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["10", "0.5", "A", "TXT", "MX", "reverse", "on", "127.0.0.1", "www.example.com", "\\", '"', "\udc80", "\\# 4 00"]
)
KEYWORDS = [keyword.name for keyword in DnsPlugin.keywords[0].body]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(KEYWORDS), st.lists(WORDS, max_size=3)), max_size=6))
@example([("name", ["\udc80"]), ("type", ["TXT"]), ("expect_answer", ["\udc80"])])
def test_no_word_makes_configure_raise(lines: list[tuple[str, list[str]]]) -> None:
    at = Position("dns.conf", 2, 1)
    body = tuple(Statement(Word(keyword, at), tuple(Word(word, at) for word in words)) for keyword, words in lines)
    service, diagnostics = configure(replace(block(), body=body))
    assert bool(service.trackers) is not bool(diagnostics.errors)


def test_dnspython_is_imported_only_for_a_check() -> None:
    program = """
import sys
import dnslb, dnslb.plugin
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load_text
from pyvrrp.config.model import Config
service = dnslb.plugin.DnsPlugin().configure(Config(), Diagnostics())
assert not service.trackers and service.status() == {"checks": {}, "problems": []}
sys.exit("dns" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=90, check=False).returncode == 0
