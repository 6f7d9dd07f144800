"""The XDP program on Debian 12's kernel (6.1): its verifier takes it, and frames go where the oracle says."""

import json
from pathlib import Path

import pytest

from dnslb.decision import Decider, Memory
from tests.dnslb_frames import frames
from tests.dnslb_services import FORWARDING, HELD
from tests.vm.machine import Machine

TESTS = Path(__file__).parents[1]
IN_THE_MACHINE = """
import json, os, sys
from dataclasses import replace
sys.path[:0] = ["/opt/project", "/opt/project/site", "/root"]
from dnslb.dataplane import xdp
from tests.dnslb_services import FORWARDING, HELD
from tests.dnslb_xdp import VERDICTS, Unattached, many_services

os.sched_setaffinity(0, {0})
wrong = []
with Unattached(FORWARDING, HELD) as plane:
    for kind, frame, verdict, left in json.load(open("/root/frames.json")):
        ran = plane.run(bytes.fromhex(frame))
        if (VERDICTS[ran.verdict], ran.frame.hex()) != (verdict, left):
            wrong.append((kind, frame, verdict, ran.verdict))
os.system("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up")
attached = {}
for interface in ("v0", "eth0"):
    engine = xdp.open(interface, native_on_veth=True)
    engine.install(FORWARDING)
    engine.install(replace(FORWARDING, services=many_services()))
    attached[interface] = [engine.mode, engine.reason]
    engine.close()
print(json.dumps({"wrong": wrong, "attached": attached}))
"""


@pytest.fixture
def machine(machines) -> Machine:
    (machine,) = machines("n1")
    machine.sh("mkdir -p /root/tests")
    for name in ("__init__.py", "dnslb_services.py", "dnslb_packets.py", "dnslb_xdp.py"):
        machine.put(f"/root/tests/{name}", (TESTS / name).read_text())
    return machine


def test_the_program_is_accepted_and_does_as_the_oracle_says(machine: Machine) -> None:
    decider, memory = Decider(FORWARDING, HELD), Memory()
    decided = []
    for frame in frames(3, 1500):
        if len(frame.data) >= 14:
            decision = decider.decide(frame.data, memory)
            decided.append((frame.kind, frame.data.hex(), decision.verdict.name, decision.frame.hex()))
    machine.put("/root/frames.json", json.dumps(decided))
    machine.put("/root/run.py", IN_THE_MACHINE)
    report = json.loads(machine.sh("python3 /root/run.py", timeout=120))
    assert report["wrong"] == []
    assert report["attached"]["v0"] == ["native", ""]
    assert report["attached"]["eth0"][0] in ("native", "generic")
