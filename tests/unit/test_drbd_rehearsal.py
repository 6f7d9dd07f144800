"""A rehearsal: what keeps it from beginning, what it does, what it measures; two daemons on paper, one turned clock."""

import json
import socket
import stat
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from drbdctl.cli.rehearsal_nodes import There
from drbdctl.failover.budget import Budget
from drbdctl.failover.evidence import Link
from drbdctl.failover.group import Limits
from drbdctl.rehearsal.probe import Answer, Gap, Probe, gap
from drbdctl.rehearsal.readiness import after_move, fingerprint
from drbdctl.rehearsal.report import as_json, lines
from drbdctl.rehearsal.run import NodeFailed, Rehearsal
from drbdctl.settings import Export, Nfs, Storage
from drbdctl.status.words import DiskState, ReplicationState, Role
from drbdctl.steps.ssh import Peer, PeerFailed
from tests.unit.drbd_seen import GROUP, NOW, network, resource, seen, sight, with_policy

NFS = Nfs(
    state_dir="/mnt/data/.nfs",
    exports=(Export(directory="/mnt/data", clients=("*",), options=("rw",), fsid="1", mount_point="/mnt/data"),),
    scope="storage-s",
)
STORAGE = Storage(group=GROUP, instance="VI", services=(NFS,))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Node:
    """A daemon: it gives the role to its peer within a second and a half."""

    def __init__(self, name: str, clock: Clock, *, serves: bool) -> None:
        self.name = name
        self.clock = clock
        self.peer: Node
        self.serves = serves
        self.moving = float("inf")
        self.steps: list[dict] = []
        self.faults: list[str] = []
        self.degraded: list[str] = []
        self.refusals: list[str] = []
        self.fingerprint = {"mounts": "1", "nfs scope": "2"}
        self.skew = 0.0
        self.takes = 0.0
        "seconds for an answer"
        self.never_gives = False

    def status(self) -> dict:
        for each in (self, self.peer):
            if each.clock.now >= each.moving:
                each.moving, each.serves, each.peer.serves = float("inf"), False, True
                each.did("demote r0", 0.1)
                each.peer.did("promote r0", 0.2)
        phase = "primary" if self.serves else "secondary"
        storage = {
            "vrrp_instance": "VI",
            "phase": phase,
            "alarm": "",
            "faults": self.faults,
            "degraded": self.degraded,
            "stuck": [],
            "steps": list(self.steps),
        }
        instance = {
            "name": "VI",
            "state": "MASTER" if self.serves else "BACKUP",
            "addresses": [{"address": "192.0.2.100/24"}],
        }
        return {"instances": [instance], "plugins": {"drbdctl": {"storages": {"S": storage}}}}

    def did(self, step: str, seconds: float) -> None:
        self.steps.append({"number": len(self.steps) + 1, "step": step, "seconds": seconds, "failure": ""})

    def after_move(self, storage: str) -> dict:
        self.clock.sleep(self.takes)
        time = 1e9 + self.clock.now + self.skew
        return {"refusals": self.refusals, "fingerprint": self.fingerprint, "time": time}

    def move(self, storage: str, instance: str) -> None:
        assert (storage, instance) == ("S", "VI")
        if not self.never_gives:
            self.moving = self.clock.now + 1.5


@pytest.fixture
def stage():
    """Rehearsal, the node here, the other one."""
    clock = Clock()
    here, there = Node("here", clock, serves=True), Node("n2", clock, serves=False)
    here.peer, there.peer = there, here

    @contextmanager
    def probe(address: str):
        assert address == "192.0.2.100"

        answers = [(clock.now + each, Answer.ACCEPTED) for each in (0.0, 0.1, 1.6, 1.7, 2.7)]
        yield SimpleNamespace(answers=answers)

    return Rehearsal("S", here, there, probe, clock=clock, sleep=clock.sleep), here, there


def test_there_and_back_with_each_step_s_time(stage):
    rehearsal, here, there = stage
    here.did("promote r0", 9.9)  # long ago
    assert rehearsal.check() == []
    ways = rehearsal.run()
    assert (here.serves, there.serves) == (True, False)
    assert [(way.giver, way.taker) for way in ways] == [("here", "n2"), ("n2", "here")]
    assert list(lines("S", ways, 2049)) == [
        "storage S: here -> n2",
        "  here: demote r0                                0.10 s",
        "  n2: promote r0                                 0.20 s",
        "  from the request until it serves there         1.60 s",
        "  a client's longest time without the address    1.50 s",
        "  ... without an answer on port 2049             1.50 s",
        "storage S: n2 -> here",
        "  n2: demote r0                                  0.10 s",
        "  here: promote r0                               0.20 s",
        "  from the request until it serves there         1.60 s",
        "  a client's longest time without the address    1.50 s",
        "  ... without an answer on port 2049             1.50 s",
    ]
    assert json.loads(json.dumps(as_json("S", ways, 2049)))["ways"][1]["taken"][0]["step"] == "promote r0"


@pytest.mark.parametrize(("skew", "apart"), [(1.5, []), (-1.5, []), (6.0, ["6 s apart"]), (-30.0, ["25 s apart"])])
def test_a_slow_answer_is_not_taken_for_a_clock_that_is_wrong(stage, skew, apart):
    rehearsal, _, there = stage
    there.takes, there.skew = 5.0, skew
    assert [
        each.partition(";")[0].removeprefix("n2: its clock and this node's are ") for each in rehearsal.check()
    ] == apart


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda here, there: setattr(there, "refusals", ["r0: it is StandAlone (rule 2)"]), "n2: r0: it is StandAlone"),
        (lambda here, there: setattr(here, "degraded", ["r0: the peer is not connected"]), "here: r0: the peer is not"),
        (lambda here, there: setattr(here, "serves", False), "here: storage S does not serve (secondary); rehearse"),
        (
            lambda here, there: setattr(there, "fingerprint", {"mounts": "1", "nfs scope": "3"}),
            "n2: its nfs scope are not those of this node; compare the storage blocks and drbd.conf (rule 25)",
        ),
        (lambda here, there: setattr(there, "skew", -30.0), "n2: its clock and this node's are 30 s apart"),
        (lambda here, there: setattr(there, "after_move", lambda _: {}), "n2: it does not say"),
    ],
)
def test_it_does_not_begin_where_a_node_says_no(stage, change, told):
    rehearsal, here, there = stage
    change(here, there)
    assert any(each.startswith(told) for each in rehearsal.check())
    assert here.moving == float("inf"), "nothing was done"


def test_a_node_that_does_not_take_over_is_told_with_where_to_look(stage):
    rehearsal, here, _ = stage
    here.never_gives = True
    with pytest.raises(NodeFailed, match=r"^n2 does not take over from here within 90 s; look where S serves: "):
        rehearsal.run()


def test_it_waits_until_it_may_take_the_role_back(stage):
    rehearsal, here, _ = stage
    here.faults = ["r0: the peer serves, and everything has been here for 5 s only (rule 20)"]
    with pytest.raises(NodeFailed, match="here does not become fit to take it back within 180 s"):
        rehearsal.run()


# --- what a client sees ----------------------------------------------------------------------------------------------

A, R, N = Answer.ACCEPTED, Answer.REFUSED, Answer.NONE


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], Gap(None, None)),
        ([(0.0, N), (1.0, N)], Gap(None, None)),
        ([(0.0, A), (1.0, N), (3.0, R), (4.0, A), (5.0, A)], Gap(3.0, 4.0)),
        ([(0.0, A), (1.0, A)], Gap(4.0, 4.0)),
        ([(0.0, R), (4.5, R)], Gap(4.5, None)),
        ([(2.0, A), (0.0, A), (5.0, A)], Gap(3.0, 3.0)),
    ],
)
def test_the_longest_time_without_an_answer(answers, expected):
    assert gap(answers, until=5.0) == expected


def test_a_service_and_an_address_without_one_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        probe = Probe("127.0.0.1", port)
        assert probe._ask() is Answer.ACCEPTED
    assert probe._ask() is Answer.REFUSED
    with Probe("127.0.0.1", port) as running:
        while not running.answers:
            pass
    assert {answer for _, answer in running.answers} == {Answer.REFUSED}


# --- what a standby says ---------------------------------------------------------------------------------------------

BUDGET = Budget(Limits())
STEADY = {"r0": sight(60.0, link=Link.CONNECTED, steady_since=NOW - 60.0)}


def standing_by(**members):
    found = members.pop("found", resource(peer=Role.PRIMARY))
    return seen(found, **{"networks": (network(0.5),), "sights": STEADY, **members})


def test_a_healthy_standby_would_take_over():
    plan = after_move(standing_by(), STORAGE, BUDGET)
    assert plan.allowed
    assert str(plan.steps[0].step) == "promote r0"


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"found": resource(peer=Role.PRIMARY, disk=DiskState.OUTDATED)}, 2),
        ({"found": resource(peer=Role.PRIMARY, replication=ReplicationState.SYNC_TARGET)}, 2),
        ({"sights": {"r0": sight(60.0, link=Link.CONNECTED, steady_since=NOW - 1.0)}}, 20),
        ({"no_directory": frozenset({"/mnt/data"})}, 10),
        ({"gap": "no answer"}, 22),
    ],
)
def test_one_that_could_not_says_why(members, rule):
    assert rule in {each.rule for each in after_move(standing_by(**members), STORAGE, BUDGET).refusals}


def test_what_clients_would_notice_is_in_the_fingerprint():
    ours = fingerprint(STORAGE)
    assert ours == fingerprint(replace(STORAGE, networks=("eth1",)))
    for what, other in (
        ("nfs scope", replace(STORAGE, services=(replace(NFS, scope="other"),))),
        ("nfs exports", replace(STORAGE, services=(replace(NFS, exports=(replace(NFS.exports[0], fsid="2"),)),))),
        ("mounts", replace(STORAGE, group=replace(GROUP, mounts=()))),
        ("takeover", replace(STORAGE, group=with_policy(asynchronous_takeover=True))),
    ):
        theirs = fingerprint(other)
        assert [each for each in ours if ours[each] != theirs.get(each)] == [what]


# --- ssh -------------------------------------------------------------------------------------------------------------


def ssh(tmp_path: Path, script: str) -> Peer:
    """A program in place of ssh: its arguments are --, the host, and one command line."""
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Peer("n2", (str(program),))


def test_a_command_is_quoted_for_the_other_shell(tmp_path):
    assert ssh(tmp_path, 'echo "$1 $2"; eval "$3"').run(["printf", "%s|", "a b", "$HOME"], 5.0) == "-- n2\na b|$HOME|"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "echo 'Permission denied (publickey).' >&2; exit 255",
            "n2 is not reached by ssh: Permission denied (publickey).; `ssh n2 true` has to work as root",
        ),
        ("echo 'sh: drbdctl: not found' >&2; exit 127", "n2: `drbdctl why` ended with 127: sh: drbdctl: not found"),
        ("sleep 20", "n2: no answer to `drbdctl why` within 0.2 s"),
    ],
)
def test_what_goes_wrong_is_one_line(tmp_path, script, told):
    with pytest.raises(PeerFailed) as failed:
        ssh(tmp_path, script).run(["drbdctl", "why"], 0.2 if "sleep" in script else 5.0)
    assert str(failed.value) == told


def test_without_ssh_the_package_is_named():
    with pytest.raises(PeerFailed, match="is not installed; install openssh-client"):
        Peer("n2", ("/nonexistent/ssh",)).run(["true"], 1.0)


def test_a_refusal_of_the_other_node_is_an_answer(tmp_path):
    there = There(ssh(tmp_path, """echo '{"refusals": ["r0: no (rule 2)"]}'; exit 1"""))
    assert there.after_move("S") == {"refusals": ["r0: no (rule 2)"]}


@pytest.mark.parametrize("answer", ["", "nonsense", "[1]", "{"])
def test_an_answer_that_is_none_is_told(tmp_path, answer):
    with pytest.raises(NodeFailed, match="is no JSON object"):
        There(ssh(tmp_path, f"echo '{answer}'")).status()
