"""The words of a drbd.conf and where they stand: braces, semicolons, quoted strings, comments.

Source of the rules: drbd.conf(5) of 8.3, 8.4 and 9, and what the three drbdadm accept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pyvrrp.config.diagnostics import Diagnostics, Position

LONGEST_WORD = 128
LONGEST_STRING = 255

BARE = re.compile(r"[A-Za-z0-9/._-]+")
"what may stand without quotes"
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\f\v]+)
      | (?P<newline>\n)
      | (?P<comment>\#[^\n]*)
      | (?P<mark>[{};])
      | "(?P<string>(?:[^"\\\n]|\\[^\n])*)"
      | (?P<open>"[^\n]*)
      | (?P<word>[^\s{};\#"]+)
      | (?P<other>\s)""",
    re.VERBOSE,
)
_ADDRESS = re.compile(r"[A-Za-z0-9/._:%\[\]-]+")


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    OPEN = "{"
    CLOSE = "}"
    END = ";"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is without quotes and escapes, for a comment without `#`."""

    kind: Kind
    text: str
    position: Position
    quoted: bool = False


def tokens(text: str, file: str, diagnostics: Diagnostics) -> Iterator[Token]:
    """The tokens of a file; what drbdadm would not read is reported and read as it was probably meant."""
    line, start = 1, 0
    for match in _TOKEN.finditer(text):
        position = Position(file, line, match.start() - start + 1)
        match match.lastgroup:
            case "newline":
                line, start = line + 1, match.end()
            case "comment":
                yield Token(Kind.COMMENT, match[0][1:].strip(), position)
            case "mark":
                yield Token(Kind(match[0]), match[0], position)
            case "string":
                yield _string(match["string"], position, diagnostics)
            case "open":
                diagnostics.error(position, "unterminated-string", 'the closing " is missing', 'write " before the end')
                yield _string(match["open"][1:].rstrip(" \t\r;{"), position, diagnostics)
            case "word":
                _check_word(match["word"], position, diagnostics)
                yield Token(Kind.WORD, match["word"], position)
            case _:
                pass


def quoted(text: str) -> str:
    """The text as drbd.conf wants it: in quotes where it needs them."""
    if BARE.fullmatch(text) and len(text) <= LONGEST_WORD:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _string(raw: str, position: Position, diagnostics: Diagnostics) -> Token:
    text = re.sub(r"\\(.)", r"\1", raw)
    if len(text) > LONGEST_STRING:
        diagnostics.error(position, "too-long", f"a string of {len(text)} characters", "255 is the limit of drbdadm")
    return Token(Kind.WORD, text, position, quoted=True)


def _check_word(word: str, position: Position, diagnostics: Diagnostics) -> None:
    if not _ADDRESS.fullmatch(word):
        wrong = next(each for each in word if not _ADDRESS.fullmatch(each))
        diagnostics.error(
            position, "unexpected-character", f"{wrong!r} can't stand in {word[:40]}", f'write "{word[:40]}" in quotes'
        )
    elif len(word) > LONGEST_WORD:
        diagnostics.error(position, "too-long", f"a word of {len(word)} characters", "128 is the limit without quotes")
