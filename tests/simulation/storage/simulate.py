"""Carries a history out, with every invariant watched; many of them on all processors."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields
from typing import Self

from tests.simulation.storage.cluster import StorageCluster
from tests.simulation.storage.draw import draw
from tests.simulation.storage.faults import Fault
from tests.simulation.storage.history import History
from tests.simulation.storage.invariants import PATIENCE, SETTLED, Invariants, Violation

_CHUNK = 25


def simulate(history: History) -> Invariants:
    """Until one node has served for a while after the last fault; raises Violation."""
    cluster = StorageCluster(history.setting, history.seed)
    invariants = Invariants(cluster)
    cluster.timeline.add(0.0, "*", f"{history.setting.guarantee}: {history.setting.group.policy}")
    cluster.start()
    for fault in history.faults:
        _plan(cluster, fault)
    over = max((each.at + each.seconds for each in history.faults), default=0.0)
    cluster.run(over, invariants.settled)
    good_since = None
    while good_since is None or cluster.now - good_since < SETTLED:
        if good_since is None and cluster.now > over + PATIENCE:
            raise Violation("liveness", cluster, f"{PATIENCE:g} s after the last fault nobody serves")
        cluster.run(cluster.now + 1.0, invariants.settled)
        good_since = (good_since or cluster.now) if invariants.rest() else None
    invariants.recovery = max(0.0, good_since - over)
    return invariants


def _plan(cluster: StorageCluster, fault: Fault) -> None:
    name = type(fault).__name__
    words = " ".join(f"{each.name} {getattr(fault, each.name)}" for each in fields(fault) if each.name != "at")

    def begin() -> None:
        cluster.timeline.add(cluster.now, "*", f"{name}: {words}")
        end = fault.begin(cluster)
        cluster.at(cluster.now + fault.seconds, lambda: over(end))

    def over(end) -> None:
        if fault.seconds:
            cluster.timeline.add(cluster.now, "*", f"{name} is over")
        end()

    cluster.at(fault.at, begin)


@dataclass(slots=True)
class Summary:
    """Sums over some seeds."""

    seeds: int = 0
    simulated: float = 0.0
    faults: int = 0
    promotions: int = 0
    acknowledged: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    recovery: tuple[float, int] = (0.0, 0)
    "the longest time from the end of the last fault until one node serves, and its seed"
    failed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Self) -> None:
        for name in ("seeds", "simulated", "faults", "promotions", "acknowledged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for rule, times in other.refused.items():
            self.refused[rule] = self.refused.get(rule, 0) + times
        self.recovery = max(self.recovery, other.recovery)
        self.failed += other.failed

    def __str__(self) -> str:
        refused = ", ".join(f"{rule}: {times}" for rule, times in sorted(self.refused.items()))
        return "\n".join(
            [
                f"{self.seeds} histories, {self.simulated / 3600:.1f} simulated hours, {self.faults} faults,"
                f" {self.promotions} promotions of volumes, {self.acknowledged} acknowledged writes,"
                f" {len(self.failed)} violations",
                f"promotions given up, by rule: {refused}",
                f"longest time until one node serves after the last fault: {self.recovery[0]:.1f} s"
                f" (seed {self.recovery[1]})",
                *(f"seed {seed}: {line}" for seed, line in self.failed),
            ]
        )


def run(seeds: Iterable[int]) -> Summary:
    """One after the other, here."""
    summary = Summary()
    for seed in seeds:
        history = draw(seed)
        try:
            found = simulate(history)
        except Violation as violation:
            summary.add(Summary(1, faults=len(history.faults)))
            summary.failed.append((seed, str(violation).partition("\n")[0]))
            continue
        summary.add(
            Summary(
                1,
                found.cluster.now,
                len(history.faults),
                found.promotions,
                sum(map(len, found.cluster.ledger.values())),
                found.refused,
                (found.recovery, seed),
            )
        )
    return summary


def run_on_all_processors(seeds: range, jobs: int | None = None) -> Iterator[Summary]:
    """The summary of all seeds so far, again and again."""
    total = Summary()
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        for summary in pool.map(run, chunks):
            total.add(summary)
            yield total
