"""The clients of an NFS server that moves: who is connected is written down on the volume while it serves.

When the addresses come up on this node, these connections are reset: no client waits for its next retransmission.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from drbdctl.settings import Nfs
from drbdctl.steps import command, nfs, tickle
from drbdctl.steps.effect import Run, StepFailed
from drbdctl.steps.tickle import Connection

_LOG = logging.getLogger("pyvrrp.drbdctl")
_DEADLINE = 10.0
_PAUSES = (0.0, 0.6, 1.0, 2.0)
"seconds before each time that they are told: they may learn only now where the address is, and answer twice a second"
_SAVE = 'printf %s "$1" >"$0.new" && sync "$0.new" && mv "$0.new" "$0" && sync "$(dirname "$0")"'
"the text is fixed, what differs is arguments"


class Clients:
    """Those of one NFS server."""

    def __init__(self, service: Nfs, run: Run = command.run) -> None:
        self._service = service
        self._path = f"{service.state_dir}/connections"
        self._run = run
        self._saved: frozenset[Connection] | None = None
        self._saving = False

    async def save(self) -> None:
        """Write down who is connected now, if that is news; never twice at a time, for the volume's I/O may hang."""
        if self._saving:
            return
        self._saving = True
        try:
            found = await asyncio.to_thread(tickle.connections, nfs.PORT)
            if found == self._saved:
                return
            outcome = await self._run(["sh", "-c", _SAVE, self._path, tickle.written(found)], _DEADLINE)
        finally:
            self._saving = False
        # It is a convenience: what could not be written is tried again when somebody comes or goes.
        self._saved = found
        if not outcome.ok:
            _LOG.warning("the connections of NFS clients are not written down: %s", outcome.sentence)

    async def recall(self, addresses: Sequence[str]) -> None:
        """The addresses come up: have the clients connect again, and with NFSv3 reclaim their locks."""
        outcome = await self._run(["cat", self._path], _DEADLINE)
        left = {each for each in tickle.read(outcome.output) if each.address in addresses} if outcome.ok else set()
        try:
            for address in addresses:
                await nfs.await_address(address)
        except StepFailed as failed:
            _LOG.warning("clients of NFS are not told that their server has moved: %s", failed)
            return
        if self._service.version3:
            try:
                await nfs.notify(self._service, addresses, self._run)
            except StepFailed as failed:
                _LOG.error("clients of NFSv3 are not told to reclaim their locks, which are lost: %s", failed)
        for pause in _PAUSES if left else ():
            await asyncio.sleep(pause)
            left -= await asyncio.to_thread(tickle.connections, nfs.PORT)
            for each in left:
                try:
                    tickle.send(each)
                except OSError as error:
                    _LOG.info("%s is not told that its server has moved: %s", each.client, error.strerror or error)
