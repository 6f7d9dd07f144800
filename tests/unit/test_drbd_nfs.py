"""The NFS server on a volume: what is ours, what is refused, and whether it answers."""

import asyncio
import struct
from collections.abc import Sequence

import pytest

from drbdctl.settings import Export, Nfs
from drbdctl.steps import nfs, rpc
from drbdctl.steps.command import Outcome
from drbdctl.steps.effect import StepFailed

EXPORT = Export(
    directory="/mnt/data/share",
    clients=("10.77.0.0/24", "client.example"),
    options=("rw", "sync"),
    fsid="1",
    mount_point="/mnt/data",
)
SERVER = Nfs(state_dir="/mnt/data/.nfs", scope="storage", exports=(EXPORT,))


def test_the_lines_of_exportfs():
    text = (
        "/mnt/data/share  10.77.0.0/24(sync,wdelay,hide,fsid=1,sec=sys,rw,secure)\n"
        "/srv/with\\040blank  client.example(ro)\n"
        "garbage\n"
    )
    assert list(nfs.read_exports(text)) == [("10.77.0.0/24", "/mnt/data/share"), ("client.example", "/srv/with blank")]


def test_a_server_of_somebody_else_s_is_refused_and_left_alone(monkeypatch):
    asked: list[str] = []

    async def run(argv: Sequence[str], deadline: float) -> Outcome:
        asked.append(argv[0])
        return Outcome(argv=tuple(argv), status=0, output="", seconds=0.0)

    async def prepared(run: object) -> None:
        pass

    monkeypatch.setattr(nfs, "threads", lambda: 8)
    monkeypatch.setattr(nfs, "prepare", prepared)
    with pytest.raises(StepFailed, match="was not started for this storage; `systemctl disable --now nfs-server`"):
        asyncio.run(nfs.start(SERVER, 5.0, run))
    asyncio.run(nfs.stop(SERVER, 5.0, run))
    assert "rpc.nfsd" not in asked


def test_a_volume_that_is_not_mounted_is_never_exported(monkeypatch):
    async def run(argv: Sequence[str], deadline: float) -> Outcome:
        raise AssertionError(f"{argv} must not be run")

    async def prepared(run: object) -> None:
        pass

    monkeypatch.setattr(nfs, "threads", lambda: 0)
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
