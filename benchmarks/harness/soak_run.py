"""One lab of the soak: episodes of one fault, or of two that overlap, and quiet times between them."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from harness import faults
from harness.client import Outage
from harness.cluster import VIP, Cluster, Node, has_guard, wait_speaker
from harness.observer import Span, overlap, without
from harness.soak_faults import FAULTS, PREEMPTED_BOTH, PREEMPTED_OUTAGE, Fault, master_down_interval
from harness.soak_leaks import Leaks
from pyvrrp.cli import VERBS
from pyvrrp.demo.lab import eventually
from pyvrrp.demo.namespaces import LabError

QUIET = (1.0, 8.0)
"seconds between two episodes"
TWO_AT_ONCE = 0.25
"of the episodes"
HITS_MASTER = 0.65
"of the faults"
STABLE = 15.0
"seconds after which another fall of the speaker is no longer the second one in a row"
BACK_IN_TIME = 2.5
"seconds by which a takeover may be late when the next MASTER's own speaker is just being replaced"
GIVEN_UP_OUTAGE, GIVEN_UP_BOTH = 0.8, 0.05
RECOVERS = 60.0
"seconds that the nodes have to agree after an episode"
DISTURBED = 0.25
"seconds in an episode that the machine stood still, after which its figures say nothing about the daemon"
STARVED = re.compile(r"in (?P<seconds>[0-9.]+) s it ran for [0-9.]+ s and waited (?P<waited>[0-9.]+) s for a processor")
ALARMING = ("Traceback", " critical ", "unexpected", "a task failed", "request by signal failed")


@dataclass(slots=True)
class Strike:
    """One fault as it happened."""

    fault: Fault
    node: str
    was_master: bool
    begin: float
    outage: float
    "bound, with the wait of the node that takes over"
    both: float
    end: float = inf

    def __str__(self) -> str:
        lasted = f" for {self.end - self.begin:.1f} s" if self.fault.end else ""
        return f"{self.fault.name} of {self.node} ({'MASTER' if self.was_master else 'BACKUP'}){lasted}"


@dataclass(slots=True)
class Episode:
    """From the first fault until the nodes had agreed again."""

    begin: float
    strikes: list[Strike] = field(default_factory=list)
    end: float = inf
    outages: list[Outage] = field(default_factory=list)
    both: float = 0.0
    paused: float = 0.0
    "seconds in which the machine, and so the client, stood still"
    problem: str = ""
    said: list[str] = field(default_factory=list)
    "warnings and worse in the logs of its time"

    @property
    def name(self) -> str:
        return self.strikes[0].fault.name if len(self.strikes) == 1 else "two at once"

    @property
    def outage(self) -> float:
        return sum(min(each.end, self.end) - each.begin for each in self.outages)

    @property
    def outage_bound(self) -> float:
        returns = sum(PREEMPTED_OUTAGE for strike in self.strikes if strike.fault.end)
        return sum(strike.outage for strike in self.strikes) + returns + self.paused

    @property
    def both_bound(self) -> float:
        after = sum(strike.fault.both_after for strike in self.strikes if strike.fault.end)
        return sum(strike.both for strike in self.strikes) + after + self.paused

    @property
    def exceeded(self) -> bool:
        """It did not end as it should, or cost more than its bounds."""
        return bool(self.problem) or self.outage > self.outage_bound or self.both > self.both_bound

    @property
    def excuse(self) -> str:
        """What the machine did, by which nothing is shown about the daemon; empty: nothing that counts."""
        if self.paused >= DISTURBED:
            return f"the machine stood still for {self.paused:.2f} s"
        for line in self.said:
            if (found := STARVED.search(line)) and float(found["waited"]) > float(found["seconds"]) / 2:
                return f"a start got no processor for {found['waited']} of {found['seconds']} s"
        return ""

    @property
    def failed(self) -> bool:
        return self.exceeded and not self.excuse


class Soak:
    """Strikes a running cluster until the time is over."""

    def __init__(self, cluster: Cluster, seed: str) -> None:
        self.cluster = cluster
        self.episodes: list[Episode] = []
        self.unexplained: list[Outage] = []
        self.leaks = Leaks()
        self.alarms: list[str] = []
        self.began = time.monotonic()
        self.ended = inf
        self._random = random.Random(seed)
        self._apart: dict[str, list[Span]] = {node.host.name: [] for node in cluster.nodes}
        self._down: set[str] = set()
        self._fell: dict[str, float] = {}
        guarded = has_guard(cluster.n1)
        self.faults = [each for each in FAULTS if (guarded or not each.guard) and (not each.verb or each.verb in VERBS)]
        self.left_out = [each.name for each in FAULTS if each not in self.faults]

    def run(self, seconds: float) -> None:
        """Strike, wait, look; at the end stop the daemons and look once more."""
        while time.monotonic() < self.began + seconds:
            self._look()
            time.sleep(self._random.uniform(*QUIET))
            self._episode()
        self.ended = time.monotonic()
        self._judge()
        for node in self.cluster.nodes:
            assert node.process is not None
            node.process.stop()
            self.leaks.look_at_the_end(node, VIP)
            self._read_log(node)

    # --- striking ----------------------------------------------------------------------------------------------------

    def _episode(self) -> None:
        episode = Episode(time.monotonic())
        self.episodes.append(episode)
        self._down.clear()
        steps = self._plan()
        while steps:
            steps.sort(key=lambda step: step[0])
            at, fault, node, strike = steps.pop(0)
            _sleep_until(episode.begin + at)
            try:
                if strike is None:
                    strike = self._begin(episode, fault, node)
                    if fault.end is not None:
                        lasts = self._random.uniform(*fault.lasts)
                        steps.append((time.monotonic() - episode.begin + lasts, fault, node, strike))
                else:
                    self._end(strike, node)
            except LabError as error:
                episode.problem = str(error)
        self._recover(episode)
        episode.end = time.monotonic()

    def _plan(self) -> list[tuple[float, Fault, Node, Strike | None]]:
        """One fault, or two; never all nodes at once, so that there is always somebody to take over."""
        first, node = self._choose(self.faults, self.cluster.nodes)
        steps: list[tuple[float, Fault, Node, Strike | None]] = [(0.0, first, node, None)]
        if self._random.random() < TWO_AT_ONCE and first.end is not None:
            if self._random.random() < 0.5:
                others = [each for each in self.faults if _together(first, each)]
                second = self._choose(others, [node])
            else:
                free = [each for each in self.cluster.nodes if each is not node]
                others = [each for each in self.faults if len(free) > 1 or not (each.deadly or each.waits)]
                second = self._choose(others, free)
            steps.append((self._random.uniform(0.0, 4.0), *second, None))
        return steps

    def _choose(self, faults: list[Fault], nodes: list[Node]) -> tuple[Fault, Node]:
        """The last node's daemon is left alone: its process lives through the whole run and shows what leaks."""
        masters = [node for node in nodes if node.host.name in self.cluster.observer.holders()]
        hits_master, anyone = self._random.random() < HITS_MASTER, self._random.choice(nodes)
        node = masters[0] if masters and hits_master else anyone
        not_here = [each for each in faults if each.process] if node is self.cluster.nodes[-1] else []
        if node not in masters:
            not_here += [each for each in faults if each.master_only]
        return self._random.choice([each for each in faults if each not in not_here]), node

    def _begin(self, episode: Episode, fault: Fault, node: Node) -> Strike:
        name = node.host.name
        was_master = name in self.cluster.observer.holders()
        strike = Strike(fault, name, was_master, time.monotonic(), 0.0, 0.0)
        episode.strikes.append(strike)
        if was_master or self._down:
            strike.outage, strike.both = fault.outage + (self._wait(name) if fault.waits else 0.0), fault.both
        nobody = self._down or not self.cluster.observer.holders()
        if fault.speaker and nobody and not was_master:
            strike.outage += BACK_IN_TIME
        if fault.falls:
            if was_master and strike.begin < self._fell.get(name, -inf) + STABLE:
                # It comes back as BACKUP, and takes over again.
                strike.outage, strike.both = GIVEN_UP_OUTAGE + PREEMPTED_OUTAGE, GIVEN_UP_BOTH + PREEMPTED_BOTH
            self._fell[name] = strike.begin
        if fault.anew:
            self._fell.pop(name, None)
        if fault.deadly:
            self._down.add(name)
        if fault.apart:
            self._apart[name].append((strike.begin, inf))
        fault.begin(self.cluster, node)
        return strike

    def _end(self, strike: Strike, node: Node) -> None:
        assert strike.fault.end is not None
        strike.fault.end(self.cluster, node)
        strike.end = time.monotonic()
        if strike.fault.apart:
            self._apart[strike.node][-1] = (strike.begin, strike.end)
        self._down.discard(strike.node)

    def _wait(self, struck: str) -> float:
        """How long the best node that is left waits before it takes over."""
        able = [
            index
            for index, node in enumerate(self.cluster.nodes)
            if node.host.name != struck and node.host.name not in self._down
        ]
        return master_down_interval(min(able, default=len(self.cluster.nodes) - 1))

    # --- between -----------------------------------------------------------------------------------------------------

    def _recover(self, episode: Episode) -> None:
        try:
            for node in self.cluster.nodes:
                wait_speaker(node, None, 30)
            self._settle()
        except LabError as error:
            episode.problem = episode.problem or str(error)
            for node in self.cluster.nodes:  # so that the others can go on
                self.cluster.restart(node)
            self._settle()

    def _settle(self) -> None:
        """One holder, alone on the wire and answering; long enough for the best node to have come back."""
        cluster = self.cluster
        since = time.monotonic()

        def settled() -> bool:
            nonlocal since
            now = time.monotonic()
            holders = cluster.observer.holders()
            heard = {each.host for each in cluster.observer.advertisers(now - 1.5)}
            if len(holders) != 1 or heard != holders or cluster.client.answering() not in holders:
                since = now
            return now - since > (1.5 if cluster.n1.host.name in holders else 6.0)

        eventually(settled, "there is exactly one MASTER", RECOVERS, every=0.05)

    def _look(self) -> None:
        now, holders = time.monotonic(), self.cluster.observer.holders()
        for node in self.cluster.nodes:
            self.leaks.look(node, now, VIP, holds=node.host.name in holders)
            self._look_at_state(node, "MASTER" if node.host.name in holders else "BACKUP")

    def _look_at_state(self, node: Node, expected: str) -> None:
        instances = node.status().get("instances", [])
        if not instances or instances[0]["state"] != expected:
            state, why = (instances[0]["state"], instances[0]["faults"]) if instances else ("silent", [])
            at = time.monotonic() - self.began
            self.alarms.append(f"{at:8.1f} s: {node.host.name} is {state} and not {expected}: {'; '.join(why)}")

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        observer, client = self.cluster.observer, self.cluster.client
        spans = [without(observer.spans(name), apart) for name, apart in self._apart.items()]
        for episode in self.episodes:
            episode.both = overlap(spans, episode.begin, episode.end)
            episode.paused = sum(end - begin for begin, end in client.stalls if episode.begin <= begin < episode.end)
        for outage in client.outages(self.began):
            if during := [each for each in self.episodes if each.begin <= outage.begin < each.end]:
                during[0].outages.append(outage)
            elif outage.begin < self.ended:
                self.unexplained.append(outage)

    def _read_log(self, node: Node) -> None:
        """What is alarming, and what was said in each episode."""
        for line in node.log.read_text(errors="replace").splitlines():
            if any(word in line for word in ALARMING):
                self.alarms.append(f"log of {node.host.name}: {line}")
            if (at := _when(line)) is not None and " info " not in line:
                for episode in self.episodes:
                    if episode.begin <= at < episode.end:
                        episode.said.append(f"{at - self.began:8.1f} s: {node.host.name}: {line.split(maxsplit=2)[2]}")


def _when(line: str) -> float | None:
    """The monotonic time of a line of a log, which begins with the wall clock's."""
    try:
        told = datetime.fromisoformat(" ".join(line.split()[:2])).timestamp()
    except ValueError:
        return None
    return told - time.time() + time.monotonic()


def _together(first: Fault, second: Fault) -> bool:
    """Whether both can strike one node: one its network, the other its daemon; a speaker is known by its sockets."""
    if first.process:
        return second.network
    return not second.network and not (first.begin is faults.delete_interface and second.guard)


def _sleep_until(when: float) -> None:
    if (left := when - time.monotonic()) > 0:
        time.sleep(left)
