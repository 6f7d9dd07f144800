"""What is wrong with a file, where, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum


class Severity(Enum):
    """ERROR: ignored or refused, or it can't mean what it says; WARNING: it runs, perhaps not as meant."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; line and column count from 1, column 0 means the whole line."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: `file:line:column: severity[code]: message; hint`."""

    position: Position
    severity: Severity
    code: str
    "stable, kebab-case: `unknown-keyword`; scripts may match it"
    message: str
    hint: str = ""
    "what to write or do"
    fatal: bool = False
    "`pyvrrp run` refuses to start (keepalived does too)"

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return _on_one_line(f"{self.position}: {self.severity.value}[{self.code}]: {self.message}{hint}")

    def as_json(self) -> dict[str, object]:
        """The same as a flat object."""
        return {**asdict(self.position), "severity": self.severity.value, "code": self.code,
                "message": self.message, "hint": self.hint, "fatal": self.fatal}  # fmt: skip


def _on_one_line(text: str) -> str:
    """The text with what can't be printed (line ends, bytes that are no UTF-8) as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class Diagnostics:
    """Collects findings in the order they are met; iteration is by file position."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}

    def error(self, position: Position, code: str, message: str, hint: str = "", *, fatal: bool = False) -> None:
        """Record an error; `fatal` where keepalived refuses to start."""
        self.add(Diagnostic(position, Severity.ERROR, code, message, hint, fatal))

    def warning(self, position: Position, code: str, message: str, hint: str = "") -> None:
        """Record a warning."""
        self.add(Diagnostic(position, Severity.WARNING, code, message, hint))

    def note(self, position: Position, code: str, message: str, hint: str = "") -> None:
        """Record a note: nothing is wrong, a reader may want to know."""
        self.add(Diagnostic(position, Severity.NOTE, code, message, hint))

    def add(self, diagnostic: Diagnostic) -> None:
        """Record a finding that was made elsewhere; one that is there already is not repeated."""
        self._found.setdefault(diagnostic)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(sorted(self._found, key=lambda found: found.position))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def counted(self) -> dict[str, int]:
        """How many there are of each severity, by its word."""
        return {severity.value: sum(found.severity is severity for found in self._found) for severity in Severity}

    @property
    def errors(self) -> list[Diagnostic]:
        """The findings of severity ERROR."""
        return [found for found in self if found.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Diagnostic]:
        """The findings of severity WARNING."""
        return [found for found in self if found.severity is Severity.WARNING]

    @property
    def fatal(self) -> list[Diagnostic]:
        """The findings with which the daemon refuses to start."""
        return [found for found in self if found.fatal]
