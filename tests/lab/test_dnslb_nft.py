"""The nft engine's table: whose it is, how long it lives, who can read it, and that changes are instant."""

import asyncio
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import pytest
from cable import ETH_P_ALL, ETH_P_IP, FAR_END, INTERFACE, PACKET_OUTGOING, Cable, packet_socket, received
from isolated import ip as ip_command
from isolated import isolated

from dnslb.dataplane import DataPlaneError, nft
from dnslb.dataplane.libnftables import Libnftables, NftablesError
from dnslb.dataplane.select import choose
from dnslb.forwarding import Forwarding, OnEmpty
from pyvrrp.demo.lab import eventually
from tests.dnslb_packets import OWN_MAC, UDP, ethernet, ip, udp
from tests.dnslb_services import BY_NAME, SERVERS, services, spread_over

SO_TIMESTAMPNS = 35
VIP = "192.0.2.53"
HELD = frozenset(service.address for service in services(f"{VIP} 2001:db8::53"))


def forwarding(*slots: int, **options) -> Forwarding:
    """A virtual server, IPv4 and IPv6, with servers in these slots."""
    spread = services(f"{VIP} 2001:db8::53", table=spread_over(*slots) if slots else (), **options)
    return Forwarding(mac=OWN_MAC, services=spread, destinations={slot: SERVERS[slot] for slot in slots})


def query(number: int) -> bytes:
    client = f"198.51.{number >> 8 & 255}.{number & 255}"
    return ethernet(ip(client, VIP, UDP, udp(client, 4242, VIP, 53, number.to_bytes(20))))


def tables() -> str:
    return listed("list", "tables")


def listed(*arguments: str) -> str:
    done = subprocess.run(["nft", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def load(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def opened(*slots: int) -> tuple[nft.Nft, Cable]:
    cable = Cable(OWN_MAC)
    engine = nft.open(INTERFACE)
    engine.install(forwarding(*slots))
    engine.hold(HELD)
    return engine, cable


def owner(duplicate_to: socket.socket | None = None) -> int:
    """A process that balances for two servers, with a child that inherits whatever can be inherited; its pid."""
    ready, report = os.pipe()
    child = os.fork()
    if not child:
        try:
            engine = nft.open(INTERFACE)
            engine.install(forwarding(1, 2))
            engine.hold(HELD)
            subprocess.Popen(["sleep", "5"], close_fds=False)
            if duplicate_to is not None:
                socket.send_fds(duplicate_to, [b"table"], list(engine.descriptors().values()))
            os.write(report, b"!")
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(report)
    assert os.read(ready, 1) == b"!"
    return child


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


@isolated
async def test_the_kernel_takes_the_table_back_when_its_process_is_killed():
    cable = Cable(OWN_MAC)
    process = owner()
    assert "table netdev dnslb-eth0" in tables()
    assert cable.fates([query(1)])[0].sent is not None
    kill(process)
    eventually(lambda: tables() == "", "the table is gone")
    fate = cable.fates([query(1)])[0]
    assert (fate.sent, fate.passed) == (None, query(1))


@isolated
async def test_a_duplicate_keeps_the_table_and_a_new_process_takes_it_over_without_losing_a_frame():
    cable = Cable(OWN_MAC)
    ours, theirs = socket.socketpair()
    process = owner(theirs)
    _, (duplicate,), _, _ = socket.recv_fds(ours, 16, 4)
    with traffic() as wire:
        await asyncio.sleep(0.1)
        kill(process)
        await asyncio.sleep(0.1)
        engine = nft.resume(INTERFACE, {"socket": os.dup(duplicate)})
        engine.hold(HELD)
        engine.install(forwarding(2, 3))
        await asyncio.sleep(0.1)
    assert wire.passed == 0
    assert wire.went == wire.came > 50
    assert {fate.sent[:6] for fate in cable.fates([query(number) for number in range(64)])} == {
        SERVERS[2].mac,
        SERVERS[3].mac,
    }
    assert sum(engine.counters().packets.values()) >= 64
    engine.close()
    assert tables() == ""  # though there is a duplicate
    os.close(duplicate)


@isolated
async def test_what_another_process_owns_is_refused_by_name():
    Cable(OWN_MAC)
    process = owner()
    with pytest.raises(DataPlaneError, match="dnslb-eth0 is there already: end the process that owns it"):
        nft.open(INTERFACE)
    kill(process)


@isolated
async def test_nothing_goes_to_a_server_after_the_change_that_removed_it():
    engine, _ = opened(1, 2, 3)
    os.sched_setaffinity(0, range(os.cpu_count()))
    for _ in range(10):
        with traffic() as wire:
            eventually(lambda wire=wire: any(mac == SERVERS[3].mac for _, mac in list(wire.seen)), "it is used")
            engine.install(forwarding(1, 2))
            gone = time.time_ns()
            eventually(lambda wire=wire, gone=gone: any(at > gone for at, _ in list(wire.seen)), "the others are")
        late = [at - gone for at, mac in wire.seen if mac == SERVERS[3].mac and at > gone]
        assert late == []
        assert wire.went == wire.came
        engine.install(forwarding(1, 2, 3))
    engine.close()


@isolated
async def test_what_is_not_held_passes():
    engine, cable = opened(1, 2)
    assert cable.fates([query(1)])[0].sent is not None
    engine.hold(frozenset())
    assert cable.fates([query(1)])[0].passed == query(1)
    engine.install(forwarding(1, 2, 3))
    assert cable.fates([query(1)])[0].passed == query(1)
    engine.hold(HELD)
    assert cable.fates([query(1)])[0].sent is not None
    engine.close()


@isolated
async def test_an_operator_can_read_it():
    engine, _ = opened(1, 2)
    text = listed("-t", "list", "ruleset")
    assert "table netdev dnslb-eth0 { # progname" in text
    assert "flags owner" in text
    assert f'fwd to "eth0" comment "{SERVERS[1].name}"' in text
    assert "ether daddr set jhash ip saddr . th sport mod 4093 seed 0x5eed map @table-192.0.2.53-53-tcp-udp" in text
    assert "elements" not in text
    everything = listed("list", "ruleset")
    assert "elements = { 192.0.2.53 }" in everything
    assert "192.0.2.53 . udp . 53 : goto services4-192.0.2.53-53-tcp-udp" in everything
    assert json.loads(listed("-j", "list", "ruleset"))
    engine.close()


FOREIGN = """
table inet filter {
    chain input {
        type filter hook input priority filter; policy accept;
        udp dport 53 counter
    }
}
table netdev guard {
    chain ingress {
        type filter hook ingress device "eth0" priority filter; policy accept;
        ip saddr 198.51.0.9 drop
    }
}
"""


@isolated
async def test_the_operators_own_rules_stay_and_come_first():
    cable = Cable(OWN_MAC)
    load(FOREIGN)
    before = listed("list", "ruleset")
    engine = nft.open(INTERFACE)
    engine.install(forwarding(1, 2))
    engine.hold(HELD)
    assert [fate.sent is not None for fate in cable.fates([query(8), query(9)])] == [True, False]
    engine.close()
    assert listed("list", "ruleset") == before


@isolated
async def test_it_survives_that_an_operator_loads_his_rules_anew():
    engine, cable = opened(1, 2)
    load(f"flush ruleset\n{FOREIGN}")
    assert cable.fates([query(1)])[0].sent is not None
    engine.install(forwarding(2))
    engine.close()


@isolated
async def test_closing_is_idempotent_and_the_end():
    engine, cable = opened(1, 2)
    engine.close()
    engine.close()
    assert tables() == ""
    assert cable.fates([query(1)])[0].passed == query(1)
    with pytest.raises(DataPlaneError, match="eth0: "):
        engine.install(forwarding(1))


@isolated
async def test_an_interface_that_goes_away_is_told():
    engine, _ = opened(1, 2)
    ip_command("link del eth0")
    with pytest.raises(DataPlaneError, match="eth0: "):
        engine.install(forwarding(1))
    engine.close()


@isolated
async def test_an_empty_pool_is_dropped_or_passes():
    engine, cable = opened()
    assert cable.fates([query(1)])[0].passed == query(1)
    engine.install(forwarding(on_empty=OnEmpty.DROP))
    fate = cable.fates([query(1)])[0]
    assert (fate.sent, fate.passed) == (None, None)
    engine.close()


def refusal(act, *arguments, **options) -> str:
    try:
        act(*arguments, **options)
    except DataPlaneError as error:
        return str(error)
    return "it was allowed"


@isolated
async def test_what_is_missing_is_named():
    assert refusal(nft.open, INTERFACE) == "eth0: there is no such interface"
    Cable(OWN_MAC)
    assert refusal(nft.open, INTERFACE, library="/nonexistent/libnftables.so.1") == (
        "eth0: /nonexistent/libnftables.so.1 is not installed: install the package libnftables1 (or nftables)"
    )
    engine = nft.open(INTERFACE)
    by_name = replace(forwarding(1), services=BY_NAME)
    assert refusal(engine.install, by_name) == (
        "eth0: nftables can't spread by name (lb_algo qname, 192.0.2.59 port 53)"
    )
    engine.close()
    drop_all_capabilities()
    assert refusal(nft.open, INTERFACE) == ("eth0: the process lacks CAP_NET_ADMIN: run it as root, or grant it that")


@isolated
async def test_without_the_right_to_load_bpf_it_is_nft_and_that_is_told():
    Cable(OWN_MAC)
    drop_all_capabilities(but=("CAP_NET_ADMIN", "CAP_NET_RAW"))
    plane, why = choose("auto", INTERFACE, forwarding(1).services)
    assert plane.name == "nft"
    assert why.startswith("nft: xdp can't be used on eth0: ")
    assert "CAP_BPF" in why
    plane.close()


@isolated
async def test_with_the_right_to_packet_sockets_alone_it_is_packet_and_with_none_a_refusal():
    Cable(OWN_MAC)
    drop_all_capabilities(but=("CAP_NET_RAW",))
    plane, why = choose("auto", INTERFACE, forwarding(1).services)
    assert plane.name == "packet"
    assert why.startswith("packet: xdp can't be used on eth0: eBPF needs CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF")
    assert "nft can't be used on eth0: the process lacks CAP_NET_ADMIN" in why
    plane.close()
    drop_all_capabilities()
    with pytest.raises(
        DataPlaneError, match=r"no engine is left: xdp can't .*; nft can't .*; packet can't .*CAP_NET_RAW"
    ):
        choose("auto", INTERFACE, forwarding(1).services)


@isolated
async def test_a_context_is_told_what_the_kernel_refuses():
    context = Libnftables()
    with pytest.raises(NftablesError, match="Could not process rule: No such file or directory"):
        context.run("add rule netdev nothing here counter")
    with pytest.raises(NftablesError, match="syntax error, unexpected newline"):
        context.run("add rule")
    assert context.run("add table netdev tried", dry=True) == context.run("list tables") == ""
    context.run("add table netdev one\nadd table netdev two")
    with pytest.raises(NftablesError, match="File exists"):
        context.run("add table netdev three\ncreate table netdev two")
    assert context.run("list tables") == "table netdev one\ntable netdev two\n"
    context.close()
    context.close()
    with pytest.raises(NftablesError, match="closed"):
        context.run("list tables")


@isolated
async def test_contexts_are_opened_while_counters_are_read():
    engine, _ = opened(1)
    done = Event()

    def read() -> None:
        while not done.is_set():
            engine.counters()

    reader = Thread(target=read)
    reader.start()
    try:
        for _ in range(100):
            Libnftables().close()
    finally:
        done.set()
        reader.join()
    engine.close()


CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}


def drop_all_capabilities(but: tuple[str, ...] = ()) -> None:
    """Of this thread, so far the only one."""
    kept = sum(1 << CAPABILITIES[name] for name in but)
    header = struct.pack("@Ii", 0x20080522, 0)
    assert ctypes.CDLL(None).capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0)) == 0


class Wire:
    """Queries from ever new clients, and what became of them."""

    def __init__(self) -> None:
        self.went = self.came = self.passed = 0
        self.seen: list[tuple[int, bytes]] = []
        "when a frame came out of the interface, in wall-clock nanoseconds, and for whom"
        self._stop = Event()
        self._sender = packet_socket(FAR_END, 0)
        self._taps = [packet_socket(FAR_END, ETH_P_ALL), packet_socket(INTERFACE, ETH_P_IP)]
        self._taps[0].setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._thread = Thread(target=self._send)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        time.sleep(0.1)
        self._read()

    def _send(self) -> None:
        while not self._stop.is_set():
            for _ in range(8):
                self._sender.send(query(self.went % 60000))
                self.went += 1
            time.sleep(0.001)
            self._read()

    def _read(self) -> None:
        self.passed += len(received(self._taps[1]))
        while True:
            try:
                data, ancillary, _, address = self._taps[0].recvmsg(64, 128)
            except BlockingIOError:
                return
            if address[2] != PACKET_OUTGOING:
                self.came += 1
                stamps = [each for level, kind, each in ancillary if (level, kind) == (1, SO_TIMESTAMPNS)]
                seconds, nanoseconds = struct.unpack("qq", stamps[0])
                self.seen.append((seconds * 10**9 + nanoseconds, data[:6]))


@contextmanager
def traffic():
    wire = Wire()
    try:
        yield wire
    finally:
        wire.stop()
