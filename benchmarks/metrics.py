"""What a scrape costs the advertisements: 255 virtual routers, asked by nobody, by one, by many and by hostile ones.

usage: python benchmarks/metrics.py [--routers 255] [--seconds 8] [--rounds 5]

One MASTER with all of them on one interface, advert_int 1. In each stage the wire is listened to: by how much the
longest pause between two advertisements of one VRID exceeds a second, the longest of all and that of the median VRID.
Processor time is what the kernel accounts to the daemon. The stages take turns, and the figures are the medians of the
rounds, for a machine may stand still for a moment whoever is asked. Needs root.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from virtual_routers import configuration, cpu_seconds, family

from pyvrrp.demo.lab import Host, Lab, eventually
from pyvrrp.demo.wire import Capture

ROOT = Path(__file__).parents[1]
LISTEN = "127.0.0.1 9165"
CLIENT = """
import socket, sys, threading, time
path, clients, pause, until = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), time.monotonic() + float(sys.argv[4])
took, refused = [], 0
def ask():
    global refused
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", 9165), 20) as client:
                client.sendall(f"GET {path} HTTP/1.1\\r\\n\\r\\n".encode()[: -2 if pause < 0 else None])
                size = 0
                while chunk := client.recv(1 << 20):
                    size += len(chunk)
            took.append((time.monotonic() - began, size))
        except OSError:
            refused += 1
        time.sleep(max(pause, 0))
threads = [threading.Thread(target=ask) for _ in range(clients)]
[each.start() for each in threads], [each.join() for each in threads]
whole = sorted(seconds for seconds, size in took if size > 1000)
print(len(whole), 1000 * whole[len(whole) // 2] if whole else 0, refused + len(took) - len(whole))
"""
STAGES = {
    "nobody asks": None,
    "/metrics once a second": ("/metrics", 1, 1.0),
    "/status.json once a second": ("/status.json", 1, 1.0),
    "/ once a second": ("/", 1, 1.0),
    "/metrics by 40 in a loop": ("/metrics", 40, 0.0),
    "40 that never end a request": ("/metrics", 40, -1.0),
}


def lateness(capture: Capture, began: float) -> tuple[float, float]:
    """Milliseconds over a second: of the latest VRID, of the median one."""
    times = defaultdict(list)
    for frame in capture:
        if frame.time >= began and (advertised := frame.advertised) is not None:
            times[advertised.vrid].append(frame.time)
    longest = [max(later - earlier for earlier, later in pairwise(each)) - 1.0 for each in times.values()]
    return 1000 * max(longest), 1000 * statistics.median(longest)


def ask(host: Host, asked: tuple[str, int, float] | None, seconds: float) -> tuple[float, float, float]:
    """Answers, the milliseconds that one took in the median, and how many got none."""
    if asked is None:
        time.sleep(seconds)
        return 0, 0, 0
    words = [str(each) for each in (*asked, seconds)]
    told = host.run([sys.executable, "-c", CLIENT, *words], timeout=seconds + 60).stdout.split()
    answers, middle, refused = map(float, told)
    return answers, middle, refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routers", type=int, default=255)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in STAGES}
    with Lab("bench-m") as lab:
        host = lab.host("n1", "192.0.2.11/24")
        host.environment["PYTHONPATH"] = str(ROOT)
        file = host.directory / "keepalived.conf"
        file.write_text(f"global_defs {{\n  metrics_listen {LISTEN}\n}}\n{configuration(arguments.routers, 150)}")
        argv = [sys.executable, "-m", "pyvrrp", "run", "-f", file, "--log-level", "warning"]
        process = host.start(argv, stdout=host.directory / "log")
        eventually(lambda: len(host.addresses()) >= arguments.routers, "MASTER", 60)
        capture = lab.capture()
        time.sleep(5)
        for _ in range(arguments.rounds):
            for name, asked in STAGES.items():
                pids = family(process.pid)
                before, began = cpu_seconds(pids), time.monotonic()
                told = ask(host, asked, arguments.seconds)
                if family(process.pid) != pids:
                    print(
                        "the guard has started the speaker again: this machine is too busy for figures", process.output
                    )
                    return 1
                share = 100 * (cpu_seconds(pids) - before) / (time.monotonic() - began)
                figures[name].append((*lateness(capture, began), share, *told))
        print(process.output, end="")
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"{arguments.routers} virtual routers, median of {arguments.rounds} x {arguments.seconds:g} s")
    print(f"{'':30}{'late: worst':>13}{'median':>11}{'processor':>11}{'answers':>9}{'took':>10}{'none':>8}")
    for name, rounds in figures.items():
        worst, middle, share, answers, took, none = map(statistics.median, zip(*rounds, strict=True))
        late = f"{worst:10.1f} ms{middle:8.1f} ms"
        print(f"{name:30}{late}{share:9.1f} %{answers:9.0f}{took:7.0f} ms{none:8.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
