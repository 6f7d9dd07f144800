"""How the backups of this node's resources are; read now and then from what the runs have written down.

The files are read in a thread: their disk may be the one that hangs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from drbdctl.backup import record
from drbdctl.backup.configured import Configured
from drbdctl.backup.health import health
from drbdctl.backup.holder import holder
from drbdctl.backup.record import Record

_LOG = logging.getLogger("pyvrrp.drbdctl")
PAUSE = 30.0
"seconds between two looks"

Read = tuple[tuple[Record, ...], int, bool]
"the records, how many lines can't be read, and whether a run is on"


class BackupWatch:
    """The backups of one configuration."""

    def __init__(self, configured: Iterable[Configured]) -> None:
        self._configured = {each.resource: each for each in configured}
        self._read: dict[str, Read] = {}
        self._failed: dict[str, str] = {}
        "why a record can't be read"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; the loop is running."""
        if self._configured and self._task is None:
            self._task = asyncio.create_task(self._watch(), name="records of backups")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def status(self, now: float | None = None) -> Mapping[str, object]:
        """By resource: its numbers (drbdctl.backup.health), and what is wrong, in words; `now`: seconds since 1970."""
        now = time.time() if now is None else now
        return {resource: self._of(each, now) for resource, each in self._configured.items()}

    def _of(self, configured: Configured, now: float) -> Mapping[str, object]:
        resource = configured.resource
        if why := self._failed.get(resource):
            told = f"the record of its backups can't be read: {why}"
            return {"metrics": {"drbdctl_backup_alarms": 1.0}, "alarms": [told], "last_run": None}
        if resource not in self._read:
            return {"metrics": {}, "alarms": [], "last_run": None}
        records, unread, running = self._read[resource]
        found = health(records, unread, configured.settings.max_age, now, running=running)
        last = found.last_run
        return {
            "metrics": found.metrics(),
            "alarms": list(found.alarms),
            "last_run": None if last is None else {**asdict(last.redacted), "event": last.event.value},
        }

    async def _watch(self) -> None:
        while True:
            for resource in self._configured:
                try:
                    self._read[resource] = await asyncio.to_thread(_read, resource)
                    self._failed.pop(resource, None)
                except OSError as error:
                    why = f"{record.path(resource)}: {error.strerror or error}"
                    if self._failed.get(resource) != why:
                        _LOG.warning("backup of %s: %s", resource, why)
                    self._failed[resource] = why
            await asyncio.sleep(PAUSE)


def _read(resource: str) -> Read:
    records, unread = record.load(resource)
    return records, unread, holder(resource) is not None
