"""What the start of a speaker that adopts a role costs, and how soon it advertises.

usage: python benchmarks/start.py [--rounds 10] [--falls 3] [--logs DIRECTORY]

One node alone is MASTER. `pyvrrp restart` ROUNDS times: the processor time that the new speaker has used when its first
advertisement is heard, all threads, user and system. Then SIGKILL and SIGSTOP of the speaker FALLS times each, right
after an advertisement: the time from the fault to the next advertisement; the guard gives the new speaker half of the
lease. Medians, least and greatest. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from harness import faults
from harness.cluster import Cluster, Node, processes, running, wait_speaker
from harness.machine import describe

from pyvrrp.core.supervision import STABLE
from pyvrrp.demo import namespaces


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--falls", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--logs", type=Path, metavar="DIRECTORY", help="where the daemon's log goes (default: nowhere)")
    arguments = parser.parse_args()
    namespaces.obtain()
    print(describe(), flush=True)
    with running("start", "pyvrrp", count=1, logs=arguments.logs) as cluster:
        starts = [_restart(cluster, cluster.n1) for _ in range(arguments.rounds)]
        _print("processor time to the first advertisement, s", [used for used, _ in starts])
        _print("resident memory then, MB", [megabytes for _, megabytes in starts])
        for name, fault in (("SIGKILL", faults.kill_speaker), ("SIGSTOP", faults.stop_speaker)):
            waits = [_fall(cluster, cluster.n1, fault) for _ in range(arguments.falls)]
            _print(f"{name} of the speaker to the next advertisement, s", waits)
    return 0


def _restart(cluster: Cluster, node: Node) -> tuple[float, float]:
    """Processor seconds and resident megabytes of the new speaker when it advertises for the first time."""
    before = wait_speaker(node, None, 15.0)
    cluster.worst_moment(node)
    faults.restart_verb(cluster, node)
    cluster.wait_advertised(node)
    found = {pid: _used(pid) for pid in processes(node)}
    return found[wait_speaker(node, before, 15.0)]


def _fall(cluster: Cluster, node: Node, fault: faults.Fault) -> float:
    """Seconds from the fault to the next advertisement."""
    before = wait_speaker(node, None, 15.0)
    time.sleep(STABLE + 1)
    cluster.worst_moment(node)
    began = time.monotonic()
    fault(cluster, node)
    heard = cluster.wait_advertised(node)
    wait_speaker(node, before, 15.0)
    return heard.time - began


def _used(pid: int) -> tuple[float, float]:
    nanoseconds, pages = 0, 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return nanoseconds / 1e9, pages * 4096 / 1e6


def _print(what: str, figures: Sequence[float]) -> None:
    if figures:
        print(f"{what:56}{median(figures):8.3f}{min(figures):8.3f}{max(figures):8.3f}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
