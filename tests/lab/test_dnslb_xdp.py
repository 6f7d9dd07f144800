"""The xdp engine on a veth: frames on the wire, other programs, missing rights, deaths, changes under load."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from isolated import drop_capabilities, ip, isolated, sysctl

from benchmarks.harness.live_frames import Arrivals, LiveFrames
from dnslb.bpf import rtnetlink
from dnslb.bpf.assembler import assemble
from dnslb.bpf.program import load
from dnslb.bpf.xdp import Link, Mode
from dnslb.dataplane import DataPlaneError, xdp
from dnslb.decision import Decider, Memory, Verdict
from dnslb.forwarding import Spread
from tests.dnslb_frames import frames
from tests.dnslb_packets import UDP, ethernet, ipv4, labels, query, udp
from tests.dnslb_services import FORWARDING, HELD, KEEPS_FLOWS, SERVERS, services, spread_over
from tests.dnslb_xdp import bpf_allowed

pytestmark = pytest.mark.skipif(not bpf_allowed(), reason="bpf(2) needs root outside of user namespaces")
ROOT = Path(__file__).parents[2]
LB, FAR = "v0", "v1"
"the balancer's interface, and the other end of the cable"
SOURCE_PORT = 34
QUERY = ethernet(
    ipv4("198.51.100.9", "192.0.2.53", UDP, udp("198.51.100.9", 4242, "192.0.2.53", 53, query(labels("example.net"))))
)
TWO = replace(FORWARDING, services=services("192.0.2.53", table=spread_over(1, 2)))
MANY = replace(FORWARDING, services=services("192.0.2.1 2001:db8::1 192.0.2.53 192.0.2.99", table=spread_over(3, 4)))
PACKET_OUTGOING = 4


def cable(mtu: int = 1500) -> None:
    ip(f"link add {LB} mtu {mtu} type veth peer name {FAR} mtu {mtu}")
    for name in (LB, FAR):
        sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")  # nothing else is on the wire
        ip(f"link set {name} up")


def index(name: str) -> int:
    return socket.if_nametoindex(name)


def answers_to_xdp() -> AbstractContextManager[Link]:
    """XDP_TX out of a veth arrives only where the other end has a program too."""
    with load(assemble("w0 = 2\nexit"), {}, "far_end") as program:
        return Link.attach(program, index(FAR), Mode.NATIVE)


def attached(forwarding=TWO) -> xdp.Xdp:
    plane = xdp.open(LB, native_on_veth=True)
    plane.install(forwarding)
    plane.hold(HELD)
    return plane


class Tap:
    """Every frame that comes in by an interface."""

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((name, 3))

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def next(self) -> bytes:
        """The next one; raises TimeoutError."""
        self._socket.settimeout(5)
        while True:
            frame, address = self._socket.recvfrom(65536)
            if address[2] != PACKET_OUTGOING:
                return frame

    def nothing(self) -> bool:
        """Whether no frame has come in."""
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(65536)
        except BlockingIOError:
            return True


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_frames_on_the_wire_are_what_the_oracle_says(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent on arrives at the far end, what passes at our own stack, byte for byte."""

    @isolated
    async def scene() -> None:
        cable()
        far_end = answers_to_xdp()
        if mode == "generic":
            monkeypatch.setattr(xdp.Link, "attach", generic_only(xdp.Link.attach))
        near, far = Tap(LB), Tap(FAR)
        decider, memory = Decider(FORWARDING, HELD), Memory()
        with closing(attached(FORWARDING)) as plane, far_end:
            assert plane.mode == mode
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one CPU deals the turns of Spread.PACKET
            seen = {Verdict.TX: 0, Verdict.PASS: 0}
            for frame in frames(11, 1200):
                if len(frame.data) < 14 or b"\x81\x00" in frame.data or b"\x88\xa8" in frame.data:
                    continue  # a packet socket shows VLAN tags elsewhere
                decision = decider.decide(frame.data, memory)
                far.send(frame.data)
                if decision.verdict is not Verdict.DROP:
                    where = far if decision.verdict is Verdict.TX else near
                    assert where.next() == decision.frame, frame
                    seen[decision.verdict] += 1
            assert min(seen.values()) > 200, seen
            assert sum(plane.counters().packets.values()) > 200

    scene()


def generic_only(attach: Callable[..., Link]) -> Callable[..., Link]:
    def refused(program, interface, mode):
        return attach(program, interface, mode if mode is Mode.GENERIC else Mode(0xF0))  # EINVAL, as an old driver

    return refused


def test_a_driver_that_refuses_native_mode_gets_generic_and_its_reason_is_told() -> None:
    @isolated
    async def scene() -> None:
        cable(mtu=9000)
        for interface, reason in (
            (LB, "veth: Peer MTU is too large to set XDP"),
            ("lo", "Underlying driver does not support XDP in native mode"),
        ):
            with closing(xdp.open(interface, native_on_veth=True)) as plane:
                assert (plane.mode, plane.reason) == ("generic", reason)
                assert [*rtnetlink.attached(index(interface))] == [Mode.GENERIC]

    scene()


def test_an_attached_engine_lets_everything_pass_until_an_address_is_held() -> None:
    @isolated
    async def scene() -> None:
        cable()
        near, far = Tap(LB), Tap(FAR)
        with closing(xdp.open(LB, native_on_veth=True)) as plane, answers_to_xdp():
            assert (plane.name, plane.mode, plane.reason) == ("xdp", "native", "")
            steps = [
                (lambda: None, near),
                (lambda: plane.hold(HELD), near),
                (lambda: plane.install(TWO), far),
                (lambda: plane.hold(frozenset()), near),
                (lambda: plane.hold(HELD), far),
                (lambda: plane.install(MANY), far),
                (lambda: plane.install(replace(TWO, services=services("192.0.2.99"))), near),
                (lambda: plane.install(TWO), far),
                (plane.close, near),
            ]
            for step, arrives in steps:
                step()
                far.send(QUERY)
                frame = arrives.next()
                assert (frame == QUERY) == (arrives is near)
                assert frame[12:] == QUERY[12:]
            plane.close()
        assert rtnetlink.attached(index(LB)) == {}

    scene()


def test_another_program_is_named_and_left_alone() -> None:
    @isolated
    async def scene() -> None:
        cable()
        with load(assemble("w0 = 2\nexit"), {}, "firewall") as other:
            for mode in Mode:
                with Link.attach(other, index(LB), mode):
                    with pytest.raises(DataPlaneError) as refused:
                        xdp.open(LB, native_on_veth=True)
                    assert str(refused.value) == (
                        f"v0: another XDP program (id {other.id}, name firewall) is attached: end what attached it,"
                        " detach it (ip link set dev v0 xdp off), or choose another engine"
                    )
                    assert rtnetlink.attached(index(LB)) == {mode: other.id}
            xdp.open(LB, native_on_veth=True).close()

    scene()


def test_without_the_right_it_says_so_and_leaves_nothing() -> None:
    @isolated
    async def scene() -> None:
        cable()
        with pytest.raises(DataPlaneError, match="nothere: there is no such interface"):
            xdp.open("nothere")
        drop_capabilities()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(DataPlaneError, match=r"v0: bpf MAP_CREATE .*: bpf\(2\) is refused in a user namespace"):
            xdp.open(LB, native_on_veth=True)
        assert len(os.listdir("/proc/self/fd")) == before

    scene()


def test_with_cap_bpf_alone_it_is_refused_at_once_not_at_the_first_install() -> None:
    script = "from dnslb.dataplane import xdp\ntry: xdp.open('lo')\nexcept Exception as e: print(type(e).__name__, e)"
    argv = ["setpriv", "--bounding-set=-all,+net_admin,+bpf", "--inh-caps=-all", sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "DataPlaneError lo: eBPF needs CAP_PERFMON, which this process lacks: grant it, or run as root"
    )


def test_an_interface_that_goes_away_is_told_and_closing_is_quiet() -> None:
    @isolated
    async def scene() -> None:
        cable()
        plane = attached()
        kept = {name: os.dup(each) for name, each in plane.descriptors().items()}
        ip(f"link del {LB}")
        cable()
        with pytest.raises(
            DataPlaneError, match="v0: the interface is gone, and the XDP program with it: attach it anew"
        ):
            plane.install(FORWARDING)
        with pytest.raises(
            DataPlaneError, match="v0: the XDP program that was kept is not on it any more: attach it anew"
        ):
            xdp.resume(LB, kept)
        for descriptor in kept.values():
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
        plane.close()
        attached().close()

    scene()


def killed_speaker(keep: bool, forwarding=TWO) -> dict[str, int]:
    """A process that attaches, hands over duplicates if they are to be kept, and is killed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        ours.close()
        descriptors = attached(forwarding).descriptors()
        socket.send_fds(theirs, [" ".join(descriptors).encode()], list(descriptors.values()) if keep else [])
        signal.pause()
    theirs.close()
    names, received, _, _ = socket.recv_fds(ours, 1000, 8)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    ours.close()
    return dict(zip(names.decode().split(), received, strict=False))


def test_a_killed_speaker_leaves_nothing() -> None:
    @isolated
    async def scene() -> None:
        cable()
        assert killed_speaker(keep=False) == {}
        assert rtnetlink.attached(index(LB)) == {}

    scene()


def test_a_killed_speakers_program_goes_on_while_duplicates_are_kept_and_is_taken_over() -> None:
    @isolated
    async def scene() -> None:
        cable()
        far = Tap(FAR)
        keeping = replace(TWO, services=[*TWO.services, *KEEPS_FLOWS])
        kept = killed_speaker(keep=True, forwarding=keeping)
        assert {*kept} == {"link", "held", "counters", "flows"}
        with answers_to_xdp():
            far.send(QUERY)
            assert far.next()[12:] == QUERY[12:]
            with closing(xdp.resume(LB, kept)) as plane:
                assert plane.mode == "native"
                far.send(QUERY)
                first = far.next()
                assert sum(plane.counters().packets.values()) == 2
                plane.install(keeping)  # nothing was told of what is held: it is as it was
                far.send(QUERY)
                assert far.next() == first
                assert sum(plane.counters().packets.values()) == 3
            assert rtnetlink.attached(index(LB)) == {}

    scene()


def test_when_the_last_duplicate_is_closed_the_kernel_detaches() -> None:
    @isolated
    async def scene() -> None:
        cable()
        kept = killed_speaker(keep=True)
        assert [*rtnetlink.attached(index(LB))] == [Mode.NATIVE]
        for descriptor in kept.values():
            os.close(descriptor)
        assert rtnetlink.attached(index(LB)) == {}

    scene()


class Load:
    """Queries from many ports that keep coming, until it is left."""

    def __init__(self) -> None:
        self.sent = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> "Load":
        self._thread.start()
        until(lambda: self.sent > 0)
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        with LiveFrames(QUERY, SOURCE_PORT) as generator:
            while not self._over.is_set():
                generator.send(index(FAR), 10000)
                self.sent += 10000


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def settled(read: Callable[[], int]) -> int:
    """A count that has stopped to grow: what was on the way has arrived."""
    before = -1
    while (now := read()) != before:
        before = now
        time.sleep(0.05)
    return now


def test_no_frame_goes_to_a_server_after_the_install_that_removed_it() -> None:
    """Ten times, in turn each of three servers, while some hundred thousand queries a second come in."""

    @isolated
    async def scene() -> None:
        cable()
        everyone = replace(FORWARDING, services=services("192.0.2.53", table=spread_over(1, 2, 3)))
        with closing(attached(everyone)) as plane, Arrivals(index(FAR)) as arrivals, Load() as load:
            for turn in range(10):
                gone = turn % 3 + 1
                left = [slot for slot in (1, 2, 3) if slot != gone]
                begun = plane.counters().packets.get(gone, 0)
                until(lambda gone=gone, begun=begun: plane.counters().packets.get(gone, 0) > begun)  # it is being used
                without = replace(
                    everyone,
                    services=services("192.0.2.53", table=spread_over(*left)),
                    destinations={slot: SERVERS[slot] for slot in left},
                )
                plane.install(without)
                last, sent = plane.counters().packets[gone], load.sent
                arrived = settled(lambda gone=gone: arrivals.read().frames[SERVERS[gone].mac[5]])
                until(lambda sent=sent: load.sent >= sent + 20000)
                assert plane.counters().packets[gone] == last
                assert arrived == last == arrivals.read().frames[SERVERS[gone].mac[5]]
                plane.install(everyone)

    scene()


def test_every_frame_is_sent_on_while_programs_and_tables_are_exchanged() -> None:
    """None is seen by our own stack. The veth's rings may overflow where the machine is busy: a few in a thousand."""

    @isolated
    async def scene() -> None:
        cable()
        kinds = [
            TWO,
            MANY,
            replace(TWO, services=services("192.0.2.53", spread=Spread.PACKET, table=spread_over(2, 3))),
            replace(TWO, services=services("192.0.2.53", spread=Spread.QNAME, table=spread_over(4, 5))),
            replace(TWO, services=services("192.0.2.53", table=spread_over(5))),
        ]
        near = Tap(LB)
        with closing(attached()) as plane, Arrivals(index(FAR)) as arrivals:
            with Load() as load:
                for turn in range(24):
                    plane.install(kinds[turn % len(kinds)])
            settled(lambda: arrivals.read().total)
            arrived = sum(arrivals.read().frames[server.mac[5]] for server in SERVERS.values())
            assert load.sent >= arrived > load.sent * 0.99
            assert near.nothing()

    scene()


def test_a_veth_gets_generic_mode_unless_its_other_end_is_known_to_run_xdp() -> None:
    @isolated
    async def scene() -> None:
        cable()
        with closing(xdp.open(LB)) as plane:
            why = "a veth loses what native XDP sends, unless its other end runs XDP too"
            assert (plane.mode, plane.reason) == ("generic", why)

    scene()
