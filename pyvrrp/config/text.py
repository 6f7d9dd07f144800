"""Text that remembers where in which file its characters stood."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from pyvrrp.config.diagnostics import Position

BLANKS = " \t\f\r\v\n"
"what separates words; a no-break space does not"


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring characters of one origin, from `start` to the next run."""

    start: int
    position: Position
    literal: bool = True
    "the file has them like this; False: the construct at `position` made them"


@dataclass(frozen=True, slots=True)
class Text:
    """A line, or a part of one, with the origin of its characters."""

    text: str
    runs: tuple[Run, ...]

    @classmethod
    def of_line(cls, text: str, file: str, line: int) -> Text:
        """A line as the file has it."""
        return cls(text, (Run(0, Position(file, line, 1)),))

    def __len__(self) -> int:
        return len(self.text)

    @classmethod
    def joined(cls, parts: Iterable[Text]) -> Text:
        """Several texts as one."""
        texts: list[str] = []
        runs: list[Run] = []
        length = 0
        for part in parts:
            runs += [Run(run.start + length, run.position, run.literal) for run in part.runs]
            texts.append(part.text)
            length += len(part.text)
        return cls("".join(texts), tuple(runs))

    def position(self, offset: int = 0) -> Position:
        """Where the character at `offset` stood, or the construct that made it."""
        run = self._run(offset)
        at = run.position
        return Position(at.file, at.line, at.column + offset - run.start) if run.literal else at

    def part(self, start: int, end: int | None = None) -> Text:
        """The characters from `start` to before `end`."""
        end = len(self.text) if end is None else end
        first = Run(0, self.position(start), self._run(start).literal)
        rest = (Run(run.start - start, run.position, run.literal) for run in self.runs if start < run.start < end)
        return Text(self.text[start:end], (first, *rest))

    def stripped(self) -> Text:
        """The same without blanks at both ends."""
        start = len(self.text) - len(self.text.lstrip(BLANKS))
        return self.part(start, max(start, len(self.text.rstrip(BLANKS))))

    def made(self, offset: int, text: str) -> Text:
        """The characters that the construct at `offset` stands for."""
        return Text(text, (Run(0, self.position(offset), literal=False),))

    def replaced(self, start: int, end: int, value: Text) -> Text:
        """The same with `value` in place of the characters from `start` to before `end`."""
        return Text.joined((self.part(0, start), value, self.part(end)))

    def _run(self, offset: int) -> Run:
        if len(self.runs) == 1:
            return self.runs[0]
        # Of runs that start at one offset, all but the last are empty.
        return self.runs[max(0, bisect_right(self.runs, offset, key=lambda run: run.start) - 1)]
