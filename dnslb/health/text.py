"""What a server says of itself, made fit for one line of a log."""

from __future__ import annotations


def shortened(text: str, limit: int = 80) -> str:
    """One printable line of bounded length, whatever a server has put into it."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= limit else line[: limit - 3] + "..."
