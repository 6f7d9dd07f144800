"""What check blocks of a real server can say, and what is said about the rest."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address

import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from dnslb.forwarding import Protocol
from dnslb.health.blocks import CHECK_KEYWORDS, read_checks
from dnslb.health.check import (
    Action,
    Band,
    Check,
    CheckGroup,
    Consequence,
    DnsProbe,
    MiscProbe,
    SerialRule,
    TcpProbe,
    VipProbe,
)
from dnslb.health.query import Binding, DnsCheck
from dnslb.health.verdict import Transport
from dnslb.model import CheckDefaults, Endpoint, Pace
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.grammar import Grammar
from pyvrrp.config.keywords import Keyword
from pyvrrp.config.model import Command
from pyvrrp.config.reader import read_text

UDP, TCP = Transport.UDP, Transport.TCP
SERVER = Endpoint(ip_address("192.0.2.11"), 53)
BOTH = frozenset((Protocol.UDP, Protocol.TCP))


def read(
    *lines: str,
    protocols: frozenset[Protocol] = BOTH,
    pace: Pace = Pace(),  # noqa: B008
    vip_check: bool = False,
) -> tuple[tuple[CheckGroup, ...], list[str]]:
    diagnostics = Diagnostics()
    text = "\n".join(("real_server 192.0.2.11 53 {", *lines, "}"))
    grammar = Grammar([Keyword(name="real_server", words=(1, 2), body=CHECK_KEYWORDS)])
    blocks = grammar.recognise(read_text(text, diagnostics).statements, diagnostics).statements
    defaults = CheckDefaults(owner="real_server 192.0.2.11 53", server=SERVER, protocols=protocols, pace=pace)
    groups = read_checks(blocks[0], defaults, diagnostics, vip_check=vip_check)
    return groups, [f"{'fatal ' if each.fatal else ''}{each}" for each in diagnostics]


def good(*lines: str, **fields: object) -> tuple[CheckGroup, ...]:
    groups, findings = read(*lines, **fields)  # type: ignore[arg-type]
    assert findings == []
    return groups


def only(*lines: str, **fields: object) -> Check:
    ((check,),) = (group.checks for group in good(*lines, **fields))
    return check


def question(*lines: str, **fields: object) -> DnsCheck:
    probe = only("DNS_CHECK {", *lines, "}", **fields).probe
    assert isinstance(probe, DnsProbe)
    (asked,) = probe.questions
    return asked


# --- DNS_CHECK -------------------------------------------------------------------------------------------------------


def test_a_keepalived_file_means_what_it_means_there() -> None:
    """The root's SOA, NOERROR is enough; over the protocols that are balanced."""
    asked = question()
    assert (asked.name, asked.rdtype, asked.server, asked.port) == (
        dns.name.root,
        dns.rdatatype.SOA,
        ip_address("192.0.2.11"),
        53,
    )
    assert (asked.expect_rcode, asked.expect_answer, asked.empty) == ((dns.rcode.NOERROR,), None, True)
    assert asked.transports == (UDP, TCP)
    assert question(protocols=frozenset((Protocol.UDP,))).transports == (UDP,)
    assert question(protocols=frozenset((Protocol.TCP,))).transports == (TCP,)
    named = question("type A", "name www.example.com", "connect_ip 192.0.2.99", "connect_port 5353")
    assert (named.question, named.endpoint) == ("www.example.com A", "192.0.2.99:5353")


def test_where_its_packets_come_from() -> None:
    asked = question("bindto 192.0.2.2", "bind_if eth0", "bind_port 1053", "fwmark 7")
    assert asked.binding == Binding(source=ip_address("192.0.2.2"), interface="eth0", port=1053, fwmark=7)


def test_what_ours_can_say_more() -> None:
    asked = question(
        'name "{rand}.probe.example"  type A  transport udp  recursion off',
        "query_flags CD DO",
        "edns_size 512",
        "expect_rcode NOERROR NXDOMAIN",
        "expect_answer 192.0.2.1",
        "expect_flags AA TC -AD",
        "nsid ns1",
        "rrsig_expiry 3",
    )
    assert asked.name == dns.name.from_text("{rand}.probe.example")
    assert (asked.transports, asked.recursion, asked.payload, asked.nsid, asked.rrsig_days) == (
        (UDP,),
        False,
        512,
        "ns1",
        3.0,
    )
    assert (asked.query_flags, asked.required, asked.forbidden) == ({"CD", "DO"}, {"AA", "TC"}, {"AD"})
    assert asked.expect_answer is not None
    assert [record.to_text() for record in asked.expect_answer] == ["192.0.2.1"]
    assert question("nsid").nsid == ""
    assert question("expect_answer any").empty is False


def test_one_who_wants_ad_asks_for_it() -> None:
    assert question("expect_flags AD").query_flags == {"AD"}
    assert question("expect_flags AD", "query_flags DO").query_flags == {"DO"}


def test_a_serial() -> None:
    probe = only("DNS_CHECK {", "name example.com", "serial_lag 2 60", "primary 192.0.2.1", "}").probe
    assert isinstance(probe, DnsProbe)
    assert probe.serial == SerialRule(lag=2, patience=60.0, primary=Endpoint(ip_address("192.0.2.1"), 53))
    assert not probe.questions[0].empty, "an answer without a SOA has no serial"


def test_a_signed_and_a_bogus_name() -> None:
    probe = only("DNS_CHECK {", "type A", "dnssec good.example bogus.example", "}").probe
    assert isinstance(probe, DnsProbe)
    validated, refused, unchecked = probe.questions
    assert (validated.question, validated.required, validated.query_flags) == ("good.example A", {"AD"}, {"AD"})
    assert (refused.question, refused.expect_rcode) == ("bogus.example A", (dns.rcode.SERVFAIL,))
    assert (unchecked.question, unchecked.query_flags, unchecked.expect_rcode) == (
        "bogus.example A",
        {"CD"},
        (dns.rcode.NOERROR,),
    )
    with_name = only("DNS_CHECK {", "name www.example.com", "dnssec good.example", "}").probe
    assert isinstance(with_name, DnsProbe)
    assert [each.question for each in with_name.questions] == ["www.example.com SOA", "good.example SOA"]


# --- the others ------------------------------------------------------------------------------------------------------


def test_tcp_check() -> None:
    check = only("TCP_CHECK {", "connect_port 853  connect_timeout 2  latency 0.01 0.1", "}")
    assert check.probe == TcpProbe(Endpoint(ip_address("192.0.2.11"), 853), 2.0, Binding())
    assert check.latency == Band(0.01, 0.1)


def test_misc_check() -> None:
    check = only("MISC_CHECK {", "misc_path \"/bin/check 'two words' 3\"", "misc_dynamic", "user nobody daemon", "}")
    assert check.probe == MiscProbe(
        server=SERVER,
        command=Command(("/bin/check", "two words", "3"), "nobody", "daemon"),
        timeout=1.0,
        dynamic=True,
    )
    assert (check.schedule.rise, check.schedule.fall) == (1, 1), "keepalived's"
    slow = only("MISC_CHECK {", 'misc_path "/bin/check"', "misc_timeout 7", "retry 2", "}", pace=Pace(delay_loop=10.0))
    assert isinstance(slow.probe, MiscProbe)
    assert (slow.probe.timeout, slow.schedule.interval, slow.schedule.fall) == (7.0, 10.0, 3)


def test_pace_is_inherited_and_overridden() -> None:
    pace = Pace(delay_loop=6.0, retry=3, connect_timeout=2.0)
    inherited, own = good("TCP_CHECK {", "}", "TCP_CHECK {", "delay_loop 1", "retry 0", "rise 5", "}", pace=pace)
    (one,), (other,) = inherited.checks, own.checks
    assert (one.schedule.interval, one.schedule.fall, one.schedule.rise) == (6.0, 4, 2)
    assert (other.schedule.interval, other.schedule.fall, other.schedule.rise) == (1.0, 1, 5)
    assert isinstance(one.probe, TcpProbe)
    assert one.probe.timeout == 2.0
    assert question(pace=Pace(delay_loop=0.1)).timeout == 0.1, "a fast check does not wait long"


def test_the_same_check_of_two_virtual_servers_is_one() -> None:
    lines = ("DNS_CHECK {", "name www.example.com", "transport both", "}")
    assert only(*lines, protocols=frozenset((Protocol.UDP,))) == only(*lines, protocols=frozenset((Protocol.TCP,)))
    assert hash(only(*lines)) == hash(only(*lines))


# --- VIP_CHECK -------------------------------------------------------------------------------------------------------


def test_the_way_through_the_vip_is_checked_unless_it_is_off() -> None:
    groups = good("DNS_CHECK {", "name www.example.com", "}", vip_check=True)
    vip = groups[1].checks[0].probe
    assert isinstance(vip, VipProbe)
    assert (vip.question.question, vip.question.recursion, vip.question.expect_rcode) == (". SOA", False, ())
    assert (vip.question.transports, vip.question.server) == ((UDP, TCP), ip_address("192.0.2.11"))
    assert len(good("TCP_CHECK {", "}", vip_check=True)) == 2
    assert len(good("TCP_CHECK {", "}", "vip_check off", vip_check=True)) == 1
    assert len(good("TCP_CHECK {", "}", "vip_check", vip_check=False)) == 2, "the server's own word counts"
    assert len(good("MISC_CHECK {", "misc_path /bin/true", "}", vip_check=True)) == 1
    assert good(vip_check=True) == (), "a server without checks is not checked"


def test_one_that_is_written_takes_the_place_of_the_implied_one() -> None:
    groups = good("DNS_CHECK {", "}", "VIP_CHECK {", "name www.example.com  type A  transport udp", "}", vip_check=True)
    assert [check.label for group in groups for check in group.checks] == [
        "DNS_CHECK . SOA over udp and tcp",
        "VIP_CHECK www.example.com A over udp",
    ]
    probe = groups[1].checks[0].probe
    assert isinstance(probe, VipProbe)
    assert (probe.question.recursion, probe.question.expect_rcode) == (True, ()), "any response comes by the way"


# --- groups and consequences -----------------------------------------------------------------------------------------


def test_a_group() -> None:
    (group,) = good(
        "check_group names {",
        "need 2",
        "action degrade 30",
        *("DNS_CHECK {", "name a.example", "}"),
        *("DNS_CHECK {", "name b.example", "}"),
        *("TCP_CHECK {", "}"),
        "}",
    )
    assert (group.name, group.need, len(group.checks)) == ("names", 2, 3)
    assert group.consequence == Consequence(Action.DEGRADE, 0.3)


@pytest.mark.parametrize(
    ("line", "consequence"),
    [
        ("action down", Consequence(Action.DOWN)),
        ("action degrade", Consequence(Action.DEGRADE, 0.5)),
        ("action degrade 20", Consequence(Action.DEGRADE, 0.2)),
        ("action warn", Consequence(Action.WARN)),
    ],
)
def test_actions(line: str, consequence: Consequence) -> None:
    assert good("TCP_CHECK {", line, "}")[0].consequence == consequence


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("expect_rcode NOEROR", "unknown-rcode"),
        ("expect_flags AA -AA", "bad-flag"),
        ("expect_flags XX", "unknown-flag"),
        ("query_flags AA", "unknown-flag"),
        ("serial_lag x", "bad-number"),
        ("type A\nserial_lag 2", "needs-soa"),
        ("latency 2 1", "bad-number"),
        ("action explode", "unknown-action"),
        ("action warn 5", "extra-argument"),
        ("edns off\nnsid", "needs-edns"),
        ("edns off\nrrsig_expiry 3", "needs-edns"),
        ("edns_size 100", "bad-number"),
        ("transport sctp", "unknown-protocol"),
        ("rise 0", "bad-number"),
        ("dnssec good..example", "bad-name"),
        ("serial_lag 1\nprimary ns1.example.com", "bad-address"),
    ],
)
def test_a_mistake_in_a_keyword_of_ours_is_fatal(line: str, code: str) -> None:
    """Without the check that was meant, the server would get packets unchecked."""
    _, findings = read("DNS_CHECK {", line, "}")
    assert any(f"error[{code}]: real_server 192.0.2.11 53: DNS_CHECK: " in each for each in findings), findings
    assert all(each.startswith("fatal ") for each in findings)


@pytest.mark.parametrize("line", ["type BOGUS", "name a..b", "connect_port 99999", "connect_ip localhost", "fwmark x"])
def test_a_mistake_in_one_of_keepaliveds_is_not(line: str) -> None:
    groups, (finding,) = read("DNS_CHECK {", line, "}")
    assert len(groups) == 1
    assert not finding.startswith("fatal")
    assert ", its default is used" in finding


def test_groups_that_can_not_be() -> None:
    for lines, code in (
        (("check_group g {", "}"), "missing-check"),
        (("check_group g {", "need 2", "TCP_CHECK {", "}", "}"), "bad-need"),
    ):
        groups, (finding,) = read(*lines)
        assert groups == ()
        assert f"fatal <text>:2:1: error[{code}]" in finding or f"error[{code}]" in finding


def test_what_has_no_effect_is_told() -> None:
    _, findings = read("check_group g {", "TCP_CHECK {", "action warn", "}", "}")
    assert [each.partition(": ")[2].partition(":")[0] for each in findings] == ["warning[no-effect]"]
    _, (finding,) = read("DNS_CHECK {", "primary 192.0.2.1", "}")
    assert "primary has no effect without serial_lag" in finding
    _, (finding,) = read("DNS_CHECK {", "bindto 2001:db8::1", "}")
    assert "family-mismatch" in finding


def test_a_script_that_is_missing_or_not_quoted() -> None:
    groups, (finding,) = read("MISC_CHECK {", "}")
    assert groups == ()
    assert finding.startswith("fatal")
    groups, (finding,) = read("MISC_CHECK {", "misc_path /bin/check 1 2", "}")
    assert len(groups) == 1
    assert 'misc_path "/bin/check 1 2"' in finding


def test_keywords_are_known_without_dnspython() -> None:
    code = "import sys, dnslb.health.blocks, dnslb.health.report; assert 'dns' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
