"""What runs, but hardly as meant; and what can't be served although every line is right."""

import pytest

from tests.unit.virtual_server_texts import INSTANCE, SERVERS, codes, messages, read, read_one


def one(extra: str = "", head: str = "192.0.2.53 53", protocol: str = "DNS", servers: str = SERVERS) -> str:
    return f"virtual_server {head} {{\nprotocol {protocol}\nlb_kind DR\n{extra}\n{servers}}}\n"


def test_nothing_to_say():
    assert codes(read(one())[1]) == []
    assert codes(read(one(protocol="UDP") + one(protocol="TCP"))[1]) == []


@pytest.mark.parametrize("second", ["DNS", "TCP"])
def test_two_virtual_servers_for_one_service_are_fatal(second):
    found, diagnostics = read(one(protocol="DNS") + one(protocol=second))
    assert codes(diagnostics) == ["error duplicate-virtual-server!"]
    assert "TCP to 192.0.2.53:53 is balanced by 192.0.2.53:53/DNS (<text>:7:1) already" in messages(
        diagnostics
    ).replace("UDP to", "TCP to")
    assert len(found) == 2


def test_two_virtual_servers_with_one_name_are_fatal():
    _, diagnostics = read(one("name dns", protocol="UDP") + one("name dns", protocol="TCP"))
    assert codes(diagnostics) == ["error duplicate-name!"]


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_half_a_dns_server(protocol):
    _, diagnostics = read(one(protocol=protocol))
    other = {"UDP": "TCP", "TCP": "UDP"}[protocol]
    assert f"192.0.2.53:53 is not balanced for {other}; write 'protocol DNS'" in messages(diagnostics)


def test_other_ports_may_have_one_protocol():
    servers = SERVERS.replace(" 53 {", " 853 {")
    assert codes(read(one(head="192.0.2.53 853", protocol="TCP", servers=servers))[1]) == []


def test_an_address_that_nobody_holds():
    _, diagnostics = read(one(head="192.0.2.99 53"))
    assert codes(diagnostics) == ["warning address-not-held"]
    assert "no vrrp_instance holds 192.0.2.99, it gets no packets" in messages(diagnostics)


def test_an_excluded_address_is_held():
    assert codes(read(one(head="2001:db8::53 53"))[1]) == []


def test_a_real_server_that_is_a_virtual_address():
    _, complaints = read_one(servers=SERVERS.replace("192.0.2.11", "192.0.2.53"))
    assert complaints == ["warning real-server-is-virtual"]


def test_a_real_server_on_another_link():
    _, diagnostics = read(one(servers=SERVERS.replace("192.0.2.11", "198.51.100.11")))
    assert codes(diagnostics) == ["warning real-server-off-link"]
    assert "real_server 198.51.100.11 is not in 192.0.2.0/24: with DR it has to be on that link" in messages(
        diagnostics
    )


def test_a_host_route_does_not_say_what_the_link_is():
    around = INSTANCE.replace("192.0.2.53/24", "192.0.2.53")
    _, diagnostics = read(one(servers=SERVERS.replace("192.0.2.11", "198.51.100.11")), around=around)
    assert codes(diagnostics) == []


def test_a_real_server_of_the_other_family_serves_all_the_same():
    _, complaints = read_one(servers=SERVERS.replace("192.0.2.11", "2001:db8::11"))
    assert complaints == []


def test_one_real_server():
    _, complaints = read_one(servers=SERVERS.splitlines()[0] + "\n")
    assert complaints == ["warning one-real-server"]


def test_weights_that_are_all_zero():
    assert read_one("weight 0")[1] == ["warning no-weight"]


def test_a_slow_check_says_how_long_a_dead_server_gets_packets():
    _, diagnostics = read(one("delay_loop 60"))
    assert codes(diagnostics) == ["warning slow-detection"]
    assert "a dead server may get packets for 60.8 s; write 'delay_loop 1' and 'fast_interval 0.25'" in messages(
        diagnostics
    )


def test_the_fastest_check_counts():
    servers = "".join(
        f"real_server {address} 53 {{\nvip_check off\nTCP_CHECK {{\ndelay_loop 60\n}}\nDNS_CHECK {{\nname .\n}}\n}}\n"
        for address in ("192.0.2.11", "192.0.2.12")
    )
    assert read_one(servers=servers)[1] == []


def test_retries_count():
    _, diagnostics = read(one("delay_loop 6\nretry 3\ndelay_before_retry 3\nconnect_timeout 3"))
    assert "a dead server may get packets for 27 s" in messages(diagnostics)


def test_a_group_that_nobody_uses():
    assert codes(read("virtual_server_group g { 192.0.2.53 53 }\n" + one())[1]) == ["warning unused-group"]


def test_engines_that_differ():
    _, diagnostics = read(one("engine xdp", protocol="UDP") + one("engine nft", protocol="TCP"))
    assert codes(diagnostics) == ["warning engines-differ"]
    assert "engine nft, but 192.0.2.53:53/UDP has xdp; an interface has one engine" in messages(diagnostics)


def test_more_services_than_a_data_plane_has():
    group = "virtual_server_group g { \n192.0.2.0-63 53\n192.0.2.64 53\n}\n"
    _, diagnostics = read(group + one(head="group g"))
    assert "all virtual servers together have 65 addresses and ports, 64 can be served" in messages(diagnostics.fatal)


def test_more_servers_than_a_data_plane_has():
    servers = "".join(f"real_server 10.0.{n // 256}.{n % 256} 53 {{ TCP_CHECK {{ }} }}\n" for n in range(1, 258))
    _, diagnostics = read(one(servers=servers))
    assert "all virtual servers together have 257 real servers, 256 can be served" in messages(diagnostics.fatal)


def test_a_sorry_server_that_min_up_leaves_without_work():
    assert read_one("min_up 1\nsorry_server 192.0.2.99")[1] == ["warning no-effect"]
