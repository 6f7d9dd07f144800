"""The parts of the demo and the lab that need no network namespaces."""

import io
from ipaddress import ip_address
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, IPv6
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vrrp import VRRP, VRRPv3

from pyvrrp.demo.client import StubResolver
from pyvrrp.demo.dns_active_backup import SCENARIO
from pyvrrp.demo.incidents import Outcome
from pyvrrp.demo.node import files
from pyvrrp.demo.responder import Zone
from pyvrrp.demo.stream import Question
from pyvrrp.demo.timeline import Timeline
from pyvrrp.demo.wire import Advertised, Asked, Frame

V4 = Ether() / IP(src="192.0.2.11", dst="224.0.0.18", ttl=255, proto=112)
V6 = Ether() / IPv6(src="fe80::11", dst="ff02::12", hlim=255, nh=112)
QUERY = Ether() / IP(src="192.0.2.100", dst="192.0.2.53") / UDP(sport=4242, dport=53) / (b"\1\2" + bytes(20))
V2_BODY = bytes(VRRP(vrid=51, priority=200, addrlist=["192.0.2.100"]))
V3_BODY = bytes(VRRPv3(vrid=52, priority=0, addrlist=["fe80::100"]))


def test_a_resolv_conf_is_read_as_glibc_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# mine\nsearch example.com\n" + "".join(f"nameserver 192.0.2.{n}\n" for n in (1, 2, 3, 4)))
    assert StubResolver.read(file) == StubResolver(("192.0.2.1", "192.0.2.2", "192.0.2.3"), timeout=5.0, attempts=2)
    file.write_text("nameserver 192.0.2.1\noptions edns0 timeout:1 attempts:3\n")
    assert StubResolver.read(file) == StubResolver(("192.0.2.1",), timeout=1.0, attempts=3)


def test_the_example_has_every_file_and_its_client_knows_one_address() -> None:
    assert {path.name for path in files(SCENARIO).iterdir()} >= {
        "README.md", "dns1.conf", "dns2.conf", "resolv.conf", "unbound.conf",
    }  # fmt: skip
    assert StubResolver.read(files(SCENARIO) / "resolv.conf").nameservers == ("192.0.2.53",)


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "data"),
    [
        ("www.example.com", "A", dns.rcode.NOERROR, ["192.0.2.80"]),
        ("WWW.Example.COM", "A", dns.rcode.NOERROR, ["192.0.2.80"]),
        ("www.example.com", "AAAA", dns.rcode.NOERROR, []),
        ("nobody.example.com", "A", dns.rcode.NXDOMAIN, []),
    ],
)
def test_the_responder_answers_from_the_configuration_of_unbound(
    name: str, kind: str, rcode: dns.rcode.Rcode, data: list[str]
) -> None:
    zone = Zone(files(SCENARIO) / "unbound.conf", "dns1")
    query = dns.message.make_query(name, kind, use_edns=0, options=[dns.edns.GenericOption(dns.edns.NSID, b"")])
    answer = dns.message.from_wire(zone.answer(query.to_wire()))
    assert query.is_response(answer)
    assert answer.rcode() == rcode
    assert [record.to_text() for rrset in answer.answer for record in rrset] == data
    assert [option.nsid for option in answer.options] == [b"dns1"]


@pytest.mark.parametrize(
    "wire",
    [b"", bytes(11), b"\xff" * 40, bytes.fromhex("0001 8100 0001 0000 0000 0000 0161 0000 0100 01")],
    ids=["empty", "too short", "noise", "an answer"],
)
def test_the_responder_is_silent_to_what_is_no_query(wire: bytes) -> None:
    assert Zone(files(SCENARIO) / "unbound.conf", "dns1").answer(wire) is None


def test_a_strip_shows_who_answered_and_when_it_broke() -> None:
    questions = [Question(10.05, 10.06, "dns1"), Question(10.15, None), Question(10.17, 10.18, "dns1")]
    questions += [Question(10.25, None), Question(10.35, 10.36, "dns2"), Question(10.55, 10.56, "dns2")]
    out = io.StringIO()
    Timeline(out).strip(questions, since=10.0, event=10.2, until=10.6)
    assert out.getvalue().strip() == "11!.2.2"


def test_strips_show_each_servers_part_and_what_nobody_answered() -> None:
    questions = [Question(10.05, 10.06, "ns1" if n % 2 else "ns2") for n in range(10)]
    questions += [Question(10.15, None) if n < 45 else Question(10.15, 10.16, "ns1") for n in range(50)]
    questions += [Question(10.25, 10.26, "ns2")]
    out = io.StringIO()
    Timeline(out).shares(questions, ("ns1", "ns2"), since=10.0, event=10.1, until=10.4)
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["ns1", "5!1.."], ["ns2", "5!.*."], ["nobody", ".!9.."],
    ]  # fmt: skip


def test_a_strip_that_is_too_long_is_cut_off() -> None:
    out = io.StringIO()
    Timeline(out).shares([Question(10.05, 10.06, "ns1")], ("ns1",), since=10.0, event=10.1, until=40.0)
    assert [len(line) for line in out.getvalue().splitlines()] == [100, 100]


def test_a_table_has_its_words_at_the_left_and_its_numbers_at_the_right() -> None:
    out = io.StringIO()
    Timeline(out).table([("", "lost"), ("ns1 is gone", "7")])
    assert out.getvalue() == "                       lost\n          ns1 is gone     7\n"


def test_an_outcome_in_a_sentence() -> None:
    assert str(Outcome("ns1 is gone", asked=400, lost=0, last=0.0, moved=0)) == "none of 400 queries lost"
    told = "71 of 400 queries lost, the last of them 0.94 s after that"
    assert str(Outcome("ns1 is gone", asked=400, lost=71, last=0.9412, moved=0)) == told


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (QUERY, Asked(ip_address("192.0.2.100"), 4242, 0x0102, ip_address("192.0.2.53"))),
        (Ether() / IP() / UDP(sport=4242, dport=5353) / (b"\1\2" + bytes(20)), None),
        (Ether() / IP(proto=6) / (bytes(2) + b"\0\x35" + bytes(30)), None),
        (
            Ether() / IPv6(src="2001:db8::100", dst="2001:db8::53") / UDP(sport=4242, dport=53) / (b"\1\2" + bytes(20)),
            Asked(ip_address("2001:db8::100"), 4242, 0x0102, ip_address("2001:db8::53")),
        ),
        (Ether() / IPv6() / UDP(sport=4242, dport=5353) / (b"\1\2" + bytes(20)), None),
        (Ether() / IPv6(nh=6) / (bytes(2) + b"\0\x35" + bytes(30)), None),
    ],
)
def test_the_tap_tells_one_query_from_another(packet: Ether, expected: Asked | None) -> None:
    assert Frame(0.0, bytes(packet)).asked == expected


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (V4 / V2_BODY, Advertised(ip_address("192.0.2.11"), 2, 51, 200)),
        (V6 / V3_BODY, Advertised(ip_address("fe80::11"), 3, 52, 0)),
        (Ether() / IP(proto=17) / V2_BODY, None),
        (Ether() / ARP(), None),
    ],
)
def test_the_tap_reads_the_head_of_an_advertisement(packet: Ether, expected: Advertised | None) -> None:
    assert Frame(0.0, bytes(packet)).advertised == expected


def test_the_tap_skips_the_authentication_header() -> None:
    packet = (
        Ether()
        / IP(src="192.0.2.11", dst="224.0.0.18", ttl=255, proto=51)
        / AH(nh=112, payloadlen=4, icv=bytes(12))
        / V2_BODY
    )
    assert Frame(0.0, bytes(packet)).advertised == Advertised(ip_address("192.0.2.11"), 2, 51, 200)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (Ether() / ARP(op=1, psrc="192.0.2.100", pdst="192.0.2.100"), "192.0.2.100"),
        (Ether() / ARP(op=1, psrc="192.0.2.1", pdst="192.0.2.100"), None),
        (Ether() / IPv6() / ICMPv6ND_NA(tgt="2001:db8::100", S=0, O=1), "2001:db8::100"),
        (Ether() / IPv6() / ICMPv6ND_NA(tgt="2001:db8::100", S=1, O=1), None),
    ],
)
def test_the_tap_tells_announcements_from_answers(packet: Ether, expected: str | None) -> None:
    assert Frame(0.0, bytes(packet)).announced == (expected and ip_address(expected))


@pytest.mark.parametrize(
    "packet", [V4 / V2_BODY, V6 / V3_BODY, QUERY, Ether() / IPv6() / ICMPv6ND_NA(), Ether() / ARP()]
)
def test_the_tap_bears_frames_that_are_cut_off(packet: Ether) -> None:
    data = bytes(packet)
    for length in range(len(data)):
        frame = Frame(0.0, data[:length])
        assert frame.asked in (None, Frame(0.0, data).asked)
        assert (frame.advertised, frame.announced) in [(None, None), (Frame(0.0, data).advertised, None)]
