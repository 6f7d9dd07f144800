"""The figures of failover.py as one table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.failover_rows import Row, Stage

EXACT = 0.0005
"seconds: figures are compared as they are printed"


@dataclass(frozen=True, slots=True)
class Figures:
    """One stage of one round, in seconds."""

    outage: float
    lasts: bool
    "nobody answered again while it was watched"
    both: float
    both_lasts: bool
    "both still held it when nobody watched any more"
    stays: bool
    longest_stall: float
    "of the client itself: an outage is uncertain by so much"


@dataclass(slots=True)
class Outcome:
    """All rounds of one fault with one kind of daemon."""

    key: str
    kind: str
    skipped: str = ""
    failed: str = ""
    overruns: int = 0
    stages: dict[str, list[Figures]] = field(default_factory=dict)


def print_table(rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
    """Seconds; under each fault a line for each kind."""
    print(f"\n{'':46}{'outage':>8}{'':17}{'both hold it':>15}{'':11}{'same':>8}")
    columns = f"{'median':>8}{'max':>8}{'bar':>7}  {'median':>9}{'max':>8}{'bar':>7}  {'node':>8}{'paused':>9}"
    print(f"{'fault on the MASTER':46}{columns}")
    for row in rows:
        of_row = [outcome for outcome in outcomes if outcome.key == row.key]
        for stage in row.stages:
            title = stage.title
            for outcome in of_row:
                if figures := outcome.stages.get(stage.title):
                    print(_line(title, stage, outcome.kind, figures))
                    title = ""
        for outcome in of_row:
            if outcome.skipped:
                print(f"{row.stages[0].title:35}{outcome.kind:11}skipped: {outcome.skipped}")
            if outcome.failed:
                print(f"{row.stages[0].title:35}{outcome.kind:11}FAILED: {outcome.failed}")
            if outcome.overruns:
                print(f"{'':35}{outcome.kind:11}the kernel dropped reports of addresses: don't trust `both hold it`")
    print("\n! worse than the bar in the median, ~ in one round only; > it had not ended when the round was over")
    print("paused: how long the client itself stood still at most, because the machine did; a figure is as uncertain")


def _line(title: str, stage: Stage, kind: str, figures: Sequence[Figures]) -> str:
    judged = kind == "pyvrrp"
    outages = [(each.outage, each.lasts) for each in figures]
    boths = [(each.both, each.both_lasts) for each in figures]
    stayed = sum(each.stays for each in figures)
    both = f"{'apart':>17}{'':9}" if stage.apart else _columns(boths, stage.both, 9, judged)
    stays = f"{stayed}/{len(figures)}{_mark(stayed < len(figures), False, judged)}" if stage.stays else ""
    paused = max(each.longest_stall for each in figures)
    return f"{title:35}{kind:11}{_columns(outages, stage.outage, 8, judged)}{both}{stays:>8}{paused:>9.3f}"


def _columns(values: Sequence[tuple[float, bool]], bar: float | None, width: int, judged: bool) -> str:
    middle, worst = statistics.median(value for value, _ in values), max(values)
    middle_lasts = sum(lasts for _, lasts in values) * 2 > len(values)
    mark = " "
    if bar is not None:
        mark = _mark(middle > bar + EXACT or middle_lasts, worst[0] > bar + EXACT or worst[1], judged)
    limit = "" if bar is None else f"<={bar:.2f}"
    return f"{_seconds(middle, middle_lasts):>{width}}{_seconds(*worst):>8}{limit:>7}{mark:2}"


def _seconds(value: float, lasts: bool) -> str:
    return f">{value:.1f}" if lasts else f"{value:.3f}"


def _mark(median_missed: bool, one_missed: bool, judged: bool) -> str:
    return " " if not judged else "!" if median_missed else "~" if one_missed else " "
