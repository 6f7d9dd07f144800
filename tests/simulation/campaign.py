"""Many seeds on all processors, and what came of them."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from tests.simulation.draw import draw
from tests.simulation.invariants.circumstances import Violation
from tests.simulation.simulate import simulate

_CHUNK = 50
"seeds that a process takes at a time"

Worst = tuple[float, int]
"seconds, and the seed"


@dataclass(slots=True)
class Summary:
    """Sums and maxima over some seeds."""

    seeds: int = 0
    simulated: float = 0.0
    "seconds"
    faults: int = 0
    transitions: int = 0
    contention: Worst = (0.0, 0)
    "both MASTERs ran and heard each other"
    lease_overlap: Worst = (0.0, 0)
    "one of the two was dead or stood still"
    gap: Worst = (0.0, 0)
    "nobody had the addresses, and no fault was at work"
    failed: list[tuple[int, str]] = field(default_factory=list)
    "seeds, and what is wrong with them in one line"

    def add(self, other: Self) -> None:
        self.seeds += other.seeds
        self.simulated += other.simulated
        self.faults += other.faults
        self.transitions += other.transitions
        self.contention = max(self.contention, other.contention)
        self.lease_overlap = max(self.lease_overlap, other.lease_overlap)
        self.gap = max(self.gap, other.gap)
        self.failed += other.failed

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.seeds} seeds, {self.simulated / 3600:.1f} simulated hours, {self.faults} faults,"
                f" {self.transitions} transitions, {len(self.failed)} violations",
                f"longest time with two holders, both running and in touch: {_told(self.contention)}",
                f"longest time with two holders, one dead or standing still: {_told(self.lease_overlap)}",
                f"longest time without a holder after the last fault: {_told(self.gap)}",
                *(f"seed {seed}: {line}" for seed, line in self.failed),
            ]
        )


def _told(worst: Worst) -> str:
    return f"{worst[0]:.3f} s (seed {worst[1]})"


def run(seeds: Iterable[int]) -> Summary:
    """One after the other, here."""
    summary = Summary()
    for seed in seeds:
        scenario = draw(seed)
        summary.seeds += 1
        summary.faults += len(scenario.faults)
        try:
            outcome = simulate(scenario)
        except Violation as violation:
            summary.failed.append((seed, str(violation).partition("\n")[0]))
            continue
        summary.simulated += outcome.cluster.now
        summary.transitions += outcome.transitions
        summary.contention = max(summary.contention, (outcome.holders.worst_contention, seed))
        summary.lease_overlap = max(summary.lease_overlap, (outcome.holders.worst_lease_overlap, seed))
        summary.gap = max(summary.gap, (outcome.holders.worst_gap, seed))
    return summary


def run_on_all_processors(seeds: range, jobs: int | None = None) -> Iterator[Summary]:
    """The summary of all seeds so far, again and again."""
    total = Summary()
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        for summary in pool.map(run, chunks):
            total.add(summary)
            yield total
