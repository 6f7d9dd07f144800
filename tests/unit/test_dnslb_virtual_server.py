"""virtual_server blocks: an IPVS user's file works, and what can't work is refused with the reason."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from dnslb import config
from dnslb.forwarding import Protocol, Spread
from dnslb.model import Endpoint, Engine, FlapDamping, MinUp, OnEmpty, Pace, SorryServer
from pyvrrp.config import load
from pyvrrp.config.model import Command
from tests.unit.virtual_server_texts import SERVERS, Extension, codes, messages, read, read_one, real, server

FIXTURES = Path(__file__).parents[1] / "fixtures" / "virtual_server"


def fixture(name: str):
    loaded = load(str(FIXTURES / f"{name}.conf"), plugins=[Extension])
    return config.read(loaded.config, loaded.diagnostics), loaded.diagnostics


# --- whole files -----------------------------------------------------------------------------------------------------


def test_udp_and_tcp_of_one_address_are_two_virtual_servers():
    (udp, tcp), diagnostics = fixture("resolvers-dr")
    assert codes(diagnostics) == ["note placeholder-password"]
    assert udp.endpoints == tcp.endpoints == (Endpoint(ip_address("172.16.0.100"), 53),)
    assert (udp.protocols, tcp.protocols) == ({Protocol.UDP}, {Protocol.TCP})
    assert (udp.name, tcp.name) == ("172.16.0.100:53/UDP", "172.16.0.100:53/TCP")
    assert udp.spread is Spread.PACKET
    assert [str(real.endpoint) for real in udp.real_servers] == ["172.16.0.223:53", "172.16.0.225:53"]
    assert udp.pace.delay_loop == 6.0
    assert all(real.checks for real in (*udp.real_servers, *tcp.real_servers))


def test_a_group_of_addresses_with_a_range():
    (udp, tcp), diagnostics = fixture("group-dr")
    assert codes(diagnostics) == []
    assert [str(each.address) for each in udp.endpoints] == ["192.0.2.53", "192.0.2.64", "192.0.2.65", "192.0.2.66"]
    assert udp.endpoints == tcp.endpoints
    assert (udp.name, tcp.name) == ("RESOLVERS/UDP", "RESOLVERS/TCP")
    assert (udp.spread, tcp.spread) == (Spread.SOURCE_PORT, Spread.SOURCE)
    assert [real.weight for real in udp.real_servers] == [100, 50]


def test_a_file_that_has_grown_for_years():
    (found,), diagnostics = fixture("scripts-dr")
    assert diagnostics.errors == []
    assert (found.quorum, found.hysteresis, found.omega) == (2, 1, True)
    assert found.quorum_up == Command(("/usr/local/sbin/announce.sh", "up", "10.0.0.53"))
    assert found.quorum_down == Command(("/usr/local/sbin/announce.sh", "down", "10.0.0.53"), "root", "root")
    assert found.sorry_server == SorryServer(address=ip_address("127.0.0.1"))
    assert found.persistence_timeout is None
    first = found.real_servers[0]
    assert (first.weight, first.inhibit_on_failure, first.alpha) == (2, True, True)
    assert first.notify_up == Command(("/usr/local/sbin/tell.sh", "up", "ns1"))
    said = messages(diagnostics)
    assert "'nb_get_retry' has no effect here; obsolete in keepalived: write 'retry'" in said
    assert "'uthreshold' is not supported yet; answers go past the balancer" in said


def test_nat_and_http_are_refused_and_everything_about_them_is_said():
    found, diagnostics = fixture("nat-sample")
    assert [str(error.position).rpartition("/")[2] for error in diagnostics.fatal] == [
        "nat-sample.conf:25:13",
        "nat-sample.conf:51:5",
    ]
    assert "'lb_kind NAT': answers would have to come back through this node" in messages(diagnostics)
    assert "its only check is HTTP_GET, without which it would get packets unchecked" in messages(diagnostics)
    assert [each.name for each in found] == ["192.168.200.101:80/TCP"]


def test_our_own_words():
    (found,), diagnostics = fixture("own-words")
    assert codes(diagnostics) == []
    assert found.name == "resolvers"
    assert [str(each) for each in found.endpoints] == ["192.0.2.53:53", "[2001:db8::53]:53"]
    assert found.protocols == {Protocol.UDP, Protocol.TCP}
    assert (found.spread, found.engine, found.table_size) == (Spread.QNAME, Engine.AUTO, 16381)
    assert (found.min_up, found.tier_min, found.on_empty) == (MinUp(50, percent=True), 2, OnEmpty.SERVFAIL)
    assert found.flap_damping == FlapDamping(downs=4, half_life=120)
    assert found.pace == Pace(delay_loop=0.5, fast_interval=0.1, back_off=8.0, connect_timeout=0.2)
    a, b, c = found.real_servers
    assert [each.name for each in (a, b, c)] == ["ns-a", "ns-b", "ns-c"]
    assert a.mac == bytes.fromhex("02005e100001")
    assert (a.weight, a.tier, a.slow_start, a.drain) == (100, 0, 30.0, 20.0)
    assert (c.weight, c.tier, c.slow_start, c.drain) == (50, 1, 5.0, 0.0)
    assert len(a.checks) > len(b.checks)


# --- which addresses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "addresses"),
    [
        ("192.0.2.53 53", ["192.0.2.53"]),
        ("192.0.2.8-10 53", ["192.0.2.8", "192.0.2.9", "192.0.2.10"]),
        ("192.0.2.254-192.0.3.1 53", ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]),
        ("192.0.2.8/30 53", ["192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.11"]),
        ("2001:db8::a-c 53", ["2001:db8::a", "2001:db8::b", "2001:db8::c"]),
        ("192.0.2.53 53\n2001:db8::53 53", ["192.0.2.53", "2001:db8::53"]),
    ],
)
def test_the_lines_of_a_group(lines, addresses):
    (found,), _ = read(
        f"virtual_server_group g {{\n{lines}\n}}\nvirtual_server group g {{\nprotocol DNS\n{SERVERS}}}\n"
    )
    assert [str(each.address) for each in found.endpoints] == addresses


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("192.0.2.10-8 53", "'192.0.2.10-8' is a range of -1 addresses, it can't be"),
        ("192.0.2.0/24 53", "'192.0.2.0/24' is too long; at most 64 addresses are balanced"),
        ("192.0.2.1-2001:db8::1 53", "is no range of addresses"),
        ("192.0.2.1000 53", "'192.0.2.1000' is no IP address"),
        ("224.0.0.1 53", "'224.0.0.1' is no address of a machine"),
        ("192.0.2.53", "192.0.2.53 has no port"),
        ("192.0.2.53 0", "'0' is no port in 1-65535"),
        ("192.0.2.53 53 53", "'53' is too much"),
        ("fwmark 3", "packets are balanced before they could get a firewall mark"),
        ("", "it has no address"),
    ],
)
def test_a_group_that_can_not_be_served_is_fatal(lines, complaint):
    found, diagnostics = read(
        f"virtual_server_group g {{\n{lines}\n}}\nvirtual_server group g {{\nprotocol DNS\n{SERVERS}}}\n"
    )
    assert found == ()
    assert complaint in messages(diagnostics.fatal)


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        (
            "fwmark 7",
            "packets are balanced before they could get a firewall mark; write the addresses and ports into a",
        ),
        ("group resolvres", "there is no virtual_server_group resolvres; did you mean 'resolvers'?"),
        ("group", "it names no group"),
        (
            "192.0.2.53",
            "192.0.2.53 has no port: the balancer has to know which packets are meant; write '192.0.2.53 53'",
        ),
        ("192.0.2.53 domain", "'domain' is no port in 1-65535"),
        ("ns.example.com 53", "'ns.example.com' is no IP address"),
    ],
)
def test_a_virtual_server_without_a_usable_address_is_fatal(head, complaint):
    found, diagnostics = read(
        f"virtual_server_group resolvers {{\n192.0.2.53 53\n}}\nvirtual_server {head} {{\nprotocol DNS\n{SERVERS}}}\n"
    )
    assert found == ()
    assert complaint in messages(diagnostics.fatal)


def test_of_two_groups_with_one_name_the_first_counts():
    text = "virtual_server_group g { 192.0.2.53 53 }\nvirtual_server_group g { 192.0.2.99 53 }\n"
    (found,), diagnostics = read(f"{text}virtual_server group g {{\nprotocol DNS\n{SERVERS}}}\n")
    assert [str(each) for each in found.endpoints] == ["192.0.2.53:53"]
    assert "virtual_server_group g is defined at <text>:7:1 already" in messages(diagnostics)


# --- how it is spread ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "spread"),
    [
        ("", Spread.SOURCE_PORT),
        ("lb_algo mh", Spread.SOURCE_PORT),
        ("lb_algo mh\nmh-port", Spread.SOURCE_PORT),
        ("lvs_sched sh", Spread.SOURCE),
        ("lb_algo sh\nsh-port", Spread.SOURCE_PORT),
        ("lb_algo sh\nflag-2", Spread.SOURCE_PORT),
        ("lb_algo rr", Spread.PACKET),
        ("lb_algo wrr", Spread.PACKET),
        ("lb_algo qname", Spread.QNAME),
        ("lb_algo wrr\npersistence_timeout 50", Spread.SOURCE),
        ("lb_algo wrr\npersistence_timeout 0", Spread.PACKET),
        ("lb_algo sh\nlvs_sched wrr", Spread.PACKET),
    ],
)
def test_schedulers(lines, spread):
    assert server(lines).spread is spread


@pytest.mark.parametrize("name", ["lc", "wlc", "lblc", "lblcr", "dh", "sed", "nq", "fo", "ovf", "twos"])
def test_schedulers_that_need_what_the_balancer_can_not_know_become_wrr(name):
    found, complaints = read_one(f"lb_algo {name}")
    assert found.spread is Spread.PACKET
    assert complaints == ["warning scheduler-replaced"]


def test_an_unknown_scheduler_is_an_error_with_a_suggestion():
    _, diagnostics = read(f"virtual_server 192.0.2.53 53 {{\nprotocol DNS\nlb_algo qnam\n{SERVERS}}}\n")
    assert "'lb_algo qnam' is no scheduler, mh is used; did you mean 'qname'?" in messages(diagnostics)


def test_rr_does_not_look_at_weights_but_for_zero():
    lines = (
        "real_server 192.0.2.11 53 { weight 7\nTCP_CHECK { } }\nreal_server 192.0.2.12 53 { weight 0\nTCP_CHECK { } }\n"
    )
    assert [each.weight for each in server("lb_algo rr", servers=lines).real_servers] == [1, 0]
    assert [each.weight for each in server("lb_algo wrr", servers=lines).real_servers] == [7, 0]


def test_persistence_timeout_alone_has_keepalived_s_default():
    assert server("persistence_timeout").persistence_timeout == 360


def test_persistence_does_not_go_with_qname():
    found, complaints = read_one("lb_algo qname\npersistence_timeout 60")
    assert found.spread is Spread.QNAME
    assert complaints == ["warning no-effect"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("lb_kind NAT", "'lb_kind NAT': answers would have to come back through this node"),
        ("lb_kind TUN", "'lb_kind TUN': packets are not tunnelled, real servers must be on the link"),
        ("lvs_method TUN type gue port 6080", "'lvs_method TUN': packets are not tunnelled"),
        ("lb_kind dr", "'lb_kind dr': there is no such way of forwarding; write DR"),
    ],
)
def test_only_direct_routing(line, complaint):
    found, diagnostics = read(f"virtual_server 192.0.2.53 53 {{\nprotocol DNS\n{line}\n{SERVERS}}}\n")
    assert found == ()
    assert complaint in messages(diagnostics.fatal)


def test_one_real_server_may_not_be_tunnelled_either():
    inside = "real_server 192.0.2.11 53 {\nlvs_method TUN\nTCP_CHECK { }\n}\n"
    found, complaints = read_one(servers=inside + SERVERS.splitlines()[1] + "\n")
    assert complaints == ["warning one-real-server", "error not-direct!"]
    assert [str(each.address) for each in found.real_servers] == ["192.0.2.12"]


@pytest.mark.parametrize(
    ("protocol", "protocols"),
    [("UDP", {Protocol.UDP}), ("TCP", {Protocol.TCP}), ("DNS", {Protocol.UDP, Protocol.TCP})],
)
def test_protocols(protocol, protocols):
    found, _ = read_one("lb_kind DR", protocol=protocol)
    assert found.protocols == protocols
    assert found.balances_tcp is (Protocol.TCP in protocols)


def test_what_ipvs_would_assume_is_said():
    found, complaints = read_one(protocol="")
    assert found.protocols == {Protocol.UDP}
    assert complaints == ["warning no-protocol", "warning no-lb-kind", "warning half-a-dns-server"]


@pytest.mark.parametrize("protocol", ["SCTP", "udp"])
def test_an_unknown_protocol_is_fatal(protocol):
    assert read_one(protocol=protocol) == (None, ["error unknown-protocol!"])


# --- quorum and trouble ----------------------------------------------------------------------------------------------


def test_defaults():
    found = server()
    assert (found.quorum, found.hysteresis, found.omega, found.sorry_server) == (1, 0, False, None)
    assert (found.min_up, found.tier_min, found.on_empty) == (MinUp(), 1, OnEmpty.SERVFAIL)
    assert (found.keep_flows, found.table_size, found.engine) == (True, 4093, Engine.AUTO)
    assert found.pace == Pace(delay_loop=1.0)
    first = found.real_servers[0]
    assert (first.weight, first.tier, first.mac, first.alpha, first.inhibit_on_failure) == (1, 0, None, False, False)
    assert (first.slow_start, first.drain, first.name) == (0.0, 60.0, "192.0.2.11")


def test_a_quorum_that_can_not_be_reached_is_lowered_as_in_keepalived():
    found, complaints = read_one("quorum 5")
    assert found.quorum == 2
    assert complaints == ["warning quorum-too-high"]


def test_a_hysteresis_of_the_quorum_s_size_is_lowered_as_in_keepalived():
    found, complaints = read_one("quorum 1\nhysteresis 1")
    assert (found.quorum, found.hysteresis) == (1, 0)
    assert complaints == ["warning hysteresis-too-high"]


def test_a_quorum_that_would_not_come_back_is_told():
    _, diagnostics = read(f"virtual_server 192.0.2.53 53 {{\nprotocol DNS\nquorum 2\nhysteresis 1\n{SERVERS}}}\n")
    assert "quorum 2 + hysteresis 1 is more than all weights together (2)" in messages(diagnostics)


@pytest.mark.parametrize(
    ("text", "min_up", "of_four"), [("2", MinUp(2), 2), ("50%", MinUp(50, percent=True), 2), ("0", MinUp(0), 0)]
)
def test_min_up(text, min_up, of_four):
    assert server(f"min_up {text}").min_up == min_up
    assert min_up.servers(4) == of_four


@pytest.mark.parametrize("text", ["half", "1.5", "120%", "-1"])
def test_min_up_that_means_nothing_is_off(text):
    found, complaints = read_one(f"min_up {text}")
    assert found.min_up == MinUp()
    assert complaints == ["error bad-number"]


def test_on_empty_sorry_needs_a_sorry_server():
    found, complaints = read_one("on_empty sorry")
    assert found.on_empty is OnEmpty.SERVFAIL
    assert complaints == ["error no-sorry-server"]
    assert server("on_empty sorry\nsorry_server 192.0.2.99 53").on_empty is OnEmpty.SORRY


def test_a_sorry_server():
    found = server("sorry_server 192.0.2.99\nsorry_server_inhibit")
    assert found.sorry_server == SorryServer(address=ip_address("192.0.2.99"), inhibit=True)


def test_a_sorry_server_that_is_no_address_is_fatal():
    found, complaints = read_one("sorry_server none 53")
    assert complaints == ["error bad-address!"]
    assert found.sorry_server is None


@pytest.mark.parametrize(
    ("line", "damping"),
    [
        ("flap_damping off", None),
        ("flap_damping on", FlapDamping()),
        ("flap_damping 3", FlapDamping(downs=3)),
        ("flap_damping 3 30", FlapDamping(downs=3, half_life=30)),
    ],
)
def test_flap_damping(line, damping):
    assert server(line).flap_damping == damping


@pytest.mark.parametrize("line", ["flap_damping never", "flap_damping 0", "flap_damping 3 0"])
def test_flap_damping_that_means_nothing_has_its_default(line):
    found, complaints = read_one(line)
    assert found.flap_damping == FlapDamping()
    assert complaints == ["error bad-number"]


@pytest.mark.parametrize(("written", "used"), [("65537", 65537), ("1009", 1009)])
def test_table_sizes_are_prime(written, used):
    assert server(f"table_size {written}").table_size == used


def test_a_table_size_that_is_not_prime_becomes_the_next_that_is():
    _, diagnostics = read(f"virtual_server 192.0.2.53 53 {{\nprotocol DNS\ntable_size 4096\n{SERVERS}}}\n")
    assert "table_size 4096 is no prime number, 4099 is used; write 4099" in messages(diagnostics)


@pytest.mark.parametrize(("line", "code"), [("engine ebpf", "unknown-engine"), ("on_empty refuse", "unknown-on-empty")])
def test_a_word_that_is_no_choice_is_an_error_and_the_default_is_used(line, code):
    found, complaints = read_one(line)
    assert (found.engine, found.on_empty) == (Engine.AUTO, OnEmpty.SERVFAIL)
    assert complaints == [f"error {code}"]


# --- real servers ----------------------------------------------------------------------------------------------------


def test_a_real_server_inherits():
    lines = "inhibit_on_failure\nalpha\nslow_start 10\ndrain 5\nweight 3\ndelay_loop 2"
    first = real("", lines)
    assert (first.inhibit_on_failure, first.alpha, first.slow_start, first.drain, first.weight) == (
        True,
        True,
        10,
        5,
        3,
    )
    own = real("inhibit_on_failure off\nalpha off\nslow_start 0\ndrain 1\nweight 4", lines)
    assert (own.inhibit_on_failure, own.alpha, own.slow_start, own.drain, own.weight) == (False, False, 0, 1, 4)


def test_the_pace_reaches_the_checks():
    def interval(first):
        return first.checks[0].checks[0].schedule.interval

    assert interval(real("")) == 1.0
    assert interval(real("", "delay_loop 3")) == 3.0
    assert interval(real("delay_loop 2", "delay_loop 3")) == 2.0


@pytest.mark.parametrize("mac", ["02:00:5e:10:00:01", "02-00-5E-10-00-01"])
def test_a_static_mac_address(mac):
    assert real(f"mac {mac}").mac == bytes.fromhex("02005e100001")


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00:5e", "ns-a"])
def test_a_mac_address_of_nobody_is_an_error_and_the_server_is_asked(mac):
    lines = f"real_server 192.0.2.11 53 {{\nTCP_CHECK {{ }}\nmac {mac}\n}}\n" + SERVERS.splitlines()[1] + "\n"
    found, complaints = read_one(servers=lines)
    assert complaints == ["error bad-mac"]
    assert found.real_servers[0].mac is None


def test_with_dr_ports_can_not_be_mapped():
    found, diagnostics = read(
        "virtual_server 192.0.2.53 53 {\nprotocol DNS\nreal_server 192.0.2.11 5353 { TCP_CHECK { } }\n"
        + SERVERS
        + "}\n"
    )
    assert [str(each.address) for each in found[0].real_servers] == ["192.0.2.11", "192.0.2.12"]
    assert (
        "real_server 192.0.2.11 5353: port 5353 is not the virtual server's (53): with DR a packet keeps"
        in messages(diagnostics.fatal)
    )


def test_a_port_that_is_not_written_is_the_virtual_server_s():
    assert server(servers="real_server 192.0.2.11 { TCP_CHECK { } }\n" + SERVERS.splitlines()[1] + "\n").real_servers[
        0
    ].endpoint == Endpoint(ip_address("192.0.2.11"), 53)


def test_a_server_that_stands_twice_counts_once():
    found, complaints = read_one(servers=SERVERS + SERVERS)
    assert len(found.real_servers) == 2
    assert complaints == ["error duplicate-real-server", "error duplicate-real-server"]


def test_two_servers_can_not_have_one_name():
    lines = SERVERS.replace("{ TCP", "{\nname ns\nTCP")
    assert "error duplicate-name!" in read_one(servers=lines)[1]


def test_a_server_without_checks_is_told_and_alpha_does_not_hold_it_down():
    lines = "real_server 192.0.2.11 53 {\nalpha\n}\n" + SERVERS.splitlines()[1] + "\n"
    found, complaints = read_one(servers=lines)
    assert complaints == ["warning unchecked"]
    assert found.real_servers[0].alpha is False


def test_a_virtual_server_without_real_servers_is_fatal():
    assert read_one(servers="")[1] == ["error no-real-server!"]


# --- words that nobody knows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("delay_lop 6", "'delay_lop' is not a keyword in virtual_server; did you mean 'delay_loop'?"),
        ("need 2", "'need' does not belong in virtual_server, it belongs in check_group"),
        ("notify_up /bin/true", "'notify_up' does not belong in virtual_server, it belongs in real_server"),
        ("persistence_granularity 255.255.255.0", "'persistence_granularity' is not supported yet; with 'lb_algo sh'"),
        ("snmp_name x", "'snmp_name' is not supported yet; write 'name'"),
        ("delay_loop soon", "'delay_loop soon' is not a number of seconds in 0.05-86400, 1 is used"),
    ],
)
def test_other_words(line, complaint):
    _, diagnostics = read(f"virtual_server 192.0.2.53 53 {{\nprotocol DNS\n{line}\n{SERVERS}}}\n")
    assert complaint in messages(diagnostics)
