"""Definitions `$NAME=text`, and putting them in for `$NAME` and `${NAME}`."""

from __future__ import annotations

import re

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.lexer import warn_of_comment_character
from pyvrrp.config.predefined import Predefined
from pyvrrp.config.suggest import did_you_mean
from pyvrrp.config.text import BLANKS, Text

MOST_REPLACEMENTS = 1_000
"in one line"
MOST_CHARACTERS = 65_536
"of a line with its definitions put in"

DEFINITION = re.compile(r"\$([A-Za-z_]\w*)=", re.ASCII)
# As keepalived 2.2.7 has it: `$NAME` only where a blank, a comma, a closing parenthesis or the end follows.
_REFERENCE = re.compile(
    r"""\$(?:\{(?P<braced>[A-Za-z_]\w*)(?P<words>(?:[ \t]+[^\s{}]+)*)[ \t]*\}
         |(?P<bare>[A-Za-z_]\w*)(?P<ends>(?=[\s,)]|$))?)""",
    re.ASCII | re.VERBOSE,
)


class Definitions:
    """The definitions that hold at one place of the configuration."""

    def __init__(self, predefined: Predefined, diagnostics: Diagnostics) -> None:
        self._lines: dict[str, tuple[Text, ...]] = {}
        self._predefined = predefined
        self._diagnostics = diagnostics

    def define(self, line: Text, more: tuple[Text, ...] = ()) -> bool:
        """Take in a line `$NAME=text` with the lines that follow it; False: the line is no definition."""
        match = DEFINITION.match(line.text)
        if match is None:
            return False
        first = line.part(match.end()).stripped()
        self._lines[match[1]] = more if more and not first.text else (first, *more)
        return True

    def set(self, name: str, value: Text) -> None:
        """Define the variable of a generator."""
        self._lines[name] = (value,)

    def put_in(self, line: Text, directory: str, within: tuple[str, ...] = ()) -> tuple[tuple[Text, ...], str]:
        """Replace the references of a line and those in their values.

        A definition of several lines may stand at the end only: the line becomes several then, with references that
        are not replaced yet, and its name is the second result. They keep the places where they were written; all
        other text that is put in stands where the reference stands. What is not defined stays as it is.
        `within`: the definitions of several lines that this line comes from.
        """
        count = at = 0
        inside: list[tuple[str, int]] = []  # names whose values are being read, and how many characters follow each
        while match := _REFERENCE.search(line.text, at):
            start, at = match.span()
            while inside and start >= len(line) - inside[-1][1]:
                inside.pop()
            name = match["braced"] or match["bare"]
            value = self._value(line, match, name, directory)
            if not value:
                continue
            if name in within or any(name == outer for outer, _ in inside):
                self._refuse(line, start, "recursive-definition", f"${name} contains itself")
                continue
            count += 1
            if count > MOST_REPLACEMENTS or len(line) + len(value[0]) > MOST_CHARACTERS:
                self._refuse(line, start, "too-many-replacements", "the definitions in this line never come to an end")
                break
            inside.append((name, len(line) - at))
            line = line.replaced(start, at, value[0])
            at = start
            if len(value) > 1:
                return (line, *value[1:]), name
        return (line,), ""

    def _value(self, line: Text, match: re.Match[str], name: str, directory: str) -> tuple[Text, ...]:
        start, end = match.span()
        value = self._lines.get(name, ())
        if match["bare"] and match["ends"] is None:
            if value:
                self._diagnostics.warning(
                    line.position(start),
                    "parameter-not-replaced",
                    f"${name} is replaced only before a blank, a comma or )",
                    f"write ${{{name}}}",
                )
            return ()
        if not value:
            return self._predefined_value(line, match, name, directory)
        if len(value) == 1:
            return (line.made(start, value[0].text),)
        if line.text[end:].strip(BLANKS):
            self._diagnostics.error(
                line.position(start),
                "lines-inside-line",
                f"${name} has several lines and is replaced only at the end of a line",
                "write what follows on a new line",
            )
            return ()
        return value

    def _predefined_value(self, line: Text, match: re.Match[str], name: str, directory: str) -> tuple[Text, ...]:
        start = match.start()
        quoted = line.text.count('"', 0, start) % 2 == 1
        try:
            text = self._predefined.value(name, (match["words"] or "").split(), directory)
        except ValueError as error:
            self._diagnostics.error(
                line.position(start), "bad-parameter", f"{match[0]} stays as it is: {error}", "correct or remove it"
            )
            return ()
        if text is not None:
            if text in ("#", "!") and name in ("_HASH", "_BANG") and not quoted:
                warn_of_comment_character(line.position(start), match[0], self._diagnostics)
            return (line.made(start, text),)
        self._report_undefined(line, match, name, quoted)
        return ()

    def _report_undefined(self, line: Text, match: re.Match[str], name: str, quoted: bool) -> None:
        start, end = match.span()
        nearest = did_you_mean(name, self._lines)
        hint = f"did you mean ${nearest}?" if nearest else f"define it above: ${name}=value"
        message = f"{match[0]} stays as it is: ${name} is not defined before this line"
        neighbours = line.text[max(0, start - 1) : start] + line.text[end : end + 1]
        if match["braced"] and not quoted:
            message += ", and keepalived takes its braces for a block"
            self._diagnostics.error(line.position(start), "undefined-parameter", message, hint)
        elif nearest or not (quoted or neighbours.strip(BLANKS)):
            self._diagnostics.warning(line.position(start), "undefined-parameter", message, hint)

    def _refuse(self, line: Text, start: int, code: str, message: str) -> None:
        hint = "let the definitions not refer to each other"
        self._diagnostics.error(line.position(start), code, message, hint, fatal=True)
