"""Hosts on one network segment, each a network namespace: for the demo, the tests and the benchmarks.

with Lab("demo") as lab:
    dns1 = lab.host("dns1", "192.0.2.11/24", "2001:db8::11/64")
    daemon = dns1.start(["pyvrrp", "run", "-f", "dns1.conf"], stdout=dns1.directory / "log")
    dns1.cut()
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from pyvrrp.demo import namespaces
from pyvrrp.demo.namespaces import LabError, Namespace, ip
from pyvrrp.demo.wire import Capture

SWITCH = "switch"
BRIDGE = "br0"


class Host(Namespace):
    """One machine with one cable, `eth0`, to the switch."""

    interface = "eth0"

    def __init__(self, lab: Lab, name: str, addresses: tuple[str, ...]) -> None:
        super().__init__(f"{lab.prefix}.{name}", lab.directory / name)
        self.environment["PYVRRP_RUN_DIR"] = str(self.directory / "run")  # as every machine has its own /run
        self.name = name
        "also the name of the switch's port"
        self._switch = lab.switch.namespace
        self._addresses = addresses

    def build(self) -> None:
        """Make the namespace and plug it in."""
        self.directory.mkdir()
        ip(f"netns add {self.namespace}")
        self.call(_quiet_ipv6)
        ip("link set lo up", namespace=self.namespace)
        self.create_interface()

    def create_interface(self) -> None:
        """Plug eth0 in, up and with its addresses (again, after delete_interface)."""
        ip(f"link add {self.name} netns {self._switch} type veth peer name {self.interface} netns {self.namespace}")
        ip(f"link set {self.name} master {BRIDGE} addrgenmode none up", namespace=self._switch)
        ip(
            *(f"addr add {address} dev {self.interface}{' nodad' * (':' in address)}" for address in self._addresses),
            f"link set {self.interface} up",
            namespace=self.namespace,
        )
        eventually(self.operational, f"{self.interface} of {self.name} up")  # before, the kernel drops what is sent

    def operational(self) -> bool:
        """Whether eth0 is up and has its carrier."""
        return self.run(["cat", f"/sys/class/net/{self.interface}/operstate"], check=False).stdout.strip() == "up"

    def delete_interface(self) -> None:
        """Delete eth0, as a driver that is reloaded does."""
        ip(f"link del {self.interface}", namespace=self.namespace)

    def cut(self) -> None:
        """Pull the cable: the switch's port goes down, the host loses its carrier."""
        ip(f"link set {self.name} down", namespace=self._switch)

    def mend(self) -> None:
        """Put the cable back in."""
        ip(f"link set {self.name} up", namespace=self._switch)

    def isolate(self) -> None:
        """Take its port out of the segment: nothing passes, the host keeps its carrier."""
        ip(f"link set {self.name} nomaster", namespace=self._switch)

    def rejoin(self) -> None:
        """Put its port back into the segment."""
        ip(f"link set {self.name} master {BRIDGE}", namespace=self._switch)

    def refuse_native_xdp(self) -> None:
        """Let XDP programs of the host run behind the driver, where what they send arrives.

        A veth drops what a program sends in the driver, unless its other end runs a program too; and it takes none in
        the driver when the other end's frames may be longer than a page.
        """
        ip(f"link set {self.name} mtu 9000", namespace=self._switch)

    def addresses(self, interface: str | None = None) -> set[IPv4Address | IPv6Address]:
        """The addresses on `interface` (default: eth0); empty when there is no such interface."""
        done = self.run(["ip", "-j", "addr", "show", "dev", interface or self.interface], check=False)
        links = json.loads(done.stdout or "[]")
        return {ip_address(info["local"]) for link in links for info in link.get("addr_info", ()) if "local" in info}

    def holds(self, address: str) -> bool:
        """Whether `address` is on eth0."""
        return ip_address(address) in self.addresses()


class Lab:
    """A switch and the hosts on it; leaving the `with` block removes everything, also after an error or a signal."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        "of the namespaces' names; two labs at once need two prefixes"
        self.directory = Path(f"/run/pyvrrp-lab-{prefix}")
        self.hosts: dict[str, Host] = {}
        self.switch = Namespace(f"{prefix}.{SWITCH}", self.directory)
        self._lock = -1
        self._handlers: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        """Make the switch; raises LabError, when it is not allowed or another lab of this prefix is running."""
        namespaces.prepare()
        self._take_directory()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    self._handlers[number] = signal.signal(number, _interrupt)
        try:
            self._clear()
            ip(f"netns add {self.switch.namespace}")
            ip(
                f"link add {BRIDGE} type bridge mcast_snooping 0 forward_delay 0 stp_state 0",
                f"link set {BRIDGE} addrgenmode none up",
                namespace=self.switch.namespace,
            )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def host(self, name: str, *addresses: str) -> Host:
        """A new host on the segment, with addresses such as `192.0.2.11/24`; its name has at most 15 characters."""
        if name in self.hosts or name in (SWITCH, BRIDGE) or len(name) > 15:
            raise LabError(f"a host can't be named {name!r}: the name is taken or longer than 15 characters")
        self.hosts[name] = host = Host(self, name, addresses)
        host.build()
        return host

    def capture(self, host: Host | None = None) -> Capture:
        """Start to listen: at the port of one host, or at the bridge, where every frame passes once."""
        return Capture(self.switch, host.name if host else BRIDGE)

    def close(self) -> None:
        """End every program, and remove the namespaces and the files."""
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            for namespace in (self.switch, *self.hosts.values()):
                namespace.close()
            self._clear()
            shutil.rmtree(self.directory, ignore_errors=True)
            os.close(self._lock)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _take_directory(self) -> None:
        """The lock on the directory says that a lab of this prefix lives; it ends with its process."""
        self.directory.mkdir(exist_ok=True)
        self._lock = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise LabError(f"a lab named {self.prefix} is running already; wait for its end") from None

    def _clear(self) -> None:
        """Remove the namespaces of this prefix, whoever left them, and what runs in them."""
        stale = namespaces.names(f"{self.prefix}.")
        for name in stale:
            namespaces.kill_all(name)
        if stale:
            ip(*(f"netns del {name}" for name in stale))
        for left in self.directory.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def eventually(condition: Callable[[], bool], what: str, timeout: float = 30.0, every: float = 0.01) -> float:
    """Wait until `condition` holds and return the seconds it took; LabError after `timeout`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(every)
    return time.monotonic() - began


def _quiet_ipv6() -> None:
    """Addresses of a lab are unique: no duplicate address detection, so that link-local ones can be used at once."""
    for interface in ("all", "default"):
        setting = Path(f"/proc/sys/net/ipv6/conf/{interface}/accept_dad")
        if setting.exists():
            setting.write_text("0")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM and SIGHUP unwind the stack as Ctrl-C does."""
    raise KeyboardInterrupt
