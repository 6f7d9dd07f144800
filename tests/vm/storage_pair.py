"""Two machines with one DRBD resource, as a test finds them: connected, UpToDate on both, Secondary on both."""

from __future__ import annotations

from collections.abc import Sequence

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine

RESOURCE = "r0"
CONFIGURATION = """
resource {resource} {{
    net {{
        protocol {protocol};
        timeout 30;       # tenths of a second; a killed peer is noticed after 3 to 4 s
        connect-int 2;
        ping-int 2;
        ping-timeout 10;
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

    def __init__(self, machines: Sequence[Machine], *, protocol: str = "C", disk: str = "/dev/vdb") -> None:
        self.machines = tuple(machines)
        hosts = "".join(f"    on {machine} {{ address {machine.address}:7789; }}\n" for machine in self.machines)
        self.configuration = CONFIGURATION.format(resource=RESOURCE, protocol=protocol, disk=disk, hosts=hosts)

    def create(self, *, file_system: str = "ext4") -> None:
        """Make the resource and a file system on it; both disks are blank, so nothing needs to be synchronised."""
        for machine in self.machines:
            self.configure(machine)
            machine.sh(f"drbdadm create-md --force {RESOURCE} </dev/null; drbdadm up {RESOURCE} </dev/null")
        first = self.machines[0]
        eventually(lambda: "cs:Connected" in self.proc(first), "both are connected", 30, every=0.2)
        first.sh(f"drbdadm new-current-uuid --clear-bitmap {RESOURCE}")
        for machine in self.machines:
            eventually(lambda machine=machine: "ds:UpToDate/UpToDate" in self.proc(machine), "UpToDate", 30, every=0.2)
        first.sh(f"drbdadm primary {RESOURCE}; mkfs.{file_system} -q /dev/drbd0; drbdadm secondary {RESOURCE}")

    def configure(self, machine: Machine) -> None:
        """Write the file and load the module, as after each boot."""
        machine.put(f"/etc/drbd.d/{RESOURCE}.res", self.configuration)
        machine.sh("modprobe drbd")

    def up(self, machine: Machine) -> None:
        """Attach and connect, after a boot."""
        self.configure(machine)
        machine.sh(f"drbdadm up {RESOURCE} </dev/null")

    def proc(self, machine: Machine) -> str:
        """/proc/drbd."""
        return machine.sh("cat /proc/drbd")

    def role(self, machine: Machine) -> str:
        """Primary, Secondary or Unknown, of the machine itself."""
        return machine.sh(f"drbdadm role {RESOURCE} </dev/null").strip().partition("/")[0]
