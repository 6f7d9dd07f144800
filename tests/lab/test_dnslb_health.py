"""The monitor on a real link, with unbound and BIND: each check, each trap, and how soon a death is noticed."""

from __future__ import annotations

import os
import shutil
import signal
from typing import Any

import pytest
from health_nodes import VIP4, VIP6, Balancer, DnsServer

from dnslb.health.report import State
from pyvrrp.demo.lab import Lab, eventually

pytestmark = [
    pytest.mark.skipif(shutil.which("unbound") is None, reason="needs unbound (apt install unbound)"),
    pytest.mark.skipif(shutil.which("named") is None, reason="needs BIND (apt install bind9)"),
]

SERVERS = 3


def virtual_server(*checks: str, servers: int = SERVERS, lines: str = "", protocol: str = "DNS") -> str:
    """A file with one virtual server for both VIPs."""
    real = "\n".join(
        "\n".join((f"    real_server 192.0.2.{10 + number} 53 {{", *checks, "    }"))
        for number in range(1, servers + 1)
    )
    return f"""
virtual_server_group dns {{
    {VIP4} 53
    {VIP6} 53
}}
virtual_server group dns {{
    protocol {protocol}
    lb_kind DR
    {lines}
{real}
}}
"""


QUESTION = "DNS_CHECK {\n name www.example.com  type A\n}"
SILENT = "vip_check off"


@pytest.fixture
def balancer(lab: Lab) -> Balancer:
    return Balancer(lab)


def nodes(lab: Lab, count: int = SERVERS) -> list[DnsServer]:
    return [DnsServer(lab, number) for number in range(1, count + 1)]


def warned(balancer: Balancer, server: DnsServer, begin: str) -> None:
    """Wait until a server has one warning, which begins so."""

    def heard() -> bool:
        warnings = balancer.health[server.own4].warnings
        return len(warnings) == 1 and warnings[0].startswith(begin)

    balancer.until(heard, f"the warning: {begin}")


def first_check(balancer: Balancer) -> Any:
    """What the status says of the first check of the first server."""
    (virtual,) = balancer.status().values()
    return virtual["servers"]["192.0.2.11"]["checks"][0]


# --- default checks --------------------------------------------------------------------------------------------------


def test_a_vip_that_is_missing_takes_a_server_down_though_it_answers(lab: Lab, balancer: Balancer) -> None:
    servers = nodes(lab)
    for server in servers:
        server.unbound()
    balancer.watch(virtual_server(QUESTION), *servers)
    for server in servers:
        balancer.state(server, State.UP)
    servers[1].remove_vip()
    health = balancer.state(servers[1], State.DOWN)
    assert health.detail.startswith(f"no answer from {VIP4}:53 through 192.0.2.12 over udp within 0.4 s: ")
    balancer.state(servers[0], State.UP)
    servers[1].add_vip()
    balancer.state(servers[1], State.UP)


def test_a_mac_address_that_is_not_known_is_not_healthy(lab: Lab, balancer: Balancer) -> None:
    (server,) = nodes(lab, 1)
    server.unbound()
    balancer.watch(virtual_server(QUESTION, servers=1))
    assert "the MAC address of 192.0.2.11 is not known" in balancer.state(server, State.DOWN).detail


@pytest.mark.parametrize("silent", [False, True], ids=["killed", "unplugged"])
@pytest.mark.parametrize("lines", ["", "delay_loop 0.1\n fast_interval 0.05"], ids=["default", "fast"])
def test_a_death_is_noticed(lab: Lab, balancer: Balancer, lines: str, silent: bool) -> None:
    servers = nodes(lab, 2)
    for server in servers:
        server.unbound()
    balancer.watch(virtual_server(QUESTION, servers=2, lines=lines), *servers)
    for server in servers:
        balancer.state(server, State.UP)
    victim = servers[0]
    for _ in range(2):
        if silent:
            victim.host.isolate()
        else:
            assert victim.process is not None
            os.killpg(victim.process.pid, signal.SIGKILL)
        balancer.state(victim, State.DOWN)
        if silent:
            victim.host.rejoin()
        else:
            victim.unbound()
        balancer.state(victim, State.UP)
        balancer.state(servers[1], State.UP)


def test_a_server_without_tcp(lab: Lab, balancer: Balancer) -> None:
    (server,) = nodes(lab, 1)
    server.unbound()
    balancer.watch(virtual_server(QUESTION, SILENT, servers=1), server)
    balancer.state(server, State.UP)
    server.host.run(["nft", "add table inet block"])
    server.host.run(["nft", "add chain inet block input { type filter hook input priority 0; }"])
    server.host.run(["nft", "add rule inet block input tcp dport 53 drop"])
    assert "no answer from 192.0.2.11:53 over tcp within 0.4 s" in balancer.state(server, State.DOWN).detail
    server.host.run(["nft", "delete table inet block"])
    balancer.state(server, State.UP)


def test_servfail_everywhere_is_a_common_cause_and_servfail_somewhere_is_not(lab: Lab, balancer: Balancer) -> None:
    servers = nodes(lab)
    broken = (
        "  interface: 0.0.0.0",
        "  interface-automatic: yes",
        '  module-config: "iterator"',
        'forward-zone:\n  name: "example.org"\n  forward-addr: 127.0.0.1@9',
    )
    servers[0].unbound(*broken)
    check = (
        'DNS_CHECK {\n name "{rand}.example.org"  type A  transport udp  expect_rcode NOERROR NXDOMAIN\n'
        " connect_timeout 3\n}"
    )
    answered = ("  interface: 0.0.0.0", "  interface-automatic: yes", '  local-zone: "example.org." static')
    for server in servers[1:]:
        server.unbound(*answered)
    balancer.watch(virtual_server(check, SILENT), *servers)
    assert balancer.state(servers[0], State.DOWN).detail.startswith("SERVFAIL for {rand}.example.org A from 192.0.2.11")
    for server in servers[1:]:
        balancer.state(server, State.UP)
    balancer.until(lambda: balancer.causes == (), "no common cause")
    for server in servers[1:]:
        server.unbound(*broken)
    balancer.until(lambda: any(len(cause.servers) == 3 for cause in balancer.causes), "a cause common to all")
    (cause,) = balancer.causes
    assert (cause.check, cause.cause) == ("DNS_CHECK {rand}.example.org A over udp", "SERVFAIL")
    for server in servers:
        server.unbound(*answered)
    balancer.until(lambda: balancer.causes == (), "no common cause any more")


# --- authoritative servers -------------------------------------------------------------------------------------------

AUTHORITATIVE = (
    "DNS_CHECK {\n name example.com  type SOA  transport udp  recursion off  expect_flags AA -RA  nsid\n %s\n}"
)


def test_flags_nsid_and_a_zone_that_is_not_loaded(lab: Lab, balancer: Balancer) -> None:
    loaded, empty = nodes(lab, 2)
    loaded.named('server-id "one";', zones=loaded.zone("example.com", 1))
    empty.named()
    balancer.watch(virtual_server(AUTHORITATIVE % "", SILENT, servers=2), loaded, empty)
    balancer.state(loaded, State.UP)
    assert balancer.state(empty, State.DOWN).detail.startswith("REFUSED for example.com SOA from 192.0.2.12:53")
    eventually(lambda: first_check(balancer)["nsid"] == "one", "who answers is known")


def test_a_resolver_is_no_authoritative_server(lab: Lab, balancer: Balancer) -> None:
    (server,) = nodes(lab, 1)
    server.unbound()
    check = "DNS_CHECK {\n name www.example.com  type A  transport udp  expect_flags -RA\n}"
    balancer.watch(virtual_server(check, SILENT, servers=1), server)
    assert "answer with the flag RA" in balancer.state(server, State.DOWN).detail


def test_a_stale_secondary(lab: Lab, balancer: Balancer) -> None:
    servers = nodes(lab)
    for server, serial in zip(servers, (2026112203, 2026112203, 2026112201), strict=True):
        server.named(zones=server.zone("example.com", serial))
    balancer.watch(virtual_server(AUTHORITATIVE % "serial_lag 1 0.5", SILENT), *servers)
    stale = balancer.state(servers[2], State.DOWN)
    assert "serial 2026112201 is 2 behind the other servers (at most 1) for more than 0.5 s" in stale.detail
    for server in servers[:2]:
        balancer.until(
            lambda own=server.own4: (balancer.health[own].state, balancer.health[own].warnings) == (State.UP, ()),
            f"nothing is wrong with {server.name}",
        )
    servers[2].named(zones=servers[2].zone("example.com", 2026112203))
    balancer.state(servers[2], State.UP)


def test_all_secondaries_behind_their_primary(lab: Lab, balancer: Balancer) -> None:
    primary = DnsServer(lab, 9, vip=False)
    primary.named(zones=primary.zone("example.com", 8))
    servers = nodes(lab, 2)
    for server in servers:
        server.named(zones=server.zone("example.com", 5))
    rule = f"serial_lag 0 0\n primary {primary.own4}"
    balancer.watch(virtual_server(AUTHORITATIVE % rule, SILENT, servers=2), *servers)
    for server in servers:
        assert "serial 5 is 3 behind the primary" in balancer.state(server, State.DOWN).detail
    balancer.until(lambda: [each.cause for each in balancer.causes] == ["serial lag"], "it is not the secondaries")
    primary.stop()
    for server in servers:
        balancer.state(server, State.UP)
        warned(balancer, server, f"the primary {primary.own4}:53 gives no serial to compare with")


# --- DNSSEC ----------------------------------------------------------------------------------------------------------


def signed(server: DnsServer, zone: str, *, days: float) -> tuple[str, str]:
    """A signed zone: its statement for named.conf, and its key as a trust anchor."""
    directory = server.host.directory
    server.zone(zone, 1)
    generate = ["dnssec-keygen", "-q", "-K", directory, "-a", "ECDSAP256SHA256", "-f", "KSK", zone]
    key = server.host.run(generate).stdout.strip()
    end = f"now+{int(days * 86400)}"
    signing = [
        "dnssec-signzone",
        "-q",
        "-z",
        "-S",
        "-K",
        directory,
        "-d",
        directory,
        "-e",
        end,
        "-o",
        zone,
        "-f",
        directory / f"{zone}.signed",
    ]
    server.host.run([*signing, directory / zone])
    anchor = next(line for line in (directory / f"{key}.key").read_text().splitlines() if not line.startswith(";"))
    return f'zone "{zone}" {{ type primary; file "{directory}/{zone}.signed"; }};', anchor


@pytest.mark.skipif(shutil.which("dnssec-signzone") is None, reason="needs dnssec-signzone (apt install bind9-utils)")
def test_signatures_and_validation(lab: Lab, balancer: Balancer) -> None:
    authoritative = DnsServer(lab, 9, vip=False)
    good, anchor = signed(authoritative, "good.test", days=10)
    bogus, _ = signed(authoritative, "bogus.test", days=10)
    soon, _ = signed(authoritative, "soon.test", days=1)
    authoritative.named(zones=f"{good}\n{bogus}\n{soon}")
    wrong = anchor.replace("good.test", "bogus.test")
    validator, careless = nodes(lab, 2)
    stubs = [f'stub-zone:\n  name: "{zone}"\n  stub-addr: {authoritative.own4}' for zone in ("good.test", "bogus.test")]
    listen = ("  interface: 0.0.0.0", "  interface-automatic: yes", '  local-zone: "test." transparent')
    validator.unbound(*listen, f"  trust-anchor: '{anchor}'", f"  trust-anchor: '{wrong}'", *stubs)
    careless.unbound(*listen, '  module-config: "iterator"', *stubs)
    check = "DNS_CHECK {\n type SOA  transport udp  connect_timeout 3  dnssec good.test bogus.test\n}"
    balancer.watch(virtual_server(check, SILENT, servers=2), validator, careless)
    balancer.state(validator, State.UP)
    assert "answer without the flag AD for good.test SOA" in balancer.state(careless, State.DOWN).detail
    expiring = "\n".join(
        f"DNS_CHECK {{\n name {zone}  recursion off  transport udp  rrsig_expiry 3  connect_ip {authoritative.own4}\n}}"
        for zone in ("good.test", "soon.test")
    )
    balancer.watch(virtual_server(expiring, SILENT, servers=2), validator, careless)
    balancer.state(careless, State.UP)
    warned(balancer, careless, f"the signature of soon.test SOA from {authoritative.own4}:53 ends in 1.0 days")


# --- the others ------------------------------------------------------------------------------------------------------


def test_groups_scripts_and_tcp(lab: Lab, balancer: Balancer) -> None:
    (server,) = nodes(lab, 1)
    server.unbound()
    flag = server.host.directory / "weight"
    flag.write_text("12")
    script = (
        f"MISC_CHECK {{\n misc_path \"/bin/sh -c 'exit $(cat {flag})'\"\n misc_dynamic\n user root\n delay_loop 0.1\n}}"
    )
    names = "\n".join(
        f"DNS_CHECK {{\n name {name}  type A  transport udp  expect_answer any  delay_loop 0.1\n}}"
        for name in ("www.example.com", "ftp.example.com", "missing.root.example")
    )
    group = f"check_group names {{\n need 2\n{names}\n}}"
    balancer.watch(virtual_server(group, "TCP_CHECK {\n}", script, SILENT, servers=1), server)
    balancer.state(server, State.UP)
    balancer.until(lambda: balancer.health[server.own4].weights == (10,), "the script's weight")
    warned(balancer, server, "NXDOMAIN for missing.root.example A ")
    flag.write_text("1")
    assert balancer.state(server, State.DOWN).detail.endswith(": exit status 1")
    flag.write_text("0")
    balancer.state(server, State.UP)
    balancer.until(lambda: balancer.health[server.own4].weights == (), "the script says nothing of weights")
    server.stop()
    balancer.until(
        lambda: "connection refused by 192.0.2.11:53 over tcp" in balancer.health[server.own4].detail,
        "TCP_CHECK's word",
    )
    balancer.state(server, State.DOWN)


def test_an_answer_too_big_for_udp_is_fetched_over_tcp(lab: Lab, balancer: Balancer) -> None:
    (server,) = nodes(lab, 1)
    big = [f"  local-data: 'big.example.com. TXT \"{number} {'x' * 200}\"'" for number in range(20)]
    listen = ("  interface: 0.0.0.0", "  interface-automatic: yes")
    server.unbound(*listen, '  local-zone: "big.example.com." static', *big)
    check = "DNS_CHECK {\n name big.example.com  type TXT  transport udp  edns_size 512  expect_flags TC\n}"
    balancer.watch(virtual_server(check, SILENT, servers=1), server)
    balancer.state(server, State.UP)
    eventually(lambda: first_check(balancer)["detail"].endswith(" and 16 more"), "all of it")
    server.host.run(["nft", "add table inet block"])
    server.host.run(["nft", "add chain inet block input { type filter hook input priority 0; }"])
    server.host.run(["nft", "add rule inet block input tcp dport 53 reject with tcp reset"])
    assert "connection refused" in balancer.state(server, State.DOWN).detail


def test_a_mark_and_a_source(lab: Lab, balancer: Balancer) -> None:
    (server,) = nodes(lab, 1)
    server.unbound()
    balancer.host.run(["ip", "addr", "add", "192.0.2.77/32", "dev", "eth0"])
    balancer.host.run(["nft", "add table inet count"])
    balancer.host.run(["nft", "add chain inet count output { type filter hook output priority 0; }"])
    balancer.host.run(["nft", "add rule inet count output meta mark 7 ip saddr 192.0.2.77 udp sport 1053 counter"])
    check = (
        "DNS_CHECK {\n name www.example.com  type A  transport both  bindto 192.0.2.77  bind_port 1053  fwmark 7\n"
        " delay_loop 0.1  connect_timeout 5\n}"
    )
    balancer.watch(virtual_server(check, SILENT, servers=1), server)
    balancer.state(server, State.UP)
    eventually(lambda: first_check(balancer)["passed"] >= 5, "one port serves again and again")
    assert first_check(balancer)["failed"] == 0, first_check(balancer)["last_failure"]
    assert "counter packets 0 " not in balancer.host.run(["nft", "list ruleset"]).stdout


def test_the_sentence_about_two_mistakes_is_short(lab: Lab, balancer: Balancer) -> None:
    (server,) = nodes(lab, 1)
    server.unbound()
    server.remove_vip()
    balancer.watch(virtual_server(QUESTION, servers=1), server)
    assert len(balancer.state(server, State.DOWN).detail) < 400
