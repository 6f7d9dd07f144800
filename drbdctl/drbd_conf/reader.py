"""Tokens to statements, with the included files in place: structure only, no keyword is known here but two.

`include "GLOB";` stands at top level only, relative to the file it is in, ten deep at most; each file is read once.
`skip ... { }` is left out as drbdadm leaves it out.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from drbdctl.drbd_conf.lexer import Kind, Token, tokens
from pyvrrp.config.diagnostics import Diagnostics, Position

DEEPEST_INCLUDE = 10
MOST_FILES = 1_000
DEEPEST_BLOCK = 8
"no version of drbd.conf has more than five"


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment without `#`."""

    text: str
    position: Position


@dataclass(slots=True)
class Statement:
    """`WORD ... ;` or `WORD ... { ... }`."""

    words: list[Token]
    body: list[Statement] | None = None
    comments: list[Comment] = field(default_factory=list)
    "those that stand before it, and the one behind it on its line"

    @property
    def position(self) -> Position:
        """Where its first word stands."""
        return self.words[0].position

    @property
    def name(self) -> str:
        """Its first word."""
        return self.words[0].text

    @property
    def arguments(self) -> list[Token]:
        """The other words."""
        return self.words[1:]


@dataclass(slots=True)
class Source:
    """What was read."""

    statements: list[Statement]
    files: list[str]
    comments: list[Comment] = field(default_factory=list)
    "all of them, in order"


def read_file(path: str, diagnostics: Diagnostics) -> Source:
    """Read a file and what it includes.

    Raises OSError when `path` itself can't be read; an included file is a diagnostic.
    """
    text = _text(path)
    source = Source([], [path])
    source.statements = _Reader(source, diagnostics, {os.path.realpath(path)}, 0).read(text, path)
    return source


def read_text(text: str, diagnostics: Diagnostics, *, name: str = "drbd.conf") -> Source:
    """The same for a text; includes are relative to the directory of `name`."""
    source = Source([], [name])
    source.statements = _Reader(source, diagnostics, {os.path.realpath(name)}, 0).read(text, name)
    return source


def _text(path: str) -> str:
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


class _Reader:
    def __init__(self, source: Source, diagnostics: Diagnostics, seen: set[str], depth: int) -> None:
        self._source = source
        self._diagnostics = diagnostics
        self._seen = seen
        self._depth = depth

    def read(self, text: str, file: str) -> list[Statement]:
        top: list[Statement] = []
        self._blocks: list[Statement] = []
        self._words: list[Token] = []
        self._before: list[Comment] = []
        last: Statement | None = None
        for token in tokens(text, file, self._diagnostics):
            here = self._here(top)
            match token.kind:
                case Kind.COMMENT:
                    self._comment(token, last)
                case Kind.WORD:
                    self._words.append(token)
                case Kind.END:
                    last = self._finish(here, file) if self._words else self._stray(token, last)
                case Kind.OPEN:
                    last = self._open(token, here)
                case Kind.CLOSE:
                    if self._words:
                        self._missing_semicolon()
                        self._finish(here, file)
                    last = self._close(token, last)
        if self._words:
            self._missing_semicolon()
            self._finish(self._here(top), file)
        for block in self._blocks[:DEEPEST_BLOCK]:
            self._diagnostics.error(
                block.position, "unclosed-block", f"the block {block.name} is not closed", "write } at its end"
            )
        return [each for each in top if each.name != "skip"]

    def _here(self, top: list[Statement]) -> list[Statement]:
        body = self._blocks[-1].body if self._blocks else top
        assert body is not None  # an open block has one
        return body

    def _comment(self, token: Token, last: Statement | None) -> None:
        comment = Comment(token.text, token.position)
        self._source.comments.append(comment)
        if last is not None and not self._words and _last_line(last) == token.position.line:
            last.comments.append(comment)
        else:
            self._before.append(comment)

    def _finish(self, here: list[Statement], file: str) -> Statement:
        statement = Statement(self._words, None, self._before)
        self._words, self._before = [], []
        if statement.name == "include" and not statement.words[0].quoted and not self._blocks:
            here += self._included(statement, file)
        else:
            here.append(statement)
        return statement

    def _open(self, token: Token, here: list[Statement]) -> Statement:
        if not self._words:
            self._diagnostics.error(token.position, "nameless-block", "{ without a name before it", "write its keyword")
            self._words = [Token(Kind.WORD, "", token.position)]
        statement = Statement(self._words, [], self._before)
        self._words, self._before = [], []
        if len(self._blocks) < DEEPEST_BLOCK:
            here.append(statement)
        elif len(self._blocks) == DEEPEST_BLOCK:
            self._diagnostics.error(
                token.position,
                "nested-too-deep",
                f"a block within {DEEPEST_BLOCK} others",
                "no version has that: remove it",
            )
        self._blocks.append(statement)
        return statement

    def _close(self, token: Token, last: Statement | None) -> Statement | None:
        if not self._blocks:
            self._diagnostics.error(token.position, "stray-brace", "} closes nothing", "remove it")
            return last
        self._before = []  # comments at the end of a block belong to no statement
        self._blocks.pop()
        return None

    def _stray(self, token: Token, last: Statement | None) -> Statement | None:
        self._diagnostics.error(token.position, "stray-semicolon", "; ends nothing; drbdadm refuses it", "remove it")
        return last

    def _missing_semicolon(self) -> None:
        word = self._words[-1]
        self._diagnostics.error(
            word.position, "missing-semicolon", f"; is missing behind {word.text[:40]}", "write it there"
        )

    def _included(self, statement: Statement, file: str) -> list[Statement]:
        if len(statement.arguments) != 1:
            self._diagnostics.error(
                statement.position, "bad-include", "include wants one file name", 'write include "drbd.d/*.res";'
            )
            return []
        pattern = statement.arguments[0].text
        found: list[Statement] = []
        for path in self._matches(pattern, statement, file):
            real = os.path.realpath(path)
            if real in self._seen:
                continue
            if self._depth >= DEEPEST_INCLUDE or len(self._seen) >= MOST_FILES:
                self._diagnostics.error(
                    statement.position, "include-too-deep", f"{path} is included too deep", "ten levels are the limit"
                )
                return found
            self._seen.add(real)
            try:
                if not os.path.isfile(path):
                    raise IsADirectoryError(None, "it is no regular file")
                text = _text(path)
            except OSError as error:
                self._diagnostics.error(
                    statement.position,
                    "include-unreadable",
                    f"{path} can't be read: {error.strerror}",
                    "correct its permissions, or remove the include",
                )
                continue
            self._source.files.append(path)
            found += _Reader(self._source, self._diagnostics, self._seen, self._depth + 1).read(text, path)
        return found

    def _matches(self, pattern: str, statement: Statement, file: str) -> Iterable[str]:
        path = os.path.join(os.path.dirname(file), pattern)
        try:
            found = sorted(glob.glob(path)) if glob.has_magic(path) else [path] if os.path.lexists(path) else []
        except (OSError, ValueError):
            found = []
        if not found and not glob.has_magic(path):
            self._diagnostics.error(
                statement.position, "include-missing", f"there is no file {path}", "create it, or remove the include"
            )
        return found


def _last_line(statement: Statement) -> int:
    return statement.words[-1].position.line
