"""`drbdctl rehearse` between two machines, by real ssh, under a client that writes."""

import json
from collections.abc import Sequence

import pytest

from tests.vm.machine import Machine
from tests.vm.ssh import SSH, let_in
from tests.vm.storage_nodes import Client, StorageNodes, judge_ledger


def steps(way: dict, side: str) -> list[str]:
    return [each["step"] for each in way[side]]


@pytest.fixture
def pair(machines) -> Sequence[Machine]:
    return machines("n1", "n2", "c1", memory=384)


def test_there_and_back(pair) -> None:
    n1, n2, c1 = pair
    nodes, client = StorageNodes((n1, n2)), Client(c1)
    let_in(n1, n2)
    rehearse = f"rehearse --peer n2 --ssh '{SSH}'"

    # On the node that does not serve, and before the other one could take over: nothing is done.
    nodes.start(n1)
    nodes.await_service(n1)
    refused = nodes.drbdctl(n1, rehearse, check=False)
    assert refused.status == 1
    assert "n2: " in refused.output
    nodes.start(n2)
    nodes.await_standby(n2)
    client.mount()
    client.write()
    ready = nodes.drbdctl(n1, f"{rehearse} --dry-run").output
    assert "both nodes are ready" in ready
    assert "drbdctl: promote" not in nodes.log(n2)

    said = nodes.drbdctl(n1, f"{rehearse} --json").output
    report = json.loads(said[said.index("{") :])
    print(said)
    there, back = report["ways"]
    assert (there["giver"], there["taker"], back["giver"], back["taker"]) == ("here", "n2", "n2", "here")
    for way in (there, back):
        assert steps(way, "given") == ["stop nfs", "unmount /mnt/data", "demote r0"]
        assert steps(way, "taken") == [
            "promote r0",
            "mount /dev/drbd0 on /mnt/data",
            "start nfs",
            *steps(way, "taken")[3:],
        ]
        assert not any(each["failure"] for side in ("given", "taken") for each in way[side])
        assert way["gap"]["service"] is not None
    client.goes_on()
    assert (nodes.serves(n1), nodes.pair.role(n1), nodes.pair.role(n2)) == (True, "Primary", "Secondary")
    assert judge_ledger(n1, client.count()) == ""
