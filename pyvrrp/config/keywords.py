"""What a keyword of the language looks like to the reader: its words, its block, and whether it is used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Use(Enum):
    """What becomes of a line with this keyword."""

    USED = "used"
    KNOWN = "known, not supported yet"
    "reported once per keyword and file as `not-supported`"
    IGNORED = "has no effect here"
    "of another process of keepalived's, or obsolete: a note at most"


class Body(Enum):
    """What stands between the braces, where it is not keywords."""

    NONE = "no braces"
    LINES = "lines of words without keywords: addresses, names"
    SKIP = "anything; not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyword:
    """One keyword in one place of the language."""

    name: str
    use: Use = Use.USED
    words: tuple[int, int | None] = (0, None)
    "fewest and most arguments on the line; None: any number"
    body: tuple[Keyword, ...] | Body = Body.NONE
    inline: bool = False
    "several keywords of the body may share a line (our own blocks: `server 127.0.0.1  name example.com`)"
    repeatable: bool = False
    "may stand more than once in one block"
    alone: bool = False
    "a plugin's block that is work for the daemon also where there is no vrrp_instance"
    hint: str = ""
    "what to do instead, for KNOWN and IGNORED"
