"""A plugin that blocks the daemon's event loop for good, once, when the file named by PYVRRP_SPIN appears."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


class SpinningPlugin:
    name = "spinning"
    keywords = instance_keywords = ()

    def configure(self, config: object, diagnostics: object) -> SpinningService:
        return SpinningService()


class SpinningService:
    trackers = ()

    def __init__(self) -> None:
        self._file = Path(os.environ["PYVRRP_SPIN"])

    def gates(self, instance: str) -> Sequence[object]:
        return ()

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._look)

    async def stop(self) -> None:
        self._handle.cancel()

    def status(self) -> Mapping[str, object]:
        return {}

    def _look(self) -> None:
        if not self._file.exists():
            self._handle = self._loop.call_later(0.02, self._look)
            return
        self._file.unlink()  # the next speaker is to do better
        while True:
            pass
