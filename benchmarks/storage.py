"""What DRBD costs a writer, and what a fail-over costs a client, in virtual machines with Debian's DRBD and NFS server.

usage: python benchmarks/storage.py [--rounds 3] [--only write,failover] [--disk-rate BYTES] [--json FILE]

Write throughput by fio on a bare device, on DRBD without its peer, and connected with protocol C and A, with one and
four threads, as shares of the bare device with one thread beside those of the published measurement; the longest pause
of an NFS client over a planned move and a power cut, with the time of each step. Needs what tests/vm needs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median

from harness import ROOT
from harness.machine import describe

sys.path.insert(0, str(ROOT))

from tests.vm.faults import planned_move, power_of_the_server
from tests.vm.image import Image, Unavailable, image
from tests.vm.lab import Lab, pack
from tests.vm.ledger import Ledger
from tests.vm.machine import Machine
from tests.vm.storage_nodes import PRIORITY
from tests.vm.storage_pair import StoragePair

PUBLISHED = {("unconnected", 1): 84, ("connected, C", 1): 60, ("connected, C", 4): 52, ("connected, A", 1): 74}
"percent of the bare device: iozone, a file of 4 GB on XFS, one disk and 1 Gbit/s, about 2008"
SECONDS = 6
DISK_RATE = 3_000_000
"""Bytes a second that the disk takes, 0: as many as it can; to the 8 MB/s of the network as the published ones were to
1 Gbit/s."""
ADVERT_INT = 1
MASTER_DOWN_INTERVAL = 3 * ADVERT_INT + (256 - (PRIORITY - 10)) / 256
PIECE = 44
"MiB of the disk that DRBD has; as much beside it is the bare device"
FIO = (
    "fio --name=write --filename={device} --rw=write --bs=64k --direct=1 --ioengine=psync --numjobs={threads} "
    "--offset_increment=8m --size=8m --time_based --runtime={seconds} --group_reporting --output-format=json"
)
STEP = re.compile(r"storage NFS: (.+): done after ([0-9.]+) s")

Throughput = Mapping[tuple[str, int], Sequence[float]]


def main() -> int:
    """Measure and print; always 0, it judges nothing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="write,failover", metavar="PART,...")
    parser.add_argument("--disk-rate", type=int, default=DISK_RATE, metavar="BYTES")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there")
    arguments = parser.parse_args()
    try:
        machines = image()
    except Unavailable as error:
        sys.exit(f"no virtual machines: {error}")
    print(describe(), flush=True)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as directory:
        project = pack(Path(directory) / "project.ext4")
        if "write" in arguments.only:
            written = write(machines, project, arguments.rounds, arguments.disk_rate)
            print_throughput(written)
            figures["write"] = {f"{name}, {threads}": values for (name, threads), values in written.items()}
        if "failover" in arguments.only:
            figures["failover"] = failover(machines, project, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0


# --- throughput ------------------------------------------------------------------------------------------------------


def write(machines: Image, project: Path, rounds: int, disk_rate: int) -> Throughput:
    """MiB/s of each kind of device and number of threads, as often as there are rounds."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    with Lab(machines, project) as lab:
        n1, n2 = lab.start("n1", "n2", disk_rate=disk_rate)
        for machine in (n1, n2):
            tables = enumerate(("replicated", "bare"))
            slices = [
                f"dmsetup create {name} --table '0 {PIECE * 2048} linear /dev/vdb {i * PIECE * 2048}'"
                for i, name in tables
            ]
            machine.sh(f"modprobe dm-mod; export DM_DISABLE_UDEV=1; {'; '.join(slices)}")
        pair = StoragePair((n1, n2), disk="/dev/mapper/replicated")
        pair.create()
        n1.sh("drbdadm primary r0")
        for _ in range(rounds):
            for threads in (1, 4):
                found["bare device", threads].append(fio(n1, "/dev/mapper/bare", threads))
                n1.sh("drbdadm disconnect r0")
                found["unconnected", threads].append(fio(n1, "/dev/drbd0", threads))
                for protocol in "CA":
                    connect(pair, protocol)
                    found[f"connected, {protocol}", threads].append(fio(n1, "/dev/drbd0", threads))
    return found


def connect(pair: StoragePair, protocol: str) -> None:
    """Connect with a protocol, and wait for the end of the resync."""
    pair.configuration = re.sub("protocol .;", f"protocol {protocol};", pair.configuration)
    for machine in pair.machines:
        pair.configure(machine)
        machine.sh("drbdadm disconnect r0 </dev/null || true")
    for machine in pair.machines:
        machine.sh("drbdadm adjust r0 </dev/null")
    pair.await_sync()


def fio(machine: Machine, device: str, threads: int) -> float:
    """MiB/s."""
    said = machine.sh(FIO.format(device=device, threads=threads, seconds=SECONDS), timeout=SECONDS * 10)
    report = json.loads(said[said.index("{") :])
    return float(report["jobs"][0]["write"]["bw_bytes"]) / (1 << 20)


def print_throughput(found: Throughput) -> None:
    """Medians, and their share of what the bare device takes from one thread."""
    whole = median(found["bare device", 1])
    print("\n| write to | threads | MiB/s | of the bare device | published |\n| --- | --- | --- | --- | --- |")
    for (name, threads), values in sorted(found.items(), key=lambda each: each[0][1]):
        known = PUBLISHED.get((name, threads))
        share = f"{100 * median(values) / whole:.0f} %"
        print(f"| {name} | {threads} | {median(values):.1f} | {share} | {f'{known} %' if known else ''} |", flush=True)


# --- fail-over -------------------------------------------------------------------------------------------------------


def failover(machines: Image, project: Path, rounds: int) -> dict[str, list[float]]:
    """The client's longest pause at each fault, and the steps of both nodes."""
    found: dict[str, list[float]] = {}
    with Lab(machines, project, networks=2) as lab:
        ledger, chance = Ledger(lab, ADVERT_INT), Random(1)
        for fault, bar in ((planned_move, 3.0), (power_of_the_server, MASTER_DOWN_INTERVAL + 4)):
            lines = [ledger.suffer(fault, chance) for _ in range(rounds)]
            found[fault.__name__] = pauses = [line.pause for line in lines]
            trouble = "; ".join(line.trouble for line in lines if line.trouble)
            paused = f"longest pause {median(pauses):.1f} / {max(pauses):.1f} s (median / max of {rounds})"
            print(f'\n{fault.__name__}: {paused}, bar {bar:.1f}, published "typically < 30 s" {trouble}', flush=True)
            for step, seconds in sorted(steps(ledger).items()):
                found[f"{fault.__name__}, {step}"] = seconds
                print(f"  {step}: {median(seconds):.2f} / {max(seconds):.2f} s, {len(seconds)} times", flush=True)
    return found


def steps(ledger: Ledger) -> dict[str, list[float]]:
    """What each step has taken so far, of the daemons that have not lost their power since."""
    found = defaultdict(list)
    for machine in ledger.nodes.machines:
        for step, seconds in STEP.findall(ledger.nodes.log(machine)):
            found[step].append(float(seconds))
    return found


if __name__ == "__main__":
    sys.exit(main())
