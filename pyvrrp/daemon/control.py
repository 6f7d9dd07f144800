"""The control socket: one JSON object per line, asked and answered.

    {"method": "status"}                          ->  {"ok": true, "result": {...}}
    {"method": "reload", "parameters": {...}}     ->  {"ok": false, "error": "one line"}

Lines rather than varlink's NUL-terminated messages, because a line is what every shell has at hand:
`echo '{"method": "status"}' | nc -UN /run/pyvrrp/control | jq`.

Only the daemon's user, root and the group of the run directory may ask. Nothing a client does can hurt the daemon:
the size and the time of a request, the time of an answer and the number of connections have bounds, and whatever is not
understood is answered with an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pyvrrp.daemon.pidfile import AlreadyRunning
from pyvrrp.daemon.run_directory import Unusable, prepare
from pyvrrp.daemon.slices import in_slices

if TYPE_CHECKING:
    from pyvrrp.daemon.status import DaemonStatus

REQUEST_BYTES = 64 * 1024
REQUEST_SECONDS = 10.0
"for a request to come in, and for an answer to be taken"
CALL_SECONDS = 60.0
"for a method to answer"
CONNECTIONS = 16
_PATH_BYTES = 107  # sun_path, unix(7)
_SO_PEERGROUPS = 59  # asm-generic/socket.h, Linux 4.13
_GROUPS_BYTES = 1024
_UCRED = struct.Struct("iII")

_LOG = logging.getLogger("pyvrrp")

Method = Callable[[Mapping[str, object]], object | Awaitable[object]]
"gets the request's `parameters`; what it returns (or awaits) is the `result`, made JSON by pyvrrp.daemon.status.plain"


class Refused(Exception):
    """A method's way to say no: the text is the answer's `error`, one line."""


class Encoded(str):
    """A result that is JSON already."""

    __slots__ = ()


def status_method(snapshot: Callable[[], Awaitable[DaemonStatus]]) -> Method:
    """The method `status`: a snapshot, encoded in slices (4000 instances take 0.3 s)."""

    async def status(_: Mapping[str, object]) -> Encoded:
        from pyvrrp.daemon.status import json_pieces

        return Encoded("".join(await in_slices(json_pieces(await snapshot()))))

    return status


class ControlServer:
    """The listening end; `methods` are called on the event loop and must not block it."""

    def __init__(self, path: Path, methods: Mapping[str, Method]) -> None:
        self.path = path
        self.methods = methods
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._group = -1
        self._clients: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Listen; the socket of a dead daemon is replaced.

        Raises AlreadyRunning when a live daemon answers there, Unusable when the path can't be used.
        """
        prepare(self.path.parent)
        listening = _listen(self.path)
        found = self.path.stat()
        self._inode, self._group = found.st_ino, found.st_gid
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=REQUEST_BYTES)

    async def stop(self) -> None:
        """Close the socket and every connection, and remove the path if it is still ours."""
        if self._server is None or self._stopped:
            return
        self._stopped = True
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with contextlib.suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        writer.transport.set_write_buffer_limits(0)
        try:
            if refusal := self._refusal(writer):
                await _send(writer, _error(refusal))
                return
            while not self._stopped and (line := await _request(reader)):
                await _send(writer, await self._answer(line))
        except ValueError:  # StreamReader: no newline within `limit`
            with contextlib.suppress(OSError, TimeoutError):
                await _send(writer, _error(f"a request is at most {REQUEST_BYTES} bytes"))
        except (OSError, TimeoutError):
            pass  # the client is gone, or asks for nothing, or does not take its answer
        except asyncio.CancelledError:
            if not self._stopped:  # Python 3.11 would log a handler that ends cancelled as an error
                raise
        finally:
            self._clients.discard(task)
            writer.transport.abort()  # what was sent has been taken, see _send

    def _refusal(self, writer: asyncio.StreamWriter) -> str:
        if len(self._clients) > CONNECTIONS:
            return f"busy: {CONNECTIONS} connections are open already; try again"
        peer: socket.socket = writer.get_extra_info("socket")
        pid, uid, groups = _credentials(peer)
        if uid in (0, os.geteuid()) or self._group in groups:
            return ""
        _LOG.warning(
            "control socket: refused uid %d (pid %d), neither the owner nor in group %d", uid, pid, self._group
        )
        return f"permission denied: uid {uid} is neither the daemon's user nor in group {self._group}"

    async def _answer(self, line: bytes) -> str:
        from pyvrrp.daemon.status import plain  # nobody asks before the first advertisement

        try:
            request = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            return _error(f"not a line of JSON: {error}")
        if not isinstance(request, dict) or not isinstance(parameters := request.get("parameters", {}), dict):
            return _error('a request is an object: {"method": NAME, "parameters": {...}}')
        name = request.get("method")
        method = self.methods.get(name) if isinstance(name, str) else None
        if method is None:
            return _error(f"unknown method {name!r}; known: {', '.join(sorted(self.methods))}")
        try:
            result = method(parameters)
            if inspect.isawaitable(result):
                async with asyncio.timeout(CALL_SECONDS):
                    result = await result
            text = result if isinstance(result, Encoded) else json.dumps(plain(result))
        except Refused as refused:
            return _error(str(refused))
        except TimeoutError:
            return _error(f"{name}: no result within {CALL_SECONDS:g} s")
        except Exception as error:
            _LOG.exception("control socket: method %s", name)
            return _error(f"{name}: internal error, {type(error).__name__}: {error}; please report it")
        return f'{{"ok":true,"result":{text}}}'


async def _request(reader: asyncio.StreamReader) -> bytes:
    """The next line; empty at the end."""
    async with asyncio.timeout(REQUEST_SECONDS):
        return await reader.readline()


async def _send(writer: asyncio.StreamWriter, answer: str) -> None:
    """Send, and wait until the client has taken it all (the write buffer's limit is 0)."""
    writer.write(answer.encode(errors="replace") + b"\n")
    async with asyncio.timeout(REQUEST_SECONDS):
        await writer.drain()


def _error(text: str) -> str:
    return json.dumps({"ok": False, "error": " ".join(text.split())[:1000]})


def _listen(path: Path) -> socket.socket:
    """A listening socket, made under another name and renamed, so that no one ever sees it with other permissions."""
    if len(os.fsencode(path)) > _PATH_BYTES - 4:
        raise Unusable(f"control socket {path}: longer than a socket's path may be; use a shorter --run-dir")
    _refuse_if_alive(path)
    new = path.with_name(f"{path.name}.new")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        new.unlink(missing_ok=True)
        listening.bind(str(new))
        os.chown(new, -1, path.parent.stat().st_gid)
        new.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP)
        listening.listen(CONNECTIONS)
        new.rename(path)
    except OSError as error:
        listening.close()
        raise Unusable(f"control socket {path}: {error.strerror}; check the run directory, or --run-dir") from error
    return listening


def _refuse_if_alive(path: Path) -> None:
    """Raise AlreadyRunning when somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
        except BlockingIOError:  # its queue is full: it lives, and can't be asked who it is
            raise AlreadyRunning(0, path) from None
        except OSError as error:
            raise Unusable(f"control socket {path}: {error.strerror}; remove what is there, or --run-dir") from error
        raise AlreadyRunning(_credentials(probe)[0], path)


def _credentials(peer: socket.socket) -> tuple[int, int, set[int]]:
    """Pid, uid and all groups of the other end, as they were when it connected or began to listen (unix(7))."""
    pid, uid, gid = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        more = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:  # more than 256 groups: count the first one
        more = b""
    return pid, uid, {gid, *(group for (group,) in struct.iter_unpack("I", more))}
