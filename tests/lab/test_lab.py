"""The lab itself: what it makes is removed whatever happens, and what it measures is true."""

import os
import signal
import subprocess
import sys
import time

import pytest
from lab_nodes import ROOT

from pyvrrp.demo.lab import Lab, LabError, eventually
from pyvrrp.demo.namespaces import names
from pyvrrp.demo.probe import Probe, Responder

VIP = "192.0.2.100"
PREFIX = f"test-inner-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
PROGRAM = f"""
import time
from pyvrrp.demo.lab import Lab
with Lab({PREFIX!r}) as lab:
    host = lab.host("n1", "192.0.2.1/24")
    inside = host.start(["setsid", "sleep", "1000"])
    print(inside.pid, flush=True)
    time.sleep(60)
"""


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start_inner() -> tuple[subprocess.Popen[str], int]:
    lab = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return lab, int(lab.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(number: signal.Signals) -> None:
    lab, inside = start_inner()
    assert names(PREFIX) == [f"{PREFIX}.n1", f"{PREFIX}.switch"]
    lab.send_signal(number)
    lab.wait(10)
    assert names(PREFIX) == []
    eventually(lambda: not runs(inside), "the program inside ends")


def test_what_a_killed_lab_left_is_removed_by_the_next() -> None:
    killed, inside = start_inner()
    killed.kill()
    killed.wait()
    assert names(PREFIX), "SIGKILL leaves the namespaces: otherwise this test shows nothing"
    with Lab(PREFIX) as lab:
        assert names(PREFIX) == [f"{PREFIX}.switch"]
        assert not runs(inside)
        lab.host("n1", "192.0.2.1/24")
    assert names(PREFIX) == []


def test_an_error_leaves_nothing() -> None:
    started = []

    def use(lab: Lab) -> None:
        started.append(lab.host("n1", "192.0.2.1/24").start(["sleep", "1000"]))
        raise ZeroDivisionError

    lab = Lab(PREFIX)
    with pytest.raises(ZeroDivisionError), lab:
        use(lab)
    assert names(PREFIX) == []
    assert not runs(started[0].pid)
    assert not lab.directory.exists()


def test_a_second_lab_of_the_same_name_is_refused_and_the_first_goes_on(lab: Lab) -> None:
    host = lab.host("n1", "192.0.2.1/24")
    with pytest.raises(LabError, match="running already"), Lab(lab.prefix):
        pass
    assert host.run(["ip", "-br", "link", "show", "eth0"]).stdout.startswith("eth0")


def test_three_hosts_are_built_fast(lab: Lab) -> None:
    began = time.monotonic()
    for number in (1, 2, 3):
        lab.host(f"n{number}", f"192.0.2.{number}/24", f"2001:db8::{number}/64")
    assert time.monotonic() - began < 1.0


def test_cable_and_partition_differ_for_the_host(lab: Lab) -> None:
    n1, n2 = (lab.host(f"n{number}", f"192.0.2.{number}/24") for number in (1, 2))

    def carrier() -> bool:
        return n1.run(["cat", "/sys/class/net/eth0/carrier"], check=False).stdout.strip() == "1"

    def reaches() -> bool:
        return n2.run(["ping", "-c1", "-W1", "192.0.2.1"], check=False).returncode == 0

    assert carrier()
    assert reaches()
    n1.cut()
    eventually(lambda: not carrier(), "the cut cable is seen")
    assert not reaches()
    n1.mend()
    eventually(carrier, "the mended cable is seen")
    eventually(reaches, "the mended cable carries")
    n1.isolate()
    assert carrier()
    assert not reaches()
    n1.rejoin()
    eventually(reaches, "the partition is over")


@pytest.mark.parametrize("vip", [VIP, "2001:db8::100"])
def test_the_probe_measures_an_outage_and_tells_who_answers(lab: Lab, vip: str) -> None:
    n1, n2, client = (lab.host(f"n{number}", f"192.0.2.{number}/24", f"2001:db8::{number}/64") for number in (1, 2, 3))
    Responder(n1)
    Responder(n2)
    probe = Probe(client, vip)
    flags = ["nodad"] if ":" in vip else []
    n1.run(["ip", "addr", "add", vip, "dev", "eth0", *flags])
    eventually(lambda: probe.answering() == "n1", "n1 answers")
    began = time.monotonic()
    n1.run(["ip", "addr", "del", vip, "dev", "eth0"])
    time.sleep(0.3)
    n2.run(["ip", "addr", "add", vip, "dev", "eth0", *flags])
    lasted = time.monotonic() - began
    client.run(["ip", "neigh", "flush", "all"])  # nobody sends a gratuitous ARP here
    eventually(lambda: probe.answering() == "n2", "n2 answers")
    (outage,) = probe.outages(since=began - 0.1)
    assert lasted - 0.1 < outage.duration < lasted + 1.5


def test_a_deleted_interface_comes_back_with_its_addresses(lab: Lab) -> None:
    n1, n2 = (lab.host(f"n{number}", f"192.0.2.{number}/24") for number in (1, 2))
    n1.delete_interface()
    assert n1.addresses() == set()
    n1.create_interface()
    assert n1.holds("192.0.2.1")
    eventually(lambda: n2.run(["ping", "-c1", "-W1", "192.0.2.1"], check=False).returncode == 0, "n1 is reached")


def test_a_frozen_program_keeps_its_socket_and_goes_on_when_thawed(lab: Lab) -> None:
    n1 = lab.host("n1", "192.0.2.1/24")
    counting = n1.start(["sh", "-c", "while true; do echo x; sleep 0.01; done"], stdout=n1.directory / "count")
    eventually(lambda: len(counting.output) > 4, "it runs")
    counting.freeze()
    time.sleep(0.05)
    frozen_at = len(counting.output)
    time.sleep(0.1)
    assert len(counting.output) == frozen_at
    counting.thaw()
    eventually(lambda: len(counting.output) > frozen_at, "it goes on")
    assert counting.stop() == -signal.SIGTERM


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "PYTHONDONTWRITEBYTECODE=1"]


@pytest.fixture(scope="module")
def python_of_nobody() -> str:
    """An interpreter that a user without any rights may run, and that finds the lab."""
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run([*NOBODY, python, "-c", "import pyvrrp.demo.lab"], capture_output=True, cwd=ROOT)
        if tried.returncode == 0:
            return python
    pytest.skip("no Python that the user nobody may run (3.11 or later)")


def test_without_root_a_user_namespace_will_do(python_of_nobody: str) -> None:
    script = "from pyvrrp.demo import namespaces; namespaces.obtain(); from pyvrrp.demo.lab import Lab\n"
    script += "with Lab('inner') as lab: print(lab.host('n1', '192.0.2.1/24').holds('192.0.2.1'))"
    done = subprocess.run([*NOBODY, python_of_nobody, "-c", script], capture_output=True, text=True, cwd=ROOT)
    if "not allowed" in done.stderr:
        pytest.skip("user namespaces are forbidden here")
    assert done.stdout == "True\n", done.stderr


def test_where_user_namespaces_are_forbidden_it_says_what_to_do(python_of_nobody: str) -> None:
    script = "from pyvrrp.demo import namespaces\ntry: namespaces.obtain()\nexcept namespaces.LabError as e: print(e)"
    forbid = ["unshare", "-U", "--"]  # who is mapped to nobody may not make a user namespace in it
    argv = [*NOBODY[:4], *forbid, *NOBODY[4:], python_of_nobody, "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert "run it as root, or allow user namespaces" in done.stdout, done.stderr
