"""Two machines with one DRBD resource, as a test finds them: connected, UpToDate on both, Secondary on both."""

from __future__ import annotations

from collections.abc import Sequence

from pyvrrp.demo.lab import eventually
from tests.vm.machine import DISK_BYTES, Machine

RESOURCE = "r0"
FAILING = "/dev/mapper/failing"
"a disk that can be made to fail, or to hang: `fail`, `hang`"
MAPPED = "DM_DISABLE_UDEV=1 dmsetup"
CONFIGURATION = """
resource {resource} {{
    net {{
        protocol {protocol};
        timeout {timeout};         # tenths of a second, as ping-timeout
        connect-int 2;
        ping-int 2;
        ping-timeout {ping_timeout};    # 1 s is for machines that are awake: no handshake ends on a busy host
    }}
    disk {{
        c-plan-ahead 0;
        c-min-rate 0;
        resync-rate 200M;
    }}
    device /dev/drbd0;
    disk {disk};
    meta-disk internal;
{hosts}}}
"""


class StoragePair:
    """The resource on two machines; what it says of itself is the kernel's."""

    def __init__(
        self, machines: Sequence[Machine], *, protocol: str = "C", disk: str = "/dev/vdb", ping_timeout: int = 30
    ) -> None:
        """It replicates on the last network that the machines have; `ping_timeout` is in tenths of a second."""
        self.machines = tuple(machines)
        hosts = "".join(f"    on {machine} {{ address {machine.addresses[-1]}:7789; }}\n" for machine in self.machines)
        times = {"timeout": 2 * ping_timeout, "ping_timeout": ping_timeout}
        self.configuration = CONFIGURATION.format(resource=RESOURCE, protocol=protocol, disk=disk, hosts=hosts, **times)

    def create(self, *, file_system: str = "ext4") -> None:
        """Make the resource and a file system on it; both disks are blank, so nothing needs to be synchronised."""
        for machine in self.machines:
            self.configure(machine)
            machine.sh(f"drbdadm create-md --force {RESOURCE} </dev/null; drbdadm up {RESOURCE} </dev/null")
        first = self.machines[0]
        eventually(lambda: "cs:Connected" in self.proc(first), "both are connected", 60, every=0.2)
        first.sh(f"drbdadm new-current-uuid --clear-bitmap {RESOURCE}")
        self.await_sync()
        first.sh(f"drbdadm primary {RESOURCE}; mkfs.{file_system} -q /dev/drbd0; drbdadm secondary {RESOURCE}")

    def configure(self, machine: Machine) -> None:
        """Write the file and load the module, as after each boot."""
        machine.put(f"/etc/drbd.d/{RESOURCE}.res", self.configuration)
        machine.sh("modprobe drbd")
        if f"disk {FAILING};" in self.configuration:
            machine.sh(f"modprobe dm-mod; [ -e {FAILING} ] || {MAPPED} create failing --table '{_table('linear')}'")

    def up(self, machine: Machine) -> None:
        """Attach and connect, after a boot."""
        self.configure(machine)
        machine.sh(f"drbdadm up {RESOURCE} </dev/null")

    def fail(self, machine: Machine) -> None:
        """Every I/O of FAILING is an error from now on."""
        self._become(machine, "error")

    def mend(self, machine: Machine) -> None:
        """FAILING works again; DRBD has let go of it, and takes it back."""
        self._become(machine, "linear")
        if "ds:Diskless" in self.proc(machine) or "ds:Failed" in self.proc(machine):
            machine.sh(f"drbdadm attach {RESOURCE} </dev/null")

    def hang(self, machine: Machine, *, hangs: bool) -> None:
        """I/O of FAILING does not end, until it is let go on."""
        machine.sh(f"{MAPPED} {'suspend --noflush --nolockfs' if hangs else 'resume'} failing")

    def _become(self, machine: Machine, target: str) -> None:
        load = f"{MAPPED} load failing --table '{_table(target)}'"
        machine.sh(f"{load}; {MAPPED} suspend --noflush --nolockfs failing; {MAPPED} resume failing")

    def proc(self, machine: Machine) -> str:
        """/proc/drbd."""
        return machine.read("/proc/drbd")

    def in_sync(self, machine: Machine) -> bool:
        """Connected, and both disks have everything."""
        return "cs:Connected" in (proc := self.proc(machine)) and "ds:UpToDate/UpToDate" in proc

    def await_sync(self, seconds: float = 240) -> None:
        """Wait until both have everything."""
        eventually(lambda: all(map(self.in_sync, self.machines)), "both are in sync", seconds, every=0.5)

    def role(self, machine: Machine) -> str:
        """Primary, Secondary or Unknown, of the machine itself; empty where the resource is not up."""
        return self.proc(machine).partition(" ro:")[2].partition("/")[0]


def _table(target: str) -> str:
    size = DISK_BYTES // 512
    return f"0 {size} linear /dev/vdb 0" if target == "linear" else f"0 {size} {target}"
