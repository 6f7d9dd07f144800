"""The captured outputs in tests/fixtures/drbd, and what has to be left aside to compare two ways of asking."""

from dataclasses import replace
from pathlib import Path

from drbdctl.status.state import Connection, Device, PeerDevice, Resource, Status
from drbdctl.status.words import ConnectionState

FIXTURES = Path(__file__).parents[1] / "fixtures" / "drbd"
STATES = sorted(path for path in FIXTURES.glob("drbd*/states/*/n?"))
STREAMS = sorted(FIXTURES.glob("drbd*/streams/*/*.txt"))


def name(path: Path) -> str:
    return str(path.relative_to(FIXTURES))


def text(path: Path) -> str:
    """A capture without the exit status that its file ends with."""
    return "".join(line for line in path.read_text().splitlines(True) if not line.startswith("[exit status"))


def configured(path: Path) -> bool:
    """The node had a resource when it was asked."""
    return "No such resource" not in (path / "status.txt").read_text()


def words(status: Status) -> list[Resource]:
    """The words of a status without numbers, and without what only one way of asking tells.

    A StandAlone connection of 8.4 is left out, because `drbdsetup status` does.
    """
    return sorted((_words(each) for each in status.resources), key=lambda each: each.name)


def _words(resource: Resource) -> Resource:
    connections = (
        Connection(
            each.name,
            connection=each.connection,
            peer_role=each.peer_role,
            peer_devices=tuple(
                PeerDevice(
                    peer.volume, peer.replication, peer.peer_disk, resync_suspended=peer.resync_suspended,
                    unrecognized=peer.unrecognized,
                )
                for peer in each.peer_devices
            ),
        )
        for each in resource.connections
        if each.connection is not ConnectionState.STANDALONE or each.name != "peer"
    )  # fmt: skip
    devices = tuple(Device(each.volume, disk=each.disk, unrecognized=each.unrecognized) for each in resource.devices)
    return replace(
        Resource(resource.name, role=resource.role, suspended=resource.suspended, devices=devices),
        connections=tuple(connections),
        unrecognized=resource.unrecognized,
    )
