"""Both sides of a split brain beside each other, and which one has less to lose; pure.

A side is what one node says of one resource: it travels as JSON, by `drbdctl split-brain --export`. The proposal is no
decision: only a human knows whose writes matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from drbdctl.status import generation
from drbdctl.status.generation import Generation
from drbdctl.status.state import Unreadable

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One node's."""

    node: str
    resource: str
    role: str
    disks: tuple[str, ...]
    connection: str
    identifiers: str
    "the lines of get-gi"
    written: int | None
    "KiB written to the disks since they were attached; None: not told"
    taken: str
    "when, ISO 8601"

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The identifiers, read; raises Unreadable."""
        return generation.parse(self.identifiers)


def export(side: Side) -> str:
    """For the other node."""
    return json.dumps({"schema": SCHEMA, **asdict(side)}, indent=2)


def imported(text: str) -> Side:
    """What `export` wrote; raises Unreadable."""
    try:
        data = json.loads(text)
        if data.pop("schema", None) != SCHEMA:
            raise Unreadable("it is not what `drbdctl split-brain --export` of this version writes")
        side = Side(**{**data, "disks": tuple(data["disks"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"it is not what `drbdctl split-brain --export` writes: {error}") from None
    generation.parse(side.identifiers)
    return side


def compared(ours: Side, theirs: Side) -> Iterator[str]:
    """A table, and what follows from it."""
    rows = [("", ours.node, theirs.node)]
    for name, pick in (("role", "role"), ("connection", "connection")):
        rows.append((name, str(getattr(ours, pick)), str(getattr(theirs, pick))))
    rows.append(("disks", " ".join(ours.disks), " ".join(theirs.disks)))
    rows.append(("written", _kib(ours.written), _kib(theirs.written)))
    for number, (mine, other) in enumerate(zip(ours.generations, theirs.generations, strict=False)):
        rows.append((f"volume {number} current", f"{mine.current:016X}", f"{other.current:016X}"))
        rows.append((f"volume {number} bitmap", f"{mine.bitmap:016X}", f"{other.bitmap:016X}"))
    rows.append(("taken", ours.taken, theirs.taken))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
    yield ""
    yield from conclusion(ours, theirs)


def conclusion(ours: Side, theirs: Side) -> Iterator[str]:
    """What the identifiers say, and how to go on."""
    pairs = list(zip(ours.generations, theirs.generations, strict=False))
    if not pairs or len(ours.generations) != len(theirs.generations):
        yield "the two sides do not have the same volumes: these are not two sides of one resource"
    elif all(mine.same_data(other) for mine, other in pairs):
        yield "both have the same current generation: this is no split brain; `drbdadm connect` on both"
    elif not any(mine.wrote_alone and other.wrote_alone for mine, other in pairs):
        newer = ours if any(mine.wrote_alone for mine, _ in pairs) else theirs
        yield f"only {newer.node} has written alone: this is no split brain; `drbdadm connect` resyncs the other one"
    else:
        yield "both have written without each other: what one of them wrote is lost when the other one wins"
        victim = proposal(ours, theirs)
        if victim is None:
            yield "nothing tells which side matters less: look at the data of both (mount read-only), and decide"
        else:
            survivor = theirs if victim is ours else ours
            yield f"{victim.node} has less to lose: it {_because(victim, survivor)}"
        name = ours.resource
        yield f"on the side to discard:  drbdctl split-brain {name} --discard-my-data   (a snapshot first where it can)"
        yield f"on the side to keep:     drbdadm connect {name}   (if it is StandAlone)"


def proposal(ours: Side, theirs: Side) -> Side | None:
    """The side that has less to lose; None: nothing tells."""
    primary = [side for side in (ours, theirs) if side.role == "Primary"]
    if len(primary) == 1:
        return theirs if primary[0] is ours else ours
    if ours.written is None or theirs.written is None or ours.written == theirs.written:
        return None
    return ours if ours.written < theirs.written else theirs


def _because(victim: Side, survivor: Side) -> str:
    if victim.role != survivor.role:
        return f"is {victim.role}, and {survivor.node} serves"
    return f"wrote {_kib(victim.written)}, the other one {_kib(survivor.written)}"


def _kib(number: int | None) -> str:
    return "not told" if number is None else f"{number} KiB"
