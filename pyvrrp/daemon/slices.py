"""Long work on the event loop, a millisecond at a time.

With 255 virtual routers a snapshot takes 5 to 10 ms, and its text, as JSON or as metrics, several times as much.
Advertisements are sent in between. In a thread it would delay them more: Python's lock stays with a thread for up to
5 ms (its switch interval) each time that the loop wants it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TypeVar

SLICE = 0.001
"seconds"

T = TypeVar("T")


async def in_slices(pieces: Iterable[T]) -> list[T]:
    """All of them, made a slice at a time; each takes little."""
    made: list[T] = []
    until = time.perf_counter() + SLICE
    for piece in pieces:
        made.append(piece)
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + SLICE
    return made
