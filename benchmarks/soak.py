"""Random faults, one after another and sometimes two at once, on two labs of our daemon, with a client all the time.

usage: python benchmarks/soak.py [--minutes 60] [--seed N] [--logs DIRECTORY]

A lab of two nodes and a lab of three run side by side. At the end every outage is attributed to the fault in whose time
it began, and compared with what that fault may cost; an outage without a fault is a failure, and so is anything that
leaks: memory, descriptors, threads, processes, addresses. The seed gives the same sequence of faults, but not the same
timing of the machine. What exceeds its bound where the machine itself stood still, or kept a start from its processors,
is told and not judged. Exit status 0: nothing failed; 1: something did, and the logs are kept; 2: nothing did, but more
than one episode in twenty could not be judged. Needs root.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from harness.cluster import running
from harness.machine import describe
from harness.side_by_side import interruptible, pool
from harness.soak_report import Report, report
from harness.soak_run import Soak

from pyvrrp.demo import namespaces
from pyvrrp.demo.namespaces import LabError

NODES = (2, 3)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="(default: another each time)")
    parser.add_argument("--logs", type=Path, metavar="DIRECTORY", help="for a failed run (default: soak-SEED)")
    arguments = parser.parse_args()
    namespaces.obtain()
    logs = arguments.logs or Path(f"soak-{arguments.seed}")
    print(describe())
    print(f"seed       {arguments.seed}", flush=True)
    with pool() as processes:
        futures = [processes.submit(soak, count, arguments.seed, arguments.minutes, logs) for count in NODES]
        reports = [future.result() for future in futures]
    for each in reports:
        print(each.text)
    if any(each.failed for each in reports):
        print(f"\nFAILED, the logs are in {logs}")
        return 1
    if any(each.undecided for each in reports):
        print("\nno verdict: the machine was too busy; run it again where nothing else runs")
        return 2
    print("\npassed")
    return 0


def soak(count: int, seed: int, minutes: float, logs: Path) -> Report:
    """One lab from beginning to end."""
    run, done = None, None
    try:
        with interruptible(), running(f"soak-{count}", "pyvrrp", count=count) as cluster:
            try:
                run = Soak(cluster, f"{seed}/{count}")
                run.run(minutes * 60)
                done = report(run, count)
            finally:
                if done is None or done.failed:
                    cluster.keep_logs(logs / f"{count}-nodes")
            return done
    except LabError as error:
        episodes = len(run.episodes) if run else 0
        return Report(f"\n{count} nodes: ended after {episodes} episodes: {error}", failed=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
