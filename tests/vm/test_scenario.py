"""The pair of files that so many have: notify scripts that drive DRBD keep working, and become a storage block."""

from pathlib import Path

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine
from tests.vm.storage_nodes import DRBDCTL, PYVRRP
from tests.vm.storage_pair import StoragePair

FILES = Path(__file__).parents[1] / "corpus/keepalived"
VIP = "192.168.0.15"
SCRIPTS = {
    "drbd_master.sh": "#!/bin/sh\ndrbdadm primary all\nmount /dev/drbd0 /mnt/drbd0\n",
    "drbd_backup.sh": "#!/bin/sh\numount /mnt/drbd0\ndrbdadm secondary all\n",
}
CONFIGURATION = "/etc/keepalived/keepalived.conf"


@pytest.fixture
def networks() -> int:
    return 2


def file_of(name: str) -> str:
    """As it is, but for the word that the tools refuse, and an interval that an emulated processor keeps."""
    text = (FILES / f"scenario-{name}.conf").read_text()
    return text.replace("vrpp_instance", "vrrp_instance").replace("advert_int 1", "advert_int 4")


def start(machine: Machine) -> None:
    machine.sh(f"setsid sh -c '{PYVRRP} run' >>/tmp/log 2>&1 </dev/null &")


def end(machine: Machine) -> None:
    machine.sh("pkill -TERM -o -f '[p]yvrrp run'")
    eventually(lambda: not machine.sh("pgrep -f '[p]yvrrp run' || true"), "the daemon ends", 120, every=0.5)


def serves(machine: Machine) -> bool:
    mounted = " /mnt/drbd0 " in machine.read("/proc/mounts")
    return mounted and f"{VIP}\n" in machine.read("/proc/net/fib_trie")


def ask(machine: Machine, command: str) -> str:
    done = machine.run("sh", "-c", command, check=False, timeout=120)
    return done.output


def test_the_scripts_work_and_become_a_storage_block(lab) -> None:
    active, backup = lab.start("test1", "test2", memory=384)
    pair = StoragePair((active, backup))
    pair.create()
    for machine, name in ((active, "active"), (backup, "backup")):
        machine.sh("mkdir -p /mnt/drbd0")
        machine.put(CONFIGURATION, file_of(name))
        for script, text in SCRIPTS.items():
            machine.put(f"/usr/local/sbin/{script}", text, mode=0o755)

    # As scripts: who is MASTER has the volume, and the fault of one is the other one's turn.
    start(active)
    eventually(lambda: serves(active), "the active node serves", 120, every=0.5)
    active.sh("echo kept > /mnt/drbd0/file; sync")
    start(backup)
    eventually(lambda: "DRBD: INIT -> BACKUP" in backup.read("/tmp/log"), "the other one is BACKUP", 120, every=0.5)
    active.cable(plugged=False)
    eventually(lambda: serves(backup), "the backup node serves", 120, every=0.5)
    assert backup.read("/mnt/drbd0/file") == "kept\n"
    assert (pair.role(active), pair.role(backup)) == ("Secondary", "Primary")
    active.cable(plugged=True)

    # What they can't do is said, with what does it; what is written there runs.
    assert "drbdctl adopt" in ask(backup, f"{PYVRRP} check")
    written = ask(backup, f"{DRBDCTL} adopt 2>/tmp/to-do")
    assert "mount /dev/drbd0 /mnt/drbd0 { }" in written
    end(active)
    end(backup)
    backup.sh("/usr/local/sbin/drbd_backup.sh")
    for machine in (active, backup):
        lines = machine.read(CONFIGURATION).splitlines()
        kept = [line.replace("state MASTER", "state BACKUP") for line in lines if "notify_" not in line]
        tracked = "\n".join(kept).replace("nopreempt", "nopreempt\n    track_storage {\n        DRBD\n    }")
        machine.put(CONFIGURATION, f"{tracked}\n{written}")
        assert "refuses it" not in ask(machine, f"{PYVRRP} check")
    start(active)
    eventually(lambda: serves(active), "the active node serves", 240, every=0.5)
    start(backup)
    eventually(lambda: "DRBD: " in backup.read("/tmp/log"), "the other one is there", 120, every=0.5)
    assert active.read("/mnt/drbd0/file") == "kept\n"
