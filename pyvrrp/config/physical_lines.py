"""A file as it lies on the disk: encoding, comments, merge conflicts, definitions of several lines."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.lexer import without_comment
from pyvrrp.config.substitution import DEFINITION
from pyvrrp.config.text import BLANKS, Text

LONGEST_LINE = 1022
"characters that keepalived 2.2.7 reads as one line"

_CONDITIONS = re.compile(r"\s*(?:@\S*\s+)*", re.ASCII)
_CONFLICT = re.compile(r"<{7}(?: .*)?$|\|{7}(?: .*)?$|={7}$|>{7}(?: .*)?$")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_NOT_A_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def read_file(path: str) -> str:
    """The characters of a file; bytes that are not UTF-8 come as surrogate escapes. Raises OSError.

    Also for a pipe or a device, which may never end; keepalived skips them too.
    """
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


def physical_lines(text: str, file: str, diagnostics: Diagnostics) -> Iterator[tuple[Text, ...]]:
    """The lines of a file that hold more than a comment; a definition of several lines comes as one."""
    conflicts = _Conflicts(diagnostics)
    definition: list[Text] = []
    ended = 0  # the blank line that ended the latest definition of several lines
    for number, raw in enumerate(_checked(text, file, diagnostics).split("\n"), 1):
        line = Text.of_line(raw, file, number)
        if raw and raw[0] in "<|=>" and conflicts.is_marker(raw, line.position()):
            continue
        if len(raw) > LONGEST_LINE:
            _warn_of_long_line(line.position(), diagnostics)
        line = without_comment(line, diagnostics).stripped()
        # keepalived sees a \ behind a comment and one before it.
        continues = line.text.endswith("\\") or (bool(definition) and raw.rstrip(BLANKS).endswith("\\"))
        if line.text.endswith("\\"):
            line = line.part(0, len(line) - 1).stripped()
        if definition:
            if line.text or not raw.strip(BLANKS):
                if line.text:
                    definition.append(line)
                if not continues:
                    yield tuple(definition)
                    definition = []
                    ended = 0 if raw.strip(BLANKS) else number
        elif continues and DEFINITION.match(line.text, _conditions_end(line.text)):
            definition = [line]
        elif continues:
            _report_stray_backslash(line, ended, diagnostics)
            yield (line,)
        elif line.text:
            yield (line,)
    if definition:
        yield tuple(definition)


def _conditions_end(text: str) -> int:
    match = _CONDITIONS.match(text)
    return match.end() if match else 0


def _report_stray_backslash(line: Text, ended: int, diagnostics: Diagnostics) -> None:
    diagnostics.error(
        line.position(len(line)),
        "stray-backslash",
        "a \\ at the end continues only the lines of a $NAME= definition"
        + (f", and the last one ended at the blank line {ended}" if ended else ""),
        "remove the blank line" if ended else "remove the \\ and write the statement on one line",
    )


def _warn_of_long_line(position: Position, diagnostics: Diagnostics) -> None:
    diagnostics.warning(
        position,
        "line-too-long",
        f"keepalived cuts lines after {LONGEST_LINE} characters and reads the rest as another line",
        "make the line shorter, if keepalived is to read this file too",
    )


def _checked(text: str, file: str, diagnostics: Diagnostics) -> str:
    """The text without what no configuration file should have: a byte order mark, NUL characters, UTF-16."""
    top = Position(file, 1, 1)
    if text.startswith("\ufeff"):
        diagnostics.warning(
            top,
            "byte-order-mark",
            "the file starts with a byte order mark, which keepalived takes for a part of the first word",
            "save the file as UTF-8 without a byte order mark",
        )
        text = text[1:]
    if text.startswith(("\udcff\udcfe", "\udcfe\udcff")):
        diagnostics.error(top, "utf-16", "the file is UTF-16, nothing of it is read", "save it as UTF-8", fatal=True)
        return ""
    if (nul := text.find("\0")) >= 0:
        diagnostics.error(
            _position(text, nul, file),
            "nul-character",
            "a NUL character ends the line here, as it does for keepalived",
            "restore the file: a NUL is left by a failed write or a wrong encoding",
        )
        text = re.sub("\0[^\n]*", "", text)
    if not text.isascii() and (found := _NOT_UTF8.search(text)):
        diagnostics.warning(
            _position(text, found.start(), file),
            "not-utf-8",
            "this byte, perhaps with others further on, is not UTF-8; it is taken as it is",
            "save the file as UTF-8",
        )
        text = _NOT_A_BYTE.sub("\ufffd", text)
    return text


def _position(text: str, offset: int, file: str) -> Position:
    return Position(file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


class _Conflicts:
    """The markers that git leaves in a file it could not merge: one error for each conflict."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._inside = False

    def is_marker(self, raw: str, position: Position) -> bool:
        raw = raw.rstrip(BLANKS)
        if not _CONFLICT.match(raw):
            return False
        if raw[0] == "<" or not self._inside:
            self._diagnostics.error(
                position,
                "merge-conflict",
                f"{raw[:7]} is left of a merge conflict; both sides are read, and the later value counts",
                "resolve the merge: keep one side and remove the lines <<<<<<<, ======= and >>>>>>>",
            )
        self._inside = raw[0] != ">"
        return True
