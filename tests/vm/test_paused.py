"""A machine that is paused as a whole, its clock with it: whoever goes on was MASTER, and there is one again."""

from collections.abc import Sequence

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine

VIP = "10.77.0.100"
INTERVAL = 5
"advert_int, seconds: an emulated processor takes ten to start a speaker"
PYVRRP = "PYTHONPATH=/opt/project:/opt/project/site exec python3 -m pyvrrp"


def configuration(priority: int) -> str:
    return f"""
vrrp_instance VI_51 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {INTERVAL}
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
"""


def start(machine: Machine, priority: int) -> None:
    machine.put("/etc/keepalived.conf", configuration(priority))
    machine.background(["sh", "-c", f"{PYVRRP} run -f /etc/keepalived.conf --no-guard"], "/root/log")


def holds(machine: Machine) -> bool:
    return VIP in machine.run("ip", "-o", "address", "show", "eth0").output


def became(machine: Machine) -> list[str]:
    """The states that it has entered."""
    return [line.split(" -> ")[1].split()[0] for line in machine.sh("cat /root/log").splitlines() if " -> " in line]


def until_alone(holder: Machine, other: Machine) -> None:
    eventually(lambda: holds(holder) and not holds(other), f"{holder} alone has the address", 120, every=0.5)


@pytest.fixture
def pair(machines) -> Sequence[Machine]:
    """Both run, the first is MASTER."""
    n1, n2 = machines("n1", "n2")
    start(n1, 150)
    eventually(lambda: holds(n1), "n1 is MASTER", 120, every=0.5)
    start(n2, 100)
    eventually(lambda: became(n2) == ["BACKUP"], "n2 is BACKUP", 120, every=0.5)
    return n1, n2


def test_a_master_that_was_paused_meets_its_successor(pair: Sequence[Machine]) -> None:
    n1, n2 = pair
    n1.freeze()
    eventually(lambda: holds(n2), "n2 takes over", 120, every=0.5)
    n1.thaw()
    until_alone(n1, n2)
    assert became(n2) == ["BACKUP", "MASTER", "BACKUP"]
    assert "advertisement with a higher priority" in n2.sh("cat /root/log")


def test_a_backup_that_was_paused_does_not_take_over(pair: Sequence[Machine]) -> None:
    n1, n2 = pair
    n2.freeze()
    # Longer than its master_down_interval, by the clock of those who go on.
    n1.sh(f"sleep {4 * INTERVAL}", timeout=120)
    n2.thaw()
    n1.sh(f"sleep {2 * INTERVAL}", timeout=120)
    assert became(n2) == ["BACKUP"]
    assert (holds(n1), holds(n2)) == (True, False)
