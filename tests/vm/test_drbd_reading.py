"""`drbdctl status` and `drbdctl events` beside the real DRBD of Debian's kernel."""

import json

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine
from tests.vm.storage_pair import StoragePair

DRBDCTL = "PYTHONPATH=/opt/project:/opt/project/site python3 -m drbdctl"


def resource(machine: Machine) -> dict:
    (found,) = json.loads(machine.sh(f"{DRBDCTL} status --json", check=False))["resources"]
    return found


def peer_of(machine: Machine) -> tuple[str, str, str]:
    (connection,) = resource(machine)["connections"]
    (volume,) = connection["peer_devices"]
    return connection["connection"], connection["peer_role"], volume["peer_disk"]


@pytest.mark.core
def test_what_the_kernel_says_is_understood(machines) -> None:
    n1, n2 = machines("n1", "n2")
    pair = StoragePair((n1, n2))
    pair.create()
    n1.background(["sh", "-c", f"{DRBDCTL} events"], "/tmp/events")
    n1.sh("drbdadm primary r0; mount /dev/drbd0 /mnt/data; echo kept > /mnt/data/file; sync")
    found = resource(n1)
    assert (found["role"], found["healthy"], found["troubles"]) == ("Primary", True, [])
    assert (found["devices"][0]["disk"], peer_of(n1)) == ("UpToDate", ("Connected", "Secondary", "UpToDate"))
    assert peer_of(n2) == ("Connected", "Primary", "UpToDate")

    n2.kill()
    eventually(lambda: peer_of(n1)[0] == "Connecting", "the loss of the peer is seen", 30, every=0.5)
    found = resource(n1)
    assert (found["role"], found["healthy"]) == ("Primary", False)
    assert peer_of(n1)[1:] == ("Unknown", "DUnknown")
    n1.sh("dd if=/dev/zero of=/mnt/data/more bs=1M count=2 conv=fsync")
    assert resource(n1)["connections"][0]["peer_devices"][0]["out_of_sync"] > 2000

    n2.start()
    n2.wait()
    pair.up(n2)
    eventually(lambda: peer_of(n1) == ("Connected", "Secondary", "UpToDate"), "it is in sync again", 60, every=0.5)
    seen = n1.sh("cat /tmp/events")
    for word in ("Primary", "Connecting", "SyncSource", "Established"):
        assert word in seen
