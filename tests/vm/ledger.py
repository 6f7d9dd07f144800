"""A client writes fsynced records through NFS while its servers fail: none may be lost, and never may two nodes write.

usage: python -m tests.vm.ledger [--faults 50] [--seed N] [--only NAME ...] [--advert-int SECONDS] [--keep DIRECTORY]

Two nodes with Debian's DRBD, NFS server and the daemon, on two networks (service, replication), `takeover proven` with
a power switch as witness; a third machine is the client, and the power switch. Between two faults everything is as it
was in the beginning: one node serves, the other one is in sync and would take over. Exit status: 0 nothing was lost, 1
something was, or a fault was not recovered from.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from pyvrrp.demo.lab import LabError, eventually
from tests.vm.faults import FAULTS, Pair
from tests.vm.image import Unavailable, image
from tests.vm.lab import Lab, pack
from tests.vm.machine import Machine, MachineError
from tests.vm.storage_nodes import ADVERT_INT, Client, StorageNodes, judge_ledger
from tests.vm.storage_pair import FAILING

POWER_SWITCH = """
import os, socketserver
class Ask(socketserver.StreamRequestHandler):
    def handle(self):
        name = self.rfile.readline().decode().strip()
        self.wfile.write(b"off\\n" if os.path.exists("/tmp/off-" + name) else b"on\\n")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", 9100), Ask).serve_forever()
"""
"a question is the name of a node"
WITNESS = """#!/bin/bash
# Exit status as `witness command` wants it: 0 the peer has power, 1 it has none, 3 the power switch can't be reached.
exec 3<>/dev/tcp/{switch}/9100 || exit 3
echo {peer} >&3
read -r -t 5 word <&3 || exit 3
[ "$word" != off ]
"""
RECOVERED = 600.0
"seconds after which a pair that does not serve and is not in sync again has failed"


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of one fault."""

    name: str
    seconds: float
    pause: float
    trouble: str

    def __str__(self) -> str:
        took = f"{self.name:22} took {self.seconds:5.0f} s, longest pause {self.pause:5.1f} s"
        return f"{took}: {self.trouble or 'nothing lost'}"


class Ledger:
    """The pair and its client at work."""

    def __init__(self, lab: Lab, advert_int: int = ADVERT_INT, *, every: float = 0.05) -> None:
        """Takes a minute or two; the client writes a record `every` so many seconds."""
        self.lab = lab
        n1, n2, c1 = lab.start("n1", "n2", "c1", memory=384)
        self.client = Client(c1)
        c1.put("/tmp/switch.py", POWER_SWITCH)
        c1.background(["python3", "/tmp/switch.py"], "/tmp/switch.log")
        silence = max(3, advert_int * 3 // 2)
        more = f"dead_interval {silence}  most_takeovers 1000  witness command /usr/local/bin/power"
        self.nodes = StorageNodes((n1, n2), more, disk=FAILING, advert_int=advert_int)
        for machine, peer in ((n1, n2), (n2, n1)):
            self._give_witness(machine, peer)
        self.nodes.serve()
        self.client.mount()
        self.client.write(every=every)
        self.writers = Writers(self.nodes)

    def suffer(self, fault: Callable[[Pair], None], chance: random.Random) -> Line:
        """One fault, from a pair that is whole to one that is whole again."""
        began, first, trouble = time.monotonic(), self.client.count(), ""
        try:
            server, standby = self._whole()
            began, first = time.monotonic(), self.client.count()
            fault(Pair(self.lab, self.nodes, server, standby, self._power, chance))
            server, _ = self._whole()
            trouble = self._lost(server)
        except (LabError, MachineError) as error:
            trouble = str(error)
        pause = self.client.longest_pause(max(0, first - 1))
        return Line(fault.__name__, time.monotonic() - began, pause, trouble)

    def _whole(self) -> tuple[Machine, Machine]:
        """Wait until one node serves, both are in sync, and the other one would take over; which is which."""
        first, second = self.nodes.machines

        def whole() -> bool:
            server = self.nodes.server()
            if server is None or not all(map(self.nodes.pair.in_sync, self.nodes.machines)):
                return False
            return self.nodes.is_standby(second if server is first else first)

        eventually(whole, "the pair is whole", RECOVERED, every=0.5)
        self.client.goes_on(RECOVERED)
        return (first, second) if self.nodes.serves(first) else (second, first)

    def _lost(self, server: Machine) -> str:
        """What is wrong with the records, or with who has written; empty: nothing."""
        split = [str(each) for each in self.nodes.machines if "Split-Brain detected" in each.sh("dmesg")]
        if split:
            return f"DRBD has found a split brain: {', '.join(split)}"
        return self.writers.trouble or judge_ledger(server, self.client.count())

    def _power(self, machine: Machine, on: bool) -> None:
        """What the power switch says of a machine from now on."""
        self.client.machine.sh(f"{'rm -f' if on else 'touch'} /tmp/off-{machine}")
        if on and not machine.runs:
            machine.start()
            machine.wait()
            self._give_witness(machine, *(each for each in self.nodes.machines if each is not machine))

    def _give_witness(self, machine: Machine, peer: Machine) -> None:
        text = WITNESS.format(switch=self.client.machine.address, peer=peer)
        machine.put("/usr/local/bin/power", text, mode=0o755)


class Writers:
    """Asks both nodes for DRBD's role, all the time."""

    def __init__(self, nodes: StorageNodes) -> None:
        self.trouble = ""
        "when both were Primary"
        self.samples = 0
        self._nodes = nodes
        self._ended = Event()
        self._thread = Thread(target=self._watch, name="writers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more questions."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        first, second = self._nodes.machines
        while not self._ended.wait(1.0):
            # Both at one time: the first was Primary before and after the second one was.
            self.samples += 1
            if all(map(self._is_primary, (first, second, first))):
                self.trouble = self.trouble or f"both nodes were Primary ({time.strftime('%H:%M:%S')})"

    def _is_primary(self, machine: Machine) -> bool:
        try:
            return "ro:Primary" in machine.read("/proc/drbd", timeout=20)
        except (MachineError, OSError):
            return False  # without power, or standing still: it writes nothing now


def drawn(seed: int, faults: int, only: Sequence[str] = ()) -> Iterator[Callable[[Pair], None]]:
    """The faults of a seed, in their order."""
    chance = random.Random(seed)
    named = {fault: weight for fault, weight in FAULTS.items() if not only or fault.__name__ in only}
    yield from chance.choices(list(named), list(named.values()), k=faults)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10000))
    parser.add_argument("--only", nargs="*", default=(), choices=[fault.__name__ for fault in FAULTS])
    parser.add_argument("--advert-int", type=int, default=ADVERT_INT, metavar="SECONDS")
    parser.add_argument("--keep", type=Path, help="a directory for the daemons' logs and the consoles")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the machines end with us
    chance = random.Random(arguments.seed + 1)
    lines: list[Line] = []
    try:
        with ExitStack() as stack:
            packed = stack.enter_context(tempfile.TemporaryDirectory())
            lab = stack.enter_context(Lab(image(), pack(Path(packed) / "project.ext4"), networks=2))
            print(f"seed {arguments.seed}, {arguments.faults} faults", flush=True)
            ledger = Ledger(lab, arguments.advert_int)
            for number, fault in enumerate(drawn(arguments.seed, arguments.faults, arguments.only), 1):
                lines.append(ledger.suffer(fault, chance))
                print(f"{number:3} {lines[-1]}", flush=True)
                if arguments.keep is not None:
                    keep(ledger, arguments.keep)
                if lines[-1].trouble:
                    break
            ledger.writers.stop()
            whole = not any(each.trouble for each in lines)
            print(
                f"{len(lines)} faults, {ledger.client.count()} records acknowledged, {ledger.writers.samples} looks at "
                f"both roles: {'none lost, never two writers' if whole else 'FAILED'}"
            )
    except Unavailable as error:
        sys.exit(f"no virtual machines: {error}")
    return 0 if whole else 1


def keep(ledger: Ledger, directory: Path) -> None:
    """Write what the machines have said."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in ledger.lab.told().items():
        (directory / name).write_text(text)


if __name__ == "__main__":
    sys.exit(main())
