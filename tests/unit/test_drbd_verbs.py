"""The verbs that ask the daemon, or are called by DRBD: what they ask, what they say, how they end."""

from types import SimpleNamespace

import pytest

from drbdctl.cli import daemon as cli_daemon
from drbdctl.cli import fence_peer, main, move, plan, promote, telling, verify
from drbdctl.status.state import Connection, Device, PeerDevice, Progress, Resource, Status
from drbdctl.status.words import ConnectionState, DiskState, ReplicationState, Role
from drbdctl.steps.command import Outcome
from pyvrrp.cli.control_client import ControlError, NotRunning

STORAGE = {"vrrp_instance": "VI", "resources": ["r0"], "phase": "primary"}


class Daemon:
    """Answers as the control socket does."""

    def __init__(self) -> None:
        self.storages = {"S": dict(STORAGE)}
        self.answer: object = {}
        self.asked: list[list[str]] = []
        self.raises: Exception | None = None

    def call(self, path, method, parameters=None, *, timeout=10.0):
        if self.raises is not None:
            raise self.raises
        if method == "status":
            return {"plugins": {"drbdctl": {"storages": self.storages}}, "instances": []}
        assert (method, parameters["plugin"]) == ("plugin", "drbdctl")
        self.asked.append(parameters["words"])
        return self.answer


@pytest.fixture
def daemon(monkeypatch) -> Daemon:
    daemon = Daemon()
    monkeypatch.setattr(cli_daemon, "call", daemon.call)
    monkeypatch.setattr(fence_peer.syslog, "syslog", lambda *_: None)
    return daemon


def test_acknowledge_says_who_it_was(daemon, monkeypatch, capsys):
    monkeypatch.setenv("SUDO_USER", "alice")
    assert main(["acknowledge"]) == 0
    assert daemon.asked == [["S", "acknowledge", "alice"]]
    assert capsys.readouterr().out == "storage S: acknowledged\n"


@pytest.mark.parametrize("verb", [["acknowledge"], ["move"], ["plan", "promote", "--after-move"]])
@pytest.mark.parametrize(
    ("storages", "raises", "status", "told"),
    [
        ({"S": STORAGE, "T": STORAGE}, None, 1, "which storage? The daemon has: S, T"),
        ({}, None, 1, "which storage? The daemon has: none"),
        ({}, NotRunning("pyvrrp is not running (x); start it"), 3, "pyvrrp is not running (x); start it"),
        ({}, ControlError("x: no answer within 10 s"), 1, "x: no answer within 10 s"),
    ],
)
def test_which_storage_and_whether_there_is_a_daemon(daemon, capsys, verb, storages, raises, status, told):
    daemon.storages, daemon.raises = storages, raises
    assert main(verb) == status
    assert capsys.readouterr().err == f"drbdctl {verb[0]}: {told}\n"


def test_move_is_for_the_node_that_serves(daemon, monkeypatch, capsys):
    daemon.storages["S"]["phase"] = "secondary"
    assert main(["move"]) == 1
    assert "storage S does not serve here (secondary); move it on the other node" in capsys.readouterr().err


def test_move_hands_the_instance_over(daemon, monkeypatch, capsys):
    handed: list[object] = []
    monkeypatch.setattr(move.switchover, "run", lambda asked: handed.append(asked.name) or 0)
    assert main(["move"]) == 0
    assert handed == [["VI"]]
    assert "until this node had let go" in capsys.readouterr().out


def test_plan_after_move(daemon, capsys):
    daemon.answer = {"steps": ["promote r0: it is Secondary"], "refusals": []}
    assert main(["plan", "promote", "--after-move"]) == 0
    assert capsys.readouterr().out == "1. promote r0: it is Secondary\n"
    daemon.answer = {"steps": ["promote r0: x"], "refusals": ["r0: no (rule 2)"]}
    assert main(["plan", "promote", "--after-move"]) == 1
    assert capsys.readouterr().out == "refused: r0: no (rule 2)\nwould: 1. promote r0: x\n"
    assert daemon.asked == [["S", "after-move"]] * 2


def test_plan_promote_is_the_daemon_s_where_one_runs(daemon, monkeypatch, capsys):
    monkeypatch.setattr(plan, "chosen", lambda _: SimpleNamespace(storage=SimpleNamespace(name="S")))
    daemon.answer = {"steps": [], "refusals": ["r0: the peer is not connected, and was heard on eth0 (rule 5)"]}
    assert main(["plan", "promote"]) == 1
    assert capsys.readouterr().out == (
        "refused: r0: the peer is not connected, and was heard on eth0 (rule 5)\nwould: nothing to do\n"
    )
    assert daemon.asked == [["S", "plan"]]


# --- the operator's last word ----------------------------------------------------------------------------------------


@pytest.fixture
def handle(monkeypatch, daemon):
    """A storage of the configuration, and the daemon that runs beside."""
    monkeypatch.setattr(telling, "call", daemon.call)
    monkeypatch.setattr(promote, "call", daemon.call)
    monkeypatch.setattr(promote, "chosen", lambda _: SimpleNamespace(storage=SimpleNamespace(name="S")))


def test_accept_stale_is_told_to_the_daemon_that_decides(handle, daemon, monkeypatch, capsys):
    monkeypatch.setenv("SUDO_USER", "alice")
    assert main(["promote", "--accept-stale", "--reason", "n1 has burnt down"]) == 0
    assert daemon.asked == [["S", "accept", "alice", "n1 has burnt down", "5", "6"]]
    assert "the daemon here may take over although rules 5 and 6 speak against it" in capsys.readouterr().out


def test_beside_the_daemon_nobody_promotes_by_hand(handle, daemon, capsys):
    assert main(["promote"]) == 2
    assert "pyvrrp runs here and decides about storage S" in capsys.readouterr().err


# --- fence-peer ------------------------------------------------------------------------------------------------------


def test_fence_peer_gives_the_daemon_s_answer_to_drbd(daemon, monkeypatch, capsys):
    monkeypatch.setenv("DRBD_RESOURCE", "r0")
    daemon.answer = {"status": 5, "why": "r0: the peer fell silent on every path"}
    assert main(["fence-peer", "r0"]) == 5
    assert daemon.asked == [["S", "fence-peer", "r0"]]
    assert capsys.readouterr().out == "r0: the peer fell silent on every path\n"


@pytest.mark.parametrize(
    ("resource", "raises"),
    [("r9", None), ("r0", NotRunning("pyvrrp is not running")), ("r0", ControlError("no answer"))],
)
def test_fence_peer_never_permits_what_nobody_has_judged(daemon, resource, raises, capsys):
    daemon.raises = raises
    daemon.answer = {"status": 5, "why": "?"}
    assert main(["fence-peer", resource]) == 1
    assert capsys.readouterr().out.strip()


# --- verify ----------------------------------------------------------------------------------------------------------


def state(
    replication: ReplicationState = ReplicationState.ESTABLISHED,
    *,
    out_of_sync: int = 0,
    percent: float = 0.0,
    link: ConnectionState = ConnectionState.CONNECTED,
) -> Status:
    peer = PeerDevice(0, replication, DiskState.UP_TO_DATE, out_of_sync=out_of_sync, progress=Progress(percent))
    connection = Connection("peer", None, link, Role.SECONDARY, peer_devices=(peer,))
    device = Device(0, 0, DiskState.UP_TO_DATE)
    return Status((Resource("r0", role=Role.PRIMARY, devices=(device,), connections=(connection,)),))


@pytest.fixture
def drbd(monkeypatch):
    """What is seen, look by look; the last one stays."""
    states: list[Status] = []

    class Answer:
        def __init__(self, status: Status) -> None:
            self.status = status

    async def run(argv, deadline):
        assert argv == ["drbdadm", "verify", "r0"]
        return Outcome(argv=tuple(argv), status=0, output="", seconds=0.0)

    monkeypatch.setattr(verify, "node_status", lambda: Answer(states.pop(0) if len(states) > 1 else states[0]))
    monkeypatch.setattr(verify.command, "run", run)
    monkeypatch.setattr(verify, "_POLL", 0.0)
    return states


@pytest.mark.parametrize(("differs", "status"), [(0, 0), (16, 1)])
def test_a_verify_is_followed_to_its_end(drbd, capsys, differs, status):
    running = ReplicationState.VERIFY_S
    drbd += [state(), state(running, percent=5.0), state(running, percent=60.0), state(out_of_sync=differs)]
    assert main(["verify", "r0"]) == status
    out = capsys.readouterr().out
    assert "r0: 60 % compared" in out
    assert f"r0: {differs} KiB differ" in out


def test_what_was_marked_before_is_not_counted(drbd, capsys):
    drbd += [state(out_of_sync=8), state(out_of_sync=8)]
    assert main(["verify", "r0"]) == 0


@pytest.mark.parametrize(
    ("found", "status", "told"),
    [
        (state(link=ConnectionState.CONNECTING), 1, "drbdctl verify: r0: the peer is not connected\n"),
        (Status(), 2, "drbdctl verify: r0 is not up on this node; `drbdadm up r0`\n"),
    ],
)
def test_a_verify_that_can_t_be_run(drbd, capsys, found, status, told):
    drbd.append(found)
    assert main(["verify", "r0"]) == status
    assert capsys.readouterr().err == told


# --- called by DRBD --------------------------------------------------------------------------------------------------


def test_a_handler_that_drbd_did_not_call_says_where_it_belongs(monkeypatch, capsys):
    for name in ("DRBD_RESOURCE", "DRBD_VOLUME", "DRBD_LL_DISK"):
        monkeypatch.delenv(name, raising=False)
    assert main(["snapshot-resync-target"]) == 2
    assert "write it into the handlers section of drbd.conf" in capsys.readouterr().err
