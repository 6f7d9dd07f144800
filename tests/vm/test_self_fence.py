"""A node that can't let go resets itself, by sysrq or, where that does nothing, a watchdog; the other takes over."""

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine
from tests.vm.storage_nodes import Client, StorageNodes, judge_ledger
from tests.vm.storage_pair import FAILING


@pytest.fixture
def networks() -> int:
    return 2


def told(machine: Machine) -> str:
    """The last that its daemon said; the console outlives the machine."""
    return machine.console.read_text(errors="replace")


def test_a_node_that_can_not_let_go_resets_itself(lab) -> None:
    n1, n2, c1 = lab.start("n1", "n2", "c1", memory=384)
    reboots = {"on_demote_failure": "reboot", "demotion": 30}
    nodes, client = StorageNodes((n1, n2), "takeover availability_first", disk=FAILING, **reboots), Client(c1)
    nodes.serve()
    client.mount()
    client.write()

    # Its disk hangs, so nothing can be stopped nor unmounted; then its address has to go elsewhere.
    nodes.pair.hang(n1, hangs=True)
    n1.cable(plugged=False)
    eventually(lambda: not n1.runs, "n1 resets itself", 240, every=0.5)
    nodes.await_service(n2)
    client.goes_on()
    assert judge_ledger(n2, client.count()) == ""

    nodes.boot(n1)
    nodes.pair.await_sync()
    nodes.await_standby(n1)

    # A kernel that does not obey sysrq: the watchdog was armed before.
    n2.sh("modprobe softdog; mount --bind /dev/null /proc/sysrq-trigger")
    nodes.pair.hang(n2, hangs=True)
    n2.cable(plugged=False)
    eventually(lambda: not n2.runs, "the watchdog resets n2", 240, every=0.5)
    assert "softdog" in told(n2)
    nodes.await_service(n1)
    client.goes_on()
    assert judge_ledger(n1, client.count()) == ""
