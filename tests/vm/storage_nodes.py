"""Two machines with DRBD, an NFS server behind a virtual address, and a client that writes: what the tests drive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Done, Machine
from tests.vm.storage_pair import StoragePair

VIP = "10.77.0.100"
PYTHON = "PYTHONPATH=/opt/project:/opt/project/site exec python3"
CONFIGURATION = """
global_defs {{
    guard_timeout 30    # an emulated processor, and others on the real one
}}
vrrp_instance DRBD {{
    state BACKUP
    interface eth0
    virtual_router_id 77
    priority {priority}
    advert_int 2
    nopreempt
    virtual_ipaddress {{
        {vip}/24
    }}
    track_storage {{
        NFS
    }}
}}
storage NFS {{
    vrrp_instance DRBD
    drbd_resource r0
    mount /dev/drbd0 /mnt/data {{ fstype ext4  options noatime }}
    nfs {{
        state_dir /mnt/data/.nfs
        # fsid 0: the root of a machine is an overlay, which can't be exported, not even as the root of the exports
        export /mnt/data/share {{ client 10.77.0.0/24  options rw,sync,no_subtree_check,no_root_squash  fsid 0 }}
    }}
    on_demote_failure hold
    # an emulated processor is ten times slower, and shares a real one with others
    deadlines {{ promote 60  mount 60  start 120  verify 60  stop 60  demote 60  promotion 240  demotion 240  look 30 }}
    {more}
}}
"""
LEDGER = """
import os, sys, time
file = os.open("/mnt/nfs/ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
number = 0
while True:
    os.write(file, b"%08d\\n" % number)
    os.fsync(file)
    print(number, time.monotonic(), flush=True)
    number += 1
    time.sleep(0.05)
"""


class StorageNodes:
    """The pair, with everything configured and nothing started."""

    def __init__(self, machines: Sequence[Machine], more: str = "") -> None:
        self.machines = tuple(machines)
        self.more = more
        self.pair = StoragePair(self.machines)
        self.pair.create()
        first = self.machines[0]
        first.sh("drbdadm primary r0; mount /dev/drbd0 /mnt/data; mkdir /mnt/data/share; umount /mnt/data")
        first.sh("drbdadm secondary r0")
        for machine in self.machines:
            self.configure(machine)

    def configure(self, machine: Machine) -> None:
        """Write keepalived.conf, as after each boot."""
        priority = 100 - 10 * self.machines.index(machine)
        text = CONFIGURATION.format(priority=priority, vip=VIP, more=self.more)
        machine.put("/etc/keepalived/keepalived.conf", text)

    def drbdctl(self, machine: Machine, words: str, *, check: bool = True) -> Done:
        """Run drbdctl."""
        return machine.run("sh", "-c", f"{PYTHON} -m drbdctl {words}", check=check, timeout=120)

    def start(self, machine: Machine) -> None:
        """Start the daemon."""
        machine.background(["sh", "-c", f"{PYTHON} -m pyvrrp run"], "/tmp/log")

    def status(self, machine: Machine) -> dict:
        """The daemon's view of the storage; empty while it can't be asked."""
        done = machine.run("sh", "-c", f"{PYTHON} -m pyvrrp status --json", check=False, timeout=60)
        if not done.output.startswith("{"):
            return {}
        return json.loads(done.output)["plugins"]["drbdctl"]["storages"]["NFS"]

    def serves(self, machine: Machine) -> bool:
        """Whether the address is here."""
        return VIP in machine.sh("ip -o -4 address show dev eth0")

    def await_service(self, machine: Machine, seconds: float = 120) -> None:
        """Wait until the address is here, and that means: behind it everything works."""
        eventually(lambda: self.serves(machine), f"{machine} serves", seconds, every=0.3)

    def log(self, machine: Machine) -> str:
        """What the daemon has said."""
        return machine.sh("cat /tmp/log")


class Client:
    """Mounts the export by the virtual address and writes numbered, fsynced records."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.sh("modprobe nfs; modprobe nfsv4", timeout=60)

    def mount(self, address: str = VIP) -> None:
        """A hard mount of NFSv4.2."""
        self.machine.sh(f"mount -t nfs4 -o vers=4.2,hard {address}:/ /mnt/nfs", timeout=120)

    def write(self) -> None:
        """Write until the machine is gone."""
        self.machine.put("/tmp/ledger.py", LEDGER)
        self.machine.background(["python3", "/tmp/ledger.py"], "/tmp/acknowledged")
        eventually(lambda: len(self.acknowledged()) > 5, "the client writes", 60, every=0.3)

    def acknowledged(self) -> list[tuple[int, float]]:
        """Number and time of each record that the server has acknowledged; an error of the client's is raised."""
        lines = self.machine.sh("cat /tmp/acknowledged").splitlines()
        return [(int(number), float(when)) for number, when in (line.split() for line in lines if line)]

    def goes_on(self, seconds: float = 120) -> None:
        """Wait until records are acknowledged that were written after now."""
        count = len(self.acknowledged())
        eventually(lambda: len(self.acknowledged()) > count + 5, "the client goes on", seconds, every=0.3)

    def longest_pause(self) -> float:
        """Seconds between two acknowledgements."""
        times = [when for _, when in self.acknowledged()]
        return max(after - before for before, after in pairwise(times))
