"""A small HTTP listener that gives out metrics and the status; asked for by `metrics_listen`.

Nothing that a client does can hurt the daemon: the size and the time of a request, the time that an answer may take to
be fetched and the number of connections have bounds, each connection carries one request, and pages are made by
somebody else, at their pace (pyvrrp.daemon.pages). There is nothing to be told or changed by it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pyvrrp.core.events import IPAddress
from pyvrrp.daemon.http_request import BadRequest, Request, parse

REQUEST_BYTES = 8 * 1024
REQUEST_SECONDS = 5.0
"for a request to come in"
ANSWER_SECONDS = 15.0
"for an answer to be fetched"
CONNECTIONS = 16
RETRY = 10.0
"seconds until an address that could not be had is tried again"

_LOG = logging.getLogger("pyvrrp")

Where = tuple[IPAddress, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says."""

    body: bytes
    media_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Page = Callable[[Request], Awaitable[Answer]]
"may raise: the client gets status 500, the log the reason"


class WebListener:
    """The listening end, which may be moved; `pages` by their paths."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._where: Where | None = None
        self._listening: asyncio.Task[None] | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def move(self, where: Where | None) -> None:
        """Listen there from now on; None: nowhere. An address that can't be had is told, and tried again."""
        if where == self._where:
            return
        await self._leave()
        self._where = where
        if where is not None:
            self._listening = asyncio.create_task(self._listen(*where), name="metrics_listen")

    async def stop(self) -> None:
        """Close the socket and every connection."""
        self._stopped = True
        await self._leave()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _leave(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            self._listening = None

    async def _listen(self, address: IPAddress, port: int) -> None:
        told = ""
        while True:
            try:
                listening = _bind(address, port)
            except OSError as error:
                if (why := error.strerror or str(error)) != told:
                    hint = "name another address or port; it is tried again"
                    _LOG.error("metrics_listen %s %d: %s; %s", address, port, why, hint)
                    told = why
                await asyncio.sleep(RETRY)
                continue
            server = await asyncio.start_server(self._serve, sock=listening, limit=REQUEST_BYTES)
            _LOG.info("metrics and status on %s port %d", address, port)
            try:
                await asyncio.Event().wait()
            finally:
                server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        writer.transport.set_write_buffer_limits(0)
        try:
            if len(self._clients) > CONNECTIONS:
                writer.write(_encoded(_said(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open already")))
                return
            async with asyncio.timeout(REQUEST_SECONDS):
                request = await _request(reader)
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(await self._answer(request))
                await writer.drain()
                writer.write_eof()
                while await reader.read(REQUEST_BYTES):  # until the client closes: what it still sent would reset it
                    pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client is gone, or asks for nothing, or does not fetch its answer
        except asyncio.CancelledError:
            if not self._stopped:  # Python 3.11 would log a handler that ends cancelled as an error
                raise
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _answer(self, request: Request | Answer) -> bytes:
        if isinstance(request, Answer):
            return _encoded(request)
        return _encoded(await self._page(request), head_only=request.method == "HEAD")

    async def _page(self, request: Request) -> Answer:
        page = self._pages.get(request.path)
        if page is None:
            return _said(HTTPStatus.NOT_FOUND, f"there is {', '.join(self._pages)}")
        if request.method not in ("GET", "HEAD"):
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are all that is answered")
        try:
            return await page(request)
        except Exception as error:
            _LOG.exception("page %s", request.path)
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}; the log has more")


async def _request(reader: asyncio.StreamReader) -> Request | Answer:
    """What is asked for, or what is to be said to a request that is none."""
    try:
        return parse(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.LimitOverrunError:
        text = f"the head of a request is at most {REQUEST_BYTES} bytes"
        return _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
    except BadRequest as error:
        return _said(HTTPStatus.BAD_REQUEST, str(error))


def _said(status: HTTPStatus, text: str) -> Answer:
    return Answer(f"{text}\n".encode(), status=status)


def _encoded(answer: Answer, *, head_only: bool = False) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.media_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "Connection: close",
    ]
    if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if head_only else answer.body)


def _bind(address: IPAddress, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((str(address), port))
        listening.listen(CONNECTIONS)
    except OSError:
        listening.close()
        raise
    return listening
