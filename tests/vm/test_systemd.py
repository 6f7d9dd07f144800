"""packaging/systemd/pyvrrp.service under the real systemd: hardening, watchdog, restart, stop."""

import json
from pathlib import Path

import pytest

from pyvrrp.demo.lab import eventually
from tests.vm.machine import Machine

ROOT = Path(__file__).parents[2]
VIP = "10.77.0.100"
# Long intervals: an emulated processor takes ten seconds to start a speaker, which must be back within half a lease.
CONFIGURATION = f"""
vrrp_script true {{
    script /usr/bin/true
    interval 1
}}
vrrp_instance VI_51 {{
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 255
    advert_int 20
    virtual_ipaddress {{
        {VIP}/24
    }}
    track_script {{
        true
    }}
}}
"""
PYVRRP = """#!/bin/sh
export PYTHONPATH=/opt/project:/opt/project/site PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 -m pyvrrp "$@"
"""


@pytest.fixture
def node(machines) -> Machine:
    (node,) = machines("n1", systemd=True, memory=384)
    node.put("/usr/bin/pyvrrp", PYVRRP, 0o755)
    node.put("/etc/keepalived/keepalived.conf", CONFIGURATION)
    node.put("/etc/systemd/system/pyvrrp.service", (ROOT / "packaging/systemd/pyvrrp.service").read_text())
    node.sh("systemctl daemon-reload; systemctl start pyvrrp", timeout=120)
    return node


def show(node: Machine, *properties: str) -> list[str]:
    said = node.run("systemctl", "show", "pyvrrp", *(f"--property={each}" for each in properties)).output
    found = dict(line.split("=", 1) for line in said.splitlines())
    return [found[each] for each in properties]


def status(node: Machine) -> dict:
    done = node.run("pyvrrp", "status", "--json", check=False)
    return json.loads(done.output) if done.output.startswith("{") else {"said": done.output}


def holds(node: Machine) -> bool:
    return f"{VIP}\n" in node.read("/proc/net/fib_trie")


@pytest.mark.core
def test_the_unit_from_start_to_stop(node: Machine) -> None:
    # Type=notify: `systemctl start` came back because the daemon said that it is ready.
    assert show(node, "ActiveState", "SubState", "NRestarts") == ["active", "running", "0"]
    eventually(lambda: holds(node), "it is MASTER", 60, every=0.5)
    guard = int(show(node, "MainPID")[0])
    first = status(node)
    assert first["guard"] == guard
    capabilities = node.sh(f"grep -h CapBnd /proc/{guard}/status /proc/{first['pid']}/status")
    assert set(capabilities.split()) == {"CapBnd:", "0000000000003000"}, "NET_ADMIN and NET_RAW, and no other"

    # The speaker falls: nobody but the guard notices.
    node.sh(f"kill -KILL {first['pid']}")
    eventually(lambda: status(node).get("pid") not in (None, first["pid"]), "another speaker", 90, every=0.5)
    assert (show(node, "MainPID", "NRestarts"), holds(node)) == ([str(guard), "0"], True)

    # A reload and a restart of the code keep the role.
    node.sh("systemctl reload pyvrrp")
    node.run("pyvrrp", "restart", timeout=90)
    assert status(node)["instances"][0]["state"] == "MASTER"

    # The guard falls: systemd starts both again.
    node.sh(f"kill -KILL {guard}")
    eventually(lambda: show(node, "NRestarts") == ["1"], "systemd starts it again", 120, every=0.5)
    eventually(lambda: holds(node), "it is MASTER again", 120, every=0.5)

    # Both stand still: the watchdog is not fed any more.
    node.sh("kill -STOP $(systemctl show pyvrrp --value --property=MainPID)")
    eventually(lambda: show(node, "NRestarts") == ["2"], "the watchdog ends it", 120, every=0.5)
    eventually(lambda: holds(node), "it is MASTER again", 120, every=0.5)

    node.sh("systemctl stop pyvrrp", timeout=120)
    assert show(node, "ActiveState", "Result") == ["inactive", "success"]
    assert not holds(node)

    # What can't be run is not tried again and again.
    node.put("/etc/keepalived/keepalived.conf", CONFIGURATION.replace("virtual_router_id 51", "virtual_router_id 0"))
    node.run("systemctl", "start", "pyvrrp", check=False, timeout=120)
    eventually(lambda: show(node, "ActiveState") == ["failed"], "it has failed", 60, every=0.5)
    assert show(node, "NRestarts", "ExecMainStatus") == ["0", "2"]
