"""The control socket over real unix sockets, on both event loops: who may ask, what is answered, what can't hurt."""

import asyncio
import json
import os
import socket
import stat
import struct
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.daemon import control
from pyvrrp.daemon.control import ControlServer, Refused, status_method
from pyvrrp.daemon.pidfile import AlreadyRunning
from pyvrrp.daemon.run_directory import Unusable
from tests.unit.snapshots import instance, taken

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
ROOT = os.geteuid() == 0


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine function on one of the loops."""

    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main())

    return run


def refuse(parameters):
    raise Refused(f"not {parameters['what']}")


async def wait(parameters):
    await asyncio.sleep(parameters["seconds"])
    return "waited"


METHODS = {
    "status": status_method(taken(instance())),
    "echo": lambda parameters: parameters,
    "wait": wait,
    "refuse": refuse,
    "break": lambda parameters: 1 / 0,
}


@asynccontextmanager
async def serving(path, methods=METHODS):
    server = ControlServer(path, methods)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def ask(path, *lines, eof=True):
    """What comes back for these lines, until the server closes."""
    loop, answers = asyncio.get_running_loop(), b""
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        await loop.sock_connect(client, str(path))
        await loop.sock_sendall(client, b"".join(lines))
        if eof:
            client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):  # it did not read all that we sent
            while chunk := await asyncio.wait_for(loop.sock_recv(client, 65536), 5):
                answers += chunk
    return [json.loads(answer) for answer in answers.splitlines()]


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.002)


def open_files():
    return len(os.listdir("/proc/self/fd"))


def line(method, **parameters):
    return json.dumps({"method": method, "parameters": parameters}).encode() + b"\n"


# --- answers ---------------------------------------------------------------------------------------------------------


def test_status_is_answered_with_the_snapshot(run, tmp_path):
    async def main():
        async with serving(tmp_path / "control") as server:
            return await ask(server.path, b'{"method": "status"}\n')

    [answer] = run(main)
    assert answer["ok"] is True
    assert answer["result"]["schema"] == 1
    assert answer["result"]["instances"][0]["state"] == "MASTER"


def test_several_requests_on_one_connection_are_answered_in_order(run, tmp_path):
    async def main():
        async with serving(tmp_path / "control") as server:
            return await ask(server.path, line("echo", n=1), line("wait", seconds=0.01), line("echo", n=2))

    assert [answer["result"] for answer in run(main)] == [{"n": 1}, "waited", {"n": 2}]


@pytest.mark.parametrize(
    ("request_line", "error"),
    [
        (b"hello\n", "not a line of JSON: Expecting value"),
        (b"\xff\xfe\n", "not a line of JSON: 'utf-8' codec"),
        (b"[" * 60000 + b"\n", "not a line of JSON: maximum recursion depth"),
        (b"[1]\n", "a request is an object"),
        (b'{"method": "echo", "parameters": [1]}\n', "a request is an object"),
        (b"{}\n", "unknown method None; known: break, echo, refuse, status, wait"),
        (b'{"method": ["status"]}\n', "unknown method ['status']"),
        (b'{"method": "stop"}\n', "unknown method 'stop'"),
        (b'{"method": "\\ud800"}\n', "unknown method '\\ud800'"),
        (line("refuse", what="today"), "not today"),
        (line("break"), "break: internal error, ZeroDivisionError: division by zero; please report it"),
    ],
)
def test_what_can_not_be_done_is_an_error_and_the_connection_goes_on(run, tmp_path, request_line, error):
    async def main():
        async with serving(tmp_path / "control") as server:
            return await ask(server.path, request_line, line("echo", n=1))

    first, second = run(main)
    assert first["ok"] is False
    assert first["error"].startswith(error)
    assert "\n" not in first["error"]
    assert second == {"ok": True, "result": {"n": 1}}


def test_a_method_that_breaks_is_logged_once(tmp_path, caplog):
    async def main():
        async with serving(tmp_path / "control") as server:
            await ask(server.path, line("break"))

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == ["control socket: method break"]


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_a_request_without_end_is_refused_and_others_are_served(run, tmp_path):
    async def main():
        async with serving(tmp_path / "control") as server:
            endless = await ask(server.path, b"x" * (control.REQUEST_BYTES + 10), eof=False)
            return endless, await ask(server.path, line("echo"))

    endless, other = run(main)
    assert endless == [{"ok": False, "error": "a request is at most 65536 bytes"}]
    assert other == [{"ok": True, "result": {}}]


def test_who_asks_nothing_is_hung_up_on(run, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.05)

    async def main():
        async with serving(tmp_path / "control") as server:
            return await ask(server.path, b'{"method"', eof=False)

    assert run(main) == []


def test_who_does_not_take_the_answer_is_hung_up_on_and_leaves_nothing_behind(run, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.1)

    async def main():
        async with serving(tmp_path / "control", {"much": lambda _: "x" * 4_000_000}) as server:
            deaf = socket.socket(socket.AF_UNIX)
            deaf.connect(str(server.path))
            deaf.sendall(line("much"))
            await until(lambda: server._clients)
            while_connected = open_files()
            await until(lambda: not server._clients and open_files() == while_connected - 1)
            deaf.close()

    run(main)


def test_a_method_that_does_not_end_is_given_up(run, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "CALL_SECONDS", 0.05)

    async def main():
        async with serving(tmp_path / "control") as server:
            return await ask(server.path, line("wait", seconds=30))

    assert run(main) == [{"ok": False, "error": "wait: no result within 0.05 s"}]


def test_the_number_of_connections_is_bounded_and_a_place_becomes_free_again(run, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "CONNECTIONS", 2)

    async def main():
        async with serving(tmp_path / "control") as server:
            first = await asyncio.open_unix_connection(str(server.path))
            second = await asyncio.open_unix_connection(str(server.path))
            busy = await ask(server.path, line("echo"))
            first[1].close()
            second[1].close()
            await until(lambda: not server._clients)
            return busy, await ask(server.path, line("echo"))

    busy, free = run(main)
    assert busy == [{"ok": False, "error": "busy: 2 connections are open already; try again"}]
    assert free == [{"ok": True, "result": {}}]


def test_stop_ends_open_connections_and_removes_the_socket(run, tmp_path):
    async def main():
        async with serving(tmp_path / "control") as server:
            reader, writer = await asyncio.open_unix_connection(str(server.path))
            writer.write(line("wait", seconds=30))
            await until(lambda: server._clients)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 1) == b""
        writer.close()

    run(main)
    assert list(tmp_path.iterdir()) == []


# --- the path --------------------------------------------------------------------------------------------------------


def test_socket_and_directory_are_for_owner_and_group_only(run, tmp_path):
    path = tmp_path / "run" / "pyvrrp" / "control"

    async def main():
        os.umask(previous := os.umask(0o177))
        try:
            os.umask(0o177)
            async with serving(path):
                return path.parent.stat(), path.stat()
        finally:
            os.umask(previous)

    directory, found = run(main)
    assert stat.filemode(directory.st_mode) == "drwxr-x---"
    assert stat.filemode(found.st_mode) == "srw-rw----"
    assert found.st_gid == directory.st_gid


@pytest.mark.skipif(not ROOT, reason="only root may give a directory to another group")
def test_the_socket_belongs_to_the_group_of_the_directory(run, tmp_path):
    os.chown(tmp_path, -1, 12345)

    async def main():
        async with serving(tmp_path / "control") as server:
            return server.path.stat().st_gid

    assert run(main) == 12345


def test_the_socket_of_a_dead_daemon_is_replaced(run, tmp_path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "control"))
    dead.close()

    async def main():
        async with serving(tmp_path / "control") as server:
            return await ask(server.path, line("echo"))

    assert run(main) == [{"ok": True, "result": {}}]


def test_a_live_daemon_is_left_alone_and_named(run, tmp_path):
    async def main():
        async with serving(tmp_path / "control") as server:
            with pytest.raises(AlreadyRunning) as refused:
                await ControlServer(server.path, {}).start()
            return refused.value, await ask(server.path, line("echo"))

    refused, answers = run(main)
    assert refused.pid == os.getpid()
    assert str(refused).startswith(f"pyvrrp is already running (pid {os.getpid()}, {tmp_path}/control); ")
    assert answers == [{"ok": True, "result": {}}]


def test_a_live_daemon_whose_queue_is_full_is_left_alone(run, tmp_path):
    with socket.socket(socket.AF_UNIX) as hung, socket.socket(socket.AF_UNIX) as client:
        hung.bind(str(tmp_path / "control"))
        hung.listen(0)
        client.connect(str(tmp_path / "control"))

        async def main():
            await ControlServer(tmp_path / "control", {}).start()

        with pytest.raises(AlreadyRunning, match="is in use"):
            run(main)


def test_a_socket_that_a_successor_put_there_is_not_removed(run, tmp_path):
    async def main():
        async with serving(tmp_path / "control") as server:
            server.path.rename(tmp_path / "old")
            (tmp_path / "old").unlink()
            server.path.write_text("the successor's")

    run(main)
    assert (tmp_path / "control").read_text() == "the successor's"


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (lambda path: path.parent.chmod(0o777), "everybody may write into it"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.with_name("control.new").mkdir(), "Is a directory"),
    ],
    ids=["world-writable", "directory", "temporary name taken"],
)
def test_a_path_that_can_not_be_used_is_refused_in_one_line(tmp_path, prepare, text):
    directory = tmp_path / "run"
    directory.mkdir()
    prepare(directory / "control")

    async def main():
        await ControlServer(directory / "control", {}).start()

    with pytest.raises(Unusable, match=text) as refused:
        asyncio.run(main())
    assert "--run-dir" in str(refused.value)


def test_a_path_that_is_too_long_for_a_socket_is_refused_in_one_line(tmp_path):
    long = tmp_path / ("x" * 90)

    async def main():
        await ControlServer(long / "control", {}).start()

    with pytest.raises(Unusable, match="shorter --run-dir"):
        asyncio.run(main())


# --- who may ask -----------------------------------------------------------------------------------------------------


@contextmanager
def somebody(uid, gid, groups=()):
    """A connected socket whose other end was connected by a process with these ids."""
    inside, outside = os.pipe()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0pyvrrp-test-{os.getpid()}")
    listener.listen()
    child = os.fork()
    if child == 0:
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listener.getsockname())
            os.close(outside)
            os.read(inside, 1)
        os._exit(0)
    try:
        with listener.accept()[0] as accepted:
            yield accepted
    finally:
        os.close(outside)
        os.close(inside)
        os.waitpid(child, 0)
        listener.close()


@pytest.mark.skipif(not ROOT, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("uid", "gid", "groups", "allowed"),
    [
        (0, 0, (), True),
        (2001, 2001, (), False),
        (2001, 3000, (), True),
        (2001, 2001, (2002, 3000), True),
        (2001, 2001, tuple(range(4000, 4300)), False),
    ],
    ids=["root", "stranger", "member", "member by a supplementary group", "stranger with 300 groups"],
)
def test_owner_root_and_members_of_the_group_may_ask(tmp_path, uid, gid, groups, allowed):
    class Writer:
        def get_extra_info(self, _):
            return peer

    server = ControlServer(tmp_path / "control", METHODS)
    server._group = 3000
    with somebody(uid, gid, groups) as peer:
        refusal = server._refusal(Writer())
    assert (refusal == "") is allowed
    if not allowed:
        assert refusal == "permission denied: uid 2001 is neither the daemon's user nor in group 3000"


@pytest.mark.skipif(not ROOT, reason="only root can be somebody else")
def test_a_stranger_is_told_so_even_when_the_files_let_him_in(caplog):
    reading, writing = os.pipe()
    with TemporaryDirectory() as directory, in_thread(path := Path(directory) / "control"):
        path.parent.chmod(0o755)
        path.chmod(0o666)
        if (child := os.fork()) == 0:
            os.setgroups([])
            os.setresgid(2001, 2001, 2001)
            os.setresuid(2001, 2001, 2001)
            try:
                call(path, "echo")
            except ControlError as error:
                os.write(writing, str(error).encode())
            os._exit(0)
        os.waitpid(child, 0)
    os.close(writing)
    with open(reading) as told:
        assert told.read() == f"{path}: permission denied: uid 2001 is neither the daemon's user nor in group 0"
    assert f"control socket: refused uid 2001 (pid {child}), neither the owner nor in group 0" in caplog.text


# --- the client ------------------------------------------------------------------------------------------------------


@contextmanager
def in_thread(path, methods=METHODS):
    """A server on a loop of its own thread."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main():
        async with serving(path, methods):
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert started.wait(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextmanager
def answering(path, answer):
    """Something else that listens there, and says this to everyone."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve():
            with listening.accept()[0] as client:
                client.recv(1000)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_the_client_gets_the_result_or_the_reason(tmp_path):
    path = tmp_path / "control"
    with in_thread(path):
        assert call(path, "status")["pid"] == 812
        assert call(path, "echo", {"ü": [1, None]}) == {"ü": [1, None]}
        assert len(call(path, "echo", {"much": "x" * 60000})["much"]) == 60000
        with pytest.raises(ControlError, match=r"control: not now$"):
            call(path, "refuse", {"what": "now"})
        with pytest.raises(ControlError, match=r"no answer within 0.05 s; the daemon hangs, or is stopped"):
            call(path, "wait", {"seconds": 5}, timeout=0.05)


def test_the_client_says_that_no_daemon_runs(tmp_path):
    with pytest.raises(NotRunning, match=r"pyvrrp is not running \(.*control: No such file or directory\); start it"):
        call(tmp_path / "control", "status")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "control"))
    dead.close()
    with pytest.raises(NotRunning, match="Connection refused"):
        call(tmp_path / "control", "status")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"[1]\n", b"{}\n", b'{"ok": true}\n', b"\xff\n"]
)
def test_the_client_survives_anything_that_answers(tmp_path, answer):
    with answering(tmp_path / "control", answer), pytest.raises(ControlError, match="is it a pyvrrp that listens"):
        call(tmp_path / "control", "status", timeout=5)


def test_the_client_gives_up_on_a_stopped_daemon(tmp_path):
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / "control"))
        stopped.listen()
        with pytest.raises(ControlError, match="no answer within"):
            call(tmp_path / "control", "status", timeout=0.05)


def test_credentials_are_three_integers_of_the_kernel():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid, uid, groups = control._credentials(ours)
    assert (pid, uid) == (os.getpid(), os.geteuid())
    assert os.getegid() in groups
    assert struct.calcsize("iII") == 12


def test_documentation_of_the_frame_is_true(tmp_path):
    """The command in the module's docstring, with Python in place of nc."""
    path = Path(tmp_path / "control")
    with in_thread(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b'{"method": "echo"}\n')
        client.shutdown(socket.SHUT_WR)
        with client.makefile() as answers:
            assert answers.read() == '{"ok":true,"result":{}}\n'
