"""Words and braces become statements: which line opens a block, and what stands in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.lexer import Brace, tokens
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.text import Text

DEEPEST_BLOCK = 32


@dataclass(slots=True)
class _Block:
    """A block that is being read."""

    head: tuple[Word, ...]
    "empty: the top level, or braces without a keyword, whose content belongs to the block around them"
    opened: Position
    body: list[Statement] = field(default_factory=list)


class _Blocks:
    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._top = _Block((), Position("", 0))
        self._blocks = [self._top]
        self._dropped = 0  # blocks in each other below the deepest that is kept
        self._closed: _Block | None = None  # the latest block that was closed
        self._suspect: _Block | None = None  # perhaps closed by a brace that was meant for a block around it

    def line(self, line: Text) -> None:
        """Read a line; a statement ends with it at the latest."""
        words: list[Word] = []
        first = True
        for token in tokens(line, self._diagnostics):
            if isinstance(token, Word):
                words.append(token)
            elif token.opens:
                self._open(tuple(words), token.position)
                words = []
            else:
                self._statement(words)
                self._close(token, first_in_line=first)
                words = []
            first = False
        self._statement(words)

    def _statement(self, words: list[Word]) -> None:
        if words and not self._dropped:
            self._blocks[-1].body.append(Statement(words[0], tuple(words[1:])))

    def _open(self, head: tuple[Word, ...], position: Position) -> None:
        if self._dropped or len(self._blocks) > DEEPEST_BLOCK:
            if not self._dropped:
                self._diagnostics.error(
                    position,
                    "nested-too-deep",
                    f"this block is nested more than {DEEPEST_BLOCK} deep, and is left out",
                    "remove the braces that are too many",
                )
            self._dropped += 1
            return
        body = self._blocks[-1].body
        if not head and body and body[-1].body is None:  # `{` on the line after its keyword
            head = body.pop().words
        if not head:
            self._diagnostics.error(
                position,
                "brace-without-keyword",
                "this { opens a block without a name",
                "write the keyword before it, or remove it",
            )
        self._blocks.append(_Block(head, position))

    def _close(self, brace: Brace, *, first_in_line: bool) -> None:
        if self._dropped:
            self._dropped -= 1
        elif len(self._blocks) == 1:
            before = f"; {_named(self._closed)} ends above already" if self._closed else ""
            self._diagnostics.error(
                brace.position,
                "brace-without-opener",
                f"this }} closes nothing{before}",
                "remove it, or one of the } above it",
            )
        else:
            block = self._blocks[-1]
            indent = block.head[0].position.column if block.head else 0
            if first_in_line and brace.position.column < indent and self._suspect is None:
                self._suspect = block
            self._end(block)
            self._closed = block

    def _end(self, block: _Block) -> None:
        self._blocks.pop()
        around = self._blocks[-1].body
        if block.head:
            around.append(Statement(block.head[0], block.head[1:], tuple(block.body)))
        else:
            around += block.body

    def finish(self) -> tuple[Statement, ...]:
        """The statements at the top level, after the last line."""
        unclosed = self._blocks[1:]
        for block in reversed(unclosed):
            self._end(block)
        for block in unclosed:
            hint = "add the } that closes it"
            if self._suspect and self._suspect is not block:
                hint += f"; judging by the indentation, the one of {_named(self._suspect)} is missing"
            self._diagnostics.error(_place(block), "unclosed-block", f"{_named(block)} is not closed", hint)
        return tuple(self._top.body)


def _place(block: _Block) -> Position:
    return block.head[0].position if block.head else block.opened


def _named(block: _Block) -> str:
    name = " ".join(word.text[:40] for word in block.head[:2]) or "a block without a name"
    return f"{name} (line {_place(block).line})"


def statements(lines: Iterable[Text], diagnostics: Diagnostics) -> tuple[Statement, ...]:
    """The statements of a configuration whose lines have no comments any more."""
    blocks = _Blocks(diagnostics)
    for line in lines:
        blocks.line(line)
    return blocks.finish()
