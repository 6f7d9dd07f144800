"""What the daemon gives out to those that ask again and again: metrics, status, whether all is well.

255 virtual routers are 13 000 lines of metrics. They are made in slices (pyvrrp.daemon.slices), once a second at most,
whoever asks and how often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Generic, TypeVar

from pyvrrp.core.metrics import OPENMETRICS, TEXT, accepts_openmetrics, exposition
from pyvrrp.daemon import metrics
from pyvrrp.daemon.control import Refused
from pyvrrp.daemon.http_request import Request
from pyvrrp.daemon.report import ROUTERS, report
from pyvrrp.daemon.services import Services
from pyvrrp.daemon.slices import in_slices
from pyvrrp.daemon.status import DaemonStatus, json_pieces
from pyvrrp.daemon.status_page import page
from pyvrrp.daemon.web import Answer, Page
from pyvrrp.daemon.wellness import problems

FRESH = 1.0
"seconds for which what was made is given out again"

T = TypeVar("T")


class Made(Generic[T]):
    """Something that is made when it is asked for, by one at a time, and kept for a moment."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._last: tuple[float, T] | None = None

    async def get(self) -> T:
        """It, at most FRESH old."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._last[0] >= FRESH:
                began = time.monotonic()
                self._last = began, await self._make()
            return self._last[1]


class Pages:
    """The pages of one daemon."""

    def __init__(
        self,
        snapshot: Callable[[], Awaitable[DaemonStatus]],
        services: Callable[[], Services],
        name: str = "",
    ) -> None:
        """`snapshot` may raise Refused; `services` are asked what they make of their parts of it; `name`: this node."""
        self._snapshot = snapshot
        self._services = services
        self._name = name
        self._texts = {openmetrics: Made(partial(self._text, openmetrics)) for openmetrics in (False, True)}
        self._json = Made(self._encode)
        self._wellness = Made(self._judge)
        self._html = Made(self._page)

    @property
    def by_path(self) -> Mapping[str, Page]:
        """For a WebListener."""
        return {"/": self._index, "/metrics": self._metrics, "/status.json": self._status, "/healthz": self._healthz}

    async def text(self, *, openmetrics: bool) -> str:
        """The metrics; raises Refused."""
        return await self._texts[openmetrics].get()

    async def _text(self, openmetrics: bool) -> str:
        status = await self._snapshot()
        families = chain(metrics.families(status), self._services().families(status.plugins))
        return "".join(await in_slices(exposition(families, openmetrics=openmetrics)))

    async def _encode(self) -> str:
        return "".join(await in_slices(json_pieces(await self._snapshot())))

    async def _page(self) -> str:
        status = await self._snapshot()
        speaker = report(status)
        told = {**{key: speaker[key] for key in speaker if key == ROUTERS}, **self._services().report(status.plugins)}
        name = status.router_id or self._name
        made = page(name, status.taken, _sentences(status), {**told, **speaker})
        return "".join(await in_slices(made))

    async def _judge(self) -> list[str]:
        return _sentences(await self._snapshot())

    # --- over HTTP ---------------------------------------------------------------------------------------------------

    async def _index(self, _: Request) -> Answer:
        return await _unless_refused(self._html.get(), "text/html; charset=utf-8")

    async def _metrics(self, request: Request) -> Answer:
        openmetrics = accepts_openmetrics(request.headers.get("accept", ""))
        return await _unless_refused(self.text(openmetrics=openmetrics), OPENMETRICS if openmetrics else TEXT)

    async def _status(self, _: Request) -> Answer:
        return await _unless_refused(self._json.get(), "application/json")

    async def _healthz(self, _: Request) -> Answer:
        try:
            found = await self._wellness.get()
        except Refused as refused:
            found = [str(refused)]
        status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
        return Answer("".join(f"{line}\n" for line in found or ["ok"]).encode(errors="replace"), status=status)


def _sentences(status: DaemonStatus) -> list[str]:
    return [sentence for found in problems(status).values() for sentence in found]


async def _unless_refused(text: Awaitable[str], media_type: str) -> Answer:
    try:
        return Answer((await text).encode(errors="replace"), media_type)
    except Refused as refused:
        return Answer(f"{refused}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
