"""The tree that a configuration file becomes: statements with words, positions and bodies."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyvrrp.config.diagnostics import Position


@dataclass(frozen=True, slots=True)
class Word:
    """One word after substitution; `position` is where its line stood in the file, and no part of what it says."""

    text: str
    position: Position = field(compare=False)
    quoted: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Statement:
    """A line of the file: its first word, the other words, and the block that follows (None: no braces)."""

    keyword: Word
    arguments: tuple[Word, ...] = ()
    body: tuple[Statement, ...] | None = None

    @property
    def name(self) -> str:
        """The keyword's text."""
        return self.keyword.text

    @property
    def position(self) -> Position:
        """Where the keyword stands."""
        return self.keyword.position

    @property
    def words(self) -> tuple[Word, ...]:
        """Keyword and arguments, for lines that have no keyword (addresses, member names)."""
        return (self.keyword, *self.arguments)
