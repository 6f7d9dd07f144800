"""Locks of NFSv3, which the server's machine keeps for it: statd's list is on the volume, and the clients are told."""

from pyvrrp.demo.lab import eventually
from tests.vm.storage_nodes import Client, StorageNodes, judge_ledger, lock_of


def test_a_lock_is_kept_over_a_planned_move(machines) -> None:
    n1, n2, c1, c2 = machines("n1", "n2", "c1", "c2", memory=320)
    for node in (n1, n2):
        node.sh("rpcbind")
    nodes, writer, other = StorageNodes((n1, n2), nfs="version3"), Client(c1), Client(c2)
    nodes.serve()
    writer.mount3()
    writer.write()
    assert "c1" in n1.sh("ls /mnt/data/.nfs/statd/sm"), "the volume knows who has locks"

    nodes.drbdctl(n1, "move")
    nodes.await_service(n2)
    writer.goes_on()
    print(f"planned move, NFSv3: the client's longest pause was {writer.longest_pause():.1f} s")
    # The server has told the client that it was away, and it has asked for its lock again.
    other.mount3()
    assert lock_of(c2, "/mnt/nfs/ledger") == "locked by somebody else"
    c1.sh("pkill -f [l]edger.py")
    eventually(lambda: lock_of(c2, "/mnt/nfs/ledger") == "free", "it is free", 240, every=1)
    assert judge_ledger(n2, writer.count()) == ""
