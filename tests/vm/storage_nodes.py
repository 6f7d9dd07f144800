"""Two machines with DRBD, an NFS server behind a virtual address, and a client that writes: what the tests drive."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Done, Machine, MachineError
from tests.vm.storage_pair import StoragePair

VIP = "10.77.0.100"
DRBDCTL = "PYTHONPATH=/opt/project:/opt/project/site exec python3 -m drbdctl"
PYVRRP = "PYTHONPATH=/opt/project:/opt/project/site exec python3 -m pyvrrp"
ADVERT_INT = 4
"seconds; with less, machines on a busy host miss what is due"
PRIORITY = 250
"of the first; the other has 10 less. A hand-over waits for Skew_Time, which is short at high priorities"
CONFIGURATION = """
global_defs {{
    guard_timeout 30    # an emulated processor, and others on the real one
}}
vrrp_instance DRBD {{
    state BACKUP
    interface eth0
    virtual_router_id 77
    priority {priority}
    advert_int {advert_int}
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
        {nfs}
        # fsid 0: the root of a machine is an overlay, which can't be exported, not even as the root of the exports
        export /mnt/data/share {{ client 10.77.0.0/24  options rw,sync,no_subtree_check,no_root_squash  fsid 0 }}
    }}
    on_demote_failure {on_demote_failure}
    fail_back_delay 5
    # an emulated processor is ten times slower, and shares a real one with others
    deadlines {{
        promote 60  mount 60  start 120  verify 60  stop 60  demote 60  look 30
        promotion 240  demotion {demotion}
    }}
    {more}
}}
"""
SECOND_NETWORK = """
vrrp_instance REPLICATION {{
    state BACKUP
    interface eth1
    virtual_router_id 78
    priority {priority}
    advert_int {advert_int}
    virtual_ipaddress {{
        10.78.0.100/24
    }}
    track_storage_role {{
        NFS
    }}
}}
"""
LEDGER = """
import fcntl, os, sys, time
file = os.open("/mnt/nfs/ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
fcntl.lockf(file, fcntl.LOCK_EX)
number = 0
while True:
    os.write(file, b"%08d\\n" % number)
    os.fsync(file)
    print(number, time.monotonic(), flush=True)
    number += 1
    time.sleep(float(sys.argv[1]))
"""
LOCK = """
import fcntl, sys
file = open(sys.argv[1], "r+")
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("locked by somebody else")
else:
    print("free")
"""
ORDERED = 'awk \'$1 != NR - 1 { print "line", NR, "is", $0; bad = 1; exit } END { if (!bad) print NR }\' '


class StorageNodes:
    """The pair, with everything configured and nothing started."""

    def __init__(
        self,
        machines: Sequence[Machine],
        more: str = "",
        *,
        disk: str = "/dev/vdb",
        advert_int: int = ADVERT_INT,
        on_demote_failure: str = "hold",
        demotion: int = 240,
        nfs: str = "",
    ) -> None:
        """With two networks the second one replicates, and the peer is heard on both.

        `more` are lines of the storage block, `nfs` of its nfs block; `demotion` is a deadline in seconds.
        """
        self.machines = tuple(machines)
        self.advert_int = advert_int
        self.second_network = len(self.machines[0].addresses) > 1
        self.block = {"nfs": nfs, "on_demote_failure": on_demote_failure, "demotion": demotion}
        self.more = more + (" networks REPLICATION" if self.second_network else "")
        self.pair = StoragePair(self.machines, disk=disk, ping_timeout=min(30, 10 * advert_int))
        self.pair.create()
        first = self.machines[0]
        first.sh("drbdadm primary r0; mount /dev/drbd0 /mnt/data; mkdir /mnt/data/share; umount /mnt/data")
        first.sh("drbdadm secondary r0")
        for machine in self.machines:
            self.configure(machine)

    def configure(self, machine: Machine) -> None:
        """Write keepalived.conf, as after each boot."""
        known = {"priority": PRIORITY - 10 * self.machines.index(machine), "advert_int": self.advert_int}
        text = CONFIGURATION.format(vip=VIP, more=self.more, **self.block, **known)
        if self.second_network:
            text += SECOND_NETWORK.format(**known)
        machine.put("/etc/keepalived/keepalived.conf", text)

    def drbdctl(self, machine: Machine, words: str, *, check: bool = True) -> Done:
        """Run drbdctl."""
        return machine.run("sh", "-c", f"{DRBDCTL} {words}", check=check, timeout=240)

    def start(self, machine: Machine) -> None:
        """Start the daemon."""
        machine.sh(f"setsid sh -c '{PYVRRP} run' >>/tmp/log 2>&1 </dev/null &")

    def kill(self, machine: Machine) -> None:
        """SIGKILL to all of the daemon."""
        machine.sh("pkill -KILL -f '[p]yvrrp run|[p]yvrrp.daemon.guard|[p]yvrrp.host.launcher'")

    def boot(self, machine: Machine) -> None:
        """Switch it on again where it is off, and start everything on it as an operator's units would."""
        if not machine.runs:
            machine.start()
            machine.wait()
        self.pair.up(machine)
        self.configure(machine)
        self.start(machine)

    def serve(self) -> tuple[Machine, Machine]:
        """Start the daemons, the first node's first; it serves, and the other one could take over."""
        first, second = self.machines
        self.start(first)
        self.await_service(first)
        self.start(second)
        self.await_standby(second)
        return first, second

    def status(self, machine: Machine) -> dict:
        """The daemon's view of the storage; empty while it can't be asked."""
        done = machine.run("sh", "-c", f"{PYVRRP} status --json", check=False, timeout=60)
        found = json.loads(done.output) if done.output.startswith("{") else {}
        return found.get("plugins", {}).get("drbdctl", {}).get("storages", {}).get("NFS", {})

    def is_standby(self, machine: Machine) -> bool:
        """Whether it would take over, by its own word; to ask it would cost an emulated processor seconds."""
        states = re.findall("DRBD: [A-Z]+ -> ([A-Z]+)", self.log(machine))
        return states[-1:] == ["BACKUP"]

    def starts(self, machine: Machine) -> int:
        """How often a speaker has come to the end of its start there, or was given up by its guard."""
        return len(re.findall("DRBD: INIT -> |DRBD: removed ", self.log(machine)))

    def serves(self, machine: Machine) -> bool:
        """Whether the address is here."""
        return f"{VIP}\n" in machine.read("/proc/net/fib_trie")

    def server(self) -> Machine | None:
        """Who has the address; None: nobody, or more than one."""
        found = [each for each in self.machines if each.runs and self.serves(each)]
        return found[0] if len(found) == 1 else None

    def await_service(self, machine: Machine, seconds: float = 240) -> None:
        """Wait until the address is here, and that means: behind it everything works."""
        eventually(lambda: self.serves(machine), f"{machine} serves", seconds, every=0.3)

    def await_standby(self, machine: Machine, seconds: float = 240) -> None:
        """Wait until it would take over."""
        eventually(lambda: self.is_standby(machine), f"{machine} is BACKUP", seconds, every=1)

    def log(self, machine: Machine) -> str:
        """What the daemon has said."""
        return machine.read("/tmp/log")


class Client:
    """Mounts the export by the virtual address; holds a lock there, and writes numbered, fsynced records."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.sh("modprobe nfs; modprobe nfsv4", timeout=60)

    def mount(self, address: str = VIP) -> None:
        """A hard mount of NFSv4.2."""
        self.machine.sh(f"mount -t nfs4 -o vers=4.2,hard {address}:/ /mnt/nfs", timeout=120)

    def mount3(self) -> None:
        """A hard mount of NFSv3, with locks; rpcbind and statd run from now on."""
        self.machine.sh("modprobe nfsv3; rpcbind; rpc.statd")
        self.machine.sh(f"mount -t nfs -o vers=3,hard,proto=tcp {VIP}:/mnt/data/share /mnt/nfs", timeout=240)

    def write(self, *, every: float = 0.2) -> None:
        """Write until the machine is gone; with 20 records a second it costs three machines half a real processor."""
        self.machine.put("/tmp/ledger.py", LEDGER)
        self.machine.background(["python3", "/tmp/ledger.py", str(every)], "/tmp/acknowledged")
        eventually(lambda: self.count() > 5, "the client writes", 120, every=0.3)

    def count(self) -> int:
        """How many records the server has acknowledged; MachineError when the client has ended."""
        said = self.machine.read("/tmp/acknowledged", last=400)
        lines = re.findall(r"^(\d+) [\d.]+$", said, re.MULTILINE)
        if said and not (lines and said.endswith("\n") and said.splitlines()[-1].startswith(f"{lines[-1]} ")):
            raise MachineError(f"{self.machine}: the client has ended: {said}")
        return int(lines[-1]) + 1 if lines else 0

    def acknowledged(self, start: int = 0) -> list[tuple[int, float]]:
        """Number and time of each record that the server has acknowledged, from one on."""
        lines = self.machine.sh(f"tail -n +{start + 1} /tmp/acknowledged").splitlines()
        return [(int(number), float(when)) for number, when in map(str.split, lines)]

    def goes_on(self, seconds: float = 240) -> None:
        """Wait until records are acknowledged that were written after now."""
        count = self.count()
        eventually(lambda: self.count() > count + 5, "the client goes on", seconds, every=0.3)

    def longest_pause(self, start: int = 0) -> float:
        """Seconds between two acknowledgements, from a record on."""
        times = [when for _, when in self.acknowledged(start)]
        return max((after - before for before, after in pairwise(times)), default=0.0)


def lock_of(machine: Machine, path: str) -> str:
    """Whether another client gets the lock of the one that writes: `free`, or `locked by somebody else`."""
    machine.put("/tmp/lock.py", LOCK)
    return machine.sh(f"python3 /tmp/lock.py {path}", timeout=240).strip()


def judge_ledger(server: Machine, acknowledged: int) -> str:
    """What is wrong with the records on the volume: each once, in order, none missing; empty: nothing is."""
    said = server.sh(f"{ORDERED} /mnt/data/share/ledger", timeout=120).strip()
    if not said.isdigit():
        return said
    return "" if int(said) >= acknowledged else f"{acknowledged} were acknowledged, {said} are there"
