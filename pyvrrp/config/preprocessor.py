"""From the lines of the files to the lines of the configuration: conditions, definitions, generators, includes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from pyvrrp.config import generators
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.includes import INCLUDE, INCLUDE_CHECK, Check, included_files, report_unreadable, set_checks
from pyvrrp.config.physical_lines import physical_lines
from pyvrrp.config.predefined import Predefined
from pyvrrp.config.substitution import Definitions
from pyvrrp.config.text import Text

MOST_LINES = 250_000
"that generators, definitions of several lines and included files may make together"
DEEPEST_INCLUDE = 16
DEEPEST_NESTING = 32
"generators on one line, and definitions of several lines within each other"

_CONDITION = re.compile(r"@(\^?)(\S*)\s*", re.ASCII)
_RANDOM_SEED = re.compile(r"random_seed\s+([0-9]{1,10})$", re.ASCII)
# What keepalived looks for at the start of a line, it also looks for behind a brace.
_LIKE_A_LINE = re.compile(r"@|~SEQ|~LST|include[rmwba]?\s", re.ASCII)
_INNER = re.compile(rf"[{{}}]\s*(?:{_LIKE_A_LINE.pattern})", re.ASCII)
_PIECE = re.compile(
    r"""\s*(?: \}
             | include[rmwba]?\s[^{}]*(?:\{[^{}]*\}[^{}]*)*
             | (?: ~(?:SEQx?|LST)\s*\([^)]*\) | "[^"]*" | \$\{[^{}]*\} | [^{}"] | " )* \{?)""",
    re.ASCII | re.VERBOSE,
)


class _TooManyLinesError(Exception):
    """Ends the reading; it was reported."""


class Preprocessor:
    """Reads one configuration; `files` are the names of all that were read."""

    def __init__(
        self,
        *,
        config_id: str,
        predefined: Predefined,
        read_file: Callable[[str], str],
        diagnostics: Diagnostics,
    ) -> None:
        self.files: list[str] = []
        self._config_id = config_id
        self._predefined = predefined
        self._read_file = read_file
        self._diagnostics = diagnostics
        self._definitions = Definitions(predefined, diagnostics)
        self._checks = Check.NONE
        self._open: list[str] = []
        self._within: tuple[str, ...] = ()
        self._made = 0

    def lines(self, text: str, file: str) -> Iterator[Text]:
        """All lines of the configuration that starts with this file, without comments and blanks at their ends."""
        try:
            yield from self._file(text, file)
        except _TooManyLinesError:
            return

    def _file(self, text: str, file: str) -> Iterator[Text]:
        if file not in self.files:
            self.files.append(file)
        checks = self._checks
        self._open.append(file)
        for line, *more in physical_lines(text, file, self._diagnostics):
            if len(self._open) > 1:
                self._count(line)
            yield from self._expand(line, tuple(more))
        self._open.pop()
        self._checks = checks

    def _expand(
        self, line: Text, more: tuple[Text, ...] = (), *, depth: int = 0, replaced: bool = False
    ) -> Iterator[Text]:
        """What a line of a file, or one that was made, becomes; `replaced`: its references are done."""
        applies, line = self._condition(line, more)
        if not applies or not line.text or self._definitions.define(line, more):
            return
        if generators.is_generator(line.text):
            yield from self._generate(line, depth)
        elif pieces := _pieces(line, self._diagnostics):
            for piece in pieces:
                yield from self._expand(piece, depth=depth)
        elif "$" in line.text and not replaced:
            lines, name = self._definitions.put_in(line, self._directory, self._within)
            if len(lines) > 1:
                yield from self._nested(lines, name, depth)
            else:
                yield from self._expand(lines[0].stripped(), depth=depth, replaced=True)
        elif INCLUDE.match(line.text):
            yield from self._include(line)
        else:
            if INCLUDE_CHECK.match(line.text):
                self._checks = set_checks(line, self._checks, self._diagnostics)
            elif seed := _RANDOM_SEED.match(line.text):
                self._predefined.seed(int(seed[1]))
            yield line

    def _condition(self, line: Text, more: tuple[Text, ...]) -> tuple[bool, Text]:
        """Whether `@id` and `@^id` at the start let the line count, and the line behind them."""
        at, applies = 0, True
        while applies and (match := _CONDITION.match(line.text, at)):
            at = match.end()
            applies = (match[2] == self._config_id) != bool(match[1])
        if more and not applies:
            self._diagnostics.warning(
                line.position(),
                "condition-on-lines",
                "the condition leaves out the whole definition here, but keepalived only its first line",
                "define it without a condition, and write the condition where it is used",
            )
        if at and line.text.count("{", at) != line.text.count("}", at) and line.text[at : at + 1] != "$":
            self._diagnostics.warning(
                line.position(),
                "condition-on-brace",
                f"{line.text[:at].strip()} is for this line only: the lines of the block stay without it",
                "put the block into a definition of several lines, and its $NAME behind the condition",
            )
        return applies, line.part(at) if at else line

    def _generate(self, line: Text, depth: int) -> Iterator[Text]:
        if depth >= DEEPEST_NESTING:
            self._refuse(line, "nested-too-deep", "there are too many generators on one line")
            return
        if span := generators.arguments(line.text):
            (numbers, *_), _ = self._definitions.put_in(line.part(*span), self._directory)
            line = line.replaced(*span, numbers)
        try:
            generator = generators.parse(line.text)
        except ValueError as error:
            self._diagnostics.error(
                line.position(), "bad-generator", f"{line.text[:60]}: {error}; nothing is made of it", "correct it"
            )
            return
        rest = line.part(generator.end).stripped()
        if not rest.text:
            self._diagnostics.warning(
                line.position(), "empty-generator", "nothing stands behind the generator", "write the line behind it"
            )
            return
        for row in generator.rows():
            self._count(line)
            for name, value in row:
                self._definitions.set(name, line.made(0, value))
            yield from self._expand(rest, depth=depth + 1)

    def _nested(self, lines: tuple[Text, ...], name: str, depth: int) -> Iterator[Text]:
        """A line that became several by the definition at its end."""
        if depth >= DEEPEST_NESTING:
            self._refuse(lines[0], "nested-too-deep", f"${name} is too deep in other definitions")
            return
        outer, self._within = self._within, (*self._within, name)
        for line in lines:
            self._count(line)
            yield from self._expand(line, depth=depth + 1)
        self._within = outer

    def _include(self, line: Text) -> Iterator[Text]:
        for file in included_files(line, self._directory, self._checks, self._diagnostics):
            self._count(line)
            if len(self._open) > DEEPEST_INCLUDE or os.path.realpath(file) in map(os.path.realpath, self._open):
                self._diagnostics.error(
                    line.position(),
                    "include-loop",
                    f"{file} is not read here: it includes itself, or includes are nested too deep",
                    "remove one of the includes: " + " -> ".join((*self._open[-3:], file)),
                )
                continue
            try:
                text = self._read_file(file)
            except (OSError, ValueError) as error:
                report_unreadable(line, file, error, self._checks, self._diagnostics)
            else:
                yield from self._file(text, file)

    @property
    def _directory(self) -> str:
        return os.path.dirname(self._open[-1])

    def _count(self, line: Text) -> None:
        self._made += 1
        if self._made > MOST_LINES:
            self._refuse(line, "too-many-lines", f"more than {MOST_LINES} lines are made")
            raise _TooManyLinesError

    def _refuse(self, line: Text, code: str, message: str) -> None:
        hint = "make the numbers, the lists or the definitions smaller"
        self._diagnostics.error(line.position(), code, message, hint, fatal=True)


def _pieces(line: Text, diagnostics: Diagnostics) -> list[Text]:
    """A line with a condition, a generator or an include behind a brace, as the lines that it is; [] for others."""
    if INCLUDE.match(line.text) or not _INNER.search(line.text):
        return []
    pieces: list[Text] = []
    at = 0
    while at < len(line) and (match := _PIECE.match(line.text, at)) and match.end() > at:
        pieces.append(line.part(at, match.end()).stripped())
        at = match.end()
    inner = [piece for piece in pieces[1:] if _LIKE_A_LINE.match(piece.text)]
    if not inner:  # the brace is in quotes, or that of ${NAME}
        return []
    diagnostics.warning(
        inner[0].position(),
        "inside-line",
        "keepalived reads this up to the end of the line, braces included",
        "start a new line for it, and for the brace behind it",
    )
    return pieces
