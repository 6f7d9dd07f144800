"""Inputs that are nearly right: a seed with a few changes, of bytes or of lines and words."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_BYTES = b'\x00\x01\x02\x03\x7f\x80\xfe\xff \n"{}[]\\0'
_MOST_BYTES = 4096


def mutate_bytes(random: Random, seeds: Sequence[bytes], words: Sequence[bytes] = (), keep: int = 0) -> bytes:
    """A seed with one to a dozen changes; `words` are put in whole, the first `keep` bytes only changed in place."""
    data = bytearray(random.choice(seeds))
    for _ in range(_changes(random)):
        _change(random, data, seeds, words, min(keep, len(data)))
    return bytes(data[:_MOST_BYTES])


def _changes(random: Random) -> int:
    """One half of the time one, a quarter of the time two..."""
    return min(12, 1 + next(n for n in range(99) if random.getrandbits(1)))


def _change(random: Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes], keep: int) -> None:
    at = random.randint(keep, len(data))
    end = min(len(data), at + random.choice((1, 2, 4, 8, 30)))
    match random.randrange(9):
        case 0 if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        case 1 if data:
            data[random.randrange(len(data))] = random.choice(_BYTES)
        case 2 if data:
            data[random.randrange(len(data))] = random.randrange(256)
        case 3:
            del data[at:end]
        case 4:
            data[at:at] = data[at:end] * random.choice((1, 1, 2, 20))
        case 5:
            data[at:end] = random.randbytes(end - at)
        case 6:
            other = random.choice(seeds)
            start = random.randint(0, len(other))
            data[at:end] = other[start : start + random.choice((1, 4, 16, 64))]
        case 7 if words:
            data[at:at] = random.choice(words)
        case 8 if words:
            data[at:end] = random.choice(words)
        case _:
            del data[at:]


def mutate_lines(random: Random, seeds: Sequence[str], words: Sequence[str]) -> str:
    """A text with one to a dozen changes of its lines and words."""
    lines = random.choice(seeds).split("\n")
    for _ in range(_changes(random)):
        _change_line(random, lines, seeds, words)
    return "\n".join(lines)


def _change_line(random: Random, lines: list[str], seeds: Sequence[str], words: Sequence[str]) -> None:
    at = random.randrange(len(lines))
    match random.randrange(10):
        case 0 if len(lines) > 1:
            del lines[at]
        case 1:
            lines.insert(random.randint(0, len(lines)), lines[at])
        case 2:
            other = random.choice(seeds).split("\n")
            start = random.randrange(len(other))
            lines[at:at] = other[start : start + random.choice((1, 1, 3, 10))]
        case 3:
            lines.insert(at, " ".join(random.choices(words, k=random.randint(1, 4))))
        case 4 | 5 | 6:
            parts = lines[at].split(" ")
            parts[random.randrange(len(parts))] = random.choice(words)
            lines[at] = " ".join(parts)
        case 7:
            column = random.randint(0, len(lines[at]))
            lines[at] = lines[at][:column] + random.choice(words) + lines[at][column:]
        case 8:
            column = random.randint(0, len(lines[at]))
            lines[at] = lines[at][:column] + lines[at][column + random.choice((1, 1, 4)) :]
        case _:
            other_line = random.randrange(len(lines))
            lines[at], lines[other_line] = lines[other_line], lines[at]
