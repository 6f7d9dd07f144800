"""Short ways to write a row of the keyword tables."""

from __future__ import annotations

from pyvrrp.config.keywords import Body, Keyword, Use


def used(
    name: str,
    least: int = 1,
    most: int | None = 1,
    body: tuple[Keyword, ...] | Body = Body.NONE,
    *,
    repeatable: bool = False,
) -> Keyword:
    """A keyword that takes part in the model."""
    return Keyword(name=name, words=(least, most), body=body, repeatable=repeatable)


def flag(name: str) -> Keyword:
    """A keyword that is on by being there."""
    return used(name, 0, 0)


def switch(name: str) -> Keyword:
    """A keyword with an optional on|off|true|false|yes|no."""
    return used(name, 0, 1)


def lines(name: str, *, least: int = 0) -> Keyword:
    """A block of lines without keywords, which may stand more than once."""
    return used(name, least, least, Body.LINES, repeatable=True)


def known(
    name: str, hint: str, least: int = 0, most: int | None = None, body: tuple[Keyword, ...] | Body = Body.NONE
) -> Keyword:
    """A keyword of keepalived's that is not supported yet."""
    return Keyword(name=name, use=Use.KNOWN, words=(least, most), body=body, repeatable=True, hint=hint)


def ignored(name: str, hint: str, least: int = 0, most: int | None = None) -> Keyword:
    """A keyword that has no effect here."""
    return Keyword(name=name, use=Use.IGNORED, words=(least, most), repeatable=True, hint=hint)
