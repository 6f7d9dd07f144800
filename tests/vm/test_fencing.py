"""`drbdctl fence-peer` as the handler that the kernel calls, and `drbdctl verify`, with real DRBD."""

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine
from tests.vm.storage_nodes import DRBDCTL, Client, StorageNodes, judge_ledger
from tests.vm.storage_pair import StoragePair

HANDLER = """handlers { fence-peer "/usr/local/bin/drbdctl fence-peer"; }
    device /dev/drbd0;"""
FENCING = "\n        fencing resource-only;"


def install(machine: Machine) -> None:
    machine.put("/usr/local/bin/drbdctl", f'#!/bin/sh\n{DRBDCTL} "$@"\n', mode=0o755)


@pytest.fixture
def fenced(machines) -> tuple[StorageNodes, Client]:
    n1, n2, c1 = machines("n1", "n2", "c1", memory=384)
    nodes = StorageNodes((n1, n2), "takeover availability_first")
    plain = nodes.pair.configuration
    nodes.pair.configuration = plain.replace("device /dev/drbd0;", HANDLER).replace("disk {", f"disk {{{FENCING}")
    for node in (n1, n2):
        install(node)
        nodes.pair.configure(node)
        node.sh("drbdadm adjust r0 </dev/null")
    return nodes, Client(c1)


def helper(machine: Machine) -> list[str]:
    """What the kernel says of the handler's answers."""
    return [line for line in machine.sh("dmesg").splitlines() if "helper command" in line and "exit code" in line]


def test_a_power_cut_where_the_kernel_asks_before_it_promotes(fenced: tuple[StorageNodes, Client]) -> None:
    nodes, client = fenced
    n1, n2 = nodes.machines
    # Without a promotion that the daemon has allowed there is no permission: nobody promotes by hand over it.
    n2.sh("drbdadm disconnect r0")
    by_hand = n2.run("drbdadm", "primary", "r0", check=False)
    assert by_hand.status != 0
    assert "exit code 1 " in helper(n2)[-1]
    assert nodes.pair.role(n2) == "Secondary"
    n2.sh("drbdadm connect r0")
    nodes.pair.await_sync()

    nodes.serve()
    client.mount()
    client.write()
    n1.kill()
    nodes.await_service(n2)
    client.goes_on()
    print(f"power cut: the client's longest pause was {client.longest_pause():.1f} s")
    assert "exit code 5 " in helper(n2)[-1], "the daemon was promoting: the peer may be taken for dead"
    assert "ds:UpToDate/Outdated" in nodes.pair.proc(n2)
    assert judge_ledger(n2, client.count()) == ""

    # It comes back as Secondary and is resynced; it does not take the role again.
    nodes.boot(n1)
    nodes.pair.await_sync()
    assert (nodes.serves(n2), nodes.pair.role(n1), nodes.pair.role(n2)) == (True, "Secondary", "Primary")


def test_verify_finds_what_only_one_side_has(machines) -> None:
    n1, n2 = machines("n1", "n2")
    pair = StoragePair((n1, n2))
    pair.configuration = pair.configuration.replace("net {", "net {\n        verify-alg crc32c;")
    pair.create()
    for node in (n1, n2):
        install(node)
        node.sh("modprobe crc32c_generic || true")
    n1.sh("drbdadm primary r0")
    same = n1.run("drbdctl", "verify", "r0", check=False, timeout=300)
    assert (same.status, "0 KiB differ" in same.output) == (0, True)

    # Behind DRBD's back, as a failing disk does.
    n2.sh("dd if=/dev/urandom of=/dev/vdb bs=4k seek=5000 count=3 conv=notrunc,fsync status=none")
    differs = n1.run("drbdctl", "verify", "r0", check=False, timeout=300)
    assert (differs.status, "12 KiB differ" in differs.output) == (1, True)
    n2.sh("drbdadm disconnect r0; drbdadm connect r0")
    pair.await_sync()
    again = n1.run("drbdctl", "verify", "r0", check=False, timeout=300)
    assert again.status == 0

    n2.kill()
    eventually(lambda: "cs:WFConnection" in pair.proc(n1), "the loss of the peer is seen", 60, every=0.5)
    alone = n1.run("drbdctl", "verify", "r0", check=False, timeout=300)
    assert (alone.status, "the peer is not connected" in alone.output) == (1, True)
