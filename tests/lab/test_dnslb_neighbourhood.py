"""What the servers of one address must not do on the link, and must have in common: ARP leaks, cookies, names."""

from __future__ import annotations

import shutil
from ipaddress import ip_address

import pytest
from health_nodes import VIP4, VIP6, Balancer, DnsServer, mac, virtual_servers
from test_dnslb_health import QUESTION, nodes, virtual_server

from dnslb.health import arp_watch
from dnslb.health.arp_leak import Leak, Link
from dnslb.health.arp_watch import ArpWatch, Situation
from dnslb.health.survey import Survey
from pyvrrp.demo.lab import Host, Lab
from pyvrrp.demo.namespaces import ip

FOUR, SIX = ip_address(VIP4), ip_address(VIP6)
named = pytest.mark.skipif(shutil.which("named") is None, reason="needs BIND (apt install bind9)")


@pytest.fixture
def balancer(lab: Lab) -> Balancer:
    return Balancer(lab)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arp_watch, "WAIT", 0.5)


def found(balancer: Balancer, *servers: DnsServer, held: bool, balancers: tuple[Host, ...] = ()) -> list[Leak]:
    link = Link(
        own=frozenset((mac(balancer.host),)),
        balancers=frozenset(map(mac, balancers)),
        servers={mac(server.host): server.name for server in servers},
    )
    situation = Situation(vips={FOUR: held, SIX: held}, link=link)
    watch = ArpWatch("eth0", lambda: situation)

    async def ask() -> list[Leak]:
        return sorted(await watch.ask(), key=lambda leak: (leak.vip.version, leak.mac))

    leaks = balancer.run(ask())
    assert watch.failed == ""
    assert watch.status()["leaks"] == [leak.sentence for leak in watch.leaks]
    return leaks


# --- ARP leaks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("master", [True, False], ids=["master", "backup"])
def test_servers_in_order_are_silent(lab: Lab, balancer: Balancer, master: bool) -> None:
    servers = nodes(lab, 2)
    other = lab.host("lb2", "192.0.2.3/24", "2001:db8::3/64")
    holder = balancer.host if master else other
    ip(f"addr add {VIP4}/32 dev eth0", f"addr add {VIP6}/128 dev eth0 nodad", namespace=holder.namespace)
    assert found(balancer, *servers, held=master, balancers=(other,)) == []
    assert found(balancer, *servers, held=master) == [], "who the other balancer is need not be known"


@pytest.mark.parametrize("master", [True, False], ids=["master", "backup"])
def test_a_server_that_answers_arp_is_named(lab: Lab, balancer: Balancer, master: bool) -> None:
    servers = nodes(lab, 2)
    other = lab.host("lb2", "192.0.2.3/24", "2001:db8::3/64")
    holder = balancer.host if master else other
    ip(f"addr add {VIP4}/32 dev eth0", f"addr add {VIP6}/128 dev eth0 nodad", namespace=holder.namespace)
    leaky = servers[1]
    leaky.host.run(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=0"])
    expected = Leak(vip=FOUR, mac=mac(leaky.host), server="ns2")
    assert found(balancer, *servers, held=master, balancers=(other,)) == [expected]
    ip(f"addr add {VIP6}/128 dev eth0 nodad", namespace=leaky.host.namespace)
    both = found(balancer, *servers, held=master, balancers=(other,))
    assert both == [expected, Leak(vip=SIX, mac=mac(leaky.host), server="ns2")]
    assert "net.ipv4.conf.all.arp_ignore=1" in both[0].sentence


def test_a_stranger_is_named_by_its_mac_address(lab: Lab, balancer: Balancer) -> None:
    balancer.hold_vip()
    stranger = lab.host("stranger", "192.0.2.99/24", f"{VIP6}/64", f"{VIP4}/32")
    assert [(leak.vip, leak.mac, leak.server) for leak in found(balancer, held=True)] == [
        (FOUR, mac(stranger), ""),
        (SIX, mac(stranger), ""),
    ]


def test_a_leak_is_told_once_and_so_is_its_end(lab: Lab, balancer: Balancer, caplog: pytest.LogCaptureFixture) -> None:
    (server,) = nodes(lab, 1)
    balancer.hold_vip()
    link = Link(own=frozenset((mac(balancer.host),)), servers={mac(server.host): "ns1"})
    watch = ArpWatch("eth0", lambda: Situation(vips={FOUR: True}, link=link))
    with caplog.at_level("INFO", "dnslb"):
        for ignore in (0, 0, 1):
            server.host.run(["sysctl", "-qw", f"net.ipv4.conf.all.arp_ignore={ignore}"])
            balancer.run(watch.ask())
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" (")[0] for text in told] == ["real server ns1", f"ns1 answers for {VIP4} no more"]


def test_an_interface_that_is_missing_is_told_and_ends_nothing(lab: Lab, balancer: Balancer) -> None:
    watch = ArpWatch("eth9", lambda: Situation(vips={FOUR: True}, link=Link(own=frozenset(), servers={})))
    assert balancer.run(watch.ask()) == ()
    assert watch.failed.startswith("eth9 has no address") or "eth9" in watch.failed


# --- cookies and names -----------------------------------------------------------------------------------------------


def survey(balancer: Balancer, servers: list[DnsServer]) -> tuple[str, ...]:
    asked = Survey()
    asked.configure(virtual_servers(virtual_server(QUESTION, servers=len(servers))))
    result: tuple[str, ...] = balancer.run(asked.ask("dns/DNS"))
    return result


def secret(digits: str) -> str:
    return f'cookie-secret "{digits * 16}";'


@named
def test_cookies_of_different_secrets(lab: Lab, balancer: Balancer) -> None:
    """Which is what BIND does unless it is told a secret."""
    servers = nodes(lab)
    for server in servers:
        server.named()
    assert any("have different cookie secrets" in finding for finding in survey(balancer, servers))
    for server in servers:
        server.named(secret("0f"))
    assert survey(balancer, servers) == ()
    servers[1].named(secret("1e"))
    (finding,) = survey(balancer, servers)
    assert finding.startswith("192.0.2.11 and 192.0.2.12 have different cookie secrets: ")


@named
def test_the_same_nsid_twice(lab: Lab, balancer: Balancer) -> None:
    servers = nodes(lab)
    for server, name in zip(servers, ("a", "b", "a"), strict=True):
        server.named(secret("0f"), f'server-id "{name}";')
    (finding,) = survey(balancer, servers)
    assert finding.startswith("192.0.2.11 and 192.0.2.13 have the same NSID a: ")


@named
@pytest.mark.skipif(shutil.which("unbound") is None, reason="needs unbound (apt install unbound)")
def test_servers_that_say_nothing_or_are_gone_are_passed_over(lab: Lab, balancer: Balancer) -> None:
    servers = nodes(lab)
    servers[0].named(secret("0f"))
    servers[1].unbound()
    assert survey(balancer, servers) == ()
