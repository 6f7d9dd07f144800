"""What a real server has to do, and what is wrong with it: the pure part of dnslb.real_server."""

import json
import socket
from contextlib import closing, suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Thread

import pytest

from dnslb.forwarding import Protocol
from dnslb.real_server import findings, plan, record
from dnslb.real_server.answers import Answer, Outcome, ask
from dnslb.real_server.machine import listeners
from dnslb.real_server.peers import comparable
from dnslb.real_server.plan import Put, SetSysctl, Take
from dnslb.real_server.redirect import ruleset
from dnslb.real_server.seen import Address, Conntrack, DefaultRoute, Interface, Listener, Seen, conf

VIP4, VIP6 = IPv4Address("192.0.2.53"), IPv6Address("2001:db8::53")
OWN4, OWN6 = IPv4Address("192.0.2.11"), IPv6Address("2001:db8::11")
UDP, TCP = Protocol.UDP, Protocol.TCP
HIDDEN = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}
ON_LO = (
    Address(interface="lo", address=VIP4, prefixlen=32, scope=254),
    Address(interface="lo", address=VIP6, prefixlen=128),
)


def node(*addresses, sysctls=HIDDEN, **more):
    """A node with lo and eth0, its own addresses and those given."""
    every = [Interface(index=1, name="lo", resolves=False), Interface(index=2, name="eth0"), *more.pop("links", ())]
    own = (
        Address(interface="eth0", address=OWN4, prefixlen=24),
        Address(interface="eth0", address=OWN6, prefixlen=64),
    )
    interfaces = {each.name: each for each in every}
    return Seen(interfaces=interfaces, addresses=(*own, *addresses), sysctls=sysctls, **more)


def codes(found):
    return [each.code for each in found]


# --- steps -----------------------------------------------------------------------------------------------------------


def test_settings_come_first_and_only_where_they_are_needed():
    both = [SetSysctl("net.ipv4.conf.all.arp_ignore", 1), SetSysctl("net.ipv4.conf.all.arp_announce", 2)]
    assert plan.settings([VIP4, VIP6], node(sysctls={}), nonlocal_bind=False) == both
    assert plan.settings([VIP6], node(sysctls={}), nonlocal_bind=False) == []
    assert plan.settings([VIP4], node(), nonlocal_bind=False) == []
    of_eth0 = {"net.ipv4.conf.eth0.arp_ignore": 2, "net.ipv4.conf.eth0.arp_announce": 2}
    assert plan.settings([VIP4], node(sysctls=of_eth0), nonlocal_bind=False) == []
    more = node(sysctls=of_eth0, links=[Interface(index=3, name="eth1")])
    assert plan.settings([VIP4], more, nonlocal_bind=False) == both, "eth1 would tell"
    down = node(sysctls=of_eth0, links=[Interface(index=3, name="eth1", up=False)])
    assert plan.settings([VIP4], down, nonlocal_bind=False) == both, "it may come up"


def test_a_server_may_bind_what_is_withdrawn():
    seen = node(sysctls=HIDDEN | {"net.ipv6.ip_nonlocal_bind": 1})
    assert plan.settings([VIP4, VIP6], seen, nonlocal_bind=True) == [SetSysctl("net.ipv4.ip_nonlocal_bind", 1)]


@pytest.mark.parametrize(
    ("value", "scope", "silent"),
    [(0, 254, False), (1, 254, True), (2, 254, True), (3, 254, True), (3, 0, False), (5, 254, False), (8, 0, True)],
)
def test_what_arp_ignore_ignores(value, scope, silent):
    assert plan.ignores(value, scope) is silent


def test_additions_and_renewals_leave_alone_what_is_there_for_good():
    leased = replace(ON_LO[1], leased=True)
    assert plan.additions([VIP4, VIP6], node()) == [Put(VIP4, None), Put(VIP6, None)]
    assert plan.additions([VIP4, VIP6], node(ON_LO[0], leased)) == [Put(VIP6, None)]
    assert plan.renewals([VIP4, VIP6], node(ON_LO[0], leased), 10) == [Put(VIP6, 10)]
    dummy = Interface(index=3, name="dummy0", resolves=False)
    assert plan.additions([VIP4], node(replace(ON_LO[0], interface="dummy0"), links=[dummy])) == []
    assert plan.additions([VIP4], node(replace(ON_LO[0], prefixlen=24))) == [Put(VIP4, None)]


def test_a_daemon_takes_away_its_leases_on_lo_and_nothing_else():
    leased = replace(ON_LO[1], leased=True)
    of_vrrp = Address(interface="eth0", address=VIP4, prefixlen=24, leased=True, marked=True)
    assert plan.withdrawals([VIP4, VIP6], node(ON_LO[0], leased, of_vrrp)) == [Take(VIP6)]
    assert plan.removals([VIP4], node(ON_LO[0])) == [Take(VIP4)]


# --- findings --------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong():
    answers = [Answer(vip=vip, port=53, protocol=UDP, outcome=Outcome.ANSWERED, source=vip) for vip in (VIP4, VIP6)]
    assert findings.hidden([VIP4, VIP6], node(*ON_LO), answers) == []


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ((), ["vip-missing"]),
        ((replace(ON_LO[0], prefixlen=24),), ["vip-missing", "vip-prefix"]),
        ((ON_LO[0], Address(interface="eth0", address=VIP4, prefixlen=32)), ["vip-exposed"]),
        ((ON_LO[0], Address(interface="eth0", address=VIP4, prefixlen=24, leased=True)), []),
        ((Address(interface="eth0", address=VIP4, prefixlen=24, marked=True),), []),
    ],
)
def test_where_the_vip_is(addresses, expected):
    assert codes(findings.hidden([VIP4], node(*addresses), [])) == expected


def test_arp_is_told_once_for_all_interfaces():
    seen = node(ON_LO[0], sysctls={conf("eth1.5", "arp_ignore"): 1}, links=[Interface(index=3, name="eth1.5")])
    ignore, announce = findings.hidden([VIP4], seen, [])
    assert str(ignore) == (
        "192.0.2.53: [arp-ignore] ARP requests for it are answered: arp_ignore, the greater value of the interface and"
        " of all, does not hide it on eth0 (0); `sysctl -w net.ipv4.conf.all.arp_ignore=1`"
    )
    assert "eth0 (0), eth1.5 (0)" in announce.text
    assert conf("eth1.5", "arp_ignore") == "net.ipv4.conf.eth1/5.arp_ignore"


def answered(outcome, source=None, why=""):
    return Answer(vip=VIP4, port=53, protocol=UDP, outcome=outcome, source=source, why=why)


@pytest.mark.parametrize(
    ("answer", "bound", "code", "says"),
    [
        (
            answered(Outcome.OTHER_SOURCE, ip_address("127.0.0.1")),
            ["0.0.0.0"],
            "wrong-source",
            "the server listens on a wildcard UDP socket and answers from the wrong address",
        ),
        (answered(Outcome.REFUSED), [], "not-listening", "no server listens"),
        (
            answered(Outcome.REFUSED),
            ["127.0.0.1", "::1", "::1"],
            "not-listening",
            "the server listens on 127.0.0.1, [::1], not on the VIP",
        ),
        (answered(Outcome.SILENT), ["192.0.2.53"], "silent", "is not answered"),
        (answered(Outcome.FAILED, why="Network is down"), [], "not-asked", "Network is down"),
    ],
)
def test_what_the_server_answers(answer, bound, code, says):
    listening = tuple(Listener(UDP, ip_address(each), 53) for each in bound)
    (found,) = findings.hidden([VIP4], node(ON_LO[0], listeners=listening), [answer])
    assert (found.subject, found.code) == ("192.0.2.53 port 53/udp", code)
    assert says in found.text
    assert found.hint
    assert "\n" not in str(found)


def test_strict_reverse_path_filters():
    """Only where clients are reached by another interface than the one that the VIP's packets come in by."""
    eth1 = Interface(index=3, name="eth1")
    out = DefaultRoute(interface="eth1", family=4, gateway=ip_address("198.51.100.1"))
    strict = HIDDEN | {"net.ipv4.conf.eth0.rp_filter": 1}
    assert codes(findings.hidden([VIP4], node(ON_LO[0], sysctls=strict, links=[eth1], routes=(out,)), [])) == [
        "rp-filter"
    ]
    loose = strict | {"net.ipv4.conf.all.rp_filter": 2}
    assert findings.hidden([VIP4], node(ON_LO[0], sysctls=loose, links=[eth1], routes=(out,)), []) == []
    straight = replace(out, interface="eth0")
    assert findings.hidden([VIP4], node(ON_LO[0], sysctls=strict, links=[eth1], routes=(straight,)), []) == []
    assert findings.hidden([VIP4], node(ON_LO[0], sysctls=strict, links=[eth1]), []) == [], "clients on the link alone"


def test_a_default_route_back_through_the_balancer():
    router = ip_address("192.0.2.1")
    route = (DefaultRoute(interface="eth0", family=4, gateway=router),)
    balancer, other = frozenset({b"\x02\x00\x00\x00\x00\x01"}), frozenset({b"\x02\x00\x00\x00\x00\x02"})
    same = node(ON_LO[0], routes=route, macs={VIP4: balancer, router: balancer})
    assert codes(findings.hidden([VIP4], same, [])) == ["default-route"]
    assert findings.hidden([VIP4], node(ON_LO[0], routes=route, macs={VIP4: balancer, router: other}), []) == []
    assert findings.hidden([VIP4], node(ON_LO[0], routes=route), []) == [], "nobody was asked"
    itself = (DefaultRoute(interface="eth0", family=4, gateway=VIP4),)
    assert codes(findings.hidden([VIP4], node(ON_LO[0], routes=itself), [])) == ["default-route"]


def test_a_table_of_connections_that_is_nearly_full():
    full = node(ON_LO[0], conntrack=Conntrack(58000, 65536))
    (found,) = findings.hidden([VIP4], full, [])
    assert (found.code, found.text) == (
        "conntrack-full",
        "58000 of 65536 connections are tracked, what comes on top is dropped",
    )
    assert "notrack" in found.hint
    assert findings.hidden([VIP4], node(ON_LO[0], conntrack=Conntrack(5800, 65536)), []) == []


def test_redirection():
    def seen(*bound, rules=frozenset({(VIP4, 53)}), addresses=()):
        listening = tuple(Listener(each, ip_address(address), 53) for address in bound for each in Protocol)
        return node(*addresses, redirected=rules, listeners=listening)

    assert findings.redirected([VIP4], [53], seen("192.0.2.11")) == []
    assert findings.redirected([VIP4], [53], seen("::")) == []
    assert codes(findings.redirected([VIP4], [53], seen("0.0.0.0", rules=frozenset()))) == ["redirect-missing"]
    assert codes(findings.redirected([VIP4], [53], seen("0.0.0.0", addresses=ON_LO))) == ["redirect-and-address"]
    tcp, udp = findings.redirected([VIP4], [53], seen("127.0.0.1"))
    assert {tcp.subject, udp.subject} == {"192.0.2.53 port 53/tcp", "192.0.2.53 port 53/udp"}
    assert udp.text == "the server listens on 127.0.0.1, what comes for the VIP is redirected to 192.0.2.11"


# --- what is asked and read ------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    """A UDP server that answers as the mode says, on a port of its own."""
    opened = []

    def start(address, *, answer=True):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 0))
        opened.append(sock)

        def serve():
            with suppress(OSError):  # it is closed at the end
                data, client = sock.recvfrom(512)
                sock.sendto(b"??" + data[2:], client)
                sock.sendto(data[:2] + bytes([data[2] | 0x80]) + data[3:], client)

        if answer:
            Thread(target=serve, daemon=True).start()
        return sock.getsockname()[1]

    yield start
    for sock in opened:
        sock.close()


def test_the_source_of_an_answer_is_looked_at(server):
    """127.0.0.2 stands for a VIP: every address of 127/8 is on lo."""
    vip = ip_address("127.0.0.2")
    assert ask(vip, server("127.0.0.2"), UDP).outcome is Outcome.ANSWERED
    wrong = ask(vip, server("0.0.0.0"), UDP)
    assert (wrong.outcome, wrong.source) == (Outcome.OTHER_SOURCE, ip_address("127.0.0.1"))
    assert ask(vip, server("127.0.0.2", answer=False), UDP, 0.05).outcome is Outcome.SILENT
    assert ask(vip, server("127.0.0.3"), UDP).outcome is Outcome.REFUSED


def test_tcp_is_connected_to():
    with closing(socket.create_server(("127.0.0.2", 0))) as listening:
        port = listening.getsockname()[1]
        assert ask(ip_address("127.0.0.2"), port, TCP).outcome is Outcome.ANSWERED
        assert ask(ip_address("127.0.0.3"), port, TCP).outcome is Outcome.REFUSED


def test_listeners_are_read_from_proc(tmp_path):
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    line = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
    loopback6 = "00000000000000000000000001000000"
    (tmp_path / "udp").write_text(head + line.format("350200C0:0035", "07") + line.format("0B0200C0:8235", "07"))
    (tmp_path / "tcp").write_text(head + line.format("00000000:0035", "0A") + line.format("0B0200C0:0035", "01"))
    (tmp_path / "tcp6").write_text(head + line.format(f"{loopback6}:0035", "0A"))
    assert list(listeners([53], tmp_path)) == [
        Listener(UDP, VIP4, 53),
        Listener(TCP, ip_address("0.0.0.0"), 53),
        Listener(TCP, ip_address("::1"), 53),
    ]


def test_what_a_listener_covers():
    assert Listener(UDP, ip_address("0.0.0.0"), 53).covers(VIP4)
    assert not Listener(UDP, ip_address("0.0.0.0"), 53).covers(VIP6)
    assert Listener(UDP, ip_address("::"), 53).covers(VIP4)
    assert not Listener(UDP, OWN4, 53).covers(VIP4)


def test_cookies_are_compared_where_equal_secrets_make_them_equal():
    cookie = bytes([1, 0, 0, 0]) + (7).to_bytes(4, "big") + b"12345678"
    later = cookie[:4] + (8).to_bytes(4, "big") + b"87654321"
    assert comparable(cookie, cookie[:8] + b"87654321")
    assert not comparable(cookie, later)
    assert not comparable(cookie, b"12345678")
    assert comparable(None, cookie), "one server gives none: a client sees the difference"


def test_the_nft_table():
    text = ruleset("t", [(VIP4, 53), (VIP6, 853)], owner=True)
    assert text.splitlines()[0] == "add table inet t { flags owner; }; delete table inet t"
    assert "set v4 { type ipv4_addr . inet_service; elements = { 192.0.2.53 . 53 }; }" in text
    assert ruleset("t", [], owner=False) == "add table inet t; delete table inet t\n"


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_record_is_kept_for_each_namespace(tmp_path):
    file = tmp_path / "run" / "real-server"
    with record.opened(file, "1") as noted:
        noted.added.add(VIP4)
        noted.remember("net.a", 0, 1)
        noted.remember("net.a", 5, 1)
    with record.opened(file, "2") as noted:
        assert noted.idle
        noted.daemon.add(VIP6)
        noted.redirected[VIP4] = [53]
    first, second = record.read(file, "1"), record.read(file, "2")
    assert (first.added, first.settings, first.idle) == ({VIP4}, {"net.a": (0, 1)}, False)
    assert (second.daemon, second.redirected) == ({VIP6}, {VIP4: [53]})
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_written_down_survives_a_crash(tmp_path):
    file = tmp_path / "real-server"
    with record.opened(file, "1") as noted:
        noted.added.add(VIP4)
        noted.save()
        assert record.read(file, "1").added == {VIP4}, "before the thing is done"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"boot": "another", "namespaces": {"1": {"added": ["192.0.2.53"]}}}',
        '{"boot": BOOT, "namespaces": {"1": {"added": ["nonsense"]}}}',
        '{"boot": BOOT, "namespaces": {"1": {"settings": {"net.a": [1]}}}}',
        '{"boot": BOOT, "namespaces": {"1": 7}}',
        '{"boot": BOOT, "namespaces": 7}',
    ],
)
def test_a_record_that_is_no_record_counts_as_none(tmp_path, text):
    file = tmp_path / "real-server"
    with record.opened(file, "1") as noted:
        noted.added.add(VIP4)
    boot = json.loads(file.read_text())["boot"]
    file.write_text(text.replace("BOOT", json.dumps(boot)))
    assert record.read(file, "1").idle
    with record.opened(file, "1") as noted:
        assert noted.idle
