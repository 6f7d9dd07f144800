"""The packet engine: every frame as the oracle decides; the local stack; servers and links that go."""

import asyncio
import hashlib
import socket
import struct
import subprocess
import time
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from threading import Event, Thread

import pytest
from cable import FAR_END, INTERFACE, PACKET_OUTGOING, Cable, received
from isolated import drop_capabilities, isolated, sysctl
from isolated import ip as ip_command

from dnslb.dataplane import DataPlaneError, packet
from dnslb.decision import Decider, Memory, Verdict
from dnslb.forwarding import Destination, Forwarding, OnEmpty, Passed
from pyvrrp.demo import namespaces
from pyvrrp.demo.lab import Lab, eventually
from tests.dnslb_frames import frames
from tests.dnslb_packets import ACK, OWN_MAC, SYN, TCP, UDP, ethernet, internet_checksum, ip, tcp, udp
from tests.dnslb_services import BY_PACKET, FORWARDING, HELD, KEEPS_FLOWS, SERVERS, services, spread_over

SIXTH = Destination(name="dns6", mac=bytes.fromhex("0200000000d6"))
SERVED = replace(FORWARDING, destinations={**SERVERS, 6: SIXTH})
"a server on this node is refused"
SHORTEST, BATCH = 14, 64
VIP, VIP6, CLIENT, CLIENT6 = "192.0.2.53", "2001:db8::53", "198.51.100.7", "2001:db8:1::7"
CLIENT_MAC = "02:00:00:00:00:c1"
BOTH = frozenset({ip_address(VIP), ip_address(VIP6)})
SO_TIMESTAMPNS = 35
SOL_PACKET, PACKET_VNET_HDR = 263, 15


def opened(forwarding: Forwarding, held: frozenset = HELD) -> tuple[packet.PacketDataPlane, Cable]:
    cable = Cable(OWN_MAC)
    engine = packet.open(INTERFACE)
    engine.install(forwarding)
    engine.hold(held)
    return engine, cable


def to_servers(*slots: int, **options) -> Forwarding:
    spread = services(f"{VIP} {VIP6}", table=spread_over(*slots) if slots else (), **options)
    return Forwarding(mac=OWN_MAC, services=spread, destinations={slot: SERVERS[slot] for slot in slots})


def exchange(cable: Cable, sent: list[bytes], expected: int) -> list[bytes]:
    """Send frames, and what came back of them: at least `expected` of them, if they come within 5 s."""
    back: list[bytes] = []
    for at in range(0, len(sent), BATCH):
        for frame in sent[at : at + BATCH]:
            cable.far.send(frame)
        time.sleep(0.002)
        back += unicast(cable)
    end = time.monotonic() + 5
    while len(back) < expected and time.monotonic() < end:
        time.sleep(0.005)
        back += unicast(cable)
    time.sleep(0.05)
    return back + unicast(cable)


def unicast(cable: Cable) -> list[bytes]:
    """What came back but for neighbour discovery."""
    return [frame for frame in received(cable.far) if not frame[0] & 1]


@pytest.mark.parametrize("seed", [1, 2, 3])
@isolated
async def test_every_frame_has_the_fate_that_is_decided(seed):
    engine, cable = opened(SERVED)
    decider, memory = Decider(SERVED, HELD), Memory()
    sample = [each for each in frames(seed, 3000) if len(each.data) >= SHORTEST]
    decisions = [decider.decide(each.data, memory) for each in sample]
    decided = Counter(in_any_turn(decision.frame) for decision in decisions if decision.verdict is Verdict.TX)
    sent = exchange(cable, [each.data for each in sample], decided.total())
    told = engine.counters()
    engine.close()
    assert Counter(map(in_any_turn, sent)) == decided
    assert decided.total() > 900
    assert told.lost == 0
    assert Counter(told.passed) == Counter(each.passed for each in decisions if each.passed)
    assert sum(told.packets.values()) == decided.total()
    assert sum(told.octets.values()) == sum(len(each.frame) for each in decisions if each.verdict is Verdict.TX)
    assert Counter(told.packets) == Counter(slot_of(frame) for frame in sent)


def in_any_turn(frame: bytes) -> bytes:
    """A frame, without the MAC address of a server whose turn it was: plain ones and others take turns apart."""
    addresses = {service.address.packed for service in BY_PACKET}
    return frame[6:] if any(address in frame[24:70] for address in addresses) else frame


def slot_of(frame: bytes) -> int:
    return next(slot for slot, server in SERVED.destinations.items() if server.mac == frame[:6])


@isolated
async def test_turns_are_taken_one_after_the_other():
    engine, cable = opened(replace(SERVED, services=[replace(BY_PACKET[0], table=(1, 2, 3, 1, 2))]))
    to = str(BY_PACKET[0].address)
    queries = [ethernet(ip(CLIENT, to, UDP, udp(CLIENT, 4242, to, 53, bytes([number])))) for number in range(12)]
    assert [slot_of(frame) for frame in exchange(cable, queries, 12)] == [1, 2, 3, 1, 2, 1, 2, 3, 1, 2, 1, 2]
    engine.close()


@pytest.mark.parametrize("service", KEEPS_FLOWS, ids=lambda service: str(service.address))
@isolated
async def test_connections_stay_at_a_server_that_drains_until_it_is_gone(service):
    engine, cable = opened(replace(SERVED, services=[replace(service, table=spread_over(1, 2))]))
    own, client = str(service.address), CLIENT6 if service.address.version == 6 else CLIENT

    def slots(flags: int) -> list[int]:
        segments = [
            ethernet(ip(client, own, TCP, tcp(client, port, own, 53, flags=flags))) for port in range(5000, 5050)
        ]
        return [slot_of(frame) for frame in exchange(cable, segments, 50)]

    before = slots(SYN)
    assert set(before) == {1, 2}
    engine.install(replace(SERVED, services=[replace(service, table=spread_over(2))]))
    assert slots(ACK) == before
    engine.install(replace(SERVED, services=[replace(service, table=spread_over(2))], destinations={2: SERVERS[2]}))
    assert set(slots(ACK)) == {2}
    engine.close()


@isolated
async def test_a_server_that_was_removed_gets_nothing_from_then_on():
    engine, cable = opened(to_servers(1, 2, 3), BOTH)
    cable.far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    await asyncio.sleep(0.1)  # the kernel begins to note times a moment later
    queries = [ethernet(ip(CLIENT, VIP, UDP, udp(CLIENT, port, VIP, 53, bytes(20)))) for port in range(1024, 2024)]
    seen: list[tuple[float, bytes]] = []
    stop = Event()

    def flood() -> None:
        while not stop.is_set():
            for query in queries:
                cable.far.send(query)
            time.sleep(0.005)
            seen.extend(with_times(cable.far))

    flooding = Thread(target=flood)
    flooding.start()

    def used(*slots: int, since: float = 0.0) -> bool:
        return {*slots} <= {slot_of(frame) for at, frame in list(seen) if at > since}

    eventually(lambda: used(1, 2, 3), "all have their share")
    engine.install(to_servers(1, 3))
    removed = time.time()
    eventually(lambda: used(1, 3, since=removed), "the others have it now")
    engine.hold(frozenset())
    released = time.time()
    await asyncio.sleep(0.1)
    stop.set()
    flooding.join()
    last = {slot: max(at for at, frame in seen if slot_of(frame) == slot) for slot in (1, 2, 3)}
    assert last[2] < removed < last[1] < released
    assert last[3] > removed
    assert engine.counters().lost == 0
    engine.close()


def with_times(tap: socket.socket) -> list[tuple[float, bytes]]:
    found = []
    while True:
        try:
            data, ancillary, _, address = tap.recvmsg(2048, 128)
        except BlockingIOError:
            return found
        if address[2] != PACKET_OUTGOING:
            stamps = [each for level, kind, each in ancillary if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
            seconds, nanoseconds = struct.unpack("qq", stamps[0][:16])
            found.append((seconds + nanoseconds / 1e9, data))


# --- the stack of this node ------------------------------------------------------------------------------------------


def own_the_addresses() -> None:
    """The node holds the VIPs, and knows the way back to the clients."""
    sysctl(f"net/ipv6/conf/{INTERFACE}/disable_ipv6", "0")
    for address in (f"{VIP}/24", f"{VIP6}/64 nodad"):
        ip_command(f"addr add {address} dev {INTERFACE}")
    for family, gateway in (("-4", "192.0.2.1"), ("-6", "2001:db8::1")):
        ip_command(f"neigh add {gateway} lladdr {CLIENT_MAC} dev {INTERFACE}")
        ip_command(f"{family} route add default via {gateway} dev {INTERFACE}")


@isolated
async def test_the_local_stack_is_silent_about_what_is_sent_on():
    cable = Cable(OWN_MAC)
    own_the_addresses()
    questions = [
        ethernet(ip(client, to, protocol, segment(client, to)))
        for client, to in ((CLIENT, VIP), (CLIENT6, VIP6))
        for protocol, segment in (
            (UDP, lambda client, to: udp(client, 4242, to, 53, b"?")),
            (TCP, lambda client, to: tcp(client, 4242, to, 53, flags=SYN)),
            (TCP, lambda client, to: tcp(client, 4243, to, 53, flags=ACK)),
        )
    ]

    def answers(expected: int) -> int:
        """How many the stack itself gives: RST, and port unreachable."""
        back = exchange(cable, questions, expected)
        return sum(frame[:6].hex(":") == CLIENT_MAC and frame[12:14] != b"\x08\x06" for frame in back)

    assert answers(6) == 6  # without an engine
    engine = packet.open(INTERFACE)
    engine.install(to_servers(1, 2))
    engine.hold(BOTH)
    assert answers(6) == 0
    assert sum(engine.counters().packets.values()) == 6
    engine.install(to_servers(on_empty=OnEmpty.DROP))
    assert answers(0) == 0
    assert engine.counters().passed == {Passed.EMPTY: 6}
    engine.install(to_servers())
    await asyncio.sleep(1.1)  # the kernel sends one ICMP error a second to one client
    assert answers(6) == 6  # no server: the stack may say so
    engine.install(to_servers(1))
    engine.close()
    await asyncio.sleep(1.1)
    assert answers(6) == 6


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("address", [VIP, "0.0.0.0"])
@isolated
async def test_a_server_on_this_node_is_refused(kind, address):
    cable = Cable(OWN_MAC)
    own_the_addresses()
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind((address, 53))
        if kind == socket.SOCK_STREAM:
            server.listen()
        engine = packet.open(INTERFACE)
        protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
        with pytest.raises(DataPlaneError) as refusal:
            engine.install(to_servers(1, 2))
        assert str(refusal.value) == (
            f"packet: {protocol} port 53 of {VIP}: a server on this node listens there and would answer every client;"
            " use engine xdp or nft"
        )
    engine.install(to_servers(1, 2))
    engine.hold(BOTH)
    assert len(exchange(cable, [ethernet(ip(CLIENT, VIP, UDP, udp(CLIENT, 4242, VIP, 53, b"?")))], 1)) == 1
    engine.close()


@isolated
async def test_a_destination_on_this_node_is_refused_and_the_last_forwarding_goes_on():
    engine, cable = opened(to_servers(1, 2), BOTH)
    own = replace(to_servers(1, 2), destinations={1: SERVERS[1], 2: Destination(name="us", mac=OWN_MAC, local=True)})
    with pytest.raises(DataPlaneError, match=r"^packet: us is on this node, and would answer every client of "):
        engine.install(own)
    queries = [ethernet(ip(CLIENT, VIP, UDP, udp(CLIENT, port, VIP, 53, b"?"))) for port in range(2000, 2050)]
    assert {slot_of(frame) for frame in exchange(cable, queries, 50)} == {1, 2}
    engine.close()


# --- the interface ---------------------------------------------------------------------------------------------------


@isolated
async def test_a_link_may_go_down_and_come_back():
    engine, cable = opened(to_servers(1), BOTH)
    query = ethernet(ip(CLIENT, VIP, UDP, udp(CLIENT, 4242, VIP, 53, b"?")))
    assert len(exchange(cable, [query], 1)) == 1
    ip_command(f"link set {INTERFACE} down")
    engine.install(to_servers(2))
    ip_command(f"link set {INTERFACE} up")
    await asyncio.sleep(0.1)
    assert [slot_of(frame) for frame in exchange(cable, [query], 1)] == [2]
    engine.close()


@isolated
async def test_when_the_interface_is_deleted_the_engine_says_so():
    engine, _ = opened(to_servers(1), BOTH)
    ip_command(f"link del {INTERFACE}")
    eventually(lambda: not engine._thread.is_alive(), "the engine's thread has ended")
    for call in (engine.counters, lambda: engine.hold(frozenset()), lambda: engine.install(to_servers(1))):
        with pytest.raises(DataPlaneError) as lost:
            call()
        assert str(lost.value) == f"packet: {INTERFACE} is not balanced any more: the interface was deleted"
    engine.close()
    engine.close()


@isolated
async def test_what_can_not_be_opened():
    with pytest.raises(DataPlaneError, match=r"^packet: nowhere0: No such device$"):
        packet.open("nowhere0")
    with pytest.raises(DataPlaneError, match=r"^packet: lo is no Ethernet interface$"):
        packet.open("lo")
    Cable(OWN_MAC)
    drop_capabilities()
    with pytest.raises(DataPlaneError, match=r"^packet: needs CAP_NET_RAW: "):
        packet.open(INTERFACE)


def without_checksums(interface: str) -> None:
    """Have the kernel make the checksums of what leaves, rather than the card."""
    subprocess.run(["ethtool", "-K", interface, "tx", "off"], check=True, capture_output=True)


@isolated
async def test_a_checksum_that_is_still_to_be_made_is_made_at_its_place_behind_a_vlan_tag():
    engine, cable = opened(to_servers(1), BOTH)
    without_checksums(INTERFACE)
    datagram = udp(CLIENT, 4242, VIP, 53, b"to be summed up")
    pseudo = ip_address(CLIENT).packed + ip_address(VIP).packed + struct.pack("!HH", UDP, len(datagram))
    begun = datagram[:6] + (0xFFFF - internet_checksum(pseudo)).to_bytes(2) + datagram[8:]
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sender.bind((FAR_END, 0))
    for tags in ((), (0x8100,), (0x88A8, 0x8100)):
        header = struct.pack("=BBHHHH", 1, 0, 0, 0, 14 + 4 * len(tags) + 20, 6)
        sender.send(header + ethernet(ip(CLIENT, VIP, UDP, begun), tags=tags))
        expected = ethernet(ip(CLIENT, VIP, UDP, datagram), to=SERVERS[1].mac, source=OWN_MAC, tags=tags)
        assert exchange(cable, [], 1) == [expected]
    sender.close()
    engine.close()


def test_a_tcp_stream_of_large_segments_goes_to_the_server_and_back(lab: Lab) -> None:
    """Real stacks, offloads on: what comes in are pieces of up to 64 KiB that are still to be cut and summed up."""
    client, balancer, server = (
        lab.host(name, f"192.0.2.{at}/24") for at, name in ((1, "client"), (2, "lb"), (3, "dns"))
    )
    server.run(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"])
    namespaces.ip(f"addr add {VIP}/32 dev lo", namespace=server.namespace)
    namespaces.ip(f"addr add {VIP}/32 dev eth0", namespace=balancer.namespace)
    macs = {host: host.run(["cat", "/sys/class/net/eth0/address"]).stdout.strip() for host in (balancer, server)}
    there = {1: Destination(name="dns", mac=bytes.fromhex(macs[server].replace(":", "")))}
    engine = balancer.call(lambda: packet.open("eth0"))
    engine.install(replace(to_servers(1), mac=bytes.fromhex(macs[balancer].replace(":", "")), destinations=there))
    engine.hold(BOTH)
    listening = server.call(lambda: socket.create_server((VIP, 53)))
    sent = bytes(range(256)) * 8192

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            connection.sendall(hashlib.sha256(data).digest())

    serving = Thread(target=serve)
    serving.start()
    with client.call(lambda: socket.create_connection((VIP, 53), timeout=10)) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(64) == hashlib.sha256(sent).digest()
    serving.join()
    told = engine.counters()
    assert told.octets[1] > len(sent)
    assert told.octets[1] / told.packets[1] > 1514
    engine.close()
    listening.close()
