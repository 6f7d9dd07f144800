"""A storage block on two machines with Debian's DRBD and NFS: by hand, and by the daemons behind a virtual address.

Pauses are printed, never asserted: an emulated processor is ten times slower, and its host may be busy.
"""

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.storage_nodes import Client, StorageNodes, judge_ledger


@pytest.mark.core
def test_by_hand(machines) -> None:
    n1, n2, c1 = machines("n1", "n2", "c1", memory=384)
    nodes, client = StorageNodes((n1, n2), "end_holders off"), Client(c1)
    planned = nodes.drbdctl(n1, "plan promote").output.splitlines()
    assert [line.partition(":")[0] for line in planned] == [
        "1. promote r0",
        "2. mount /dev/drbd0 on /mnt/data",
        "3. start nfs",
        "4. verify that all of it works",
    ]
    nodes.drbdctl(n1, "promote")
    client.mount(n1.address)
    c1.sh("echo kept > /mnt/nfs/file; umount /mnt/nfs")

    # The other node sees a Primary that lives, and leaves everything as it is.
    refused = nodes.drbdctl(n2, "promote", check=False)
    assert (refused.status, "the peer is Primary" in refused.output) == (1, True)
    assert "ro:Secondary/Primary" in nodes.pair.proc(n2)

    # Somebody works on the volume: he is named, and nothing is forced.
    n1.background(["sh", "-c", "cd /mnt/data; exec sleep 1000"], "/dev/null")
    busy = nodes.drbdctl(n1, "demote", check=False)
    assert busy.status == 4
    assert "(sleep): working directory /mnt/data" in busy.output
    assert nodes.pair.role(n1) == "Primary"
    n1.sh("pkill sleep")
    nodes.drbdctl(n1, "demote")
    assert nodes.pair.role(n1) == "Secondary"
    assert "/mnt/data" not in n1.sh("cat /proc/mounts")
    assert nodes.drbdctl(n1, "demote").output.strip() == "nothing to do"

    nodes.drbdctl(n2, "promote")
    client.mount(n2.address)
    assert c1.sh("cat /mnt/nfs/file").strip() == "kept"


@pytest.mark.core
def test_a_node_that_was_left_behind_is_refused(machines) -> None:
    """DRBD itself would promote it: UpToDate says nothing of what the peer has written since."""
    n1, n2 = machines("n1", "n2", memory=384)
    nodes = StorageNodes((n1, n2))
    n2.kill()
    n1.sh("drbdadm primary r0; mount /dev/drbd0 /mnt/data; echo newer > /mnt/data/share/file; umount /mnt/data; sync")
    n1.kill()
    n2.start()
    n2.wait()
    nodes.pair.up(n2)
    nodes.configure(n2)
    refused = nodes.drbdctl(n2, "promote", check=False)
    assert refused.status == 1
    assert "its bitmap UUID is 0" in refused.output
    assert "(rule 6)" in refused.output
    assert "ds:UpToDate/DUnknown" in nodes.pair.proc(n2), "this is what DRBD says of it"
    assert nodes.pair.role(n2) == "Secondary"

    # The one that has written alone may go on at once: its own identifiers prove it.
    n2.kill()
    n1.start()
    n1.wait()
    nodes.pair.up(n1)
    nodes.configure(n1)
    allowed = nodes.drbdctl(n1, "why", check=False).output
    assert "this node wrote alone last" in allowed


@pytest.mark.core
def test_a_planned_move_and_a_power_cut_that_nothing_proves(machines) -> None:
    n1, n2, c1 = machines("n1", "n2", "c1", memory=384)
    nodes, client = StorageNodes((n1, n2)), Client(c1)
    nodes.serve()
    assert "ro:Primary/Secondary" in nodes.pair.proc(n1)
    client.mount()
    client.write()

    moved = nodes.drbdctl(n1, "move")
    print(moved.output)
    nodes.await_service(n2)
    client.goes_on()
    assert (nodes.serves(n1), nodes.pair.role(n1), nodes.pair.role(n2)) == (False, "Secondary", "Primary")
    print(f"planned move: the client's longest pause was {client.longest_pause():.1f} s")
    # Break before make: the leaving node has let go before the other one begins.
    assert "Multiple primaries" not in nodes.log(n2)
    acknowledged = client.count()
    assert judge_ledger(n2, acknowledged) == "", "every acknowledged record, once, in order"

    # By default a Primary that vanished may live on without us: nothing is promoted before somebody knows.
    nodes.await_standby(n1)
    n2.kill()
    eventually(lambda: "nothing proves that it is not Primary" in nodes.log(n1), "it says why", 120, every=1)
    assert (nodes.serves(n1), nodes.pair.role(n1)) == (False, "Secondary")
