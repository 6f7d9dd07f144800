"""Which statements the keyword tables know, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Body, Keyword, Use
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean

_TOP = ""
"stands for the top level where a block is named"


@dataclass(frozen=True, slots=True)
class Recognised:
    """The top level: what the tables know, and blocks whose misspelt keyword has exactly one near candidate."""

    statements: tuple[Statement, ...]
    guesses: tuple[Statement, ...]
    "with the keyword corrected, their bodies not looked at; they never become part of a configuration"


class Grammar:
    """The keyword tables of one run, plugins included; it remembers what it has reported once."""

    def __init__(self, root: Iterable[Keyword]) -> None:
        self._root = {keyword.name: keyword for keyword in root}
        self._reported: set[tuple[str, str, str]] = set()
        self._blocks: dict[str, list[str]] = {}
        self._index(self._root.values(), _TOP)

    def recognise(self, statements: Sequence[Statement], diagnostics: Diagnostics) -> Recognised:
        """Sort the top level; unsupported, unknown, misplaced and malformed lines go to `diagnostics`."""
        known = self._statements(statements, self._root, _TOP, diagnostics)
        return Recognised(known, tuple(self._guesses(statements)))

    def block(self, statement: Statement, diagnostics: Diagnostics) -> tuple[Statement, ...]:
        """Sort one top-level block whose keyword is in the table; empty when nothing is left of it."""
        return self._statements((statement,), self._root, _TOP, diagnostics)

    def _guesses(self, statements: Sequence[Statement]) -> Iterable[Statement]:
        for statement in statements:
            if statement.name not in self._root and statement.name not in self._blocks and statement.body is not None:
                candidates = _near(statement.name, self._root)
                if len(candidates) == 1:
                    yield replace(statement, keyword=replace(statement.keyword, text=candidates[0]))

    def _index(self, keywords: Iterable[Keyword], block: str) -> None:
        for keyword in keywords:
            self._blocks.setdefault(keyword.name, []).append(block)
            if isinstance(keyword.body, tuple):
                self._index(keyword.body, keyword.name)

    def _statements(
        self,
        statements: Sequence[Statement],
        table: dict[str, Keyword],
        block: str,
        diagnostics: Diagnostics,
        supported: bool = True,
    ) -> tuple[Statement, ...]:
        """The body of a block; of one that is not supported (which has been said) only mistakes are reported."""
        kept: list[Statement] = []
        first: dict[str, Statement] = {}
        for statement in statements:
            keyword = table.get(statement.name)
            if keyword is None:
                self._unknown(statement, table, block, diagnostics)
                continue
            if supported:
                self._use(statement, keyword, block, diagnostics)
            clean = self._statement(statement, keyword, table, diagnostics)
            if clean is None:
                continue
            if clean.name in first and not keyword.repeatable:
                diagnostics.warning(
                    clean.position,
                    "duplicate-keyword",
                    f"'{clean.name}' stands in line {first[clean.name].position.line} already",
                    "keep one of them",
                )
            first.setdefault(clean.name, clean)
            kept.append(clean)
        return tuple(kept)

    def _statement(
        self, statement: Statement, keyword: Keyword, siblings: dict[str, Keyword], diagnostics: Diagnostics
    ) -> Statement | None:
        """The statement with what is superfluous taken off, or None when it can't be used."""
        name, position = statement.name, statement.position
        least, most = keyword.words
        if len(statement.arguments) < least:
            what = "value" if keyword.body is Body.NONE else "name"
            diagnostics.error(
                position, "missing-argument", f"'{name}' needs a {what}", f"write '{name} {what.upper()}'", fatal=True
            )
            return None
        if keyword.body is not Body.NONE and statement.body is None:
            words = [word.text for word in statement.arguments]
            inside = " ".join(words[least:]) or "..."
            diagnostics.error(
                position,
                "missing-block",
                f"'{name}' needs a block, the line is ignored",
                f"write '{' '.join([name, *words[:least]])} {{ {inside} }}'",
            )
            return None
        if most is not None and len(statement.arguments) > most:
            _superfluous(statement, most, siblings, diagnostics)
            statement = replace(statement, arguments=statement.arguments[:most])
        if statement.body is None:
            return statement
        match keyword.body:
            case Body.NONE:
                diagnostics.error(position, "unexpected-block", f"'{name}' takes no block", "remove { ... }")
                return replace(statement, body=None)
            case Body.SKIP:
                return statement
            case Body.LINES:
                return replace(statement, body=tuple(_line(line, name, diagnostics) for line in statement.body))
            case tuple() as body:
                table = {inner.name: inner for inner in body}
                inside_lines = _split(statement.body, table) if keyword.inline else statement.body
                supported = keyword.use is Use.USED
                return replace(statement, body=self._statements(inside_lines, table, name, diagnostics, supported))

    def _use(self, statement: Statement, keyword: Keyword, block: str, diagnostics: Diagnostics) -> None:
        once = (statement.position.file, block, statement.name)
        if keyword.use is Use.USED or once in self._reported:
            return
        self._reported.add(once)
        if keyword.use is Use.IGNORED:
            diagnostics.note(
                statement.position, "ignored-keyword", f"'{statement.name}' has no effect here", keyword.hint
            )
        elif keyword.body is Body.SKIP:
            diagnostics.warning(
                statement.position, "not-supported", f"{statement.name} blocks are not served yet", keyword.hint
            )
        else:
            diagnostics.warning(
                statement.position, "not-supported", f"'{statement.name}' is not supported yet", keyword.hint
            )

    def _unknown(self, statement: Statement, table: dict[str, Keyword], block: str, diagnostics: Diagnostics) -> None:
        name, position = statement.name, statement.position
        ignored = f"the {'line' if statement.body is None else 'block'} is ignored"
        if name in self._blocks:
            places = " or ".join(sorted({_place(place) for place in self._blocks[name]}))
            code, message = "misplaced-keyword", f"'{name}' does not belong {_place(block)}, it belongs {places}"
            here = [other for other in (f"vrrp_{name}", name.removeprefix("vrrp_")) if other in table]
            advice = f"here it is '{here[0]}'. " if here else ""
        else:
            meant = " or ".join(f"'{candidate}'" for candidate in _near(name, table))
            code, message = "unknown-keyword", f"'{name}' is not a keyword {_place(block)}"
            advice = f"did you mean {meant}? " if meant else ""
        diagnostics.error(position, code, message, f"{advice}{ignored.capitalize() if advice else ignored}")


def _superfluous(statement: Statement, most: int, siblings: dict[str, Keyword], diagnostics: Diagnostics) -> None:
    """Too many words; they are not printed, one may be a part of a password."""
    name, extra = statement.name, statement.arguments[most]
    takes = ("no value", "one value")[most] if most < 2 else f"at most {most} values"
    if extra.text in siblings:
        hint = f"begin a new line before '{extra.text}'"
    elif most == 0 and statement.body is None:
        hint = f"'{name}' is on because it is there; remove the line to switch it off"
    else:
        hint = "remove it"
    message = f"'{name}' takes {takes}, what follows is ignored"
    diagnostics.error(extra.position, "extra-argument", message, hint)


def _place(block: str) -> str:
    return f"in {block}" if block else "at the top level"


def _near(word: str, known: Iterable[str]) -> list[str]:
    """The nearest known word, and the next one where there is one that is near as well."""
    known = list(known)
    first = did_you_mean(word, known)
    if first is None:
        # The manual has a few longer names than the program: state_dump_file_location.
        return [other for other in known if word.startswith(f"{other}_")]
    second = did_you_mean(word, [other for other in known if other != first])
    return [first] if second is None else [first, second]


def _line(line: Statement, block: str, diagnostics: Diagnostics) -> Statement:
    if line.body is None:
        return line
    diagnostics.error(line.position, "unexpected-block", f"a line of {block} takes no block", "remove { ... }")
    return replace(line, body=None)


def _split(statements: Sequence[Statement], table: dict[str, Keyword]) -> Sequence[Statement]:
    """One statement per keyword; a keyword takes its fewest words first, so that a value may look like a keyword.

    One that stands but once does not begin again in its own line: `start /usr/bin/systemctl start mariadb`.
    """
    split: list[Statement] = []
    for statement in statements:
        current: list[Word] = []
        for word in statement.words:
            if current and not word.quoted and _begins(word.text, current, table):
                split.append(Statement(current[0], tuple(current[1:])))
                current = []
            current.append(word)
        split.append(Statement(current[0], tuple(current[1:]), statement.body))
    return split


def _begins(text: str, current: Sequence[Word], table: dict[str, Keyword]) -> bool:
    """Whether a word after these is the next keyword."""
    keyword, name = table.get(text), current[0].text
    return keyword is not None and len(current) > _least(name, table) and (text != name or keyword.repeatable)


def _least(name: str, table: dict[str, Keyword]) -> int:
    return table[name].words[0] if name in table else 0
