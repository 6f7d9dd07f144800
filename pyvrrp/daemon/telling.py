"""What the running daemon tells of itself: the snapshot, the metrics, the pages; loaded when it advertises."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from pyvrrp.daemon.heartbeat import GuardChannel
from pyvrrp.daemon.pages import Pages
from pyvrrp.daemon.snapshot import Snapshot
from pyvrrp.daemon.speaker import Speaker
from pyvrrp.daemon.status import DaemonStatus, Reload, iso
from pyvrrp.daemon.web import WebListener


class Telling:
    """Tells of a speaker that has started; `findings` are those of its configuration, by severity."""

    def __init__(
        self, speaker: Speaker, config_file: str, guard: GuardChannel | None, findings: Mapping[str, int]
    ) -> None:
        self._speaker = speaker
        self._snapshot = Snapshot(speaker, config_file, time.time(), time.monotonic(), guard)
        self._findings = findings
        self._last_reload: Reload | None = None
        self._pages = Pages(self.status, lambda: speaker.services, socket.gethostname())
        self._web = WebListener(self._pages.by_path)

    async def status(self) -> DaemonStatus:
        """The snapshot that `pyvrrp status` shows."""
        return await self._snapshot.take(self._last_reload, self._findings)

    async def metrics(self, *, openmetrics: bool) -> str:
        """The text that Prometheus reads."""
        return await self._pages.text(openmetrics=openmetrics)

    async def listen(self) -> None:
        """Give it out where the configuration says."""
        await self._web.move(self._speaker.config.globals.metrics_listen)

    async def reloaded(self, findings: Mapping[str, int], *, ok: bool, detail: str) -> None:
        """A reload has ended; `detail` says what changed, or why the old configuration stays."""
        self._findings = findings
        self._last_reload = Reload(ok=ok, detail=detail, at=iso(time.time()), seconds_ago=0.0)
        await self.listen()

    async def stop(self) -> None:
        """Give nothing out any more."""
        await self._web.stop()
