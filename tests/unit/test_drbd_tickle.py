"""Connections as the kernel lists them, kept in a file, and the segment that makes a client ask again."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import pytest

from drbdctl.daemon import clients
from drbdctl.daemon.clients import Clients
from drbdctl.settings import Nfs
from drbdctl.steps import tickle
from drbdctl.steps.command import Outcome
from drbdctl.steps.tickle import Connection
from pyvrrp.core.datagram import internet_checksum, pseudo_header

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0801 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   1: 64004D0A:0801 03004D0A:0309 01 00000000:00000000 02:00000B3A 00000000     0        0 34 2 0 20 4 24 10 -1
   2: 64004D0A:0801 04004D0A:030A 06 00000000:00000000 03:00000B3A 00000000     0        0 0 3 0
   torn line
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: B80D0120000000000000000001000000:0801 B80D0120000000000000000002000000:0309 01 0 0 0 0 0 0
   1: 0000000000000000FFFF000064004D0A:0801 0000000000000000FFFF000005004D0A:0309 01 0 0 0 0 0 0
"""
CLIENT = Connection("10.77.0.100", 2049, "10.77.0.3", 777)


def test_who_is_connected_is_read_from_the_kernel(tmp_path) -> None:
    (tmp_path / "tcp").write_text(TCP)
    (tmp_path / "tcp6").write_text(TCP6)
    assert tickle.connections(2049, tmp_path) == {
        CLIENT,
        Connection("10.77.0.100", 2049, "10.77.0.5", 777),
        Connection("2001:db8::1", 2049, "2001:db8::2", 777),
    }
    assert tickle.connections(22, tmp_path) == frozenset()
    assert tickle.connections(2049, tmp_path / "missing") == frozenset()


def test_the_file_is_read_as_it_was_written_and_what_is_torn_is_left_out() -> None:
    both = {CLIENT, Connection("2001:db8::1", 2049, "2001:db8::2", 777)}
    text = tickle.written(both)
    assert tickle.read(text) == both
    torn = (
        text
        + "\0\0\0\n10.77.0.100 2049 10.77.0.3\n10.77.0.100 2049 2001:db8::2 777\n10.77.0.100 2049 10.77.0.3 70000\n"
    )
    assert tickle.read(torn) == both
    assert tickle.read("") == frozenset()


def test_the_segment_is_an_acknowledgement_with_a_right_checksum() -> None:
    for connection in (CLIENT, Connection("2001:db8::1", 2049, "2001:db8::2", 777)):
        made = tickle.segment(connection)
        assert (made[:4], made[13]) == ((2049).to_bytes(2) + (777).to_bytes(2), 0x10)
        ends = map(ipaddress.ip_address, (connection.address, connection.client))
        assert internet_checksum(pseudo_header(*ends, len(made), socket.IPPROTO_TCP) + made) == 0


class Volume:
    """Runs the commands of Clients on a file that is a string."""

    def __init__(self) -> None:
        self.text, self.written = "", 0

    async def run(self, argv: Sequence[str], deadline: float) -> Outcome:
        if argv[0] == "sh":
            self.text, self.written = argv[-1], self.written + 1
        return Outcome(argv=tuple(argv), status=0, output=self.text, seconds=0.0)


def test_connections_are_kept_when_they_change_and_reset_where_they_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: set[Connection] = {CLIENT}
    reset: list[Connection] = []
    monkeypatch.setattr(tickle, "connections", lambda port: frozenset(connected))
    monkeypatch.setattr(tickle, "send", reset.append)
    monkeypatch.setattr(clients, "_PAUSES", (0.0, 0.0))
    volume = Volume()
    nfs = Nfs(state_dir="/mnt/data/.nfs", exports=(), scope="storage-NFS")

    async def serve_and_move() -> None:
        first = Clients(nfs, volume.run)
        for _ in range(3):
            await first.save()
        assert (tickle.read(volume.text), volume.written) == ({CLIENT}, 1)
        connected.clear()
        await Clients(nfs, volume.run).recall(["127.0.0.1"])
        assert reset == [], "it was connected to another address"
        volume.text = tickle.written({Connection("127.0.0.1", 2049, "192.0.2.1", 777)})
        await Clients(nfs, volume.run).recall(["127.0.0.1"])
        assert reset == [*tickle.read(volume.text)] * 2
        connected.update(tickle.read(volume.text))
        await Clients(nfs, volume.run).recall(["127.0.0.1"])
        assert len(reset) == 2, "who is connected is left in peace"

    asyncio.run(serve_and_move())


def test_clients_of_version_3_are_told_by_a_name_of_its_own_and_who_fails_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = Connection("127.0.0.1", 2049, "192.0.2.1", 777)
    reset: list[Connection] = []
    monkeypatch.setattr(tickle, "connections", lambda port: frozenset())
    monkeypatch.setattr(tickle, "send", reset.append)
    monkeypatch.setattr(clients, "_PAUSES", (0.0,))
    told: list[Sequence[str]] = []

    async def run(argv: Sequence[str], deadline: float) -> Outcome:
        if argv[0] == "cat":
            return Outcome(argv=tuple(argv), status=0, output=tickle.written({left}), seconds=0.0)
        told.append(argv)
        return Outcome(argv=tuple(argv), status=1, output="sm-notify: no", seconds=0.0)

    nfs = Nfs(state_dir="/mnt/data/.nfs", exports=(), scope="storage-NFS", version3=True)
    asyncio.run(Clients(nfs, run).recall(["127.0.0.1"]))
    assert told[0][-7:] == ["127.0.0.1", "sm-notify", "-f", "-v", "127.0.0.1", "-P", "/mnt/data/.nfs/statd"]
    assert "are not told to reclaim their locks, which are lost" in caplog.text
    assert reset == [left]
