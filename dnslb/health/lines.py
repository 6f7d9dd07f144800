"""The lines of a check's block, read one by one, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from dnslb.health.values import BadValue
from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.statements import Statement

_T = TypeVar("_T")


class Lines:
    """The lines of a block by keyword, the last of each; `refused` once one of them was no good.

    Errors are fatal: without the check that was meant, the address would be announced unchecked. Not those of the
    `lenient` keywords, with which keepalived starts too.
    """

    def __init__(
        self, owner: str, block: Statement, diagnostics: Diagnostics, lenient: Collection[str] = frozenset()
    ) -> None:
        self.position = block.position
        self.refused = False
        self._owner = owner
        self._diagnostics = diagnostics
        self._by_keyword = {line.name: line for line in block.body or ()}
        self._lenient = lenient

    def __contains__(self, keyword: str) -> bool:
        return keyword in self._by_keyword

    def get(self, keyword: str, read: Callable[[Statement], _T], default: _T) -> _T:
        """The value of a line, or the default where there is no such line or it was refused."""
        if keyword not in self._by_keyword:
            return default
        try:
            return read(self._by_keyword[keyword])
        except BadValue as bad:
            if keyword in self._lenient:
                message = f"{self._owner}: {bad}, its default is used"
                self._diagnostics.error(bad.position, bad.code, message, bad.hint)
            else:
                self.refuse(bad.position, bad.code, str(bad), bad.hint)
            return default

    def at(self, keyword: str) -> Position:
        """Where the line stands; where the block begins if there is none."""
        return self._by_keyword[keyword].position if keyword in self._by_keyword else self.position

    def refuse(self, position: Position, code: str, message: str, hint: str = "") -> None:
        """Report an error of this block."""
        self._diagnostics.error(position, code, f"{self._owner}: {message}", hint, fatal=True)
        self.refused = True

    def warn(self, code: str, message: str, hint: str, keyword: str = "") -> None:
        """Report what runs, but hardly as meant, at the line of `keyword` or where the block begins."""
        self._diagnostics.warning(self.at(keyword), code, f"{self._owner}: {message}", hint)
