"""Something that is done again and again, whatever becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_LOG = logging.getLogger("dnslb")


async def rounds(once: Callable[[], Awaitable[object]], interval: float, what: str) -> None:
    """Do it every `interval` seconds until cancelled; a mistake of ours in it is logged once, and it goes on."""
    failed = False
    while True:
        try:
            await once()
        except Exception as error:
            if not failed:
                _LOG.error("%s: %s: %s", what, type(error).__name__, error)
            failed = True
        await asyncio.sleep(interval)
