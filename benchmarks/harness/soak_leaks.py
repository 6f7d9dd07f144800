"""What the daemons hold while they run: memory, descriptors, threads, processes; and what of it only grows."""

from __future__ import annotations

import contextlib
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import Node, processes, speaker

WARM = 60.0
"seconds after which a process has loaded what it needs"
LONG = 300.0
"seconds that a process must be watched for a slope to mean anything"
MEMORY_SLOPE = 50.0
"kB a minute"
MEMORY_GROWTH = 2048
"kB; both must be exceeded"
OTHERS_GROWTH = 2
"descriptors or threads"


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment, between two faults."""

    time: float
    kilobytes: int
    "resident"
    descriptors: int
    threads: int


class Life:
    """One process of a daemon from the first sample to the last."""

    def __init__(self, node: str, role: str, pid: int) -> None:
        self.node = node
        self.role = role
        self.pid = pid
        self.samples: list[Sample] = []

    @property
    def seconds(self) -> float:
        return self.samples[-1].time - self.samples[0].time

    @property
    def slope(self) -> float | None:
        """KB of memory a minute, by least squares after the warm-up; None: it has not lived long enough."""
        warm = [each for each in self.samples if each.time >= self.samples[0].time + WARM]
        if self.seconds < LONG or len(warm) < 3:
            return None
        fit = statistics.linear_regression([each.time for each in warm], [each.kilobytes for each in warm])
        return fit.slope * 60

    @property
    def leaks(self) -> list[str]:
        """What grew without need, a word each."""
        first, last = self.samples[0], self.samples[-1]
        warm = next((each for each in self.samples if each.time >= first.time + WARM), last)
        found = []
        if self.slope is not None and self.slope > MEMORY_SLOPE and last.kilobytes - warm.kilobytes > MEMORY_GROWTH:
            found.append("memory")
        if self.seconds >= WARM and last.descriptors - warm.descriptors > OTHERS_GROWTH:
            found.append("descriptors")
        if self.seconds >= WARM and last.threads - warm.threads > OTHERS_GROWTH:
            found.append("threads")
        return found


class Leaks:
    """Samples the daemons; only while nothing happens, so that the same is expected each time."""

    def __init__(self) -> None:
        self.lives: dict[tuple[str, str, int], Life] = {}
        self.findings: list[str] = []
        self._expected: dict[str, int] = {}
        "processes of a node"

    def look(self, node: Node, now: float, vip: str, *, holds: bool) -> None:
        """Sample every process of a node; too many processes, zombies and wrong addresses are findings."""
        name = node.host.name
        found = processes(node)
        speaking = speaker(node)
        for pid in found:
            with contextlib.suppress(OSError):  # it ended meanwhile
                sample = _sample(pid, now)
                role = (
                    "speaker" if pid == speaking else "guard" if node.process and pid == node.process.pid else "helper"
                )
                self.lives.setdefault((name, role, pid), Life(name, role, pid)).samples.append(sample)
        expected = self._expected.setdefault(name, len(found))
        if len(found) != expected:
            self.findings.append(f"{name}: {len(found)} processes, there were {expected} at the beginning")
        if zombies := _zombies(found):
            self.findings.append(f"{name}: {zombies} children that nobody waits for")
        if node.host.holds(vip) is not holds:
            self.findings.append(f"{name}: {vip} {'is missing' if holds else 'is left'}")

    def look_at_the_end(self, node: Node, vip: str) -> None:
        """After the daemons were stopped nothing may be left."""
        if left := processes(node):
            self.findings.append(f"{node.host.name}: {len(left)} processes are left at the end")
        if node.host.holds(vip):
            self.findings.append(f"{node.host.name}: {vip} is left at the end")
        if files := sorted(path.name for path in (node.host.directory / "run").glob("*")):
            self.findings.append(f"{node.host.name}: files are left in the run directory: {', '.join(files)}")

    @property
    def growing(self) -> list[Life]:
        return [life for life in self.lives.values() if life.leaks]

    def longest(self) -> list[Life]:
        """For each node and role the process that lived longest."""
        best: dict[tuple[str, str], Life] = {}
        for life in self.lives.values():
            place = (life.node, life.role)
            if place not in best or life.seconds > best[place].seconds:
                best[place] = life
        return [best[place] for place in sorted(best)]


def _sample(pid: int, now: float) -> Sample:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Sample(now, int(fields["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"]))


def _zombies(pids: list[int]) -> int:
    children = [
        child for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/children") for child in _words(path)
    ]
    return sum("State:\tZ" in _text(Path(f"/proc/{child}/status")) for child in children)


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
