"""What the rules and the simulator take DRBD for, seen at the real one."""

from collections.abc import Sequence

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.lab import Lab
from tests.vm.machine import Machine
from tests.vm.storage_pair import StoragePair


@pytest.fixture
def pair(lab: Lab) -> StoragePair:
    """Connected, Secondary on both; ping-int 2, ping-timeout 3."""
    pair = StoragePair(lab.start("n1", "n2"))
    pair.create()
    return pair


def primary(machine: Machine) -> bool:
    return machine.run("drbdadm", "primary", "r0", check=False).status == 0


def current(machine: Machine) -> str:
    """The current UUID, without the bit that says Primary."""
    return f"{int(machine.sh('drbdadm get-gi r0').partition(':')[0], 16) & ~1:X}"


def apart(pair: StoragePair) -> None:
    for machine in pair.machines:
        eventually(lambda machine=machine: "cs:Connected" not in pair.proc(machine), "it is noticed", 60, every=0.5)


def roles(pair: StoragePair) -> Sequence[str]:
    return [pair.role(machine) for machine in pair.machines]


def test_the_peer_is_asked_and_its_silence_is_no_refusal(lab: Lab, pair: StoragePair) -> None:
    """So a promotion must not begin over a connection that may be dead, and never on both sides at once (rule 4)."""
    n1, n2 = pair.machines
    assert primary(n1)
    refused = n2.run("drbdadm", "primary", "r0", check=False)
    assert (refused.status, "Multiple primaries not allowed" in refused.output) == (11, True)
    n1.sh("drbdadm secondary r0")

    lab.switches[0].part("n1", "n2")
    assert "cs:Connected ro:Secondary/Secondary" in pair.proc(n1), "nobody has noticed"
    assert primary(n1)
    assert primary(n2)
    assert roles(pair) == ["Primary", "Primary"]

    # It does not connect two Primaries, and it does not mend that by itself.
    apart(pair)
    lab.switches[0].mend()
    eventually(lambda: any("Split-Brain detected" in each.sh("dmesg") for each in pair.machines), "found", 60, every=1)
    eventually(lambda: any("cs:StandAlone" in pair.proc(each) for each in pair.machines), "given up", 60, every=0.5)
    assert roles(pair) == ["Primary", "Primary"]


def test_what_a_generation_identifier_tells(lab: Lab, pair: StoragePair) -> None:
    """A Primary that loses its peer, or its disk, begins a generation; a Secondary left behind keeps its own."""
    n1, n2 = pair.machines
    assert primary(n1)
    both = current(n1)
    assert current(n2) == both

    lab.switches[0].part("n1", "n2")
    apart(pair)
    n1.sh("dd if=/dev/urandom of=/dev/drbd0 bs=4k count=1 oflag=direct status=none")
    alone = current(n1)
    assert (alone != both, current(n2) == both) == (True, True)
    assert "ds:UpToDate/DUnknown" in pair.proc(n2), "it is called UpToDate all the same"
    lab.switches[0].mend()
    pair.await_sync()
    assert (current(n1), current(n2)) == (alone, alone)

    # The disk of the Primary goes: the peer's is the one copy, and a generation of its own.
    n1.sh("drbdadm detach r0")
    n1.sh("dd if=/dev/urandom of=/dev/drbd0 bs=4k count=1 oflag=direct status=none")
    assert current(n2) != alone
    assert "ro:Primary/Secondary ds:Diskless/UpToDate" in pair.proc(n1)
    refused = n1.run("drbdadm", "attach", "r0", check=False)
    pair.await_sync()
    assert refused.status == 0, "it is resynced from the peer"
    assert current(n1) == current(n2)


def test_a_peer_that_leaves_in_order_is_seen_to(lab: Lab, pair: StoragePair) -> None:
    """TearDown is the peer's own word: it is no failure of the network."""
    n1, n2 = pair.machines
    n1.background(["drbdsetup", "events2", "r0"], "/tmp/events")
    eventually(lambda: "exists -" in n1.read("/tmp/events"), "it is followed", 30, every=0.5)
    n2.sh("drbdadm down r0")
    eventually(lambda: "connection:TearDown" in n1.read("/tmp/events"), "it is said", 30, every=0.5)
    assert "connection:NetworkFailure" not in n1.read("/tmp/events")
    n2.sh("drbdadm up r0 </dev/null")
    pair.await_sync()
    n2.kill()
    eventually(
        lambda: "connection:NetworkFailure" in n1.read("/tmp/events"), "a power cut is another word", 60, every=1
    )
