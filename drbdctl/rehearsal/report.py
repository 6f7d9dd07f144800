"""What a rehearsal has measured, as an operator reads it; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from drbdctl.rehearsal.run import Way

SCHEMA = 1
_WIDTH = 44


def lines(name: str, ways: Sequence[Way], port: int) -> Iterator[str]:
    """A table for each way."""
    for way in ways:
        yield f"storage {name}: {way.giver} -> {way.taker}"
        for node, steps in ((way.giver, way.given), (way.taker, way.taken)):
            for step in steps:
                what, failure = f"{node}: {step['step']}", step["failure"]
                yield _row(what, step["seconds"]) + (f"  failed: {failure}" if failure else "")
        yield _row("from the request until it serves there", way.seconds)
        yield _row("a client's longest time without the address", way.gap.address)
        yield _row(f"... without an answer on port {port}", way.gap.service)


def _row(what: str, seconds: float | None) -> str:
    return f"  {what:<{_WIDTH}} {'not seen' if seconds is None else f'{seconds:6.2f} s'}"


def as_json(name: str, ways: Sequence[Way], port: int) -> dict[str, Any]:
    """`schema`, `storage`, `port`, `ways`."""
    return {"schema": SCHEMA, "storage": name, "port": port, "ways": [asdict(each) for each in ways]}
