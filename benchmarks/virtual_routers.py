"""255 virtual routers at 1 s on one interface: processor time and memory, this daemon beside keepalived in one run.

usage: python benchmarks/virtual_routers.py [--routers 255] [--addresses 1] [--seconds 30] [--rounds 3]

Two segments, each with a MASTER (priority 150) and a BACKUP (priority 100) of the same kind, run at the same time, so
that both kinds meet the same machine. Processor time is what the kernel accounts to the processes, user and system,
as a share of one core; memory is the resident set of the largest process. Needs root and keepalived.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path

from pyvrrp.demo.lab import Host, Lab, eventually
from pyvrrp.demo.processes import Process

ROOT = Path(__file__).parents[1]
TICK = os.sysconf("SC_CLK_TCK")
KINDS = ("pyvrrp", "keepalived")


def configuration(routers: int, addresses: int, priority: int) -> str:
    blocks = ["global_defs {\n  vrrp_garp_master_delay 0\n}"]
    for vrid in range(1, routers + 1):
        excluded = "".join(f"    10.9.{vrid}.{number}/32\n" for number in range(2, addresses + 1))
        more = f"  virtual_ipaddress_excluded {{\n{excluded}  }}\n" if excluded else ""
        blocks.append(
            f"vrrp_instance R{vrid} {{\n  state BACKUP\n  interface eth0\n  virtual_router_id {vrid}\n"
            f"  priority {priority}\n  advert_int 1\n  virtual_ipaddress {{\n    10.9.{vrid}.1/32\n  }}\n{more}}}"
        )
    return "\n".join(blocks) + "\n"


def start(host: Host, kind: str, text: str) -> Process:
    file = host.directory / "keepalived.conf"
    file.write_text(text)
    if kind == "pyvrrp":
        host.environment["PYTHONPATH"] = str(ROOT)
        argv = [sys.executable, "-m", "pyvrrp", "run", "-f", file, "--log-level", "warning"]
    else:
        argv = ["keepalived", "-n", "-l", "-P", "-f", file, "-p", host.directory / "pid", "-r", host.directory / "pid2"]
    return host.start(argv, stdout=host.directory / "log")


def family(pid: int) -> list[int]:
    """The process and all that it started."""
    found, new = [pid], [pid]
    while new:
        children = Path(f"/proc/{new.pop()}/task").glob("*/children")
        new += [int(child) for path in children for child in path.read_text().split()]
        found += [each for each in new if each not in found]
    return found


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def megabytes(pids: list[int]) -> float:
    def resident(pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    return max(resident(pid) for pid in pids) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routers", type=int, default=255)
    parser.add_argument("--addresses", type=int, default=1, help="of each, up to 254; all but one are excluded ones")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    routers, addresses = arguments.routers, arguments.addresses
    with Lab("bench-p") as ours, Lab("bench-k") as theirs:
        processes = {}
        for kind, lab in zip(KINDS, (ours, theirs), strict=True):
            master, backup = lab.host("n1", "192.0.2.11/24"), lab.host("n2", "192.0.2.12/24")
            processes[kind, "MASTER"] = start(master, kind, configuration(routers, addresses, 150))
            eventually(lambda host=master: len(host.addresses()) >= routers * addresses, f"{kind} is MASTER", 60)
            processes[kind, "BACKUP"] = start(backup, kind, configuration(routers, addresses, 100))
        time.sleep(8)
        pids = {place: family(process.pid) for place, process in processes.items()}
        shares: dict[tuple[str, str], list[float]] = {place: [] for place in pids}
        for _ in range(arguments.rounds):
            before = {place: cpu_seconds(each) for place, each in pids.items()}
            began = time.monotonic()
            time.sleep(arguments.seconds)
            elapsed = time.monotonic() - began
            for place, each in pids.items():
                shares[place].append(100 * (cpu_seconds(each) - before[place]) / elapsed)
        cpu = {place: statistics.median(values) for place, values in shares.items()}
        memory = {place: megabytes(each) for place, each in pids.items()}
        print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
        print(
            f"{routers} virtual routers with {addresses} addresses each, advert_int 1, "
            f"median of {arguments.rounds} x {arguments.seconds:g} s"
        )
        print(f"{'':8}{'pyvrrp':>20}{'keepalived':>20}{'ratio':>8}")
        for role in ("MASTER", "BACKUP"):
            mine, other = cpu["pyvrrp", role], cpu["keepalived", role]
            ratio = f"{mine / other:.1f}" if other else "-"
            print(f"{role:8}{mine:10.2f} % of a core{other:10.2f} % of a core{ratio:>6}")
        for role in ("MASTER", "BACKUP"):
            print(f"{role:8}{memory['pyvrrp', role]:17.1f} MB{memory['keepalived', role]:17.1f} MB")
        for (kind, role), process in processes.items():
            held = sum(str(each).startswith("10.9.") for each in (process_host(ours, theirs, kind, role)).addresses())
            if held != (routers * addresses if role == "MASTER" else 0):
                print(f"{kind} {role} holds {held} addresses: the figures are not worth anything", process.output)
                return 1
    return 0


def process_host(ours: Lab, theirs: Lab, kind: str, role: str) -> Host:
    return (ours if kind == "pyvrrp" else theirs).hosts["n1" if role == "MASTER" else "n2"]


if __name__ == "__main__":
    sys.exit(main())
