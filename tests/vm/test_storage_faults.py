"""What fails under a storage that serves: links, disks, the daemon; and what a client keeps over it."""

import re
import time

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine
from tests.vm.ssh import SSH, let_in
from tests.vm.storage_nodes import VIP, Client, StorageNodes, judge_ledger, lock_of
from tests.vm.storage_pair import FAILING

TIME = re.compile(r"T[0-9:]+")
WITHOUT_UDEV = "activation { udev_sync=0  udev_rules=0 }\ndevices { obtain_device_list_from_udev=0 }\n"


@pytest.fixture
def networks() -> int:
    return 2


def lock(machine: Machine) -> str:
    """Whether another client gets the lock of the one that writes."""
    machine.sh(f"mkdir -p /mnt/second; modprobe nfsv4; mount -t nfs4 -o vers=4.2,hard {VIP}:/ /mnt/second", timeout=120)
    try:
        return lock_of(machine, "/mnt/second/ledger")
    finally:
        machine.sh("umount /mnt/second", timeout=120)


def whole(nodes: StorageNodes, client: Client) -> None:
    """The client goes on, both are in sync, and nothing was lost."""
    client.goes_on()
    nodes.pair.await_sync()
    server, acknowledged = nodes.server(), client.count()
    assert server is not None
    assert judge_ledger(server, acknowledged) == ""


def test_links_that_are_lost_and_a_lock_that_is_kept(lab) -> None:
    n1, n2, c1 = lab.start("n1", "n2", "c1", memory=384)
    nodes, client = StorageNodes((n1, n2)), Client(c1)
    service, replication = lab.switches
    nodes.serve()
    client.mount()
    client.write()

    # The peer is heard on the service network: it lives and serves.
    replication.part("n1", "n2")
    eventually(lambda: "cs:WFConnection" in nodes.pair.proc(n2), "the replication is lost", 60, every=0.5)
    client.goes_on()
    assert (nodes.serves(n1), nodes.serves(n2), nodes.pair.role(n2)) == (True, False, "Secondary")
    refused = nodes.drbdctl(n2, "why", check=False)
    assert refused.status == 1
    assert "was heard on" in refused.output
    replication.mend()
    whole(nodes, client)

    # Nobody can be reached from here: the address goes where clients are.
    n1.cable(plugged=False)
    nodes.await_service(n2)
    client.goes_on()
    assert (nodes.pair.role(n1), nodes.pair.role(n2)) == ("Secondary", "Primary")
    n1.cable(plugged=True)
    whole(nodes, client)
    assert lock(n1) == "locked by somebody else", "n2 knows the lock that n1 gave"
    assert "lost" not in c1.sh("dmesg | grep -i nfs || true")

    # Nobody hears n2, and DRBD has it on the line: it is Primary. It serves on, also when they hear each other again,
    # although its priority is the lower one.
    nodes.await_standby(n1)
    service.part("n1", "n2")
    eventually(lambda: "the peer is Primary" in nodes.log(n1), "n1 tries, and sees a Primary", 120, every=0.5)
    client.goes_on()
    service.mend()
    eventually(lambda: "while its gates were hindered" in nodes.log(n1), "n1 hears n2 again", 120, every=0.5)
    whole(nodes, client)
    assert (nodes.serves(n1), nodes.serves(n2), nodes.pair.role(n1)) == (False, True, "Secondary")
    assert "DRBD: MASTER ->" not in nodes.log(n2)


def test_disks_that_fail_and_disks_that_hang(lab) -> None:
    n1, n2, c1 = lab.start("n1", "n2", "c1", memory=384)
    nodes, client = StorageNodes((n1, n2), disk=FAILING), Client(c1)
    nodes.serve()
    client.mount()
    client.write()

    # The server's: DRBD goes on with the peer's.
    nodes.pair.fail(n1)
    eventually(lambda: "ds:Diskless/UpToDate" in nodes.pair.proc(n1), "DRBD lets go of the disk", 60, every=0.5)
    client.goes_on()
    eventually(lambda: "the peer's is used" in str(nodes.status(n1).get("degraded")), "it is said", 60, every=1)
    nodes.pair.mend(n1)
    whole(nodes, client)

    # The standby's: it would not be able to serve.
    nodes.pair.fail(n2)
    eventually(lambda: "ds:Diskless" in nodes.pair.proc(n2), "DRBD lets go of the disk", 60, every=0.5)
    client.goes_on()
    nodes.pair.mend(n2)
    whole(nodes, client)
    nodes.await_standby(n2)

    # I/O hangs, and with it everything that touches the volume; the daemon and its advertisements do not.
    nodes.pair.hang(n1, hangs=True)
    eventually(lambda: stands(client), "the client waits", 60, every=0.1)
    masters = nodes.log(n2).count("MASTER")
    for _ in range(3):
        assert nodes.status(n1)["phase"] == "primary"
    assert (nodes.serves(n1), nodes.log(n2).count("MASTER"), nodes.pair.role(n2)) == (True, masters, "Secondary")
    nodes.pair.hang(n1, hangs=False)
    whole(nodes, client)


def stands(client: Client) -> bool:
    """Whether it gets nothing written during three seconds."""
    before = client.count()
    time.sleep(3)
    return client.count() == before


def test_the_daemon_is_killed_under_a_client_that_writes(lab) -> None:
    n1, n2, c1 = lab.start("n1", "n2", "c1", memory=384)
    nodes, client = StorageNodes((n1, n2)), Client(c1)
    nodes.serve()
    client.mount()
    client.write()
    nodes.kill(n1)
    eventually(lambda: not nodes.serves(n1), "the lease ends", 60, every=0.3)
    assert nodes.pair.role(n2) == "Secondary"
    # The next one of this machine finds the journal, and gives everything back before it begins.
    nodes.start(n1)
    eventually(lambda: "undo" in nodes.log(n1), "it undoes what was left", 120, every=1)
    eventually(lambda: nodes.server() is not None, "one of them serves", 240, every=0.5)
    whole(nodes, client)
    assert sorted(map(nodes.pair.role, (n1, n2))) == ["Primary", "Secondary"]
    print(f"killed daemon: the client's longest pause was {client.longest_pause():.1f} s")


def test_split_brain(lab) -> None:
    """Made by hand, as people make it; the daemon does nothing any more, `drbdctl split-brain` leads out of it."""
    n1, n2 = lab.start("n1", "n2", memory=384)
    for node in (n1, n2):
        node.put("/etc/lvm/lvmlocal.conf", WITHOUT_UDEV)
        node.sh("modprobe -a dm-mod dm-snapshot; vgcreate -qq -s 1m vg /dev/vdb; lvcreate -qq -y -L 40m -n data vg")
    nodes = StorageNodes((n1, n2), disk="/dev/vg/data")
    (_, replication) = lab.switches
    nodes.start(n2)
    nodes.await_service(n2)
    replication.part("n1", "n2")
    eventually(lambda: "cs:WFConnection" in nodes.pair.proc(n1), "the replication is lost", 60, every=0.5)
    n2.sh("echo of n2 > /mnt/data/share/file; sync")
    n1.sh("drbdadm primary --force r0; mount /dev/drbd0 /mnt/data; echo of n1 > /mnt/data/share/file; umount /mnt/data")
    n1.sh("drbdadm secondary r0")
    replication.mend()
    eventually(lambda: "StandAlone" in nodes.pair.proc(n1) + nodes.pair.proc(n2), "split brain", 60, every=0.5)
    eventually(lambda: "split brain" in str(nodes.status(n2).get("degraded")), "the daemon says so", 60, every=1)
    assert nodes.serves(n2), "who serves goes on"

    exported = nodes.drbdctl(n2, "split-brain r0 --export").output
    n1.put("/tmp/side", exported)
    shown = nodes.drbdctl(n1, "split-brain r0 --peer-file /tmp/side").output
    print(shown)
    assert "n1" in shown
    assert "n2" in shown
    let_in(n1, n2)
    by_ssh = nodes.drbdctl(n1, f"split-brain r0 --peer n2 --ssh '{SSH}'").output
    assert TIME.sub("", by_ssh) == TIME.sub("", shown)
    refused = nodes.drbdctl(n2, "split-brain r0 --discard-my-data --yes", check=False)
    assert (refused.status, "is Primary here" in refused.output) == (1, True)

    done = nodes.drbdctl(n1, "split-brain r0 --discard-my-data --yes").output
    kept = next(line for line in done.splitlines() if line.startswith("kept as:")).removeprefix("kept as:").strip()
    n2.sh("drbdadm connect r0 || true")
    nodes.pair.await_sync()
    assert n2.sh("cat /mnt/data/share/file").strip() == "of n2"
    n1.sh(f"mkdir /tmp/kept; mount -o ro -t ext4 /dev/{kept} /tmp/kept")
    assert n1.sh("cat /tmp/kept/share/file").strip() == "of n1"
    eventually(lambda: "split brain" not in str(nodes.status(n2).get("degraded")), "it is over", 60, every=1)
