"""The nft engine's text: what a Forwarding becomes, and that a change names only what has changed."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnslb.dataplane import libnftables
from dnslb.dataplane.nft import table_name, unable
from dnslb.dataplane.nft_ruleset import Chain, Ruleset, Set, changes
from dnslb.dataplane.nft_table import content, empty
from dnslb.forwarding import Destination, Forwarding, OnEmpty, Protocol, Service, Spread

OWN = bytes.fromhex("02000000b001")
SERVERS = {slot: Destination(name=f"dns{slot}", mac=bytes.fromhex(f"0200000000d{slot}")) for slot in (1, 2, 3)}
VIP, VIP6 = ip_address("192.0.2.53"), ip_address("2001:db8::53")
BOTH = frozenset(Protocol)


def service(address=VIP, port=53, protocols=BOTH, table=(1, 2, 3, 1, 2), **options) -> Service:
    return Service(address=address, port=port, protocols=protocols, table=table, **options)


def forwarding(*services: Service, destinations=SERVERS, **options) -> Forwarding:
    return Forwarding(mac=OWN, services=services, destinations=destinations, **options)


def text(*services: Service, held=(VIP, VIP6), **options) -> list[str]:
    return changes("netdev t", empty("eth0"), content("eth0", forwarding(*services, **options), held))


def between(old: Forwarding, new: Forwarding, held=(VIP, VIP6)) -> list[str]:
    return changes("netdev t", content("eth0", old, held), content("eth0", new, held))


def test_a_query_goes_by_source_and_port_to_the_chain_of_its_slot():
    commands = text(service())
    assert "add rule netdev t ingress ether daddr != 02:00:00:00:b0:01 accept" in commands
    assert "add rule netdev t ingress ip daddr @held4 goto ipv4" in commands
    assert (
        "add rule netdev t services4-192.0.2.53-53-tcp-udp meta protocol ip"
        " ether daddr set jhash ip saddr . th sport mod 5 seed 0x5eed map @table-192.0.2.53-53-tcp-udp"
        " ether daddr vmap @slots"
    ) in commands
    assert (
        'add rule netdev t slot-1 counter name "slot-1" ether saddr set 02:00:00:00:b0:01'
        ' ether daddr set 02:00:00:00:00:d1 fwd to "eth0" comment "dns1"'
    ) in commands
    assert (
        "add element netdev t table-192.0.2.53-53-tcp-udp { 0 : 03:00:00:00:00:01, 1 : 03:00:00:00:00:02,"
        " 2 : 03:00:00:00:00:03, 3 : 03:00:00:00:00:01, 4 : 03:00:00:00:00:02 }"
    ) in commands


def test_each_packet_in_turn_is_for_udp_alone():
    rules = {line for line in text(service(spread=Spread.PACKET)) if "services4-" in line and "daddr set" in line}
    table = "map @table-192.0.2.53-53-tcp-udp ether daddr vmap @slots"
    assert rules == {
        f"add rule netdev t services4-192.0.2.53-53-udp meta protocol ip ether daddr set numgen inc mod 5 {table}",
        "add rule netdev t services4-192.0.2.53-53-tcp meta protocol ip"
        f" ether daddr set jhash ip saddr . th sport mod 5 seed 0x5eed {table}",
    }


def test_a_server_that_is_removed_costs_its_buckets_and_no_more():
    one_less = {slot: SERVERS[slot] for slot in (1, 2)}
    assert between(forwarding(service()), forwarding(service(table=(1, 2, 1, 1, 2)), destinations=one_less)) == [
        "flush chain netdev t slot-3",
        "delete element netdev t slots { 03:00:00:00:00:03 }",
        "delete element netdev t table-192.0.2.53-53-tcp-udp { 2 }",
        "delete chain netdev t slot-3",
        "add element netdev t table-192.0.2.53-53-tcp-udp { 2 : 03:00:00:00:00:01 }",
    ]


def test_a_server_with_a_new_mac_address_costs_one_rule():
    moved = SERVERS | {2: replace(SERVERS[2], mac=bytes.fromhex("02000000ff02"))}
    assert between(forwarding(service()), forwarding(service(), destinations=moved)) == [
        "flush chain netdev t slot-2",
        'add rule netdev t slot-2 counter name "slot-2" ether saddr set 02:00:00:00:b0:01'
        ' ether daddr set 02:00:00:00:ff:02 fwd to "eth0" comment "dns2"',
    ]


def test_nothing_new_is_no_command():
    assert between(forwarding(service()), forwarding(service())) == []


def test_a_table_of_another_size_is_made_anew_with_the_rules_that_use_it():
    commands = between(forwarding(service()), forwarding(service(table=(1, 2, 3))))
    table = "table-192.0.2.53-53-tcp-udp"
    assert f"delete map netdev t {table}" in commands
    made = commands.index(f"add map netdev t {table} {{ typeof numgen inc mod 3 : ether daddr; size 3; }}")
    users = [line for line in commands if f"map @{table}" in line]
    assert all("mod 3" in line and commands.index(line) > made for line in users)
    flushed = [line.split()[-1] for line in commands if line.startswith("flush chain")]
    assert {line.split()[4] for line in users} == set(flushed)
    assert max(map(commands.index, (f"flush chain netdev t {chain}" for chain in flushed))) < commands.index(
        f"delete map netdev t {table}"
    )


def test_holding_an_address_names_it_and_loads_no_table():
    now = content("eth0", forwarding(service(), service(VIP6)), (VIP,))
    commands = changes("netdev t", content("eth0", forwarding(service(), service(VIP6)), ()), now)
    assert commands[0] == "add element netdev t held4 { 192.0.2.53 }"
    assert {line.split()[0:2] == ["add", "element"] for line in commands} == {True}
    assert not any("held6" in line or "table-" in line for line in commands)


def test_an_address_that_is_held_without_a_service_is_not_looked_at():
    sets = content("eth0", forwarding(service()), (VIP, VIP6, ip_address("192.0.2.99"))).sets
    assert (dict(sets["held4"].elements), dict(sets["held6"].elements)) == ({"192.0.2.53": ""}, {})


def test_services_with_the_same_buckets_share_a_table():
    tables = [line for line in text(service(), service(VIP6), service(port=853, table=(3, 3, 3))) if "add map" in line]
    assert [line.split()[4] for line in tables if "table-" in line] == [
        "table-192.0.2.53-53-tcp-udp",
        "table-192.0.2.53-853-tcp-udp",
    ]


def test_fragments_belong_to_the_first_service_of_their_protocol():
    udp_first = service(protocols=frozenset({Protocol.UDP}), port=5353)
    elements = content("eth0", forwarding(udp_first, service()), (VIP,)).sets["fragments4"].elements
    assert dict(elements) == {
        "192.0.2.53 . 17": "goto fragments4-192.0.2.53-5353-udp",
        "192.0.2.53 . 6": "goto fragments4-192.0.2.53-53-tcp",
    }


def test_a_slot_without_a_destination_is_in_no_table():
    two = {slot: SERVERS[slot] for slot in (1, 2)}
    buckets = content("eth0", forwarding(service(), destinations=two), (VIP,)).sets["table-192.0.2.53-53-tcp-udp"]
    assert set(buckets.elements) == {"0", "1", "3", "4"}


@pytest.mark.parametrize(("policy", "verdict"), [(OnEmpty.PASS, "accept"), (OnEmpty.DROP, "drop")])
def test_without_a_server_the_policy_decides(policy, verdict):
    commands = text(service(table=(), on_empty=policy))
    assert f'add rule netdev t services4-192.0.2.53-53-tcp-udp counter name "empty" {verdict}' in commands
    assert not any("table-" in line for line in commands)


def test_the_local_server_gets_the_frame_as_it_was():
    here = {1: Destination(name="here", mac=bytes(6), local=True)}
    assert (
        'add rule netdev t slot-1 counter name "slot-1" counter name "local"'
        ' ether daddr set 02:00:00:00:b0:01 accept comment "here"'
    ) in text(service(), destinations=here)


def test_a_name_can_not_end_a_comment():
    evil = {1: Destination(name='x"; flush ruleset\n#\u00e9' + "y" * 300, mac=bytes(6))}
    (rule,) = (line for line in text(service(), destinations=evil) if "add rule netdev t slot-1 " in line)
    assert rule.endswith(' comment "x?? flush ruleset???' + "y" * 80 + '"')
    assert rule.count('"') == 6


def test_addresses_of_ipv6_become_words():
    scoped = service(ip_address("fe80::53%eth0"))
    sets = content("eth0", forwarding(scoped), (scoped.address,)).sets
    assert dict(sets["held6"].elements) == {"fe80::53": ""}
    assert sets["services6"].elements["fe80::53 . 17 . 53"] == "goto services6-fe80__53_eth0-53-tcp-udp"


def test_only_queries_by_name_are_beyond_it():
    by_name = service(spread=Spread.QNAME)
    assert unable([service(), by_name]) == "nftables can't spread by name (lb_algo qname, 192.0.2.53 port 53)"
    assert unable([service(), replace(by_name, protocols=frozenset({Protocol.TCP}))]) == ""


@pytest.mark.parametrize(
    ("interface", "name"), [("eth0.10", "dnslb-eth0.10"), ("br:1", "dnslb-br_1"), ("a@b", "dnslb-a_b")]
)
def test_the_table_is_named_after_the_interface(interface, name):
    assert table_name(interface) == name


def test_changes_come_in_an_order_that_the_kernel_takes():
    old = Ruleset(
        chains={"in": Chain(("jump old", "ip saddr @a"), "type filter"), "old": Chain(("accept",))},
        sets={
            "a": Set("type ipv4_addr", {"192.0.2.1": ""}, is_map=False),
            "m": Set("type x : verdict", {"1": "goto old"}),
        },
        counters=frozenset({"c"}),
    )
    new = Ruleset(
        chains={"in": Chain(("jump new",), "type filter"), "new": Chain(("drop",))},
        sets={"m": Set("type x : verdict", {"1": "goto new", "2": "goto new"})},
        counters=frozenset({"d"}),
    )
    assert changes("netdev t", old, new) == [
        "flush chain netdev t in",
        "flush chain netdev t old",
        "delete element netdev t m { 1 }",
        "delete set netdev t a",
        "delete chain netdev t old",
        "add counter netdev t d",
        "add chain netdev t new",
        "add rule netdev t in jump new",
        "add rule netdev t new drop",
        "add element netdev t m { 1 : goto new, 2 : goto new }",
    ]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "Error: Could not process rule: No such file or directory\nadd rule netdev t c counter\n         ^\n",
            "Could not process rule: No such file or directory",
        ),
        ("internal:0:0-0: Error: Could not process rule: File exists\n\n", "Could not process rule: File exists"),
        (
            "Error: Could not process rule: Message too long\nadd table netdev t\n",
            "the change is larger than net.core.wmem_max allows: raise it, or use fewer services",
        ),
        ("netlink: out of luck\n", "netlink: out of luck"),
        ("", "it failed, and said nothing"),
    ],
)
def test_a_refusal_is_one_sentence(said, sentence):
    assert libnftables._sentence(said) == sentence
