"""The values of one block: found by keyword, checked, with the default where they are missing or wrong."""

from __future__ import annotations

from collections.abc import Sequence

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.semantics import numbers
from pyvrrp.config.semantics.numbers import shown
from pyvrrp.config.statements import Statement, Word
from pyvrrp.core.events import IPAddress

_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


class Values:
    """The statements of one block, and where its findings go; `owner` begins each message (`vrrp_instance VI_1`)."""

    def __init__(
        self, owner: str, statements: Sequence[Statement], diagnostics: Diagnostics, position: Position
    ) -> None:
        self.owner = owner
        self.diagnostics = diagnostics
        self.position = position
        "where the block begins"
        self._statements = statements

    def all(self, name: str) -> list[Statement]:
        """Every statement with this keyword."""
        return [statement for statement in self._statements if statement.name == name]

    def has(self, name: str) -> bool:
        """Whether the keyword stands in the block."""
        return bool(self.all(name))

    def last(self, name: str) -> Statement | None:
        """The statement that counts: as in keepalived, a later line replaces an earlier one."""
        found = self.all(name)
        return found[-1] if found else None

    def at(self, name: str) -> Position:
        """Where the keyword stands; where the block begins if it is missing."""
        statement = self.last(name)
        return statement.position if statement else self.position

    def lines(self, name: str) -> list[Statement]:
        """The lines of all blocks with this keyword."""
        return [line for statement in self.all(name) for line in statement.body or ()]

    def word(self, name: str) -> Word | None:
        """The first word after the keyword; complains where the keyword stands without one."""
        statement = self.last(name)
        if statement is None:
            return None
        if statement.arguments and statement.arguments[0].text:
            return statement.arguments[0]
        self.error(statement.position, "missing-argument", f"'{name}' needs a value, the line is ignored")
        return None

    def text(self, name: str) -> str | None:
        """The text of `word`."""
        word = self.word(name)
        return word.text if word else None

    def switch(self, name: str, default: bool) -> bool:
        """`NAME [on|off|true|false|yes|no]`: alone it is on."""
        statement = self.last(name)
        if statement is None:
            return default
        if not statement.arguments:
            return True
        word = statement.arguments[0]
        if word.text in _SWITCH:
            return _SWITCH[word.text]
        self.error(
            word.position,
            "bad-switch",
            f"'{name} {word}' is neither on nor off, it is {'on' if default else 'off'}",
            "write on, off, true, false, yes or no",
        )
        return default

    def number(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number in `low`..`high`."""
        word = self.word(name)
        if word is None:
            return default
        value = numbers.whole(word.text)
        if value is not None and low <= value <= high:
            return value
        self._bad_number(word, name, f"a whole number in {low}-{high}", default)
        return default

    def seconds(self, name: str, low: float, high: float, default: float) -> float:
        """Seconds, with or without decimals, in `low`..`high`."""
        word = self.word(name)
        if word is None:
            return default
        value = numbers.decimal(word.text)
        if value is not None and low <= value <= high:
            return value
        self._bad_number(word, name, f"a number of seconds in {shown(low)}-{shown(high)}", default)
        return default

    def address(self, name: str) -> IPAddress | None:
        """An IPv4 or IPv6 address."""
        word = self.word(name)
        if word is None:
            return None
        found = numbers.address(word.text)
        if found is None:
            self.error(word.position, "bad-address", f"'{name} {word}' is no IP address, the line is ignored")
        return found

    def error(self, position: Position, code: str, message: str, hint: str = "", *, fatal: bool = False) -> None:
        """Record an error of this block."""
        self.diagnostics.error(position, code, f"{self.owner}: {message}", hint, fatal=fatal)

    def warning(self, position: Position, code: str, message: str, hint: str = "") -> None:
        """Record a warning about this block."""
        self.diagnostics.warning(position, code, f"{self.owner}: {message}", hint)

    def note(self, position: Position, code: str, message: str, hint: str = "") -> None:
        """Record a note about this block."""
        self.diagnostics.note(position, code, f"{self.owner}: {message}", hint)

    def _bad_number(self, word: Word, name: str, wanted: str, default: float) -> None:
        self.error(word.position, "bad-number", f"'{name} {word}' is not {wanted}, {shown(default)} is used")
