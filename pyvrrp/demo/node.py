"""A machine of an example: its files, its DNS server, its daemon, and what both of them say."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from pyvrrp.demo.client import NAMES, NoAnswer, StubResolver
from pyvrrp.demo.lab import Host
from pyvrrp.demo.namespaces import LabError, ip
from pyvrrp.demo.processes import Process


def files(scenario: str) -> Path:
    """The directory of an example: in the installed package, or in a source checkout."""
    installed = Path(__file__).parent / scenario
    return installed if installed.is_dir() else Path(__file__).parents[2] / "examples" / scenario


def unbound() -> str | None:
    """Where unbound is; None when it is not installed."""
    return shutil.which("unbound", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def kind_of_server() -> str:
    """What answers as a DNS server here."""
    return "unbound" if unbound() else "the demo's own DNS server (unbound is not installed)"


def engine(document: Any) -> str:
    """Which data plane a balancer uses on eth0, of what `dnslb status` says."""
    interface = document["interfaces"]["eth0"]
    return f"{interface['engine']} {interface['mode']}".strip()


def both(number: int) -> tuple[str, str]:
    """The addresses of a machine, one of each family."""
    return f"192.0.2.{number}/24", f"2001:db8::{number}/64"


class Node:
    """One of the machines; its files are those of `directory`."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.name = host.name
        self.server: Process
        self.daemon: Process
        self._files = directory

    def start_server(self, program: str | None) -> None:
        """Start unbound, or the demo's own DNS server; it tells `name` to whom asks for its NSID."""
        config = self._files / "unbound.conf"
        if program is None:
            argv = [sys.executable, "-m", "pyvrrp.demo.responder", str(config), self.name]
        else:
            own = self.host.directory / "unbound.conf"
            own.write_text(f'include: "{config}"\nserver:\n    nsid: "ascii_{self.name}"\n')
            argv = [program, "-d", "-c", str(own)]
        self.server = self.host.start(argv, stdout=self.host.directory / "server.log")

    def answers(self, address: str = "127.0.0.1") -> bool:
        """Whether its DNS server answers on the machine itself."""
        if self.server.returncode is not None:
            raise LabError(f"{self.name}: the DNS server has ended with status {self.server.returncode}")
        try:
            self.host.call(lambda: StubResolver((address,), timeout=0.5, attempts=1).lookup(NAMES[0]))
        except NoAnswer:
            return False
        return True

    def start_daemon(self, file: str = "") -> None:
        """Start `pyvrrp run` with the machine's own file, or another one of the example's."""
        argv = [sys.executable, "-m", "pyvrrp", "run", "-f", str(self._files / (file or f"{self.name}.conf"))]
        self.daemon = self.host.start(argv, stdout=self.host.directory / "pyvrrp.log")

    def state(self) -> str:
        """What `pyvrrp status` says of the virtual router; empty while the daemon doesn't answer."""
        document = self._ask("pyvrrp", "status")
        return str(document["instances"][0]["state"]) if document else ""

    def balancing(self) -> Any:
        """What `dnslb status` says; None while the daemon doesn't answer."""
        return self._ask("dnslb.cli", "status")

    def real_server(self, name: str) -> dict[str, Any]:
        """What `dnslb status` says of a real server; empty while there is nothing to say."""
        document = self.balancing() or {"virtual_servers": {}}
        servers = [server for each in document["virtual_servers"].values() for server in each["servers"]]
        return next((server for server in servers if server["name"] == name), {"standing": ""})

    def uses(self, *names: str) -> bool:
        """Whether it holds these real servers for up."""
        return all(self.real_server(name)["standing"] == "up" for name in names)

    def dnslb(self, *arguments: str) -> None:
        """Run a command of the balancer's; raises LabError when it is refused."""
        self.host.run([sys.executable, "-m", "dnslb.cli", *arguments])

    def power_off(self) -> None:
        """The machine is gone from one moment to the next, and with it what is in no file."""
        self.host.cut()
        self.host.kill()
        ip("link set lo down", "addr flush dev lo", "link set lo up", namespace=self.host.namespace)
        shutil.rmtree(self.host.directory / "run", ignore_errors=True)

    def _ask(self, program: str, verb: str) -> Any:
        if self.daemon.returncode is not None:
            raise LabError(f"{self.name}: pyvrrp has ended with status {self.daemon.returncode}")
        done = self.host.run([sys.executable, "-m", program, verb, "--json"], check=False)
        return json.loads(done.stdout) if done.stdout.startswith("{") else None
