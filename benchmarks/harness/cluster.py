"""Nodes of one kind that share a VIP, a client that asks it all the time, and who observes them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from lab_nodes import Node as Node
from lab_nodes import instance

from harness.client import Client
from harness.observer import Heard, Observer
from pyvrrp.demo import namespaces
from pyvrrp.demo.lab import Lab, eventually

VIP, VRID = "192.0.2.100", 51
PRIORITIES = (150, 100, 50)
RAW_VRRP = ":0070"
"protocol 112 in /proc/net/raw"


class Cluster:
    """Nodes n1 (priority 150), n2 (100) and perhaps n3 (50); made by `running`."""

    def __init__(self, lab: Lab, kind: str, count: int, interval: float, version: int, extra: str) -> None:
        self.lab = lab
        self.kind = kind
        self.interval = interval
        "advert_int, seconds"
        self.host = lab.host("client", "192.0.2.20/24")
        self.client = Client(self.host, VIP)
        self.observer = Observer(self.host, VIP, VRID)
        self.nodes: list[Node] = []
        for number, priority in enumerate(PRIORITIES[:count], start=1):
            node = Node(lab, kind, f"n{number}", f"192.0.2.{10 + number}/24", f"2001:db8::{10 + number}/64")
            node.configure(instance(VRID, priority, VIP, advert_int=interval, version=version, extra=extra))
            self.client.recognise(node.host)
            self.observer.watch(node.host, f"192.0.2.{10 + number}")
            self.nodes.append(node)

    @property
    def n1(self) -> Node:
        return self.nodes[0]

    def close(self) -> None:
        self.client.close()
        self.observer.close()

    def start(self, node: Node, *, wait: bool = True) -> None:
        """Start the daemon with the node's file; with `wait`, return when it listens."""
        node.process = node.host.start(node.argv(), stdout=node.log)
        if wait:
            eventually(node.listens, f"{node}: has a VRRP socket", 30)

    def restart(self, node: Node) -> None:
        """Whatever runs or is left there: begin again, with an empty machine."""
        node.kill()
        eventually(lambda: not processes(node), f"{node}: its processes are gone")
        for left in node.host.directory.glob("*pid"):  # keepalived believes a file whose process is not reaped yet
            left.unlink()
        if node.host.holds(VIP):
            node.host.run(["ip", "addr", "flush", "dev", "eth0", "to", f"{VIP}/32"])
        self.start(node)

    def keep_logs(self, directory: Path) -> None:
        """Copy what the daemons wrote."""
        directory.mkdir(parents=True, exist_ok=True)
        for node in self.nodes:
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(node.log, directory / f"{node.host.name}.log")

    def settle(self, master: Node, timeout: float = 40.0) -> None:
        """Wait until `master` alone holds the VIP, advertises and answers, and nothing happens for a while."""
        calm = max(1.0, 2 * self.interval)
        alone_since = time.monotonic()

        def settled() -> bool:
            nonlocal alone_since
            now = time.monotonic()
            recent = {heard.host for heard in self.observer.advertisers(now - calm)}
            alone = self.observer.holders() == {master.host.name} == recent
            if not (alone and self.client.answering() == master.host.name):
                alone_since = now
            return now - alone_since >= calm

        eventually(settled, f"{master} is the only MASTER", timeout)

    def wait_advertised(self, node: Node, timeout: float = 10.0) -> Heard:
        """The next advertisement of a node."""
        since = time.monotonic()
        eventually(
            lambda: any(heard.host == node.host.name for heard in self.observer.advertisers(since)),
            f"{node} advertises",
            timeout,
            every=0.0005,
        )
        return self.observer.advertisers(since)[-1]

    def worst_moment(self, master: Node) -> None:
        """Wait until it has just advertised and renewed its lease: the longest wait is then before its peers."""
        self.wait_advertised(master)
        time.sleep(min(0.1, self.interval / 10))


@contextlib.contextmanager
def running(
    prefix: str,
    kind: str,
    *,
    count: int = 2,
    interval: float = 1.0,
    version: int = 2,
    extra: str = "",
    spinning: bool = False,
    logs: Path | None = None,
) -> Iterator[Cluster]:
    """A cluster whose daemons run, n1 first; its files are copied to `logs` at the end."""
    with Lab(prefix) as lab, contextlib.closing(Cluster(lab, kind, count, interval, version, extra)) as cluster:
        if spinning:
            _install_spinning_plugin(cluster)
        try:
            for node in cluster.nodes:
                cluster.start(node)
            cluster.settle(cluster.n1)
            yield cluster
        finally:
            if logs is not None:
                cluster.keep_logs(logs)


def processes(node: Node) -> list[int]:
    """The processes of a node, first the one that was started: the guard, where there is one."""
    first = node.process.pid if node.process else 0
    return sorted(namespaces.pids(node.host.namespace), key=lambda pid: (pid != first, pid))


def speaker(node: Node) -> int | None:
    """The process that has the VRRP sockets; None: nobody has."""
    assert node.process is not None
    for pid in processes(node):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/net/raw").read_text().splitlines()
            inodes = {f"socket:[{line.split()[9]}]" for line in lines if line.split()[1].endswith(RAW_VRRP)}
            if any(_target(each) in inodes for each in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
    return None


def has_guard(node: Node) -> bool:
    """Whether the speaker is a child of the process that was started."""
    assert node.process is not None
    return speaker(node) not in (None, node.process.pid)


def wait_speaker(node: Node, other_than: int | None, timeout: float) -> int:
    """Wait for a speaker with another process id; raises LabError."""
    found: int | None = None

    def there() -> bool:
        nonlocal found
        found = speaker(node)  # one look: the next may come after its end
        return found not in (None, other_than)

    eventually(there, f"{node}: a new speaker", timeout)
    assert found is not None
    return found


def signal_all(node: Node, number: signal.Signals) -> None:
    """The same signal to every process of a node, the guard first, within microseconds."""
    for pid in processes(node):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _install_spinning_plugin(cluster: Cluster) -> None:
    """A directory on the daemons' path, as `pip install --target` makes one."""
    site = cluster.lab.directory / "site"
    metadata = site / "spinning-1.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("spinning_plugin.py"), site)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: spinning\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pyvrrp.plugins]\nspinning = spinning_plugin:SpinningPlugin\n")
    for node in cluster.nodes:
        node.host.environment["PYTHONPATH"] += f":{site}"
        node.host.environment["PYVRRP_SPIN"] = str(node.host.directory / "spin")
