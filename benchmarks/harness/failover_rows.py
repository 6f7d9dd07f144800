"""The faults that failover.py measures, how long each is watched, and the bars of the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness import faults
from harness.cluster import Cluster, Node

Act = Callable[[Cluster, Node], None]
BOTH = ("pyvrrp", "keepalived")
OURS = ("pyvrrp",)
MASTER_DOWN = 3 + (256 - 100) / 256
"seconds; master_down_interval of the node with priority 100, VRRPv2 at 1 s"

AT_ONCE = 0.05
"seconds in which the neighbours' ARP tables are right again, where the bar is the words `at once`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One act and the seconds after it; an outage belongs to the stage in which it begins."""

    title: str
    act: Act
    seconds: float
    outage: float | None = None
    "bar: seconds without an answer"
    both: float | None = None
    "bar: seconds in which both nodes hold the address"
    stays: bool = False
    "bar: the same node stays MASTER"
    apart: bool = False
    "nothing passes between the nodes: each may hold it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault from its beginning to its repair."""

    key: str
    stages: tuple[Stage, ...]
    kinds: tuple[str, ...] = OURS
    interval: float = 1.0
    version: int = 2
    fresh: bool = False
    "the MASTER's daemon is started anew before each round"
    guard: bool = False
    "only with a guard beside the speaker"
    verb: str = ""
    "only with this verb"
    spinning: bool = False
    "with the plugin that blocks the loop"


ROWS = (
    Row(
        key="term",
        kinds=BOTH,
        stages=(
            Stage(title="SIGTERM", act=faults.terminate, seconds=3, outage=0.03, both=0.05),
            Stage(title="  started again, it preempts", act=faults.start, seconds=6),
        ),
    ),
    Row(
        key="kill",
        kinds=BOTH,
        fresh=True,
        stages=(
            Stage(
                title="SIGKILL of all its processes",
                act=faults.kill_all,
                seconds=7,
                outage=MASTER_DOWN + 0.1,
                both=0.5,
            ),
        ),
    ),
    Row(
        key="stop",
        kinds=BOTH,
        fresh=True,
        stages=(
            Stage(
                title="SIGSTOP of all its processes",
                act=faults.stop_all,
                seconds=7,
                outage=MASTER_DOWN + 0.1,
                both=0.5,
            ),
        ),
    ),
    Row(
        key="cable",
        kinds=BOTH,
        stages=(
            Stage(title="cable pulled", act=faults.cut, seconds=6, outage=MASTER_DOWN + 0.05, both=0.0),
            Stage(title="  back in, it preempts", act=faults.mend, seconds=6),
        ),
    ),
    Row(
        key="term-0.1",
        kinds=BOTH,
        interval=0.1,
        version=3,
        stages=(
            Stage(title="SIGTERM, v3 at 0.1 s", act=faults.terminate, seconds=2),
            Stage(title="  started again, it preempts", act=faults.start, seconds=4),
        ),
    ),
    Row(
        key="cable-0.1",
        kinds=BOTH,
        interval=0.1,
        version=3,
        stages=(
            Stage(title="cable pulled, v3 at 0.1 s", act=faults.cut, seconds=2, outage=0.38, both=0.0),
            Stage(title="  back in, it preempts", act=faults.mend, seconds=2),
        ),
    ),
    Row(
        key="cable-0.01",
        kinds=BOTH,
        interval=0.01,
        version=3,
        stages=(
            Stage(title="cable pulled, v3 at 0.01 s", act=faults.cut, seconds=2, outage=0.06, both=0.0),
            Stage(title="  back in, it preempts", act=faults.mend, seconds=2),
        ),
    ),
    Row(
        key="kill-speaker",
        kinds=BOTH,
        guard=True,
        fresh=True,
        stages=(
            Stage(
                title="SIGKILL of the speaker", act=faults.kill_speaker, seconds=5, outage=0.05, both=0.0, stays=True
            ),
        ),
    ),
    Row(
        key="stop-speaker",
        guard=True,
        fresh=True,
        stages=(
            Stage(
                title="SIGSTOP of the speaker", act=faults.stop_speaker, seconds=7, outage=0.05, both=0.0, stays=True
            ),
        ),
    ),
    Row(
        key="spin",
        guard=True,
        fresh=True,
        spinning=True,
        stages=(
            Stage(title="a plugin blocks the loop", act=faults.spin, seconds=7, outage=0.05, both=0.0, stays=True),
        ),
    ),
    Row(
        key="restart",
        verb="restart",
        fresh=True,
        stages=(
            Stage(title="`pyvrrp restart`", act=faults.restart_verb, seconds=6, outage=0.05, both=0.0, stays=True),
        ),
    ),
    Row(
        key="kill-thrice",
        guard=True,
        fresh=True,
        stages=(
            Stage(
                title="the speaker falls three times",
                act=faults.kill_speaker_three_times,
                seconds=8,
                outage=0.8,
                both=0.05,
            ),
        ),
    ),
    Row(
        key="switchover",
        verb="switchover",
        fresh=True,
        stages=(Stage(title="`pyvrrp switchover`", act=faults.switchover_verb, seconds=3, outage=0.03, both=0.05),),
    ),
    Row(
        key="partition",
        kinds=BOTH,
        stages=(
            Stage(title="partition, carrier stays", act=faults.isolate, seconds=5, apart=True),
            Stage(title="  heals", act=faults.rejoin, seconds=3, outage=AT_ONCE, both=1.0),
        ),
    ),
    Row(
        key="partition-late",
        kinds=BOTH,
        stages=(
            Stage(title="partition, carrier stays", act=faults.isolate, seconds=5.85, apart=True),
            Stage(title="  heals 50 ms before it advertises", act=faults.rejoin, seconds=3, outage=AT_ONCE, both=1.0),
        ),
    ),
    Row(
        key="pause",
        kinds=BOTH,
        fresh=True,  # the second burst of gratuitous ARP, 5 s after the takeover, is then due while it is paused
        stages=(
            Stage(
                title="node paused for 10 s",
                act=faults.stop_all,
                seconds=10,
                outage=MASTER_DOWN + 0.1,
                both=0.5,
            ),
            Stage(title="  resumed", act=faults.resume_all, seconds=6, outage=AT_ONCE, both=1.0),
        ),
    ),
    Row(
        key="reload",
        kinds=BOTH,
        stages=(
            Stage(
                title="reload every 0.1 s for 3 s",
                act=faults.reload_under_load,
                seconds=5,
                outage=0.0,
                both=0.0,
                stays=True,
            ),
        ),
    ),
    Row(
        key="interface",
        kinds=BOTH,
        stages=(
            Stage(title="interface deleted", act=faults.delete_interface, seconds=5),
            Stage(title="  made again, it preempts", act=faults.create_interface, seconds=6),
        ),
    ),
)
