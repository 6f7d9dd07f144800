"""The NFS server on a volume: what is ours, what is refused, and whether it answers."""

import asyncio
import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from drbdctl.settings import Export, Nfs
from drbdctl.steps import nfs, rpc, services
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import StepFailed

EXPORT = Export(
    directory="/mnt/data/share",
    clients=("10.77.0.0/24", "client.example"),
    options=("rw", "sync"),
    fsid="1",
    mount_point="/mnt/data",
)


def nfsd(directory: Path, threads: int) -> Path:
    """What is below /proc/fs/nfsd."""
    (directory / "threads").write_text(f"{threads}\n")
    return directory


SERVER = Nfs(state_dir="/mnt/data/.nfs", scope="storage", exports=(EXPORT,))


def test_the_lines_of_exportfs():
    text = (
        "/mnt/data/share  10.77.0.0/24(sync,wdelay,hide,fsid=1,sec=sys,rw,secure)\n"
        "/srv/with\\040blank  client.example(ro)\n"
        "garbage\n"
    )
    assert list(nfs.read_exports(text)) == [("10.77.0.0/24", "/mnt/data/share"), ("client.example", "/srv/with blank")]


def test_a_server_of_somebody_else_s_is_refused_and_left_alone(monkeypatch, tmp_path):
    asked: list[str] = []

    async def run(argv: Sequence[str], deadline: float) -> Outcome:
        asked.append(argv[0])
        return Outcome(argv=tuple(argv), status=0, output="8\n" if argv[0] == "cat" else "", seconds=0.0)

    async def prepared(run: object) -> None:
        pass

    monkeypatch.setattr(nfs, "NFSD", nfsd(tmp_path, threads=8))
    monkeypatch.setattr(nfs.processes, "named", lambda name: list(range(8)) if name == "nfsd" else [])
    monkeypatch.setattr(nfs, "prepare", prepared)
    with pytest.raises(StepFailed, match="was not started for this storage; `systemctl disable --now nfs-server`"):
        asyncio.run(nfs.start(SERVER, 5.0, run))
    asyncio.run(nfs.stop(SERVER, 5.0, run))
    assert "rpc.nfsd" not in asked


def test_a_volume_that_is_not_mounted_is_never_exported(monkeypatch, tmp_path):
    async def run(argv: Sequence[str], deadline: float) -> Outcome:
        raise AssertionError(f"{argv} must not be run")

    async def prepared(run: object) -> None:
        pass

    monkeypatch.setattr(nfs, "NFSD", tmp_path)
    monkeypatch.setattr(nfs, "prepare", prepared)
    with pytest.raises(StepFailed, match="/mnt/data is not mounted: /mnt/data/share is not exported"):
        asyncio.run(nfs.start(SERVER, 5.0, run))


def answer(xid: bytes, *words: int) -> bytes:
    return xid + struct.pack(f">{len(words)}I", *words)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (answer(b"abcd", 1, 0, 0, 0, 0), ""),
        (answer(b"abcd", 1, 0, 0, 0, 2), "it does not carry out the call (accept_stat 2)"),
        (answer(b"abcd", 1, 1, 0, 0, 0), "it denies the call"),
        (answer(b"abcd", 1, 0, 0, 0), "its answer is cut"),
        (answer(b"efgh", 1, 0, 0, 0, 0), "its answer is no answer to the question"),
        (b"", "its answer is no answer to the question"),
    ],
)
def test_what_an_answer_to_the_null_procedure_says(reply: bytes, verdict: str):
    assert rpc.verdict(b"abcd", reply) == verdict


def test_a_server_that_answers_and_one_that_hangs_up():
    async def scenario() -> tuple[str, str]:
        async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            question = await reader.readexactly(44)
            body = answer(question[4:8], 1, 0, 0, 0, 0)
            writer.write(struct.pack(">I", 0x80000000 | len(body)) + body)
            writer.close()

        async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(44)
            writer.close()

        found = []
        for serve in (answers, hangs_up):
            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                found.append(await rpc.ping("127.0.0.1", port, 4, 5.0))
        return found[0], found[1]

    assert asyncio.run(scenario()) == ("", "it closed the connection")


class Machine:
    """The kernel's NFS server and the daemons beside it, as the commands leave them."""

    def __init__(self, monkeypatch, tmp_path: Path) -> None:
        self.commands: list[list[str]] = []
        self.threads, self.stops = 0, True
        self.daemons: dict[str, list[int]] = {"nfsdcld": [], "rpc.mountd": [], "rpc.statd": []}
        self.exported: set[tuple[str, str]] = set()
        monkeypatch.setattr(nfs, "NFSD", nfsd(tmp_path, threads=0))
        monkeypatch.setattr(nfs.processes, "named", lambda name: list(range(self.threads)))
        mounted = SimpleNamespace(point="/mnt/data", file_system="ext4")
        pipefs = SimpleNamespace(point="/run/rpc_pipefs", file_system="rpc_pipefs")
        monkeypatch.setattr(nfs.holders, "mounts", lambda: [mounted, pipefs])
        monkeypatch.setattr(nfs.processes, "running", lambda name: iter(()))
        monkeypatch.setattr(nfs, "_nfsdcld", lambda _: list(self.daemons["nfsdcld"]))
        self.slow = 0
        "so many times nfsd is quicker than nfsdcld"
        monkeypatch.setattr(nfs, "_TRACKING", 0.0)
        monkeypatch.setattr(nfs.processes, "has_open", lambda pid, end: self.slow == 0)
        monkeypatch.setattr(nfs, "_mountd", lambda _: list(self.daemons["rpc.mountd"]))
        monkeypatch.setattr(nfs, "_statd", lambda _: list(self.daemons["rpc.statd"]))
        monkeypatch.setattr(nfs, "prepare", self.prepare)
        monkeypatch.setattr(nfs.processes, "end", self.end)
        monkeypatch.setattr(nfs.rpc, "ping", self.ping)

    async def prepare(self, run) -> None:
        pass

    async def ping(self, *_) -> str:
        return "" if self.threads else "refused"

    async def end(self, pids, deadline) -> None:
        self.commands.append(["end", *sorted(name for name, found in self.daemons.items() if set(found) & set(pids))])
        for found in self.daemons.values():
            found.clear()

    async def run(self, argv: Sequence[str], deadline: float) -> Outcome:
        words, output = list(argv), ""
        match words:
            case ["cat", _]:
                output = f"{self.threads}\n"
            case ["exportfs", "-s"]:
                output = "".join(f"{directory}  {client}(rw)\n" for client, directory in sorted(self.exported))
            case ["exportfs", "-o", _, where]:
                self.exported.add(tuple(where.split(":", 1)))
            case ["exportfs", "-u", where]:
                self.exported.discard(tuple(where.split(":", 1)))
            case ["nfsdcld" | "rpc.mountd" | "rpc.statd" as name, *_]:
                self.daemons[name].append(42)
            case ["unshare", *_, count]:
                self.threads = int(count)
            case ["rpc.nfsd", "0"] if self.stops:
                self.threads, self.slow = 0, max(0, self.slow - 1)
        if words[:2] != ["exportfs", "-s"] and words[0] not in ("test", "cat"):
            self.commands.append(words)
        return Outcome(argv=tuple(argv), status=0, output=output, seconds=0.0)


def test_the_order_up_and_down(monkeypatch, tmp_path):
    machine = Machine(monkeypatch, tmp_path)
    asyncio.run(nfs.start(SERVER, 5.0, machine.run))
    options = "rw,sync,fsid=1,mountpoint=/mnt/data"
    assert machine.commands == [
        ["mkdir", "-p", "-m", "0700", "/mnt/data/.nfs"],
        ["nfsdcld", "-s", "/mnt/data/.nfs", "-p", "/run/rpc_pipefs"],  # whom to wait for, before anybody is served
        ["rpc.mountd", "-N", "2", "-N", "3"],
        ["exportfs", "-o", options, "10.77.0.0/24:/mnt/data/share"],  # before nfsd: no ESTALE for who is early
        ["exportfs", "-o", options, "client.example:/mnt/data/share"],
        [
            *["unshare", "--uts", "sh", "-c"],
            nfs._IN_NAMESPACE,
            "storage",
            *["rpc.nfsd", "-N", "3", "-L", "30", "-G", "30", "8"],
        ],
    ]
    machine.commands.clear()
    asyncio.run(nfs.start(SERVER, 5.0, machine.run))
    assert machine.commands == [], "it runs already"
    machine.exported.add(("192.0.2.1", "/home"))  # somebody else's
    asyncio.run(nfs.stop(SERVER, 5.0, machine.run))
    assert machine.commands == [
        ["rpc.nfsd", "0"],  # nfsd pins the file system as long as one file is open
        ["exportfs", "-u", "10.77.0.0/24:/mnt/data/share"],
        ["exportfs", "-u", "client.example:/mnt/data/share"],
        ["exportfs", "-f"],
        ["end", "nfsdcld", "rpc.mountd"],
    ]
    assert machine.exported == {("192.0.2.1", "/home")}, "never -r, never -a"


def test_version_3_has_its_state_on_the_volume_too(monkeypatch, tmp_path):
    machine = Machine(monkeypatch, tmp_path)
    asyncio.run(nfs.start(replace(SERVER, version3=True), 5.0, machine.run))
    commands = [" ".join(each) for each in machine.commands]
    assert "rpc.mountd -N 2" in commands
    assert "rpc.statd -L -P /mnt/data/.nfs/statd" in commands
    assert commands[-1].endswith("rpc.nfsd -L 30 -G 30 8")


def test_a_server_whose_threads_do_not_end_keeps_its_exports(monkeypatch, tmp_path):
    machine = Machine(monkeypatch, tmp_path)
    asyncio.run(nfs.start(SERVER, 5.0, machine.run))
    machine.stops = False
    with pytest.raises(StepFailed, match="8 nfsd threads do not end"):
        asyncio.run(nfs.stop(SERVER, 5.0, machine.run))
    assert machine.exported
    assert machine.daemons["nfsdcld"]


def test_an_nfsd_whose_stop_hangs_is_not_asked_by_the_daemon_itself(monkeypatch, tmp_path):
    """The file with their number is locked for as long as that lasts."""
    machine = Machine(monkeypatch, tmp_path)
    asyncio.run(nfs.start(SERVER, 5.0, machine.run))
    os.remove(nfs.NFSD / "threads")
    os.mkfifo(nfs.NFSD / "threads")  # who opens it waits

    async def run(argv: Sequence[str], deadline: float) -> Outcome:
        hangs = argv[0] in ("cat", "rpc.nfsd")
        done = Outcome(argv=tuple(argv), status=None if hangs else 0, output="8", seconds=0.0, stuck=hangs)
        return done if hangs else await machine.run(argv, deadline)

    with pytest.raises(StepFailed) as raised:
        asyncio.run(nfs.stop(SERVER, 5.0, run))
    assert raised.value.failure.stuck
    assert asyncio.run(services.works(SERVER, 5.0, run)) is None


def test_an_nfsd_that_has_not_taken_nfsdcld_is_started_again(monkeypatch, tmp_path):
    """Otherwise nobody is known on the volume, and all locks are gone after a move."""
    machine = Machine(monkeypatch, tmp_path)
    machine.slow = 1
    asyncio.run(nfs.start(SERVER, 5.0, machine.run))
    assert machine.threads == 8
    assert [each[:2] for each in machine.commands].count(["rpc.nfsd", "0"]) == 1

    never = Machine(monkeypatch, tmp_path)
    never.slow = 10
    with pytest.raises(StepFailed, match="they would lose their locks at the next move"):
        asyncio.run(nfs.start(SERVER, 5.0, never.run))
