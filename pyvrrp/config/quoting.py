r"""Quotes and backslashes of script lines: `script`, `notify*` and their like.

Measured with keepalived 2.2.7: on these lines '...' and "..." may stand anywhere in a word, and a backslash escapes in
and out of them. Everywhere else only "..." quotes, it always is a word of its own, and a backslash is itself.
"""

from __future__ import annotations

import re

QUOTED_KEYWORDS = frozenset(
    (
        *("script", "notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_deleted"),
        *("notify_master_rx_lower_pri", "notify_up", "notify_down", "quorum_up", "quorum_down", "misc_path", "regex"),
        *("startup_script", "shutdown_script"),
        *("notify_fifo_script", "vrrp_notify_fifo_script", "lvs_notify_fifo_script"),
    )
)
"keywords whose line is read with escapes"

WORD_PART = r"""[^\s"'{}$\\]+|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[$\\]"""
"pieces of a word of such a line (a regular expression), quotes and backslashes and all"
_COMMAND_WORD = re.compile(r"""(?:[^\s"'\\]+|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|\\)+""", re.ASCII | re.DOTALL)

_MARK = re.compile(r"""["']|\\(?:[0-7]{1,3}|x[0-9A-Fa-f]+|c.|.|$)""", re.DOTALL)
_CONTROL = {"a": "\a", "b": "\b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unquoted(word: str) -> str:
    r"""A word without its quotes, with its escapes replaced.

    `\a \b \E \f \n \r \t \v`, `\NNN` (octal), `\xX...` (the last byte counts), `\cC` (control); any other character
    after a backslash is itself. As in C, a NUL ends the word.
    """
    if not _MARK.search(word):
        return word.partition("\0")[0]
    open_quote = ""

    def replace(match: re.Match[str]) -> str:
        nonlocal open_quote
        mark = match[0]
        if mark[0] != "\\":
            if open_quote and mark != open_quote:
                return mark
            open_quote = "" if open_quote else mark
            return ""
        return _escape(mark[1:])

    text = _MARK.sub(replace, word)
    if not text.isascii():  # bytes written one by one may make one character
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return text.partition("\0")[0]


def command_words(command: str) -> tuple[str, ...]:
    """The arguments of a command that stands in one word: `"/bin/x 'a b' c"` is `/bin/x`, `a b`, `c`.

    ValueError: a quote is not closed.
    """
    words = [unquoted(match[0]) for match in _COMMAND_WORD.finditer(command)]
    if rest := _COMMAND_WORD.sub("", command).strip():
        raise ValueError(f"a {rest[0]} is not closed in {command!r}")
    return tuple(words)


def _escape(name: str) -> str:
    if name and name[0] in "01234567":
        return _byte(int(name, 8))
    if len(name) > 1:
        return _byte(int(name[1:], 16)) if name[0] == "x" else chr(ord(name[1]) & 0x1F)
    return _CONTROL.get(name, name)


def _byte(value: int) -> str:
    return bytes([value & 0xFF]).decode("utf-8", "surrogateescape")
