"""One virtual machine: started, asked, frozen, cut off, killed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, Thread

from tests.vm.image import Image
from tests.vm.switch import Switch

DISK_BYTES = 96 << 20
"of /dev/vdb"
BOOTS = 300.0
"seconds that a machine may take until its agent answers; 5 to 10 on two idle processors"
# norandmaps: QEMU translates code for each address that it is seen at; a program is six times faster to start without.
# The TSC and the local APIC are measured at the boot, on a busy host wrongly: a client's clock ran 3.8 times too fast.
# Westmere: what has AVX uses it for all strings, and each such instruction is emulated by a call.
_KERNEL = (
    "console=ttyS0 loglevel=4 panic=1 mitigations=off random.trust_cpu=on nokaslr norandmaps no_timer_check "
    "tsc=unstable clocksource=hpet noapictimer net.ifnames=0"
)


class MachineError(Exception):
    """A machine did not do what it was asked."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended in a machine."""

    status: int
    output: str
    "standard output and standard error, as they came"
    seconds: float


class Machine:
    """A guest with a disk of its own (/dev/vdb) and a port of each switch (eth0, ...); `directory` keeps its files."""

    def __init__(
        self,
        name: str,
        number: int,
        directory: Path,
        image: Image,
        switches: Sequence[Switch],
        *,
        project: Path | None = None,
    ) -> None:
        self.name = name
        self.address = f"10.77.0.{number}"
        self.addresses = tuple(f"10.{77 + index}.0.{number}" for index in range(len(switches)))
        "of eth0, eth1, ..."
        self.console = directory / f"{name}.console"
        self.memory = 256
        "MiB"
        self.disk_rate = 0
        "bytes a second that /dev/vdb takes at most; 0: as many as it can"
        self.systemd = False
        "process 1 is systemd, and not a shell that starts nothing"
        self.hosts: Mapping[str, str] = {}
        self._number = number
        self._directory = directory
        self._image = image
        self._switches = tuple(switches)
        self._project = project
        self._disk = directory / f"{name}.disk"
        self._process: subprocess.Popen[bytes] | None = None
        self._agent: socket.socket | None = None
        self._answers: dict[int, Done] = {}
        self._answered = Condition()
        self._sending = Lock()
        self._asked = 0

    def __str__(self) -> str:
        return self.name

    # --- power -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Switch it on; `wait` says when it is up."""
        if not self._disk.exists():
            with open(self._disk, "wb") as file:
                file.truncate(DISK_BYTES)
        hosts = ",".join(f"{address}={name}" for name, address in self.hosts.items())
        words = f"{_KERNEL} vm.name={self.name} vm.ip={self.address}/24 vm.hosts={hosts}"
        words += " vm.systemd" if self.systemd else ""
        agent = self._directory / f"{self.name}.agent"
        rate = f",throttling.bps-write={self.disk_rate}" if self.disk_rate else ""
        drives = [(self._image.root, "read-only=on,file.locking=off"), (self._disk, f"cache=writeback{rate}")]
        if self._project is not None:
            drives.append((self._project, "read-only=on,file.locking=off"))
        argv = [
            *("qemu-system-x86_64", "-name", self.name, "-M", "pc", "-accel", "tcg,thread=multi,tb-size=256"),
            *("-cpu", "Westmere", "-m", str(self.memory), "-smp", "1", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-no-reboot", "-kernel", self._image.kernel, "-initrd", self._image.initramfs),
            *("-append", words, "-serial", f"file:{self.console}"),
            *("-qmp", f"unix:{self._directory / self.name}.qmp,server=on,wait=off"),
            *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={agent},server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=agent", "-device", "virtio-rng-pci"),
        ]
        for index, switch in enumerate(self._switches):
            mac = f"52:54:00:77:{index:02x}:{self._number:02x}"
            argv += ["-netdev", f"{switch.plug(self.name)},id=net{index}"]
            argv += ["-device", f"virtio-net-pci,netdev=net{index},mac={mac},id=nic{index},romfile="]
        for index, (path, options) in enumerate(drives):
            argv += ["-drive", f"file={path},if=none,id=d{index},format=raw,{options}"]
            argv += ["-device", f"virtio-blk-pci,drive=d{index}"]
        agent.unlink(missing_ok=True)
        with open(self._directory / f"{self.name}.qemu", "ab") as log:
            self._process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._answers.clear()
        Thread(target=self._listen, args=(agent, self._process), name=f"agent of {self}", daemon=True).start()

    def wait(self) -> None:
        """Wait until it is up; raises MachineError."""
        self._answer(0, BOOTS)
        for index, address in enumerate(self.addresses[1:], 1):
            self.sh(f"ip link set eth{index} up; ip address add {address}/24 dev eth{index}")

    @property
    def runs(self) -> bool:
        """Whether it has power."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Let it stand still, network, timers and all; `thaw` lets it go on as if nothing had been."""
        self._monitor("stop")

    def thaw(self) -> None:
        """Let it go on."""
        self._monitor("cont")

    def cable(self, *, plugged: bool, interface: int = 0) -> None:
        """Pull the cable of eth0, or put it back: the carrier goes, or comes."""
        self._monitor("set_link", name=f"nic{interface}", up=plugged)

    def _monitor(self, command: str, **arguments: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as monitor:
            monitor.settimeout(10)
            monitor.connect(str(self._directory / f"{self.name}.qmp"))
            with monitor.makefile("rw") as lines:
                lines.readline()
                for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    lines.write(json.dumps(request) + "\n")
                    lines.flush()
                    while "event" in (answer := json.loads(lines.readline())):
                        pass
                    if "error" in answer:
                        raise MachineError(f"{self}: {command}: {answer['error']['desc']}")

    # --- commands ----------------------------------------------------------------------------------------------------

    def run(
        self, *argv: str, check: bool = True, timeout: float = 60.0, environment: Mapping[str, str] | None = None
    ) -> Done:
        """Run a program; with `check` a status other than 0 raises MachineError with what it said."""
        done = self._ask({"argv": argv, "timeout": timeout, "environment": environment or {}}, timeout + 10)
        if check and done.status != 0:
            raise MachineError(f"{self}: {shlex.join(argv)} ended with {done.status}: {done.output.strip()[-2000:]}")
        return done

    def sh(self, script: str, *, check: bool = True, timeout: float = 60.0) -> str:
        """Run a shell script; what it said."""
        return self.run("sh", "-ec", script, check=check, timeout=timeout).output

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file."""
        done = self._ask({"put": path, "text": text, "mode": mode}, 10.0)
        if done.status != 0:
            raise MachineError(f"{self}: {path}: {done.output}")

    def read(self, path: str, *, last: int = 0, timeout: float = 60.0) -> str:
        """A file's text, or its last bytes; cheaper than any program in the machine. Raises MachineError."""
        done = self._ask({"get": path, "last": last}, timeout)
        if done.status != 0:
            raise MachineError(f"{self}: {path}: {done.output}")
        return done.output

    def background(self, argv: Sequence[str], log: str) -> None:
        """Start a program that goes on by itself, with its output in a file of the machine."""
        self.sh(f"setsid {shlex.join(argv)} >{log} 2>&1 </dev/null &")

    def _ask(self, request: dict[str, object], timeout: float) -> Done:
        with self._answered:
            self._asked += 1
            number = self._asked
        if self._agent is None or not self.runs:
            raise MachineError(f"{self} has no power")
        with self._sending:
            self._agent.sendall(json.dumps({"id": number, **request}).encode() + b"\n")
        return self._answer(number, timeout)

    def _answer(self, number: int, timeout: float) -> Done:
        with self._answered:
            if not self._answered.wait_for(lambda: number in self._answers or not self.runs, timeout):
                raise MachineError(f"{self}: no answer within {timeout:g} s; its console is {self.console}")
            if number not in self._answers:
                raise MachineError(f"{self} has lost its power; its console is {self.console}")
            return self._answers.pop(number)

    def _listen(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The socket's file is there a moment before it can be connected to.
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                agent.connect(str(path))
                break
            time.sleep(0.01)
        try:
            self._agent = agent
            with agent.makefile("rb") as lines:
                for line in lines:
                    said = json.loads(line)
                    with self._answered:
                        self._answers[said["id"]] = Done(said["status"], said["output"], said["seconds"])
                        self._answered.notify_all()
        except (OSError, ValueError):
            pass  # its power is gone in the middle of a line
        with self._answered:
            process.wait()
            self._answered.notify_all()


def project_disk(target: Path, site: Sequence[Path], root: Path) -> Path:
    """Pack the project and the packages that it imports as a read-only disk, /opt/project in the machines."""
    folder = target.with_suffix("")
    (folder / "site").mkdir(parents=True)
    for path in site:
        subprocess.run(["cp", "-a", str(path), str(folder / "site")], check=True)
    for package in ("pyvrrp", "dnslb", "drbdctl"):
        subprocess.run(["cp", "-a", str(root / package), str(folder)], check=True)
    # An emulated processor takes half a minute to compile what a daemon imports.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", folder], check=True
    )
    size = sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
    with open(target, "wb") as file:
        file.truncate(size * 2 + (16 << 20))
    options = ["-t", "ext4", "-F", "-O", "^has_journal", "-m", "0", "-L", "project"]
    subprocess.run(["mke2fs", "-q", *options, "-d", str(folder), str(target)], check=True)
    return target


def kill_all(machines: Sequence[Machine]) -> None:
    """Power cut for all of them at once."""
    for machine in machines:
        if machine._process is not None and machine.runs:
            os.kill(machine._process.pid, signal.SIGKILL)
    for machine in machines:
        machine.kill()
