"""A DNS server behind a balancer, in a lab: real servers of several kinds, and clients that a balancer sent there.

The balancer itself is not needed: it does to a frame what a client's neighbour entry does, which names the real server
as the owner of the VIP.
"""

import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from threading import Event

from pyvrrp.demo.lab import Host, Lab, LabError, eventually
from pyvrrp.demo.processes import Process

ROOT = Path(__file__).parents[2]
VIP4, VIP6 = "192.0.2.53", "2001:db8::53"
OWN4, OWN6 = "192.0.2.11", "2001:db8::11"
NAME = "www.example.com"
ANSWER = "192.0.2.1"

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
  local-zone: "example.com." static
  local-data: "{name}. 60 IN A {answer}"
  {options}
remote-control:
  control-enable: no
"""

NAMED = """
options {{
  directory "{directory}"; pid-file none; session-keyfile none; recursion no;
  allow-query {{ any; }}; listen-on-v6 {{ any; }};
  {options}
}};
controls {{ }};
zone "example.com" {{ type primary; file "{directory}/example.com"; }};
"""

ZONE = """$TTL 60
@ SOA ns h {serial} 3600 600 86400 60
@ NS ns
ns A 192.0.2.11
www A {answer}
"""

NAIVE = """
import socket, struct, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], 53))
stream = socket.socket(family)
stream.bind((sys.argv[1], 53))
stream.listen()
while True:
    data, client = sock.recvfrom(4096)
    sock.sendto(data[:2] + bytes([data[2] | 0x80, 5]) + data[4:], client)
"""


class RealServer:
    """A host on which a DNS server is to answer for the VIPs."""

    def __init__(self, lab: Lab, name: str = "rs1", last: int = 11) -> None:
        self.host = lab.host(name, f"192.0.2.{last}/24", f"2001:db8::{last}/64")
        self.host.environment["PYTHONPATH"] = str(ROOT)
        self.mac = self.host.run(["cat", "/sys/class/net/eth0/address"]).stdout.strip()

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`dnslb realserver ARGUMENTS`."""
        return self.host.run([sys.executable, "-m", "dnslb.real_server", *arguments], check=False)

    def codes(self, *arguments: str) -> list[str]:
        """What `check` finds: the codes, each once."""
        done = self("check", *arguments)
        assert done.returncode in (0, 1), done.stderr
        found = [line.split("[")[1].split("]")[0] for line in done.stdout.splitlines() if "[" in line]
        assert bool(found) == bool(done.returncode)
        return list(dict.fromkeys(found))

    def ip(self, *commands: str) -> None:
        for command in commands:
            self.host.run(["ip", *command.split()])

    def sysctl(self, name: str, value: int | None = None) -> int:
        if value is not None:
            self.host.run(["sysctl", "-qw", f"{name}={value}"])
        return int(self.host.run(["sysctl", "-n", name]).stdout)

    def on(self, interface: str, *vips: str) -> bool:
        return {ip_address(vip) for vip in vips} <= self.host.addresses(interface)

    # --- servers -----------------------------------------------------------------------------------------------------

    def unbound(self, *lines: str) -> Process:
        file = self.host.directory / "unbound.conf"
        options = "\n  ".join(lines)
        file.write_text(UNBOUND.format(directory=self.host.directory, name=NAME, answer=ANSWER, options=options))
        return self._serve(["unbound", "-d", "-c", file])

    def named(self, *lines: str, serial: int = 1) -> Process:
        directory = self.host.directory
        (directory / "example.com").write_text(ZONE.format(serial=serial, answer=ANSWER))
        file = directory / "named.conf"
        file.write_text(NAMED.format(directory=directory, options="\n  ".join(lines)))
        return self._serve(["named", "-f", "-c", file])

    def naive(self, address: str) -> Process:
        return self._serve([sys.executable, "-c", NAIVE, address])

    def _serve(self, argv: list[str | Path]) -> Process:
        process = self.host.start(argv, stdout=self.host.directory / "log")
        eventually(lambda: self._listens(process), f"{argv[0]} listens")
        return process

    def _listens(self, process: Process) -> bool:
        if process.returncode is not None:
            raise LabError(f"it ended with {process.returncode}: {process.output}")
        tables = self.host.run(["cat", "/proc/net/udp", "/proc/net/udp6"]).stdout.splitlines()
        return any(line.split()[1].endswith(":0035") for line in tables)


class Client:
    """A host whose frames for the VIPs go to a real server, as a balancer would send them."""

    def __init__(self, lab: Lab, server: RealServer, name: str = "client", last: int = 100) -> None:
        self.host = lab.host(name, f"192.0.2.{last}/24", f"2001:db8::{last}/64")
        for vip in (VIP4, VIP6):
            command = f"neigh replace {vip} lladdr {server.mac} dev eth0 nud permanent"
            self.host.run(["ip", *command.split()])

    def ask(self, vip: str, *options: str, timeout: int = 3) -> str:
        """The address that the VIP gives for NAME; empty when no valid answer comes."""
        argv = ["dig", f"@{vip}", NAME, "A", "+short", f"+timeout={timeout}", "+tries=1", *options]
        done = self.host.run(argv, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def answered(self) -> list[bool]:
        """Over UDP and TCP, IPv4 and IPv6."""
        questions = [(vip, *options) for vip in (VIP4, VIP6) for options in ((), ("+tcp",))]
        with ThreadPoolExecutor(len(questions)) as executor:
            return [answer == ANSWER for answer in executor.map(lambda question: self.ask(*question), questions)]


class Questions:
    """Asks a DNS server without a pause, until it is closed: how long nobody answered."""

    def __init__(self, host: Host, vip: str) -> None:
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        self._socket = host.call(lambda: socket.socket(family, socket.SOCK_DGRAM))
        self._socket.settimeout(3.0)
        self._vip = vip
        self._closed = Event()
        self.asked = 0
        self.lost = 0
        "questions without an answer from the VIP within three seconds: a busy machine may keep anybody waiting"
        self.longest = 0.0
        "seconds until an answer came, at most"
        host.listeners.append(self)
        self._thread = host.thread(self._run)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._closed.wait(0.002):
            self.asked += 1
            at = time.monotonic()
            if self._answered():
                self.longest = max(self.longest, time.monotonic() - at)
            else:
                self.lost += 1

    def _answered(self) -> bool:
        number = struct.pack("!H", self.asked & 0xFFFF)
        name = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
        try:
            self._socket.sendto(
                number + struct.pack("!5H", 0, 1, 0, 0, 0) + name + b"\0" + struct.pack("!HH", 1, 1), (self._vip, 53)
            )
            while True:
                data, sender = self._socket.recvfrom(512)
                if data[:2] == number:
                    return sender[0] == self._vip
        except OSError:
            return False
