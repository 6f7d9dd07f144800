"""What happens to a storage pair that serves: each fault as something that is done, and is over when it comes back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyvrrp.demo.lab import eventually
from tests.vm.lab import Lab
from tests.vm.machine import Machine
from tests.vm.storage_nodes import StorageNodes

ACCUSTOMED = 20
"seconds that a fault lasts at most, where it has a duration"


@dataclass(frozen=True, slots=True)
class Pair:
    """The pair as a fault finds it."""

    lab: Lab
    nodes: StorageNodes
    server: Machine
    standby: Machine
    power: Callable[[Machine, bool], None]
    "tells the power switch what has happened to a machine"
    chance: random.Random

    def pause(self) -> None:
        """Some seconds, in which the fault lasts."""
        time.sleep(self.chance.uniform(2, ACCUSTOMED))

    def mend(self) -> None:
        """The networks work again; it is over when the next advertisement was heard, and has led to what it may."""
        for switch in self.lab.switches:
            switch.mend()
        time.sleep(self.nodes.advert_int + 2)


def _cut_power(pair: Pair, machine: Machine) -> None:
    machine.kill()
    pair.power(machine, False)
    if machine is pair.server:
        pair.nodes.await_service(pair.standby, 600)
    else:
        pair.pause()
    pair.power(machine, True)
    pair.nodes.boot(machine)


def power_of_the_server(pair: Pair) -> None:
    """Its power fails; it comes back when the other one serves."""
    _cut_power(pair, pair.server)


def power_of_the_standby(pair: Pair) -> None:
    """Its power fails, and comes back after a while."""
    _cut_power(pair, pair.standby)


def planned_move(pair: Pair) -> None:
    """`drbdctl move`."""
    pair.nodes.drbdctl(pair.server, "move")
    pair.nodes.await_service(pair.standby, 600)


def daemon_killed(pair: Pair) -> None:
    """SIGKILL to all of the server's daemon; what supervises it starts it again."""
    pair.nodes.kill(pair.server)
    pair.pause()
    ended = pair.nodes.starts(pair.server)
    pair.nodes.start(pair.server)
    eventually(lambda: pair.nodes.starts(pair.server) > ended, "the daemon has started again", 600, every=0.5)


def speaker_killed(pair: Pair) -> None:
    """SIGKILL to the server's speaker; its guard starts another one in its role, or gives the role up."""
    ended = pair.nodes.starts(pair.server)
    pair.server.sh("pkill -KILL -f '[p]yvrrp.*run' -n")
    eventually(lambda: pair.nodes.starts(pair.server) > ended, "there is a speaker again", 600, every=0.5)


def replication_cut(pair: Pair) -> None:
    """The replication network lets nothing pass."""
    pair.lab.switches[1].part(pair.server.name, pair.standby.name)
    pair.pause()
    pair.mend()


def service_cut(pair: Pair) -> None:
    """The nodes do not hear each other on the service network; both are heard by the client."""
    pair.lab.switches[0].part(pair.server.name, pair.standby.name)
    pair.pause()
    pair.mend()


def both_cut(pair: Pair) -> None:
    """The nodes do not hear each other at all; both are heard by the client."""
    for switch in pair.lab.switches:
        switch.part(pair.server.name, pair.standby.name)
    pair.pause()
    pair.mend()


def server_cut_off(pair: Pair) -> None:
    """Nobody hears the server, on no network; its carriers stay."""
    for switch in pair.lab.switches:
        switch.isolate(pair.server.name)
    pair.pause()
    pair.mend()


def service_cable(pair: Pair) -> None:
    """The server's cable to the service network is pulled; it comes back when the other one serves."""
    pair.server.cable(plugged=False)
    pair.nodes.await_service(pair.standby, 600)
    pair.server.cable(plugged=True)


def server_frozen(pair: Pair) -> None:
    """The server stands still, and goes on as if nothing had been."""
    pair.server.freeze()
    pair.pause()
    pair.server.thaw()


def standby_frozen(pair: Pair) -> None:
    """The standby stands still, and goes on as if nothing had been."""
    pair.standby.freeze()
    pair.pause()
    pair.standby.thaw()


def _fail_disk(pair: Pair, machine: Machine) -> None:
    pair.nodes.pair.fail(machine)
    eventually(lambda: "ds:Diskless" in pair.nodes.pair.proc(machine), "DRBD lets go of the disk", 120, every=0.5)
    pair.pause()
    pair.nodes.pair.mend(machine)


def disk_of_the_server(pair: Pair) -> None:
    """Its disk returns errors, and is mended after a while."""
    _fail_disk(pair, pair.server)


def disk_of_the_standby(pair: Pair) -> None:
    """Its disk returns errors, and is mended after a while."""
    _fail_disk(pair, pair.standby)


def disk_hangs(pair: Pair) -> None:
    """The server's disk does not answer for a while."""
    pair.nodes.pair.hang(pair.server, hangs=True)
    pair.pause()
    pair.nodes.pair.hang(pair.server, hangs=False)


FAULTS: dict[Callable[[Pair], None], int] = {
    power_of_the_server: 4,
    power_of_the_standby: 1,
    planned_move: 4,
    daemon_killed: 2,
    speaker_killed: 1,
    replication_cut: 2,
    service_cut: 1,
    both_cut: 2,
    server_cut_off: 1,
    service_cable: 1,
    server_frozen: 2,
    standby_frozen: 1,
    disk_of_the_server: 2,
    disk_of_the_standby: 1,
    disk_hangs: 1,
}
"with how many in 26 each is drawn"
