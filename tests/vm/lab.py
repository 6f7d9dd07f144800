"""Some virtual machines on one or two networks, for as long as a `with` lasts."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.vm.image import Image
from tests.vm.machine import Machine, MachineError, kill_all, project_disk
from tests.vm.switch import Switch

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("pyroute2", "dnspython", "cryptography", "cffi", "uvloop")
"what pyvrrp imports, as this Python has it; the machines' is 3.11"


class Lab:
    """Machines that know each other; all of them are gone after it."""

    def __init__(self, image: Image, project: Path, *, networks: int = 1) -> None:
        """`networks`: how many interfaces each machine has, eth0, eth1, ..., each at a switch of its own."""
        self.machines: list[Machine] = []
        self._image = image
        self._project = project
        # Not pytest's directory: the path of a UNIX socket is at most 107 bytes long.
        self._directory = tempfile.TemporaryDirectory(prefix="vm-")
        self.path = Path(self._directory.name)
        self.switches: Sequence[Switch] = tuple(Switch(self.path / f"eth{number}") for number in range(networks))

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kill_all(self.machines)
        for switch in self.switches:
            switch.close()
        self._directory.cleanup()

    def start(self, *names: str, systemd: bool = False, memory: int = 256, disk_rate: int = 0) -> Sequence[Machine]:
        """Start machines by name, and wait until they are up."""
        started = []
        for number, name in enumerate(names, len(self.machines) + 1):
            machine = Machine(name, number, self.path, self._image, self.switches, project=self._project)
            machine.systemd, machine.memory, machine.disk_rate = systemd, memory, disk_rate
            started.append(machine)
        self.machines += started
        hosts = {each.name: each.address for each in self.machines}
        for machine in started:
            machine.hosts = hosts
            machine.start()
        for machine in started:
            machine.wait()
        return started

    def told(self) -> dict[str, str]:
        """What the machines have said, by file name: consoles, the daemons' logs and the kernels' since their boot."""
        found = {}
        for machine in self.machines:
            found[f"{machine}.console"] = machine.console.read_text(errors="replace")
            if machine.runs:
                with suppress(MachineError):
                    found[f"{machine}.dmesg"] = machine.sh("dmesg | tail -n 300")
                    found[f"{machine}.log"] = machine.sh("cat /tmp/log || true")
        return found


def pack(target: Path) -> Path:
    """The project and what it imports, as a disk."""
    return project_disk(target, list(_site()), ROOT)


def _site() -> Iterator[Path]:
    for name in (*DISTRIBUTIONS, "pyvrrp"):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in sorted(tops):
            if not top.endswith(".pth"):
                yield Path(str(distribution.locate_file(top)))
