"""Generators: `~SEQ(var, ...)`, `~SEQx(...)` and `~LST(var, ...)` make one line of the file into several."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = re.compile(r"~(SEQx|SEQ|LST)\s*\(([^)]*)\)", re.ASCII)
_START = re.compile(r"~(?:SEQ|LST)", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NUMBER = re.compile(r"-?(?:0[xX][0-9A-Fa-f]{1,15}|[0-9]{1,18})")
_VALUES = re.compile(r"\s*(?:\{([^{}]*)\}|([^{},]*))\s*(?:,|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Generator:
    """The variables, their values for each line that is made, and where the line itself starts."""

    names: tuple[str, ...]
    values: range | tuple[tuple[str, ...], ...]
    hexadecimal: bool
    end: int

    def __len__(self) -> int:
        return len(self.values)

    def rows(self) -> Iterator[tuple[tuple[str, str], ...]]:
        """For each line, its variables with their values."""
        if isinstance(self.values, range):
            for number in self.values:
                yield ((self.names[0], f"{number:x}" if self.hexadecimal else str(number)),)
        else:
            for row in self.values:
                yield tuple(zip(self.names, row, strict=True))


def is_generator(line: str) -> bool:
    """Whether a line starts with a generator, be it correct or not."""
    return _START.match(line) is not None


def arguments(line: str) -> tuple[int, int] | None:
    """Where the numbers of a ~SEQ stand: definitions are put in there before it is read; not so in a ~LST."""
    match = _HEAD.match(line)
    return match.span(2) if match and match[1] != "LST" else None


def parse(line: str) -> Generator:
    """Read the generator at the start of a line.

    `~SEQ(var, [start, [step,]] end)`: start is 1, or -1 for a negative end; step is 1, or -1 towards a smaller end;
    numbers as in C: 10, 0x10, 010. `~LST(var, a, b)`, `~LST({v, w}, {a, b}, {c, d})`: missing values are empty.
    ValueError says what is wrong with it.
    """
    match = _HEAD.match(line)
    if match is None:
        raise ValueError("it is not written as ~SEQ(...), ~SEQx(...) or ~LST(...)")
    if match[1] == "LST":
        names, rows = _list(match[2])
        return Generator(names, rows, hexadecimal=False, end=match.end())
    name, *numbers = [word.strip() for word in match[2].split(",")]
    return Generator((_name(name),), _sequence(numbers, match[1] == "SEQx"), match[1] == "SEQx", match.end())


def _sequence(words: list[str], hexadecimal: bool) -> range:
    if not 1 <= len(words) <= 3:
        raise ValueError("it takes a variable and one to three numbers")
    for word in words:
        if not _NUMBER.fullmatch(word):
            raise ValueError(f"{word!r} is not a whole number")
    numbers = [_number(word) for word in words]
    end = numbers[-1]
    start = numbers[0] if len(numbers) > 1 else (1 if end >= 0 else -1)
    step = numbers[1] if len(numbers) > 2 else (1 if end >= start else -1)
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"steps of {step} do not lead from {start} to {end}")
    if hexadecimal and min(start, end) < 0:
        raise ValueError("~SEQx has no negative numbers")
    return range(start, end + (1 if step > 0 else -1), step)


def _number(word: str) -> int:
    digits = word.lstrip("-")
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    try:
        return int(word, base)
    except ValueError:
        raise ValueError(f"{word!r} is not a whole number; a leading 0 makes it octal") from None


def _list(text: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    groups: list[tuple[str, ...]] = []
    at = 0
    while at <= len(text):
        match = _VALUES.match(text, at)
        if match is None:
            raise ValueError("its values are not separated by commas")
        words = match[1].split(",") if match[1] is not None else [match[2]]
        groups.append(tuple(word.strip() for word in words))
        at = match.end() if match[0].endswith(",") else len(text) + 1
    names, rows = tuple(_name(name) for name in groups[0]), groups[1:]
    if not rows:
        raise ValueError("it takes a variable and at least one value")
    for row in rows:
        if len(row) > len(names):
            raise ValueError(f"{{{','.join(row)}}} has more values than there are variables")
        if any(c in value for value in row for c in " \t\"'"):
            raise ValueError("a value can't have blanks or quotes")
    return names, tuple(row + ("",) * (len(names) - len(row)) for row in rows)


def _name(word: str) -> str:
    if not _NAME.fullmatch(word):
        raise ValueError(f"{word!r} can't be the name of a variable")
    return word
