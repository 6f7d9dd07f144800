"""The faults of the soak, and what each of them may cost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from harness import faults
from harness.cluster import PRIORITIES, Cluster, Node

Act = Callable[[Cluster, Node], None]
PREEMPTED_OUTAGE, PREEMPTED_BOTH = 0.03, 0.05
"what it may cost when a node comes back and takes the address over (the bars of a switchover)"
HEALED = 1.05
"two MASTERs hear each other within one advert_int; then the address has to be taken off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A kind of fault; bounds in seconds, for one that hits the MASTER."""

    name: str
    begin: Act
    end: Act | None = None
    lasts: tuple[float, float] = (0.0, 0.0)
    "seconds from begin to end, at least and at most"
    outage: float = 0.0
    "besides the wait of the next node, where there is one"
    waits: bool = False
    "another node takes over after master_down_interval"
    both: float = 0.0
    both_after: float = PREEMPTED_BOTH
    "after its end"
    deadly: bool = False
    "the node can't serve while it lasts"
    apart: bool = False
    "nothing passes between it and the others while it lasts"
    process: bool = False
    "its daemon ends or stands still"
    network: bool = False
    master_only: bool = False
    speaker: bool = False
    "the speaker ends; another one takes its role over"
    falls: bool = False
    "the guard counts it: two in a row and it gives up"
    guard: bool = False
    "only with a guard beside the speaker"
    verb: str = ""
    "only with this verb"
    anew: bool = False
    "afterwards the guard knows of no falls"


def _begin_again(cluster: Cluster, node: Node) -> None:
    """Start the daemon over whatever the last one left."""
    node.kill()
    faults.start(cluster, node)


def _switchover(cluster: Cluster, node: Node) -> None:
    """It may refuse: the node is no longer MASTER, or nobody takes over."""
    node.host.run([sys.executable, "-m", "pyvrrp", "switchover"], check=False)


def _reload(cluster: Cluster, node: Node) -> None:
    faults.reload(node, 5)


FAULTS = (
    Fault(
        name="SIGTERM",
        begin=faults.terminate,
        end=_begin_again,
        lasts=(1.0, 8.0),
        outage=0.03,
        both=0.05,
        deadly=True,
        process=True,
        anew=True,
    ),
    Fault(
        name="SIGKILL of everything",
        begin=faults.kill_all,
        end=_begin_again,
        lasts=(0.5, 8.0),
        outage=0.1,
        waits=True,
        both=0.5,
        deadly=True,
        process=True,
        anew=True,
    ),
    Fault(
        name="SIGSTOP of everything",
        begin=faults.stop_all,
        end=faults.resume_all,
        lasts=(0.2, 10.0),
        outage=0.1,
        waits=True,
        both=0.5,
        both_after=HEALED,
        deadly=True,
        process=True,
    ),
    Fault(
        name="cable pulled",
        begin=faults.cut,
        end=faults.mend,
        lasts=(0.2, 8.0),
        outage=0.05,
        waits=True,
        deadly=True,
        network=True,
    ),
    Fault(
        name="partition",
        begin=faults.isolate,
        end=faults.rejoin,
        lasts=(0.5, 8.0),
        outage=0.05,
        waits=True,
        both_after=HEALED,
        deadly=True,
        apart=True,
        network=True,
    ),
    Fault(
        name="interface deleted",
        begin=faults.delete_interface,
        end=faults.create_interface,
        lasts=(0.5, 6.0),
        outage=0.05,
        waits=True,
        deadly=True,
        network=True,
    ),
    Fault(name="reload five times", begin=_reload),
    Fault(
        name="SIGKILL of the speaker",
        begin=faults.kill_speaker,
        outage=0.05,
        process=True,
        speaker=True,
        falls=True,
        guard=True,
    ),
    Fault(
        name="SIGSTOP of the speaker",
        begin=faults.stop_speaker,
        outage=0.05,
        process=True,
        speaker=True,
        falls=True,
        guard=True,
    ),
    Fault(
        name="SIGKILL of the guard",
        begin=faults.kill_guard,
        end=_begin_again,
        lasts=(1.0, 8.0),
        outage=0.03,
        both=0.05,
        deadly=True,
        process=True,
        anew=True,
        guard=True,
    ),
    Fault(name="pyvrrp restart", begin=faults.restart_verb, outage=0.05, speaker=True, verb="restart", anew=True),
    Fault(
        name="pyvrrp switchover",
        begin=_switchover,
        outage=0.03,
        both=0.05,
        master_only=True,
        verb="switchover",
    ),
)


def master_down_interval(node: int, interval: float = 1.0) -> float:
    """Seconds; VRRPv2, of the node with this index."""
    return 3 * interval + (256 - PRIORITIES[node]) / 256
