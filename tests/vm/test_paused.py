"""A machine that is paused as a whole, its clock with it: whoever goes on was MASTER, and there is one again."""

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
    return f"{VIP}\n" in machine.read("/proc/net/fib_trie")


def became(machine: Machine) -> list[str]:
    """The states that it has entered."""
    return [line.split(" -> ")[1].split()[0] for line in machine.sh("cat /root/log").splitlines() if " -> " in line]


def until_alone(holder: Machine, other: Machine) -> None:
    eventually(lambda: holds(holder) and not holds(other), f"{holder} alone has the address", 120, every=0.5)


def test_a_machine_that_was_paused_meets_its_successor_and_does_not_take_over(machines) -> None:
    n1, n2 = machines("n1", "n2")
    start(n1, 150)
    eventually(lambda: holds(n1), "n1 is MASTER", 120, every=0.5)
    start(n2, 100)
    eventually(lambda: became(n2) == ["BACKUP"], "n2 is BACKUP", 120, every=0.5)

    # The BACKUP, for longer than its master_down_interval by the clock of those who go on.
    n2.freeze()
    n1.sh(f"sleep {4 * INTERVAL}", timeout=120)
    n2.thaw()
    n1.sh(f"sleep {2 * INTERVAL}", timeout=120)
    assert became(n2) == ["BACKUP"]
    assert (holds(n1), holds(n2)) == (True, False)

    # The MASTER: somebody else is, by now.
    n1.freeze()
    eventually(lambda: holds(n2), "n2 takes over", 120, every=0.5)
    n1.thaw()
    until_alone(n1, n2)
    assert became(n2) == ["BACKUP", "MASTER", "BACKUP"]
    assert "advertisement with a higher priority" in n2.sh("cat /root/log")
