"""The figures of dataplane.py as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


class Skipped(Exception):
    """A part can't be measured here; one line that says why."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure is to reach."""

    limit: float
    at_most: bool = False
    always: bool = False
    "in every round, not only in the median"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: what was measured, once in each round."""

    what: str
    values: Sequence[float]
    unit: str
    digits: int = 0
    "behind the decimal point"
    bar: Bar | None = None
    beside: str = ""
    "what else belongs to it"

    @property
    def missed(self) -> bool:
        """Whether there is a bar, and it was not reached."""
        if self.bar is None:
            return False
        if self.bar.at_most:
            return (max(self.values) if self.bar.always else median(self.values)) > self.bar.limit
        return (min(self.values) if self.bar.always else median(self.values)) < self.bar.limit


@dataclass(slots=True)
class Part:
    """What became of a part of the benchmark."""

    key: str
    title: str
    lines: list[Line] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""


def print_table(parts: Sequence[Part]) -> None:
    """Medians, and the least and the greatest of the rounds."""
    print(f"\n{'':48}{'median':>12}{'least':>12}{'greatest':>12}  {'':14}{'bar':>12}")
    for part in parts:
        print(part.title)
        for line in part.lines:
            print(_row(line))
        if part.skipped:
            print(f"  skipped: {part.skipped}")
        if part.failed:
            print(f"  FAILED: {part.failed}")
    print("\n! worse than the bar")


def _row(line: Line) -> str:
    figures = (median(line.values), min(line.values), max(line.values))
    columns = "".join(f"{number(figure, line.digits):>12}" for figure in figures)
    bar = f"{'<=' if line.bar.at_most else '>='} {number(line.bar.limit, line.digits)}" if line.bar else ""
    mark = "!" if line.missed else " "
    return f"  {line.what:46}{columns}  {line.unit:14}{bar:>12} {mark} {line.beside}".rstrip()


def number(figure: float, digits: int = 0) -> str:
    """Its thousands apart."""
    return f"{figure:,.{digits}f}".replace(",", " ")
