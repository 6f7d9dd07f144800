"""What a page tells somebody who was woken up: a tree of entries, the worst not to be missed; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Mood(IntEnum):
    """How an entry is to be looked at; the highest of several counts."""

    PLAIN = 0
    GOOD = 1
    WATCH = 2
    "it works; something is not as it should be, or not known yet"
    BAD = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing: what it is, how it is in a word, and the sentences that explain it."""

    title: str
    word: str = ""
    mood: Mood = Mood.PLAIN
    sentences: Sequence[str] = ()
    parts: Sequence[Entry] = ()
    "what it is made of: the servers of a virtual server, the resources of a storage"


def worst(entries: Iterable[Entry]) -> Mood:
    """The mood of all together, their parts too."""
    return max((max(each.mood, worst(each.parts)) for each in entries), default=Mood.PLAIN)


def duration(seconds: float) -> str:
    """A length of time in at most two units: `3 d 4 h`, `12 min 3 s`, `0.3 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units) if whole >= size)
    parts = []
    for name, size in units[first : first + 2]:
        if count := whole // size:
            parts.append(f"{count} {name}")
        whole %= size
    return " ".join(parts)
