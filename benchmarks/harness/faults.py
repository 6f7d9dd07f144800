"""What breaks, and how it is mended: each takes the cluster and the node it happens to."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from harness.cluster import Cluster, Node, signal_all, speaker, wait_speaker
from pyvrrp.demo.namespaces import LabError

Fault = Callable[[Cluster, Node], None]


def terminate(cluster: Cluster, node: Node) -> None:
    """SIGTERM, as every service manager stops a daemon."""
    assert node.process is not None
    node.process.signal(signal.SIGTERM)


def start(cluster: Cluster, node: Node) -> None:
    """Start the daemon again; it preempts where its priority is higher."""
    cluster.start(node, wait=False)


def kill_all(cluster: Cluster, node: Node) -> None:
    """SIGKILL of guard and speaker, and of all that they started."""
    signal_all(node, signal.SIGKILL)


def stop_all(cluster: Cluster, node: Node) -> None:
    """SIGSTOP of guard and speaker, and of all that they started."""
    signal_all(node, signal.SIGSTOP)


def resume_all(cluster: Cluster, node: Node) -> None:
    """SIGCONT: the node goes on where it was paused."""
    signal_all(node, signal.SIGCONT)


def kill_speaker(cluster: Cluster, node: Node) -> None:
    """SIGKILL of the speaker; the guard lives."""
    os.kill(_speaker(node), signal.SIGKILL)


def stop_speaker(cluster: Cluster, node: Node) -> None:
    """SIGSTOP of the speaker; the guard lives."""
    os.kill(_speaker(node), signal.SIGSTOP)


def kill_speaker_three_times(cluster: Cluster, node: Node) -> None:
    """SIGKILL of the speaker, of the one after it and of the one after that, each as soon as it has its sockets."""
    before = None
    for _ in range(3):
        before = wait_speaker(node, before, 15.0)
        os.kill(before, signal.SIGKILL)


def kill_guard(cluster: Cluster, node: Node) -> None:
    """SIGKILL of the guard; the speaker lives, and is to leave by itself."""
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGKILL)


def spin(cluster: Cluster, node: Node) -> None:
    """A plugin blocks the speaker's event loop for good."""
    (node.host.directory / "spin").touch()


def cut(cluster: Cluster, node: Node) -> None:
    """Pull the cable: no carrier any more."""
    node.host.cut()


def mend(cluster: Cluster, node: Node) -> None:
    """Put the cable back in."""
    node.host.mend()


def isolate(cluster: Cluster, node: Node) -> None:
    """Partition: nothing passes, both sides keep their carrier."""
    node.host.isolate()


def rejoin(cluster: Cluster, node: Node) -> None:
    """The partition heals."""
    node.host.rejoin()


def delete_interface(cluster: Cluster, node: Node) -> None:
    """The interface goes away, as with a driver that is reloaded."""
    node.host.delete_interface()


def create_interface(cluster: Cluster, node: Node) -> None:
    """The interface is back, with its address and another MAC."""
    node.host.create_interface()
    node.identify()


def reload_under_load(cluster: Cluster, node: Node) -> None:
    """SIGHUP every 100 ms for 3 s."""
    reload(node, 30)


def reload(node: Node, times: int) -> None:
    """SIGHUP so many times, 100 ms apart."""
    assert node.process is not None
    for _ in range(times):
        node.process.signal(signal.SIGHUP)
        time.sleep(0.1)


def restart_verb(cluster: Cluster, node: Node) -> None:
    """`pyvrrp restart`: other code, same role."""
    _verb(node, "restart")


def switchover_verb(cluster: Cluster, node: Node) -> None:
    """`pyvrrp switchover`: the address moves, on purpose."""
    _verb(node, "switchover")


def _verb(node: Node, *words: str) -> None:
    node.host.run([sys.executable, "-m", "pyvrrp", *words])


def _speaker(node: Node) -> int:
    found = speaker(node)
    if found is None:
        raise LabError(f"{node}: there is no speaker")
    return found
