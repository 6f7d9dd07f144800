"""`dnslb realserver` with real DNS servers: what it does, that it undoes it, and that it names each trap."""

import signal
import sys
from ipaddress import ip_address

import pytest
from real_server_nodes import NAME, OWN4, OWN6, VIP4, VIP6, Client, RealServer

from pyvrrp.demo.lab import eventually

LISTED = tuple(f"interface: {each}" for each in ("127.0.0.1", OWN4, OWN6, VIP4, VIP6))
WILDCARD = ("interface: 0.0.0.0", "interface: ::0")
SETTINGS = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}


@pytest.fixture
def server(lab):
    return RealServer(lab)


@pytest.fixture
def client(lab, server):
    return Client(lab, server)


def resolved(lab, vip):
    """The MAC address that answers when somebody who knows nothing asks for the VIP."""
    asker = lab.hosts.get("asker") or lab.host("asker", "192.0.2.101/24", "2001:db8::101/64")
    for family in ("ipv4", "ipv6"):
        asker.run(["sysctl", "-qw", f"net.{family}.neigh.eth0.retrans_time_ms=150"])
    asker.run(["ip", "neigh", "flush", "all"])
    asker.run(["ping", "-c1", "-W1", vip], check=False)
    table = asker.run(["ip", "neigh", "show", vip]).stdout
    return table.split("lladdr ")[1].split()[0] if "lladdr" in table else None


def test_add_makes_it_answer_unseen_and_remove_undoes_it(lab, server, client):
    before = server.host.run(["ip", "-d", "addr"]).stdout
    assert client.answered() == [False] * 4
    done = server("add", VIP4, VIP6)
    assert (done.returncode, done.stderr) == (0, "")
    server.unbound(*LISTED)
    assert client.answered() == [True] * 4
    assert resolved(lab, VIP4) is None
    assert resolved(lab, VIP6) is None
    assert server.codes(VIP4, VIP6) == []
    assert server("check").stdout == f"{VIP4}, {VIP6}: nothing is wrong\n"
    assert {name: server.sysctl(name) for name in SETTINGS} == SETTINGS
    again = server("add", VIP4, VIP6)
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")
    assert server("remove", VIP6).returncode == 0
    assert server.on("lo", VIP4), "the other one stays"
    assert {name: server.sysctl(name) for name in SETTINGS} == SETTINGS, "it needs them"
    assert server("remove").returncode == 0
    assert server.host.run(["ip", "-d", "addr"]).stdout == before
    assert {name: server.sysctl(name) for name in SETTINGS} == dict.fromkeys(SETTINGS, 0)


def test_answers_do_not_tell_neighbours_of_the_vip(lab, server, client):
    """Without arp_announce, the server's own ARP request for the client would name the VIP as its sender."""
    server("add", VIP4, VIP6)
    server.unbound(*LISTED)
    capture = lab.capture(server.host)
    server.ip("neigh flush all")
    assert client.answered() == [True] * 4
    frames = [frame.data for frame in capture]
    arp = [data[28:32] for data in frames if data[12:14] == b"\x08\x06"]
    assert arp, "it resolved its client"
    assert ip_address(VIP4).packed not in arp
    solicitations = [data[22:38] for data in frames if data[12:14] == b"\x86\xdd" and data[54] == 135]
    assert solicitations
    assert ip_address(VIP6).packed not in solicitations


def test_what_somebody_else_did_is_left_alone(server):
    server.sysctl("net.ipv4.conf.all.arp_announce", 2)
    server.ip(f"addr add {VIP4}/32 dev lo")
    assert server("add", VIP4, VIP6).returncode == 0
    server.sysctl("net.ipv4.conf.all.arp_ignore", 2)
    refused = server("remove", VIP4)
    assert (refused.returncode, refused.stdout) == (1, "nothing to do\n")
    assert refused.stderr == f"dnslb realserver: {VIP4} was not added by `dnslb realserver add` on this node\n"
    assert server("remove").returncode == 0
    assert server.on("lo", VIP4)
    assert not server.on("lo", VIP6)
    assert server.sysctl("net.ipv4.conf.all.arp_announce") == 2
    assert server.sysctl("net.ipv4.conf.all.arp_ignore") == 2, "changed since: it is theirs"


def test_the_record_is_lost_with_the_run_directory(server):
    """systemd removes it when the daemon's unit stops."""
    server("add", VIP4, VIP6)
    (server.host.directory / "run" / "real-server").unlink()
    assert server.codes() == ["not-listening"]
    assert server("remove").stdout == f"{VIP4} is not on lo any more\n{VIP6} is not on lo any more\n"
    assert server("remove").stdout == "nothing to do\n"


def test_the_value_of_an_interface_may_be_enough(server):
    for name, value in (("arp_ignore", 1), ("arp_announce", 2)):
        server.sysctl(f"net.ipv4.conf.eth0.{name}", value)
    assert server("add", VIP4).stdout == f"{VIP4} is on lo now\n"


def test_without_the_right_to_it(server):
    """Root of a container without CAP_NET_ADMIN may write the settings, but add no address: nothing is left."""
    program = [sys.executable, "-m", "dnslb.real_server", "add", VIP4]
    done = server.host.run(["setpriv", "--bounding-set", "-net_admin", "--", *program], check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        f"dnslb realserver: can't add {VIP4} to lo: Operation not permitted;"
        " it takes root, or CAP_NET_ADMIN and a /proc/sys that can be written\n"
    )
    assert {name: server.sysctl(name) for name in SETTINGS} == dict.fromkeys(SETTINGS, 0)
    for arguments in (["add", "--redirect", VIP4], ["check", "--redirect", VIP4]):
        done = server.host.run(["setpriv", "--bounding-set", "-net_admin", "--", *program[:3], *arguments], check=False)
        assert (done.returncode, done.stdout) == (4, "")


def test_without_ipv6(server):
    server.sysctl("net.ipv6.conf.lo.disable_ipv6", 1)
    done = server("add", VIP6, VIP4)
    assert done.returncode == 3
    assert done.stderr == (
        f"dnslb realserver: can't add {VIP6} to lo: IPv6 is switched off there;"
        " `sysctl -w net.ipv6.conf.lo.disable_ipv6=0`\n"
    )
    assert not server.on("lo", VIP4)


# --- the traps -------------------------------------------------------------------------------------------------------


def test_a_vip_that_is_missing(server, client):
    server.unbound(*WILDCARD, "interface-automatic: yes")
    assert client.ask(VIP4) == ""
    assert server.codes(VIP4, VIP6) == ["vip-missing"]


@pytest.mark.parametrize(
    ("commands", "settings", "codes"),
    [
        ([f"addr add {VIP4}/32 dev lo"], {}, ["arp-ignore", "arp-announce"]),
        ([f"addr add {VIP4}/32 dev lo"], {"all.arp_ignore": 1, "all.arp_announce": 1}, ["arp-announce"]),
        ([f"addr add {VIP4}/32 dev lo"], {"eth0.arp_ignore": 1, "eth0.arp_announce": 2}, []),
        ([f"addr add {VIP4}/32 dev lo"], {"all.arp_ignore": 3, "all.arp_announce": 2}, ["arp-ignore"]),
        ([f"addr add {VIP4}/24 dev lo"], {"all.arp_ignore": 1, "all.arp_announce": 2}, ["vip-missing", "vip-prefix"]),
        ([f"addr add {VIP4}/24 dev eth0"], {}, ["vip-exposed"]),
        ([f"addr add {VIP4}/24 dev eth0 valid_lft 60 preferred_lft 60"], {}, []),
    ],
)
def test_an_address_that_is_wrong(server, commands, settings, codes):
    server.unbound(*WILDCARD, "interface-automatic: yes")
    server.ip(*commands)
    for name, value in settings.items():
        server.sysctl(f"net.ipv4.conf.{name}", value)
    assert server.codes(VIP4) == codes


def test_an_ipv6_vip_on_a_real_interface(lab, server):
    server.ip(f"addr add {VIP6}/64 dev eth0 nodad")
    server.unbound(*WILDCARD, "interface-automatic: yes")
    eventually(lambda: resolved(lab, VIP6) == server.mac, "it answers Neighbor Discovery")
    assert server.codes(VIP6) == ["vip-exposed"]


@pytest.mark.parametrize("kind", ["unbound", "naive"])
def test_a_wildcard_socket_answers_from_the_wrong_address(server, client, kind):
    server("add", VIP4, VIP6)
    process = server.unbound(*WILDCARD) if kind == "unbound" else server.naive("::")
    assert client.ask(VIP4) == client.ask(VIP6) == "", "its answers come from the server's own address"
    done = server("check", VIP4, VIP6)
    assert done.returncode == 1
    assert done.stdout.count("the server listens on a wildcard UDP socket and answers from the wrong address") == 2
    process.stop()
    server.unbound(*WILDCARD, "interface-automatic: yes")
    assert client.answered() == [True] * 4
    assert server.codes(VIP4, VIP6) == []


def test_a_server_that_does_not_listen_on_the_vip(server, client):
    server("add", VIP4, VIP6)
    process = server.unbound()
    done = server("check", VIP4)
    assert done.returncode == 1
    assert f"{VIP4} port 53/udp: [not-listening] the server listens on 127.0.0.1, [::1], not on the VIP" in done.stdout
    process.stop()
    assert "no server listens" in server("check", VIP4).stdout
    server.unbound(*LISTED, "do-tcp: no")
    done = server("check", VIP4)
    assert [line.partition(": [")[0] for line in done.stdout.splitlines()] == [f"{VIP4} port 53/tcp"]


def test_bind_that_does_not_see_the_vip_come(server, client):
    process = server.named("automatic-interface-scan no; interface-interval 0;")
    server("add", VIP4, VIP6)
    assert client.ask(VIP4) == ""
    assert server.codes(VIP4, VIP6) == ["not-listening"]
    process.stop()
    server("remove")
    server.named()
    server("add", VIP4, VIP6)
    eventually(lambda: client.answered() == [True] * 4, "BIND has found the VIPs by itself")
    assert server.codes(VIP4, VIP6) == []


def test_a_server_that_hangs(server):
    server("add", VIP4)
    process = server.unbound(*LISTED[:4])
    process.signal(signal.SIGSTOP)
    assert server.codes(VIP4) == ["silent"]
    process.signal(signal.SIGCONT)


def test_strict_reverse_path_filter_with_another_way_out(lab, server, client):
    server("add", VIP4)
    server.unbound(*LISTED[:4])
    server.ip(
        "link add eth1 type veth peer name other",
        "addr add 198.51.100.11/24 dev eth1",
        "link set eth1 up",
        "link set other up",
        "route add default via 198.51.100.1 dev eth1",
    )
    client.host.run(["ip", "addr", "add", "203.0.113.9/32", "dev", "lo"])
    ask = ["dig", "-b", "203.0.113.9", f"@{VIP4}", NAME, "+short", "+timeout=1", "+tries=1"]
    server.sysctl("net.ipv4.conf.eth0.rp_filter", 1)
    assert server.codes(VIP4) == ["rp-filter"]
    client.host.run(ask, check=False)
    dropped = server.host.run(["nstat", "-az", "TcpExtIPReversePathFilter"]).stdout.split()[-2]
    assert int(dropped) >= 1
    server.sysctl("net.ipv4.conf.eth0.rp_filter", 2)
    assert server.codes(VIP4) == []


def test_a_default_route_through_the_balancer(lab, server):
    """Told by the MAC address: the balancer's own address is not that of the VIP."""
    balancer = lab.host("balancer", "192.0.2.21/24", "2001:db8::21/64")
    lab.host("router", "192.0.2.22/24", "2001:db8::22/64")
    for vip in (f"{VIP4}/32", f"{VIP6}/128"):
        balancer.run(["ip", "addr", "add", vip, "dev", "eth0"])
    server("add", VIP4, VIP6)
    server.unbound(*LISTED)
    server.ip("route add default via 192.0.2.22", "route add default via 2001:db8::22")
    assert server.codes(VIP4, VIP6) == []
    server.ip("route replace default via 192.0.2.21")
    assert server("check", VIP4, VIP6).stdout.startswith(f"{VIP4}: [default-route] the default route by 192.0.2.21 ")
    server.ip("route replace default via 192.0.2.22", "route replace default via 2001:db8::21")
    assert server("check", VIP4, VIP6).stdout.startswith(f"{VIP6}: [default-route] the default route by 2001:db8::21 ")


# --- two servers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "other", "codes"), [("aa", "aa", []), ("aa", "bb", ["cookie-secret"])])
def test_cookies_of_two_servers(lab, server, own, other, codes):
    peer = RealServer(lab, "rs2", 12)
    server("add", VIP4, VIP6)
    server.named(f'cookie-secret "{own * 16}";')
    peer.named(f'cookie-secret "{other * 16}";')
    assert server.codes(VIP4, "--peer", "192.0.2.12") == codes
    assert server.codes(VIP4, VIP6, "--peer", "2001:db8::12") == codes


def test_a_notify_that_reached_one_server_only(lab, server):
    peer = RealServer(lab, "rs2", 12)
    server("add", VIP4)
    secret = f'cookie-secret "{"aa" * 16}";'
    server.named(secret, serial=7)
    peer.named(secret, serial=9)
    done = server("check", VIP4, "--peer", "192.0.2.12", "--zone", "example.com")
    assert done.returncode == 1
    assert done.stdout == (
        "192.0.2.12: [serial] zone example.com has serial 7 here and 9 there; a NOTIFY to the VIP reaches one server"
        " only: let the primary notify each one's own address (also-notify)\n"
    )
    assert server.codes(VIP4, "--peer", "192.0.2.99") == ["peer-silent"]


# --- redirection -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [(f"interface: {OWN4}", f"interface: {OWN6}"), WILDCARD])
def test_redirect(lab, server, client, lines):
    """conntrack gives the answers the address that was asked: a wildcard socket is good enough."""
    server.unbound(*lines)
    assert server.codes(VIP4, VIP6, "--redirect") == ["redirect-missing"]
    done = server("add", "--redirect", VIP4, VIP6)
    assert done.stdout == "".join(f"{vip} port 53 is redirected to this node now\n" for vip in (VIP4, VIP6))
    assert client.answered() == [True] * 4
    assert not server.on("lo", VIP4)
    assert resolved(lab, VIP4) is resolved(lab, VIP6) is None
    assert server.codes(VIP4, VIP6, "--redirect") == []
    assert server.codes() == []
    assert server("remove").returncode == 0
    assert client.answered() == [False] * 4
    assert server.host.run(["nft", "list", "ruleset"]).stdout == ""


def test_redirect_traps(server):
    server.unbound("interface: 127.0.0.1")
    server("add", "--redirect", VIP4)
    assert server.codes(VIP4, "--redirect") == ["not-listening"]
    server.ip(f"addr add {VIP4}/32 dev lo")
    assert server.codes(VIP4, "--redirect") == ["redirect-and-address", "not-listening"]
