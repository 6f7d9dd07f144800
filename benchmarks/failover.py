"""What a client feels of each fault, and for how long two nodes hold its address: this daemon beside keepalived.

usage: python benchmarks/failover.py [--rounds 3] [--only term,cable] [--kinds pyvrrp,keepalived]
                                     [--json FILE] [--logs DIRECTORY]

Two nodes (priorities 150 and 100, advert_int 1 unless said otherwise) share an address on one segment; a client asks it
every 2 ms. Each fault hits the MASTER right after an advertisement, which is the worst moment. Two labs run side by
side at most. Prints one table with the bars of the project beside the figures; it judges nothing by its exit status.
Needs root (or user namespaces); without keepalived its lines are left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import Future
from dataclasses import asdict
from itertools import pairwise, product
from math import inf
from pathlib import Path

from harness.cluster import Cluster, has_guard, running
from harness.failover_rows import BOTH, ROWS, Row, Stage
from harness.failover_table import Figures, Outcome, print_table
from harness.machine import describe
from harness.observer import overlap
from harness.side_by_side import interruptible, pool

from pyvrrp.cli import VERBS
from pyvrrp.demo import namespaces
from pyvrrp.demo.namespaces import LabError

AFTERWARDS = 2.0
"seconds that are watched after an act that takes long itself"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each fault (default: %(default)s)")
    parser.add_argument("--only", type=_words, default=[row.key for row in ROWS], metavar="KEY,...", help=_keys())
    parser.add_argument("--kinds", type=_words, default=BOTH, metavar="KIND,...", help="pyvrrp,keepalived")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there")
    parser.add_argument("--logs", type=Path, metavar="DIRECTORY", help="keep the daemons' logs there")
    arguments = parser.parse_args()
    if unknown := {*arguments.only} - {row.key for row in ROWS} or {*arguments.kinds} - {*BOTH}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; {_keys()}")
    namespaces.obtain()
    print(describe(), flush=True)
    if shutil.which("keepalived") is None:
        arguments.kinds = [kind for kind in arguments.kinds if kind != "keepalived"]
    began = time.monotonic()
    outcomes = _measure_all(arguments)
    print_table(ROWS, outcomes)
    print(f"\n{arguments.rounds} rounds, {time.monotonic() - began:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    return 0


def _words(text: str) -> list[str]:
    return text.split(",")


def _keys() -> str:
    return "the faults: " + ", ".join(row.key for row in ROWS)


def _measure_all(arguments: argparse.Namespace) -> list[Outcome]:
    chosen = [row for row in ROWS if row.key in arguments.only]
    with pool() as processes:
        futures: list[Future[Outcome]] = []
        for row, kind in product(chosen, BOTH):
            if kind in row.kinds and kind in arguments.kinds:
                logs = arguments.logs and arguments.logs / f"{row.key}-{kind}"
                futures.append(processes.submit(measure, row.key, kind, arguments.rounds, logs))
                futures[-1].add_done_callback(_tell_progress)
        return [future.result() for future in futures]


def _tell_progress(future: Future[Outcome]) -> None:
    if not future.cancelled() and future.exception() is None:
        done = future.result()
        print(f"  {done.kind} {done.key}: {done.skipped or done.failed or 'measured'}", file=sys.stderr, flush=True)


def measure(key: str, kind: str, rounds: int, logs: Path | None) -> Outcome:
    """All rounds of one fault; what can't be measured is told and does not end the others."""
    row = next(row for row in ROWS if row.key == key)
    outcome = Outcome(key, kind)
    if row.verb and row.verb not in VERBS:
        outcome.skipped = f"there is no `pyvrrp {row.verb}`"
        return outcome
    started = running(
        f"failover-{key}-{kind}",
        kind,
        interval=row.interval,
        version=row.version,
        spinning=row.spinning,
        logs=logs,
    )
    try:
        with interruptible(), started as cluster:
            if row.guard and not has_guard(cluster.n1):
                outcome.skipped = "there is no guard: the speaker is the only process"
                return outcome
            for number in range(rounds):
                if number and row.fresh:
                    cluster.restart(cluster.n1)
                cluster.settle(cluster.n1)
                _round(cluster, row, outcome)
            outcome.overruns = cluster.observer.overruns
    except LabError as error:
        outcome.failed = str(error).splitlines()[0]
    return outcome


def _round(cluster: Cluster, row: Row, outcome: Outcome) -> None:
    cluster.worst_moment(cluster.n1)
    begins = []
    for stage in row.stages:
        begins.append(time.monotonic())
        stage.act(cluster, cluster.n1)
        _sleep_until(max(begins[-1] + stage.seconds, time.monotonic() + AFTERWARDS))
    end = time.monotonic()
    for stage, (begin, until) in zip(row.stages, pairwise([*begins, end]), strict=True):
        outcome.stages.setdefault(stage.title, []).append(_figures(cluster, stage, begin, until))


def _figures(cluster: Cluster, stage: Stage, begin: float, until: float) -> Figures:
    """What happened from an act to the next one."""
    observer, client, master = cluster.observer, cluster.client, cluster.n1.host.name
    outages = [outage for outage in client.outages(begin) if outage.begin < until]
    spans = {node.host.name: observer.spans(node.host.name) for node in cluster.nodes}
    heard = [each for each in observer.since(begin) if each.time < until]
    others_held = [span for host, each in spans.items() if host != master for span in each]
    return Figures(
        outage=sum(min(outage.end, until) - outage.begin for outage in outages),
        lasts=any(outage.end == inf for outage in outages),
        both=0.0 if stage.apart else overlap(spans.values(), begin, until),
        both_lasts=not stage.apart and overlap(spans.values(), until - 0.1, until) > 0.09,
        stays=all(each.host == master and each.priority > 0 for each in heard)
        and not any(span[0] < until and span[1] > begin for span in others_held),
        longest_stall=max((b - a for a, b in client.stalls if begin <= a < until), default=0.0),
    )


def _sleep_until(when: float) -> None:
    while (left := when - time.monotonic()) > 0:
        time.sleep(left)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
