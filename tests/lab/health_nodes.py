"""Real servers with unbound or BIND in a lab, and a balancer's monitor that watches them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Any

import uvloop

from dnslb import config
from dnslb.config.keywords import KEYWORDS
from dnslb.health.monitor import Monitor
from dnslb.health.report import CommonCause, CommonCausesChanged, Health, HealthChanged, Report, State
from dnslb.health.vip_path import Hop
from dnslb.model import VirtualServer
from pyvrrp.config.load import load_text
from pyvrrp.config.model import Globals
from pyvrrp.core.events import IPAddress
from pyvrrp.demo.lab import Host, Lab, LabError, eventually
from pyvrrp.demo.namespaces import ip
from pyvrrp.demo.processes import Process

VIP4, VIP6 = "192.0.2.53", "2001:db8::53"

UNBOUND = """
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  do-not-query-localhost: no
  unknown-server-time-limit: 50
  outbound-msg-retry: 1
  local-zone: "example.com." redirect
  local-data: "example.com. 60 IN A 192.0.2.1"
  local-zone: "root.example." static
{lines}
remote-control:
  control-enable: no
"""
EVERYWHERE = ("  interface: 0.0.0.0", "  interface: ::", "  interface-automatic: yes")

NAMED = """
options {{
  directory "{directory}";
  pid-file none;
  session-keyfile none;
  listen-on {{ any; }};
  listen-on-v6 {{ any; }};
  recursion no;
  dnssec-validation no;
  allow-query {{ any; }};
  notify no;
  {options}
}};
controls {{ }};
{zones}
"""
ZONE = """
$TTL 60
@ IN SOA ns admin {serial} 3600 600 86400 60
@ IN NS ns
ns IN A 192.0.2.11
www IN A 192.0.2.1
"""

INSTANCE = f"""
vrrp_instance DNS4 {{
    interface eth0
    virtual_router_id 53
    virtual_ipaddress {{
        {VIP4}/24
    }}
    virtual_ipaddress_excluded {{
        {VIP6}/64
    }}
}}
"""


def mac(host: Host) -> bytes:
    return bytes.fromhex(host.run(["cat", "/sys/class/net/eth0/address"]).stdout.strip().replace(":", ""))


class DnsServer:
    """A real server: one host, one address of each family, the VIP on its loopback, and a DNS server."""

    def __init__(self, lab: Lab, number: int, *, vip: bool = True) -> None:
        self.name = f"ns{number}"
        self.own4, self.own6 = f"192.0.2.{10 + number}", f"2001:db8::{10 + number}"
        self.host = lab.host(self.name, f"{self.own4}/24", f"{self.own6}/64")
        self.process: Process | None = None
        if vip:
            self.add_vip()

    @property
    def address(self) -> IPAddress:
        return ip_address(self.own4)

    def add_vip(self) -> None:
        self.host.run(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"])
        ip(f"addr add {VIP4}/32 dev lo", f"addr add {VIP6}/128 dev lo nodad", namespace=self.host.namespace)

    def remove_vip(self) -> None:
        ip(f"addr del {VIP4}/32 dev lo", f"addr del {VIP6}/128 dev lo", namespace=self.host.namespace)

    def unbound(self, *lines: str) -> None:
        """Start unbound; without lines it listens everywhere and answers from the address that it was asked on."""
        file = self.host.directory / "unbound.conf"
        text = "\n".join(lines or EVERYWHERE)
        file.write_text(UNBOUND.format(directory=self.host.directory, lines=text))
        self._start(["unbound", "-d", "-c", file], "unbound")

    def named(self, *options: str, zones: str = "") -> None:
        """Start BIND."""
        file = self.host.directory / "named.conf"
        file.write_text(NAMED.format(directory=self.host.directory, options="\n  ".join(options), zones=zones))
        self._start(["named", "-g", "-n", "1", "-c", file], "named")

    def zone(self, name: str, serial: int) -> str:
        """The zone's file, and its statement for named.conf."""
        (self.host.directory / name).write_text(ZONE.format(serial=serial))
        return f'zone "{name}" {{ type primary; file "{self.host.directory / name}"; }};'

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None

    def _start(self, argv: list[Any], what: str) -> None:
        self.stop()
        self.process = self.host.start(argv, stdout=self.host.directory / "log")
        eventually(self._listens, f"{what} of {self.name} listening: {self.process.output[-2000:]}")

    def _listens(self) -> bool:
        return ":53 " in self.host.run(["ss", "-ltn"]).stdout


class _Extension:
    name = "dnslb"
    keywords = KEYWORDS
    instance_keywords = ()


def virtual_servers(text: str) -> tuple[VirtualServer, ...]:
    """What a file means; it must be without errors."""
    loaded = load_text(INSTANCE + text, plugins=[_Extension()])
    found = config.read(loaded.config, loaded.diagnostics)
    if loaded.diagnostics.errors:
        raise LabError("; ".join(map(str, loaded.diagnostics.errors)))
    return found


class Balancer:
    """A host with an event loop of its own in a thread, for whatever is to run there."""

    def __init__(self, lab: Lab, name: str = "lb1", number: int = 2) -> None:
        self.host = lab.host(name, f"192.0.2.{number}/24", f"2001:db8::{number}/64")
        self._loop = uvloop.new_event_loop()
        self._thread = self.host.thread(self._serve)
        self.host.listeners.append(self)
        self._monitor: Monitor | None = None
        self._heard = threading.Condition()
        self.health: dict[str, Health] = {}
        "by address"
        self.causes: tuple[CommonCause, ...] = ()
        self.hops: dict[str, Hop] = {}

    def hold_vip(self) -> None:
        """Be the MASTER."""
        ip(f"addr add {VIP4}/32 dev eth0", f"addr add {VIP6}/128 dev eth0 nodad", namespace=self.host.namespace)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the host's loop, to its end."""
        done: Future[Any] = asyncio.run_coroutine_threadsafe(main, self._loop)
        return done.result(60)

    def watch(self, text: str, *servers: DnsServer) -> None:
        """Have the monitor watch what a file says."""
        self.hops = {server.own4: Hop("eth0", mac(server.host)) for server in servers}
        self.hops |= {server.own6: Hop("eth0", mac(server.host)) for server in servers}
        virtual = virtual_servers(text)

        async def begin() -> None:
            if self._monitor is None:
                self._monitor = Monitor(self._report, lambda address: self.hops.get(str(address)))
            self._monitor.configure(virtual, Globals())

        self.run(begin())

    def status(self) -> Any:
        async def status() -> Any:
            assert self._monitor is not None
            return self._monitor.status()

        return self.run(status())

    def until(self, wanted: Callable[[], bool], what: str, timeout: float = 40.0) -> None:
        """Wait until what was reported is as wanted."""
        with self._heard:
            if not self._heard.wait_for(wanted, timeout):
                raise LabError(f"{what}: not within {timeout:g} s: {self.health} {self.causes}")

    def state(self, server: DnsServer, state: State, timeout: float = 40.0) -> Health:
        """That a server is in this state, or comes to be."""
        self.until(
            lambda: server.own4 in self.health and self.health[server.own4].state is state,
            f"{server.name} {state.value}",
            timeout,
        )
        return self.health[server.own4]

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._monitor is not None:
            self.run(self._monitor.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _report(self, report: Report) -> None:
        with self._heard:
            match report:
                case HealthChanged(address=address, health=health):
                    self.health[str(address)] = health
                case CommonCausesChanged(causes=causes):
                    self.causes = causes
            self._heard.notify_all()
