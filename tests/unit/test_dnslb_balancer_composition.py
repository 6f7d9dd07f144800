"""From pools and places to a Forwarding: slots, destinations, peers, and where this node answers by itself."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dnslb.balancer.composition import compose
from dnslb.balancer.recipe import Tables
from dnslb.balancer.setup import Setup, setup
from dnslb.balancer.whereabouts import Place
from dnslb.forwarding import OnEmpty as Empty
from dnslb.forwarding import Protocol
from dnslb.model import Endpoint, OnEmpty, RealServer, SorryServer, VirtualServer
from dnslb.pool import Pool
from dnslb.pool_events import Admin, AdminChanged, NeighbourChanged, Startup
from dnslb.slots import Slots
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load_text

VIP, A, B, C = (ip_address(text) for text in ("192.0.2.53", "192.0.2.11", "192.0.2.12", "192.0.2.13"))
MAC = b"\2\0\0\0\0\1"
PLACES = {each: Place(True, bytes.fromhex("0200000000") + each.packed[-1:]) for each in (A, B, C)}
SERVER = VirtualServer(
    name="dns",
    endpoints=(Endpoint(VIP, 53), Endpoint(ip_address("2001:db8::53"), 53)),
    protocols=frozenset(Protocol),
    real_servers=tuple(RealServer(address=each, port=53, name=f"ns{each.packed[-1]}") for each in (A, B)),
)


def pool(server=SERVER, unknown=()):
    made = Pool(server)
    for real in server.real_servers:
        made.handle(NeighbourChanged(real.address, real.address not in unknown), 0.0)
    made.handle(Startup(), 0.0)
    return made


def composed(made, places=PLACES, peers=()):
    slots = Slots()
    here = {address: places[address] for address in [*made.members, *([C] if made.server.sorry_server else [])]}
    return compose(MAC, [(made, here)], peers, lambda keys: {key: slots.claim(key) for key in keys})


def test_both_addresses_have_one_table_and_each_server_its_slot():
    recipe, answers = composed(pool(), peers=[b"\2\0\0\0\0\x99"])
    forwarding = Tables().forwarding(recipe)
    assert [str(each.address) for each in forwarding.services] == ["192.0.2.53", "2001:db8::53"]
    assert set(forwarding.services[0].table) == {0, 1}
    assert {slot: each.name for slot, each in forwarding.destinations.items()} == {0: "ns11", 1: "ns12"}
    assert forwarding.peers == {PLACES[A].mac, PLACES[B].mac, b"\2\0\0\0\0\x99"}
    assert answers == frozenset()


def test_a_server_on_this_node_is_served_here():
    recipe, _ = composed(pool(), {**PLACES, A: Place(True, local=True)})
    destination = Tables().forwarding(recipe).destinations[0]
    assert (destination.local, destination.mac) == (True, bytes(6))
    assert bytes(6) not in recipe.peers


def test_one_that_drains_keeps_its_slot_and_destination_but_is_in_no_table():
    made = pool()
    made.handle(AdminChanged(A, Admin.DRAIN), 1.0)
    forwarding = Tables().forwarding(composed(made)[0])
    assert set(forwarding.services[0].table) == {1}
    assert set(forwarding.destinations) == {0, 1}
    made.handle(AdminChanged(A, Admin.DOWN), 2.0)
    assert set(Tables().forwarding(composed(made)[0]).destinations) == {1}


@pytest.mark.parametrize(("on_empty", "answering", "passed"), [
    (OnEmpty.SERVFAIL, True, Empty.PASS),
    (OnEmpty.SORRY, True, Empty.PASS),
    (OnEmpty.DROP, False, Empty.DROP),
])  # fmt: skip
def test_with_nobody_left_it_answers_unless_it_is_to_drop(on_empty, answering, passed):
    recipe, answers = composed(pool(replace(SERVER, on_empty=on_empty), unknown=(A, B)))
    (service, _) = Tables().forwarding(recipe).services
    assert (service.table, service.on_empty) == ((), passed)
    wanted = {(endpoint, protocol) for endpoint in SERVER.endpoints for protocol in Protocol}
    assert answers == (wanted if answering else set())


def test_it_never_takes_the_port_of_a_server_on_this_node():
    """Which has to bind it when it is started, and is asked there by its checks."""
    places = {**PLACES, A: Place(True, local=True)}
    assert composed(pool(unknown=(A, B)), places)[1] == frozenset()


def test_the_sorry_server_is_a_destination_too():
    made = pool(replace(SERVER, sorry_server=SorryServer(address=C)), unknown=(A, B))
    made.handle(NeighbourChanged(C, True), 1.0)
    forwarding = Tables().forwarding(composed(made)[0])
    assert set(forwarding.services[0].table) == {2}
    assert forwarding.destinations[2].mac == PLACES[C].mac


def test_a_table_that_has_not_changed_is_not_made_again(monkeypatch):
    tables, made = Tables(), pool()
    first = tables.forwarding(composed(made)[0])
    again = tables.forwarding(composed(made, {**PLACES, A: Place(True, b"\2\0\0\0\0\x77")})[0])
    assert again.services[0].table is first.services[0].table
    assert again.destinations[0].mac == b"\2\0\0\0\0\x77"


def test_addresses_follow_their_instances_and_one_of_no_instance_is_always_held():
    other = ip_address("2001:db8::53")
    made = Setup(virtual_servers=(SERVER,), instances={"DNS4": frozenset({VIP}), "WEB": frozenset({C})})
    assert made.held(frozenset()) == {other}
    assert made.held(frozenset({"DNS4"})) == {VIP, other}
    assert made.held(frozenset({"GONE"})) == {other}


def test_a_virtual_server_on_two_interfaces_is_refused():
    config = load_text(
        """
vrrp_instance A {
    interface eth0
    virtual_router_id 1
    virtual_ipaddress {
        192.0.2.53/24
    }
}
vrrp_instance B {
    interface eth1
    virtual_router_id 2
    version 3
    virtual_ipaddress {
        fe80::1
        2001:db8::53/64
    }
}
"""
    ).config
    diagnostics = Diagnostics()
    setup(config, (SERVER,), diagnostics)
    (found,) = diagnostics.fatal
    assert (found.code, found.message) == (
        "several-interfaces",
        "virtual_server dns: its addresses are on eth0 and eth1, its servers on one link",
    )
