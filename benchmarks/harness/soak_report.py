"""What a soak found, to be read."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from harness.soak_run import Episode, Soak

NOT_JUDGED = 0.05
"of the episodes, at most; more, and the run says nothing"


@dataclass(frozen=True, slots=True)
class Report:
    text: str
    failed: bool
    "something is wrong with the daemon"
    undecided: bool = False
    "the machine disturbed too much of it"


def report(soak: Soak, count: int) -> Report:
    """Outages fault by fault, what exceeds its bound, what nobody explains, what leaks."""
    failures = [*_failures(soak), *_leaks(soak), *soak.alarms]
    lines = ["", f"{count} nodes", *_summary(soak), "", *_by_fault(soak), "", *_processes(soak), ""]
    excused = [episode for episode in soak.episodes if episode.exceeded and episode.excuse]
    if excused:
        lines += [f"not judged, because of the machine: {len(excused)} of {len(soak.episodes)} episodes"]
        lines += [_failed(soak, episode) for episode in excused]
    lines += [f"{len(failures)} failures", *failures] if failures else ["no failure"]
    return Report("\n".join(lines), bool(failures), len(excused) > NOT_JUDGED * len(soak.episodes))


def _summary(soak: Soak) -> list[str]:
    minutes = (soak.ended - soak.began) / 60
    total = sum(episode.outage for episode in soak.episodes) + sum(each.seconds for each in soak.unexplained)
    asked = soak.cluster.client.asked
    text = [
        f"{minutes:.1f} minutes, {len(soak.episodes)} episodes, the client asked {asked} times",
        f"outage: {total:.2f} s in all, {sum(each.seconds for each in soak.unexplained):.2f} s of it without a fault",
    ]
    stalls = [end - begin for begin, end in soak.cluster.client.stalls if begin >= soak.began]
    worst = max(stalls, default=0.0)
    text.append(f"the machine: stood still {len(stalls)} times, {sum(stalls):.2f} s in all, {worst:.2f} s at most")
    if soak.left_out:
        text.append(f"left out, because the daemon has no guard or no such verb: {', '.join(soak.left_out)}")
    return text


def _by_fault(soak: Soak) -> list[str]:
    lines = [
        f"{'':24}{'':14}{'outage':>8}{'':24}{'held twice':>12}",
        f"{'fault':24}{'times':>6}{'MASTER':>8}{'sum':>8}{'median':>8}{'max':>8}{'above':>8}"
        f"{'median':>12}{'max':>8}{'above':>8}",
    ]
    for name in sorted({episode.name for episode in soak.episodes}):
        of_name = [episode for episode in soak.episodes if episode.name == name]
        hit = sum(any(strike.was_master for strike in episode.strikes) for episode in of_name)
        outages, boths = [each.outage for each in of_name], [each.both for each in of_name]
        above = sum(each.outage > each.outage_bound for each in of_name)
        twice = sum(each.both > each.both_bound for each in of_name)
        lines.append(
            f"{name:24}{len(of_name):6}{hit:8}"
            f"{sum(outages):8.2f}{statistics.median(outages):8.3f}{max(outages):8.3f}{above:8}"
            f"{statistics.median(boths):12.3f}{max(boths):8.3f}{twice:8}"
        )
    return [*lines, "above: so many exceeded the bound of their fault"]


def _processes(soak: Soak) -> list[str]:
    """The process that lived longest of each node and role."""
    lines = [
        f"{'process':14}{'lived':>9}{'memory: first':>16}{'last':>10}{'slope':>16}{'descriptors':>14}{'threads':>10}"
    ]
    for life in soak.leaks.longest():
        first, last = life.samples[0], life.samples[-1]
        slope = "too short" if life.slope is None else f"{life.slope:+.1f} kB/min"
        memory = f"{first.kilobytes:13} kB{last.kilobytes:7} kB{slope:>16}"
        others = f"{first.descriptors:7} ->{last.descriptors:4}{first.threads:6} ->{last.threads:2}"
        lines.append(f"{life.node + ' ' + life.role:14}{life.seconds:7.0f} s{memory}{others}")
    return lines


def _failures(soak: Soak) -> list[str]:
    lines = [_failed(soak, episode) for episode in soak.episodes if episode.failed]
    lines += [
        f"{outage.begin - soak.began:8.1f} s: no answer for {outage.seconds:.3f} s and no fault"
        f" ({outage.before} before, {outage.after or 'nobody'} after)"
        for outage in soak.unexplained
    ]
    return lines


def _failed(soak: Soak, episode: Episode) -> str:
    what = " + ".join(map(str, episode.strikes))
    why = [episode.problem] if episode.problem else []
    if episode.outage > episode.outage_bound:
        why.append(f"no answer for {episode.outage:.3f} s, {episode.outage_bound:.3f} allowed")
    if episode.both > episode.both_bound:
        why.append(f"held twice for {episode.both:.3f} s, {episode.both_bound:.3f} allowed")
    if episode.excuse:
        why.append(episode.excuse)
    return "\n".join(
        [f"{episode.begin - soak.began:8.1f} s: {what}: {'; '.join(why)}", *(f"    {line}" for line in episode.said)]
    )


def _leaks(soak: Soak) -> list[str]:
    growing = [
        f"{life.node} {life.role} (process {life.pid}): {' and '.join(life.leaks)} grew in {life.seconds:.0f} s"
        for life in soak.leaks.growing
    ]
    return [*growing, *soak.leaks.findings]
